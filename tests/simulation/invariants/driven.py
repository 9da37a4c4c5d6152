"""I7 without the sweeper: a message leads to all work that messages have begun."""

from collections.abc import Sequence

from shared.application.dispatcher import is_current
from shared.application.ports import Sendable
from shared.domain import process
from shared.domain.commands import FanOut, RunStep
from shared.domain.model import (
    FANOUT_END,
    Circuit,
    CircuitPhase,
    CircuitRun,
    ProcessKind,
    Release,
    Slot,
)
from shared.domain.rows import RELEASE_KEY
from tests.simulation.engine import Task
from tests.simulation.invariants.seen import Check, Seen

C = CircuitPhase


class Driven(Check):
    """I7 without the sweeper: a message leads to all work that messages have begun."""

    def __init__(self, seen: Seen) -> None:
        super().__init__(seen)
        self.had_slot: dict[int, str] = {}
        """The release that had each slot last."""
        self.given: dict[tuple[str, Circuit], Task | None] = {}
        """Who gave each circuit its slot."""
        self.asked = set[tuple[str, Circuit, int]]()
        """The circuits that a message was sent for to have their first look at a job."""

    def slot_written(self, slot: Slot) -> None:
        if slot.owner:
            self.had_slot[slot.number] = slot.owner.partition("|")[0]

    def sent(self, commands: Sequence[Sendable]) -> None:
        self.asked |= {
            (command.release_id, command.circuit, command.gen)
            for command in commands
            if isinstance(command, RunStep) and (command.phase, command.n) == (C.SMOKE_TESTING, 0)
        }

    def moved(self, old: CircuitRun, new: CircuitRun) -> None:
        if old.phase is C.QUEUED and new.phase is C.SMOKE_TESTING:
            self.given[new.release_id, new.circuit] = self.seen.engine.current

    def all_driven(self, waiting: Sequence[Sendable]) -> None:
        """What holds without the sweeper too: work is lost only where no message leads to it.

        Every round that was begun by a message is driven by one that waits, or has ended. Excused are gates (nobody
        closes one), and what is begun beside somebody else's work, whose message does not lead back to it: a check
        after its rollback, a slot that another release had before, and the first look of whoever got one from a
        worker of another circuit that died over it.
        """
        for release_id in list(self.seen.releases.rows):
            stored = self.seen.releases.rows[release_id].get(RELEASE_KEY)
            if stored is not None and stored.row.phase in process.ROUND_OF and stored.row.kind is not ProcessKind.CHECK:
                self._driven(stored.row, waiting)

    def _driven(self, release: Release, waiting: Sequence[Sendable]) -> None:
        round_ = process.ROUND_OF[release.phase]
        who = f"{release.release_id} ({release.phase})"
        if release.fanout_cursor != FANOUT_END:
            at = (release.release_id, release.gen, round_, release.fanout_cursor)
            is_told = release.phase in process.WAYS_BACK and release.reason  # and the sweeper's to drive on
            if not is_told and not any(
                isinstance(c, FanOut) and (c.release_id, c.gen, c.round, c.cursor) == at for c in waiting
            ):
                self.fail("I7", f"{who}: nobody hands out the page after {release.fanout_cursor!r}")
            return
        runs = [stored.row for stored in self.seen.releases._of(CircuitRun, release.release_id)]
        working = [run for run in runs if run.todo is round_]
        if not working:
            self.fail("I7", f"{who}: every circuit has ended in the round, and nobody ends it")
        steps = [command for command in waiting if isinstance(command, RunStep)]
        for run in working:
            if (run.phase, run.poll_n) == (C.SMOKE_TESTING, 0) and self._was_left_by_another(run):
                continue
            if run.phase is C.QUEUED:
                if any(self._had_last(slot.row, run) for slot in self.seen.slots.known.values()):
                    self.fail("I7", f"{who}: {run.circuit} is queued, a slot is free, and nobody gives it")
            elif not any(
                c.release_id == run.release_id and c.circuit == run.circuit and is_current(c, run) for c in steps
            ):
                self.fail("I7", f"{who}: {run.circuit} is {run.phase} (look {run.poll_n}), and no message leads there")

    def _had_last(self, slot: Slot, run: CircuitRun) -> bool:
        """Free, and nobody else's worker was to hand it on."""
        return not slot.owner and self.had_slot.get(slot.number, run.release_id) == run.release_id

    def _was_left_by_another(self, run: CircuitRun) -> bool:
        """Whoever gave it the slot spoke of another circuit, and did not come to say so."""
        task = self.given.get((run.release_id, run.circuit))
        is_own = task is not None and task.about == (run.release_id, run.circuit)
        return not is_own and (run.release_id, run.circuit, run.gen) not in self.asked
