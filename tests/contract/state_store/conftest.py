"""The stores a state-store test runs on: the fakes, and Table Storage."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from azure.data.tables import TableServiceClient

from shared.adapters.table_store import CLIENT_OPTIONS, TableEndpointStore, TableReleaseStore, TableSlotStore
from shared.application.ports import EndpointStore, ReleaseStore, SlotStore
from tests.support.fakes_state import FakeEndpointStore, FakeReleaseStore, FakeSlotStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """One implementation of each state port."""

    releases: ReleaseStore
    endpoints: EndpointStore
    slots: SlotStore


@pytest.fixture(params=["fake", "tables"])
def stores(request: pytest.FixtureRequest) -> Iterator[Stores]:
    """Empty stores."""
    if request.param == "fake":
        yield Stores(releases=FakeReleaseStore(), endpoints=FakeEndpointStore(), slots=FakeSlotStore())
        return
    connection = request.getfixturevalue("account").connection_string
    with TableServiceClient.from_connection_string(connection, **CLIENT_OPTIONS) as service:
        yield Stores(
            releases=TableReleaseStore(service), endpoints=TableEndpointStore(service), slots=TableSlotStore(service)
        )


@pytest.fixture
def releases(stores: Stores) -> ReleaseStore:
    return stores.releases


@pytest.fixture
def endpoints(stores: Stores) -> EndpointStore:
    return stores.endpoints


@pytest.fixture
def slots(stores: Stores) -> SlotStore:
    return stores.slots
