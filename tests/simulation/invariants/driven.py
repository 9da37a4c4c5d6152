"""I7 without the sweeper: a message leads to all work that messages have begun."""

from collections.abc import Sequence

from shared.application.dispatcher import is_current
from shared.application.ports import Sendable
from shared.domain import process
from shared.domain.commands import FanOut, RunStep
from shared.domain.model import (
    FANOUT_END,
    CircuitPhase,
    CircuitRun,
    ProcessKind,
    Release,
)
from shared.domain.rows import RELEASE_KEY
from tests.simulation.invariants.seen import Check

C = CircuitPhase


class Driven(Check):
    """I7 without the sweeper: a message leads to all work that messages have begun."""

    def all_driven(self, waiting: Sequence[Sendable]) -> None:
        """What holds without the sweeper too: work is lost only where no message leads to it.

        Every round that was begun by a message is driven by one that waits, or has ended. Excused are gates (nobody
        closes one), and what is begun beside somebody else's work, whose message does not lead back to it: a check
        after its rollback, a slot freed for another release, and the first look of whoever got one.
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
            if (run.phase, run.poll_n) == (C.SMOKE_TESTING, 0):
                continue
            if run.phase is C.QUEUED:
                others = len(list(self.seen.processes())) > 1
                if not others and not all(slot.row.owner for slot in self.seen.slots.known.values()):
                    self.fail("I7", f"{who}: {run.circuit} is queued, a slot is free, and nobody gives it")
            elif not any(
                c.release_id == run.release_id and c.circuit == run.circuit and is_current(c, run) for c in steps
            ):
                self.fail("I7", f"{who}: {run.circuit} is {run.phase} (look {run.poll_n}), and no message leads there")
