"""The real app behind the real HTTP surface, once with sign-in and once with personal links."""

from collections.abc import Iterator

import pytest

from tests.support.app_host import AppHost, running_app
from tests.support.azurite import Azurite
from tests.support.broker import Broker, running_broker


@pytest.fixture(scope="package")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with running_broker(tmp_path_factory.mktemp("broker")) as running:
        yield running


@pytest.fixture(scope="package")
def by_sign_in(tmp_path_factory: pytest.TempPathFactory, azurite: Azurite, broker: Broker) -> Iterator[AppHost]:
    """APPROVAL_MODE=entra behind Easy Auth."""
    directory = tmp_path_factory.mktemp("entra")
    with running_app(directory, azurite.account(), broker, easy_auth=True, APPROVAL_MODE="entra") as running:
        yield running


@pytest.fixture(scope="package")
def by_link(tmp_path_factory: pytest.TempPathFactory, azurite: Azurite, broker: Broker) -> Iterator[AppHost]:
    """APPROVAL_MODE=link, without Easy Auth."""
    with running_app(tmp_path_factory.mktemp("link"), azurite.account(), broker) as running:
        yield running
