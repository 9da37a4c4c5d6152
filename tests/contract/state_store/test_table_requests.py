"""What the state costs: requests to Table Storage, counted on the wire."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date

import pytest
from azure.data.tables import TableServiceClient

from shared.adapters.table_store import CLIENT_OPTIONS, TableReleaseStore, ensure_tables
from shared.application.ports import Insert, Update
from shared.domain.listing import Wanted
from shared.domain.model import UNSUCCESSFUL, CircuitPhase, GateName, ReleasePhase, Round
from tests.support.azurite import Account
from tests.support.builders import CIRCUIT, NOW, RELEASE_ID, a_gate, a_release, a_run
from tests.support.dropping_proxy import DroppingProxy, dropping_proxy


@pytest.fixture
def proxy(account: Account) -> Iterator[DroppingProxy]:
    """Counts; a release with one circuit is there already."""
    with TableServiceClient.from_connection_string(account.connection_string) as direct:
        ensure_tables(direct)
        releases = TableReleaseStore(direct)
        releases.begin(a_release())
        releases.commit(Insert(row=a_run()))
    with dropping_proxy(account.table_port) as proxy:
        yield proxy


@pytest.fixture
def releases(account: Account, proxy: DroppingProxy) -> Iterator[TableReleaseStore]:
    behind = replace(account, table_port=proxy.port)
    with TableServiceClient.from_connection_string(behind.connection_string, **CLIENT_OPTIONS) as service:
        yield TableReleaseStore(service)


def test_a_circuit_transition_is_load_write_scan(releases: TableReleaseStore, proxy: DroppingProxy) -> None:
    """Three requests, whatever the number of circuits."""
    found = releases.release_and_run(RELEASE_ID, CIRCUIT)
    assert found is not None
    releases.commit(Update(row=replace(found[1].row, todo=Round.NONE), etag=found[1].etag))
    assert not releases.any_pending(RELEASE_ID, Round.INSPECTION)
    assert len(proxy.seen) == 3


def test_a_poll_is_one_read_and_one_write(releases: TableReleaseStore, proxy: DroppingProxy) -> None:
    """Twice a minute per circuit, for an hour."""
    found = releases.release_and_run(RELEASE_ID, CIRCUIT)
    assert found is not None
    releases.commit(Update(row=replace(found[1].row, poll_n=1, due_at=NOW), etag=found[1].etag))
    assert len(proxy.seen) == 2


def test_the_end_of_a_round_is_three_requests_more(releases: TableReleaseStore, proxy: DroppingProxy) -> None:
    """Read the release, ask for failures, write release and gate together."""
    stored = releases.release(RELEASE_ID)
    assert stored is not None
    assert not releases.any_in(RELEASE_ID, UNSUCCESSFUL)
    releases.commit(Update(row=replace(stored.row, redrive=1), etag=stored.etag), Insert(row=a_gate()))
    assert len(proxy.seen) == 3


def test_every_question_is_one_request(releases: TableReleaseStore, proxy: DroppingProxy) -> None:
    """Top-1 queries and pairs alike."""
    releases.release_and_gate(RELEASE_ID, GateName.REGISTRY)
    releases.first_in(RELEASE_ID, CircuitPhase.QUEUED)
    releases.predecessors_pending(RELEASE_ID)
    releases.overdue(RELEASE_ID, NOW)
    releases.history(RELEASE_ID)
    releases.active_release_ids()
    assert len(proxy.seen) == 6


def test_a_question_by_phase_asks_for_one_row_with_its_keys_only(
    releases: TableReleaseStore, proxy: DroppingProxy
) -> None:
    """Not for a page of whole rows."""
    assert releases.any_in(RELEASE_ID, frozenset({CircuitPhase.INSPECTING}))
    (request,) = proxy.seen
    assert b"top=1" in request
    assert b"select=PartitionKey" in request


@pytest.fixture
def many(account: Account) -> Iterator[tuple[TableReleaseStore, DroppingProxy]]:
    """Thirty releases that have ended, in two months, and one that runs; each has the same circuit."""
    with TableServiceClient.from_connection_string(account.connection_string) as direct:
        ensure_tables(direct)
        releases = TableReleaseStore(direct)
        for number in range(1, 31):
            phase = ReleasePhase.FAILED if number % 10 == 0 else ReleasePhase.SUCCEEDED
            release = a_release(f"2025{11 + number % 2}10.{number}", phase=phase, ended_at=NOW)
            releases.begin(release)
            releases.list_circuits(release, [CIRCUIT])
            releases.finish(release)
        releases.begin(a_release("20251231.1"))
        releases.list_circuits(a_release("20251231.1"), [CIRCUIT])
    with dropping_proxy(account.table_port) as proxy:
        behind = replace(account, table_port=proxy.port)
        with TableServiceClient.from_connection_string(behind.connection_string, **CLIENT_OPTIONS) as service:
            yield TableReleaseStore(service), proxy


def test_a_page_of_a_list_is_one_request_whatever_is_asked_for(many: tuple[TableReleaseStore, DroppingProxy]) -> None:
    """By phase, person and date the index answers itself, with as many rows as the page holds."""
    releases, proxy = many
    asked = (
        (Wanted(), 10),
        (Wanted(phase=ReleasePhase.FAILED), 4),
        (Wanted(since=date(2025, 12, 1), until=date(2025, 12, 30)), 10),
        (Wanted(requested_by="ann@example.com"), 1),
    )
    for number, (wanted, found) in enumerate(asked, 1):
        page, _ = releases.list_releases(wanted, limit=10)
        assert len(page) == found, wanted
        assert len(proxy.seen) == number
    assert all(b"/index" in request and b"top=11" in request for request in proxy.seen)


def test_a_page_by_circuit_is_one_request_more_for_a_dozen_releases(
    many: tuple[TableReleaseStore, DroppingProxy],
) -> None:
    """One finds them, in the partition of their plant; the others read what they are, month by month."""
    releases, proxy = many
    for wanted in (Wanted(plant_id="PLANT001"), Wanted(plant_id="PLANT001", circuit_id="CIRCUIT01")):
        proxy.seen.clear()
        page, cursor = releases.list_releases(wanted, limit=12)
        assert (len(page), len(proxy.seen)) == (12, 2)
        rest, _ = releases.list_releases(wanted, limit=50, cursor=cursor)
        assert len(rest) == 19
        assert len(proxy.seen) <= 2 + 1 + 2 + 1
    assert not any(b"/releases" in request for request in proxy.seen)


def test_health_looks_at_the_months_that_matter_in_one_request(many: tuple[TableReleaseStore, DroppingProxy]) -> None:
    """It is asked by anyone, as often as they like."""
    releases, proxy = many
    assert releases.undelivered(NOW) == []
    (request,) = proxy.seen
    assert b"PartitionKey" in request
