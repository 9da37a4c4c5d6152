"""Defects in how state is written: each must be caught."""

from dataclasses import replace
from typing import Any

from shared.application.dispatcher import Dispatcher
from shared.application.ports import Update, Versioned
from shared.domain.model import EndpointLock
from tests.simulation import faults
from tests.simulation.defects import NO_SWEEPER, Mutant, Patches
from tests.support.fakes_state import FakeEndpointStore, FakeReleaseStore, FakeSlotStore


def rows_without_etag(patches: Patches) -> None:
    patches.set(FakeReleaseStore, "_check", lambda _self, _change: None)


def locks_without_etag(patches: Patches) -> None:
    def write_lock(
        self: FakeEndpointStore, lock: EndpointLock, *, etag: str | None, ledger: Any = None, hold: Any = None
    ) -> str:
        del etag
        place = (lock.environment, lock.circuit)
        self.locks[place] = Versioned(row=lock, etag=self.new_etag())
        if ledger is not None:
            self.ledgers[place].append(ledger)
        if hold is not None:
            self.held[place].append(hold)
        return self.locks[place].etag

    patches.set(FakeEndpointStore, "write_lock", write_lock)


def slots_without_etag(patches: Patches) -> None:
    def write_slot(self: FakeSlotStore, slot: Any, etag: str) -> None:
        del etag
        self.known[slot.number] = Versioned(row=slot, etag=self.new_etag())

    patches.set(FakeSlotStore, "write_slot", write_slot)


def conflicts_with_oneself_are_believed(patches: Patches) -> None:
    """No look at the `op_id`: a write that stands counts as lost, and what follows from it is never sent."""
    patches.set(faults, "is_recognised_as_own", lambda: False)


def messages_before_rows(patches: Patches) -> None:
    commit_run = Dispatcher._commit_run

    def eager(self: Dispatcher, release: Any, stored: Any, decision: Any) -> Any:
        self.send(release.row, decision.commands)
        return commit_run(self, release, stored, replace(decision, commands=()))

    patches.set(Dispatcher, "_commit_run", eager)


def gate_and_release_apart(patches: Patches) -> None:
    def commit_release(self: Dispatcher, stored: Any, decision: Any, *changes: Any, **_named: Any) -> Any:
        row = decision.row
        belonging = [change for command in decision.commands for change in self._changes(row, command)]
        for change in (*changes, *belonging):
            self.ports.releases.commit(change)
        self.ports.releases.commit(Update(row=row, etag=stored.etag))
        self.send(row, decision.commands)
        return row

    patches.set(Dispatcher, "commit_release", commit_release)


DEFECTS = (
    Mutant.of("rows are written without their ETag", rows_without_etag, "scattered", "freezing"),
    Mutant.of("locks are written without their ETag", locks_without_etag, "scattered", "freezing"),
    Mutant.of("slots are written without their ETag", slots_without_etag, "standing"),
    Mutant.of("op_id is not read again", conflicts_with_oneself_are_believed, "losing", nets=NO_SWEEPER),
    Mutant.of("messages are sent before the row", messages_before_rows, "crashing", nets=NO_SWEEPER),
    Mutant.of("gate and release in two transactions", gate_and_release_apart, "crashing", "rough"),
)
