"""D8: as many smoke tests at once as there are slots, and no slot that is lost."""

from datetime import datetime, timedelta

from shared.domain.model import (
    Circuit,
    CircuitPhase,
    CircuitRun,
    Slot,
)
from shared.domain.rows import RELEASE_KEY, run_key
from tests.simulation.engine import START
from tests.simulation.invariants.seen import Check, Seen

C = CircuitPhase
LONGEST_ABANDONED = timedelta(minutes=15)
"""Far below a lease; but for outages, which the sweeper sits out."""


class SmokeSlots(Check):
    """D8: as many smoke tests at once as there are slots, and no slot that is lost."""

    def __init__(self, seen: Seen) -> None:
        super().__init__(seen)
        self.abandoned: dict[tuple[int, str], datetime] = {}
        self.swept_at = START

    def few_smoke_tests(self, new: CircuitRun) -> None:
        """D8: as many as there are slots; a lease that ran out on a stuck one may be taken over."""
        stored = self.seen.releases.rows[new.release_id][RELEASE_KEY].row
        since = self.seen.engine.now() - stored.policy.smoke_net
        runs = [
            run.row
            for release_id in list(self.seen.releases.rows)
            for run in self.seen.releases._of(CircuitRun, release_id)
        ]
        busy = [f"{r.release_id} {r.circuit}" for r in runs if r.phase is C.SMOKE_TESTING and r.since > since]
        if len(busy) > stored.policy.smoke_slots:
            self.fail("D8", f"{len(busy)} smoke tests at once on {stored.policy.smoke_slots} slots: {', '.join(busy)}")

    def abandoned_slots(self) -> list[Slot]:
        """Slots whose owner's row does not need them (any more)."""
        return [slot.row for slot in self.seen.slots.known.values() if slot.row.owner and not self._is_needed(slot.row)]

    def _is_needed(self, slot: Slot) -> bool:
        release_id, gen, plant, name = slot.owner.split("|")
        stored = self.seen.releases.rows[release_id].get(run_key(Circuit(plant_id=plant, circuit_id=name)))
        if stored is None or str(stored.row.gen) != gen:
            return False
        uses = stored.row.phase is C.SMOKE_TESTING and stored.row.slot == slot.number
        return uses or stored.row.phase is C.QUEUED

    def swept(self) -> None:
        """D8: a slot of somebody who died is free after the next sweep that nothing hinders, not when its lease ends."""
        now = self.seen.engine.now()
        if now - self.swept_at > LONGEST_ABANDONED:  # nothing was under way that could want a slot
            self.abandoned = {}
        self.swept_at = now
        abandoned = dict.fromkeys((slot.number, slot.owner) for slot in self.abandoned_slots())
        self.abandoned = {slot: self.abandoned.get(slot, now) for slot in abandoned}
        for (number, owner), since in self.abandoned.items():
            if now - since > LONGEST_ABANDONED:
                self.fail("D8", f"slot {number} is {owner}'s since {since:%H:%M}, who needs it no more")
