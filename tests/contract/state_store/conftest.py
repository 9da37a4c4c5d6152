"""The stores a state-store test runs on: the fakes, Table Storage, and Table Storage that loses every first answer."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from random import Random

import pytest
from azure.data.tables import TableServiceClient

from shared.adapters.table_store import (
    CLIENT_OPTIONS,
    TableEndpointStore,
    TableMailLog,
    TableReleaseStore,
    TableSlotStore,
)
from shared.application.ports import EndpointStore, MailLog, ReleaseStore, SlotStore
from tests.simulation.engine import START, Engine
from tests.simulation.faults import QUIET, Weather
from tests.simulation.refusals import Refusals
from tests.simulation.stores_in_steps import SimReleaseStore, SimSlotStore
from tests.support.azurite import Account
from tests.support.dropping_proxy import BUSY, CONNECTION_LOST, dropping_proxy
from tests.support.fakes_state import FakeEndpointStore, FakeMailLog, FakeReleaseStore, FakeSlotStore

LOSSES = {"tables-connection-lost": CONNECTION_LOST, "tables-503-after-commit": BUSY}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """One implementation of each state port."""

    releases: ReleaseStore
    endpoints: EndpointStore
    slots: SlotStore
    mails: MailLog


@pytest.fixture(params=["fake", "simulated", "tables", *LOSSES])
def stores(request: pytest.FixtureRequest) -> Iterator[Stores]:
    """Empty stores."""
    if request.param == "fake":
        yield Stores(
            releases=FakeReleaseStore(), endpoints=FakeEndpointStore(), slots=FakeSlotStore(), mails=FakeMailLog()
        )
        return
    if request.param == "simulated":
        yield in_steps()
        return
    account: Account = request.getfixturevalue("account")
    with (
        tables_of(account) if request.param == "tables" else losing_tables_of(account, LOSSES[request.param]) as stores
    ):
        yield stores


def in_steps() -> Stores:
    """The simulation's, whose operations are several requests, on a quiet day."""
    releases, slots = SimReleaseStore(), SimSlotStore()
    weather = Weather(engine=Engine(1), faults=QUIET, until=START, refusals=Refusals(Random(1)))  # noqa: S311
    releases.weather = slots.weather = weather
    releases.listed_one = lambda: None
    return Stores(releases=releases, endpoints=FakeEndpointStore(), slots=slots, mails=FakeMailLog())


@contextmanager
def tables_of(account: Account, **options: float) -> Iterator[Stores]:
    """Table Storage as it is."""
    with TableServiceClient.from_connection_string(account.connection_string, **CLIENT_OPTIONS | options) as service:
        yield Stores(
            releases=TableReleaseStore(service),
            endpoints=TableEndpointStore(service),
            slots=TableSlotStore(service),
            mails=TableMailLog(service),
        )


@contextmanager
def losing_tables_of(account: Account, instead: bytes) -> Iterator[Stores]:
    """Table Storage where every request is carried out, and its answer lost when it comes for the first time."""
    with dropping_proxy(account.table_port, every_first=instead) as proxy:
        behind = replace(account, table_port=proxy.port)
        with tables_of(behind, retry_backoff_factor=0.01) as stores:
            yield stores


@pytest.fixture
def releases(stores: Stores) -> ReleaseStore:
    return stores.releases


@pytest.fixture
def endpoints(stores: Stores) -> EndpointStore:
    return stores.endpoints


@pytest.fixture
def slots(stores: Stores) -> SlotStore:
    return stores.slots


@pytest.fixture
def mails(stores: Stores) -> MailLog:
    return stores.mails
