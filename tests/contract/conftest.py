"""What contract suites share: one Azurite per run."""

from collections.abc import Iterator

import pytest

from tests.support.azurite import Account, Azurite, running_azurite


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """Real storage, in memory."""
    with running_azurite(tmp_path_factory.mktemp("azurite") / "log") as running:
        yield running


@pytest.fixture
def account(azurite: Azurite) -> Account:
    """A storage account of the test's own."""
    return azurite.account()
