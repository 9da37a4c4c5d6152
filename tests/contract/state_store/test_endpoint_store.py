"""`EndpointStore`: one suite, on the fake and on real Table Storage."""

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.application.ports import EndpointStore, Versioned
from shared.domain.errors import ConflictError
from shared.domain.model import Circuit, Environment
from shared.domain.rows import lock_key
from tests.support.builders import CIRCUIT, NOW, OTHER_CIRCUIT, THIRD_CIRCUIT, a_hold, a_ledger_entry, a_lock

PRODUCTION = Environment.PRODUCTION


def test_an_endpoint_nobody_locked_has_neither_lock_nor_ledger(endpoints: EndpointStore) -> None:
    """Reading before the first write finds nothing."""
    assert endpoints.lock(PRODUCTION, CIRCUIT) is None
    assert not endpoints.ledger(PRODUCTION, CIRCUIT)


def test_a_lock_comes_back_as_it_was_written(endpoints: EndpointStore) -> None:
    """Also one that wants no default at all."""
    lock = a_lock(want_none=True)
    etag = endpoints.write_lock(lock, etag=None)
    assert endpoints.lock(PRODUCTION, CIRCUIT) == Versioned(row=lock, etag=etag)


def test_locks_of_other_circuits_and_environments_are_others(endpoints: EndpointStore) -> None:
    """An endpoint is an environment and a circuit."""
    endpoints.write_lock(a_lock(), etag=None)
    assert endpoints.lock(Environment.TEST, CIRCUIT) is None
    assert endpoints.lock(PRODUCTION, OTHER_CIRCUIT) is None


def test_a_lock_is_made_once(endpoints: EndpointStore) -> None:
    """The second who finds none loses."""
    endpoints.write_lock(a_lock(), etag=None)
    with pytest.raises(ConflictError):
        endpoints.write_lock(a_lock(owner="20251210.2"), etag=None)


def test_an_old_etag_changes_neither_lock_nor_ledger(endpoints: EndpointStore) -> None:
    """A frozen worker wakes up after the lock has moved on."""
    etag = endpoints.write_lock(a_lock(), etag=None)
    endpoints.write_lock(a_lock(fence=2), etag=etag)
    with pytest.raises(ConflictError):
        endpoints.write_lock(a_lock(fence=3), etag=etag, ledger=a_ledger_entry(fence=3))
    found = endpoints.lock(PRODUCTION, CIRCUIT)
    assert found is not None
    assert found.row.fence == 2
    assert not endpoints.ledger(PRODUCTION, CIRCUIT)


def test_lock_and_ledger_change_together_newest_first(endpoints: EndpointStore) -> None:
    """The chain of previous deployments."""
    etag = endpoints.write_lock(a_lock(), etag=None)
    entries = [a_ledger_entry(fence=n, deployment=f"d{n}", previous=f"d{n - 1}") for n in (9, 10, 11)]
    for entry in entries:
        lock = a_lock(fence=entry.fence, want=entry.deployment)
        etag = endpoints.write_lock(lock, etag=etag, ledger=entry)
    assert list(endpoints.ledger(PRODUCTION, CIRCUIT)) == entries[::-1]
    found = endpoints.lock(PRODUCTION, CIRCUIT)
    assert found is not None
    assert (found.row.want, found.etag) == ("d11", etag)


def test_a_ledger_entry_is_never_overwritten(endpoints: EndpointStore) -> None:
    """Two activations never share a fence; the lock stays as it was."""
    etag = endpoints.write_lock(a_lock(), etag=None, ledger=a_ledger_entry())
    with pytest.raises(ConflictError):
        endpoints.write_lock(a_lock(want="x"), etag=etag, ledger=replace(a_ledger_entry(), deployment="x"))
    found = endpoints.lock(PRODUCTION, CIRCUIT)
    assert found is not None
    assert (found.etag, found.row.want) == (etag, "")


def test_the_circuits_of_an_environment_are_those_ever_locked_there(endpoints: EndpointStore) -> None:
    """All of them, or one plant's; a plant whose name only starts alike is another."""
    longer = Circuit(plant_id="PLANT0011", circuit_id="CIRCUIT01")
    assert not endpoints.circuits(PRODUCTION)
    for circuit in (longer, OTHER_CIRCUIT, CIRCUIT, THIRD_CIRCUIT):
        endpoints.write_lock(a_lock(circuit), etag=None, ledger=a_ledger_entry(circuit))
    assert set(endpoints.circuits(PRODUCTION)) == {CIRCUIT, OTHER_CIRCUIT, THIRD_CIRCUIT, longer}
    assert list(endpoints.circuits(PRODUCTION, "PLANT001")) == [CIRCUIT, OTHER_CIRCUIT]
    assert not endpoints.circuits(Environment.TEST)


def test_all_lock_rows_of_an_environment_come_with_their_etags(endpoints: EndpointStore) -> None:
    """The look for drift compares every one of them."""
    etags = {circuit: endpoints.write_lock(a_lock(circuit), etag=None) for circuit in (CIRCUIT, THIRD_CIRCUIT)}
    endpoints.write_lock(a_lock(OTHER_CIRCUIT, environment=Environment.TEST), etag=None)
    assert {stored.row.circuit: stored.etag for stored in endpoints.all_locks(PRODUCTION)} == etags


def test_lock_rows_come_page_by_page_in_the_order_of_their_keys(endpoints: EndpointStore) -> None:
    """Each page goes on after the last key of the one before; another environment's rows are in none."""
    circuits = [Circuit(plant_id=plant, circuit_id=f"C{n}") for plant in ("P1", "P1-A", "P2") for n in range(2)]
    for circuit in circuits:
        endpoints.write_lock(a_lock(circuit), etag=None)
        endpoints.write_lock(a_lock(circuit, environment=Environment.TEST), etag=None)
    found: list[Circuit] = []
    while page := endpoints.all_locks(PRODUCTION, after=lock_key(found[-1]) if found else "", limit=4):
        assert len(page) <= 4
        found += [stored.row.circuit for stored in page]
    assert found == sorted(circuits, key=lock_key)


def test_the_locks_of_some_circuits_come_in_one_go(endpoints: EndpointStore) -> None:
    """Those that have one; not others that lie between them, nor another environment's."""
    between = Circuit(plant_id="PLANT001", circuit_id="CIRCUIT015")
    for circuit in (CIRCUIT, between, THIRD_CIRCUIT):
        endpoints.write_lock(a_lock(circuit, want="d"), etag=None)
    endpoints.write_lock(a_lock(OTHER_CIRCUIT, environment=Environment.TEST), etag=None)
    found = endpoints.locks_of(PRODUCTION, (THIRD_CIRCUIT, OTHER_CIRCUIT, CIRCUIT))
    assert found == {circuit: a_lock(circuit, want="d") for circuit in (CIRCUIT, THIRD_CIRCUIT)}
    assert not endpoints.locks_of(PRODUCTION, ())


def test_holds_are_written_with_the_lock_and_come_newest_first(endpoints: EndpointStore) -> None:
    """Set by a rollback, lifted by an operator; one that is past its time goes, and only that one."""
    rollback = a_hold(number=9, until=NOW + timedelta(days=14), release_id="rollback-1")
    lifted = a_hold(number=10, at=NOW + timedelta(hours=1), by="ann", why="model is fine")
    etag = endpoints.write_lock(a_lock(holds=9), etag=None, ledger=a_ledger_entry(), hold=rollback)
    endpoints.write_lock(a_lock(holds=10), etag=etag, hold=lifted)
    assert list(endpoints.holds(PRODUCTION, CIRCUIT)) == [lifted, rollback]
    assert [entry.fence for entry in endpoints.ledger(PRODUCTION, CIRCUIT)] == [1]
    assert not endpoints.holds(PRODUCTION, OTHER_CIRCUIT)
    endpoints.remove_holds(PRODUCTION, CIRCUIT, [9])
    endpoints.remove_holds(PRODUCTION, CIRCUIT, [9])
    assert list(endpoints.holds(PRODUCTION, CIRCUIT)) == [lifted]


def test_a_hold_that_is_there_is_never_overwritten(endpoints: EndpointStore) -> None:
    """Lock and history stay as they were."""
    etag = endpoints.write_lock(a_lock(holds=1), etag=None, hold=a_hold())
    with pytest.raises(ConflictError):
        endpoints.write_lock(a_lock(holds=1, hold_by="x"), etag=etag, hold=a_hold(by="x"))
    assert list(endpoints.holds(PRODUCTION, CIRCUIT)) == [a_hold()]
    found = endpoints.lock(PRODUCTION, CIRCUIT)
    assert found is not None
    assert found.row.hold_by == ""


def test_marked_are_the_rows_that_are_held_now_or_drifted(endpoints: EndpointStore) -> None:
    """A hold that is over, or was lifted, is no mark; nor is another environment's."""
    day = timedelta(days=1)
    held = a_lock(CIRCUIT, hold_since=NOW - day, hold_until=NOW + day, hold_by="ops", hold_why="noise")
    drifted = a_lock(OTHER_CIRCUIT, drift="x is live", drift_since=NOW)
    over = a_lock(THIRD_CIRCUIT, hold_since=NOW - day, hold_until=NOW, hold_by="ops")
    lifted = a_lock(Circuit(plant_id="PLANT009", circuit_id="C1"), hold_by="ops", hold_why="noise")
    for lock in (held, drifted, over, lifted):
        endpoints.write_lock(lock, etag=None)
    endpoints.write_lock(a_lock(CIRCUIT, environment=Environment.TEST, drift="x"), etag=None)
    assert {lock.circuit: lock for lock in endpoints.marked(PRODUCTION, NOW)} == {
        CIRCUIT: held,
        OTHER_CIRCUIT: drifted,
    }
