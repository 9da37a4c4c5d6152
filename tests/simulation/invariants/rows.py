"""I3, I7-I9: which row may follow which, seen at each commit."""

from typing import Any

from shared.application.ports import Insert
from shared.domain import process
from shared.domain.model import (
    FANOUT_END,
    UNSUCCESSFUL,
    CircuitPhase,
    CircuitRun,
    Gate,
    GateState,
    Notice,
    NoticeState,
    Release,
    ReleasePhase,
    Round,
)
from shared.domain.naming import is_rollback
from shared.domain.rows import RELEASE_KEY, row_key
from tests.simulation.invariants.azure_ml import AzureMlWrites
from tests.simulation.invariants.seen import Check, Seen
from tests.simulation.invariants.slots import SmokeSlots

C, R = CircuitPhase, ReleasePhase
CIRCUIT_MOVES = frozenset(
    {(source, target) for (source, _), target in process.CIRCUIT_EDGES.items()}
    | {(source, target) for source in process.WORKING_PHASES for target in UNSUCCESSFUL}
    | {(source, entry.phase) for entry in process.ROUND_ENTRIES.values() for source in entry.after | entry.again}
    | {
        (source, C.EXCLUDED)
        for entry in process.ROUND_ENTRIES.values()
        for source in entry.after | entry.again | {entry.done}
    }
)
RELEASE_MOVES = frozenset(
    {(source, target) for (source, _), target in process.ROUND_EDGES.items()}
    | {(source, target) for (source, _), target in process.RELEASE_EDGES.items()}
    | {(source, target) for source in (R.FAILED, R.EXPIRED) for target in process.RESUME_AT.values()}
)
GATE_MOVES = frozenset((source, target) for (source, _), target in process.GATE_EDGES.items())


class Rows(Check):
    """I3, I7-I9: which row may follow which, seen at each commit."""

    def __init__(self, seen: Seen, smoke_slots: SmokeSlots, azure_ml: AzureMlWrites) -> None:
        super().__init__(seen)
        self.smoke_slots = smoke_slots
        self.azure_ml = azure_ml

    def committed(self, changes: Any, before: Any) -> None:
        for change, stored in zip(changes, before, strict=True):
            row = change.row
            if isinstance(change, Insert):
                self._inserted(row)
                continue
            match row:
                case CircuitRun():
                    self._moved_run(stored.row, row)
                case Release():
                    self._moved_release(stored.row, row)
                case Gate():
                    self._moved_gate(stored.row, row)
                case Notice():
                    if stored.row.state is not NoticeState.PENDING:
                        self.fail("I3", f"{row.release_id} {row_key(row)} was written after it was {stored.row.state}")

    def _inserted(self, row: Any) -> None:
        if isinstance(row, CircuitRun):
            if row.phase not in {C.INSPECTING, C.RESTORING, C.QUEUED, C.EXCLUDED}:
                self.fail("I3", f"{row.circuit} of {row.release_id} begins {row.phase}")
            self.seen.engine.note(f"{row.release_id} {row.circuit} -> {row.phase}")

    def _moved_run(self, old: CircuitRun, new: CircuitRun) -> None:
        who = f"{new.release_id} {new.circuit}"
        self._was_not_past(old, who)
        if new.gen < old.gen:
            self.fail("I3", f"{who} went back from gen {old.gen} to {new.gen}")
        if new.previous_deployment and new.previous_deployment == new.deployment and not is_rollback(new.release_id):
            self.fail("previous", f"{who}: previous_deployment points at itself ({new.deployment})")
        if old.phase is new.phase and old.gen == new.gen:
            if new.poll_n < old.poll_n:
                self.fail("I3", f"{who} {new.phase} went back from look {old.poll_n} to {new.poll_n}")
            return
        self.seen.engine.note(f"{who} {old.phase} -> {new.phase}{f': {new.error[:160]}' if new.error else ''}")
        if (old.phase, new.phase) not in CIRCUIT_MOVES:
            self.fail("I3", f"{who} moved {old.phase} -> {new.phase}")
        if new.hist[-1].source != old.phase or new.hist[-1].target != new.phase:
            self.fail("I3", f"{who}: the history does not say {old.phase} -> {new.phase}")
        self._round_fits(new)
        self._stands_now(old, new)

    def _stands_now(self, old: CircuitRun, new: CircuitRun) -> None:
        if new.phase in {C.STAGED, C.LIVE, C.RESTORED}:
            self.seen.stands(new.circuit)
        match (old.phase, new.phase):
            case (_, C.SMOKE_TESTING):
                self.smoke_slots.few_smoke_tests(new)
            case (_, C.LIVE | C.RESTORED):
                self._was_verified(new)
            case (C.LOCKING, C.STAGING):
                self.azure_ml.registry_is_as_approved(new)
            case _:
                pass

    def _was_not_past(self, old: CircuitRun, who: str) -> None:
        """Whatever a message of the past does, its circuit is none of its business; but a queued one may get a slot."""
        task = self.seen.engine.current
        if task and task.past == (old.release_id, old.circuit) and old.phase is not C.QUEUED:
            what, invariant = ("a dead letter", "I10") if task.label.startswith("dead ") else ("a message", "I3")
            self.fail(
                invariant, f"{who}: {what} of the past moved it on from {old.phase}, gen {old.gen}, look {old.poll_n}"
            )

    def _was_verified(self, new: CircuitRun) -> None:
        """Rule of converge: the lock was read again after the default, so nobody else can have wanted something then."""
        task = self.seen.engine.current
        if task is not None and "endpoint" in task.looks and task.looks[-1] != "lock":
            self.fail(
                "I4", f"{new.release_id} {new.circuit} is {new.phase}, and its lock was not read after its default"
            )

    def _round_fits(self, run: CircuitRun) -> None:
        """Work starts only in the round the release is in, or ends in it."""
        stored = self.seen.releases.rows[run.release_id].get(RELEASE_KEY)
        if run.todo is Round.NONE or stored is None:
            return
        at = process.ROUND_OF.get(stored.row.phase)
        if at is not run.todo:
            self.fail("I3", f"{run.release_id} {run.circuit} works in {run.todo.name} while it is {stored.row.phase}")

    def _moved_release(self, old: Release, new: Release) -> None:
        who = new.release_id
        if new.gen < old.gen or new.gen > old.gen + 1:
            self.fail("I3", f"{who} went from gen {old.gen} to {new.gen}")
        if old.phase is new.phase and old.gen == new.gen:
            if new.fanout_cursor < old.fanout_cursor:
                self.fail("I3", f"{who}: the cursor went back to {new.fanout_cursor!r}")
            return
        self.seen.engine.note(f"{who} {old.phase} -> {new.phase} (gen {new.gen}) {new.reason[:200]}")
        if (old.phase, new.phase) not in RELEASE_MOVES:
            self.fail("I3", f"{who} moved {old.phase} -> {new.phase}")
        if old.phase in process.ROUND_OF:
            if old.fanout_cursor != FANOUT_END:
                self.fail("I3", f"{who} left {old.phase} before its fan-out had ended")
            self._nobody_works(old, new)
        if old.cancel_requested_by and new.gen == old.gen and new.phase not in {R.CANCELLED, R.FAILED}:
            self.fail("I8", f"{who} was cancelled and went on to {new.phase}")

    def _nobody_works(self, old: Release, new: Release) -> None:
        runs = [stored.row for stored in self.seen.releases._of(CircuitRun, new.release_id)]
        working = [str(run.circuit) for run in runs if run.todo is process.ROUND_OF[old.phase]]
        if working:
            self.fail("I3", f"{new.release_id} left {old.phase} while {', '.join(working)} worked in it")
        if new.phase in {R.FAILED, R.REVERTING}:
            return
        if new.phase not in {R.CANCELLED, R.SUPERSEDED} and any(run.phase in UNSUCCESSFUL for run in runs):
            self.fail("known failure 2", f"{new.release_id} went {old.phase} -> {new.phase} with a failed circuit")
        if len(runs) != new.total:
            self.fail("known failure 1", f"{new.release_id} went on with {len(runs)} of {new.total} circuits")

    def _moved_gate(self, old: Gate, new: Gate) -> None:
        who = f"{new.release_id} {new.gate}"
        if old.state is new.state:
            return
        if (old.state, new.state) not in GATE_MOVES:
            self.fail("I9", f"{who} moved {old.state} -> {new.state}")
        if new.state is GateState.OPEN and new.gen <= old.gen:
            self.fail("I9", f"{who} was opened again in gen {new.gen}")
        if new.state is GateState.APPROVED:
            vote = new.decisions[-1]
            if vote.at >= old.expires_at:
                self.fail("I1", f"{who} was approved at {vote.at}, after {old.expires_at}")
            if vote.digest != new.digest:
                self.fail("known failure 10", f"{who} was approved on other evidence")
        if new.state is GateState.EXPIRED and self.seen.engine.now() < old.expires_at:
            self.fail("R8", f"{who} expired at {self.seen.engine.now()}, before {old.expires_at}")
