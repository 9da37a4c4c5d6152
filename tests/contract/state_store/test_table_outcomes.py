"""Table Storage when answers are lost: a write that stands is never reported as a conflict, nor the reverse."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from azure.data.tables import TableServiceClient

from shared.adapters.table_store import (
    CLIENT_OPTIONS,
    TableEndpointStore,
    TableReleaseStore,
    TableSlotStore,
    ensure_tables,
)
from shared.application.ports import Insert, Update, Versioned
from shared.domain.errors import ConflictError, StateRefused, TransientError
from shared.domain.listing import Wanted
from shared.domain.model import Release, ReleasePhase, Slot
from tests.support.azurite import Account
from tests.support.builders import RELEASE_ID, a_gate, a_ledger_entry, a_lock, a_notice, a_release, a_run
from tests.support.dropping_proxy import BUSY, CONNECTION_LOST, DroppingProxy, dropping_proxy
from tests.support.net import free_ports

LOSSES = pytest.mark.parametrize("instead", [CONNECTION_LOST, BUSY], ids=["connection-lost", "503-after-commit"])


@pytest.fixture
def proxy(account: Account) -> Iterator[DroppingProxy]:
    """Between the SDK and Azurite; the tables exist already, so that only the write under test is hit."""
    with TableServiceClient.from_connection_string(account.connection_string) as direct:
        ensure_tables(direct)
    with dropping_proxy(account.table_port) as proxy:
        yield proxy


@pytest.fixture
def service(account: Account, proxy: DroppingProxy) -> Iterator[TableServiceClient]:
    options = CLIENT_OPTIONS | {"retry_backoff_factor": 0.01}
    behind = replace(account, table_port=proxy.port)
    with TableServiceClient.from_connection_string(behind.connection_string, **options) as service:
        yield service


@pytest.fixture
def releases(service: TableServiceClient) -> TableReleaseStore:
    return TableReleaseStore(service)


def begun(releases: TableReleaseStore) -> Versioned[Release]:
    releases.begin(a_release())
    stored = releases.release(RELEASE_ID)
    assert stored is not None
    return stored


@LOSSES
def test_an_insert_whose_answer_is_lost_succeeds(
    releases: TableReleaseStore, proxy: DroppingProxy, instead: bytes
) -> None:
    """The SDK's false 409, or no answer at all, is settled by re-reading the op_id."""
    begun(releases)
    proxy.drop_answer_of("POST", instead=instead)
    (etag,) = releases.commit(Insert(row=a_run()))
    assert len(proxy.dropped) == 1
    assert releases.runs(RELEASE_ID) == [Versioned(row=a_run(), etag=etag)]


@LOSSES
def test_an_update_whose_answer_is_lost_succeeds(
    releases: TableReleaseStore, proxy: DroppingProxy, instead: bytes
) -> None:
    """The SDK repeats the committed PUT and meets its own new ETag: a false 412."""
    stored = begun(releases)
    proxy.drop_answer_of("PUT", instead=instead)
    row = replace(stored.row, redrive=7)
    (etag,) = releases.commit(Update(row=row, etag=stored.etag))
    assert len(proxy.dropped) == 1
    assert releases.release(RELEASE_ID) == Versioned(row=row, etag=etag)


@LOSSES
def test_a_transaction_whose_answer_is_lost_succeeds(
    releases: TableReleaseStore, proxy: DroppingProxy, instead: bytes
) -> None:
    """All its rows carry the op_id; their ETags are read again."""
    stored = begun(releases)
    proxy.drop_answer_of("POST", instead=instead)
    row = replace(stored.row, redrive=7)
    etags = releases.commit(Insert(row=a_gate()), Update(row=row, etag=stored.etag), Insert(row=a_notice()))
    assert len(proxy.dropped) == 1
    assert releases.release(RELEASE_ID) == Versioned(row=row, etag=etags[1])
    assert [gate.etag for gate in releases.gates(RELEASE_ID)] == [etags[0]]
    releases.commit(Update(row=a_notice(attempts=1), etag=etags[2]))


@LOSSES
def test_a_lock_whose_answer_is_lost_is_ours(service: TableServiceClient, proxy: DroppingProxy, instead: bytes) -> None:
    """Nobody waits for a lock that he holds himself."""
    endpoints = TableEndpointStore(service)
    proxy.drop_answer_of("POST", instead=instead)
    etag = endpoints.write_lock(a_lock(), etag=None, ledger=a_ledger_entry())
    assert len(proxy.dropped) == 1
    endpoints.write_lock(a_lock(fence=2), etag=etag)


@LOSSES
def test_a_slot_whose_answer_is_lost_is_taken(
    service: TableServiceClient, proxy: DroppingProxy, instead: bytes
) -> None:
    """A slot is not lost to nobody."""
    slots = TableSlotStore(service)
    (free,) = slots.slots(1)
    proxy.drop_answer_of("PUT", instead=instead)
    slots.write_slot(Slot(number=0, owner="me"), free.etag)
    assert len(proxy.dropped) == 1
    assert slots.slots(1)[0].row.owner == "me"


@LOSSES
def test_a_release_whose_first_answers_are_all_lost_begins_once(
    releases: TableReleaseStore, proxy: DroppingProxy, instead: bytes
) -> None:
    """Active row, release row and index row: each answer lost in turn."""
    for _ in range(3):
        proxy.drop_answer_of("POST", instead=instead)
    stored = begun(releases)
    assert len(proxy.dropped) == 3
    assert stored.row == a_release()
    (listed,), _ = releases.list_releases(Wanted(), limit=2)
    assert listed.release_id == RELEASE_ID


@LOSSES
def test_a_finish_whose_answer_is_lost_is_finished(
    releases: TableReleaseStore, proxy: DroppingProxy, instead: bytes
) -> None:
    """The repeated delete finds nothing, which is what it wanted."""
    stored = begun(releases)
    proxy.drop_answer_of("DELETE", instead=instead)
    releases.finish(stored.row)
    assert len(proxy.dropped) == 1
    assert not releases.active_release_ids()


def test_a_real_conflict_behind_a_lost_answer_is_still_a_conflict(
    releases: TableReleaseStore, proxy: DroppingProxy
) -> None:
    """The op_id found is somebody else's."""
    stored = begun(releases)
    releases.commit(Update(row=replace(stored.row, redrive=1), etag=stored.etag))
    proxy.drop_answer_of("PUT")
    with pytest.raises(ConflictError):
        releases.commit(Update(row=replace(stored.row, redrive=2), etag=stored.etag))


def test_a_service_that_is_busy_says_when_to_come_again(account: Account, proxy: DroppingProxy) -> None:
    """Its own wish is handed on to the queue."""
    busy = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    behind = replace(account, table_port=proxy.port)
    with TableServiceClient.from_connection_string(behind.connection_string, retry_total=0) as service:
        proxy.drop_answer_of("GET", instead=busy)
        with pytest.raises(TransientError) as refused:
            TableReleaseStore(service).release(RELEASE_ID)
        assert refused.value.retry_after == timedelta(seconds=7)


@pytest.mark.filterwarnings("ignore:Testing an element's truth value:DeprecationWarning")  # in the SDK's error parser
def test_a_key_that_does_not_fit_is_a_configuration_error(account: Account) -> None:
    """Trying again would not help; the message says what to check."""
    wrong = account.connection_string.replace("AccountKey=", "AccountKey=AAAA")
    with TableServiceClient.from_connection_string(wrong, retry_total=0) as service:
        releases = TableReleaseStore(service)
        with pytest.raises(StateRefused, match="StateStorage"):
            releases.release(RELEASE_ID)
        with pytest.raises(StateRefused, match="StateStorage"):
            releases.commit(Insert(row=a_run()))


def test_storage_that_cannot_be_reached_is_a_transient_error(account: Account) -> None:
    """Nothing of the SDK's comes out, on reads and on writes."""
    nowhere = replace(account, table_port=free_ports(1)[0])
    options = CLIENT_OPTIONS | {"retry_total": 0}
    with TableServiceClient.from_connection_string(nowhere.connection_string, **options) as service:
        releases = TableReleaseStore(service)
        with pytest.raises(TransientError, match="table storage"):
            releases.release(RELEASE_ID)
        with pytest.raises(TransientError, match="table storage"):
            releases.commit(Insert(row=a_run()))


class Overtaken(TableReleaseStore):
    """Stands still behind its first write until somebody else has begun and ended the same process."""

    service: TableServiceClient
    has_stood = False

    def _list_as_active(self, release: Release) -> None:
        super()._list_as_active(release)
        if not self.has_stood:
            self.has_stood = True
            quicker = TableReleaseStore(self.service)
            quicker.begin(release)
            quicker.finish(release)


def test_whoever_begins_what_has_ended_meanwhile_puts_it_on_the_list_once_more(service: TableServiceClient) -> None:
    """I8: found by the simulation: the index showed a report of drift as open for ever, and no sweep came by."""
    late, report = Overtaken(service), a_release(phase=ReleasePhase.FAILED)
    late.service = service
    late.begin(report)
    assert late.active_release_ids() == [RELEASE_ID]
    late.finish(report)
    (listed,), _ = late.list_releases(Wanted(), limit=2)
    assert listed.phase is ReleasePhase.FAILED
    assert not late.active_release_ids()
