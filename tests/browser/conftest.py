"""One browser and one web server with sample pages for all browser tests."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.support.chromium import MISSING, PROGRAM, chromium
from tests.support.sample_pages import page_server, samples


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if PROGRAM is None:
        pytest.skip(MISSING)
    with chromium() as launched:
        yield launched


@pytest.fixture(scope="session")
def site() -> Iterator[str]:
    """The base address of all sample pages, mails and cards."""
    with page_server(samples()) as base:
        yield base
