"""Smoke-test slots: at most N at once, so that queueing behind a cold cluster fails nobody (D8).

A circuit that finds no slot stays queued without a message; whoever frees a slot starts one queued circuit. The
queued row is written before a slot is looked for, and a slot is freed before a queued row is looked for: one of the
two always sees the other.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

from shared.application.ports import Ports, Versioned
from shared.application.settle import settle
from shared.domain.events import CircuitEvent, SlotTaken
from shared.domain.model import LONG_AGO, Circuit, CircuitPhase, CircuitRun, Release, ReleasePhase, Slot
from shared.domain.process import slot_owner
from shared.telemetry import log

LEASE_MARGIN = timedelta(minutes=5)
USES_SLOTS = frozenset({ReleasePhase.TESTING, ReleasePhase.CHECKING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Slots:
    ports: Ports
    to_run: Callable[[Versioned[Release], Versioned[CircuitRun], CircuitEvent], CircuitRun | None]

    def start_queued(self, release: Release) -> bool:
        """Give a free slot to one queued circuit of this release; False: none is queued, or no slot is free."""
        while (queued := self.ports.releases.first_in(release.release_id, CircuitPhase.QUEUED)) is not None:
            number = settle(self.ports.clock, partial(self._take, release, queued.row))
            if number is None:
                return False
            # The release's ETag is not needed: a circuit that takes a slot has not ended its round.
            unread = Versioned(row=release, etag="")
            if self.to_run(unread, queued, SlotTaken(at=self.ports.clock.now(), slot=number)) is not None:
                return True
            if not self._is_held(queued.row, number):
                self._release(number, slot_owner(queued.row))
        return False

    def _is_held(self, run: CircuitRun, number: int) -> bool:
        """Its row took the slot after all: the write stood, and was overwritten before it could be read back."""
        found = self.ports.releases.release_and_run(run.release_id, run.circuit)
        return found is not None and (found[1].row.gen, found[1].row.slot) == (run.gen, number)

    def free(self, number: int, owner: str, release: Release) -> None:
        """Give a slot back and start whoever waits: in this release first, then in any other."""
        self._release(number, owner)
        if not self.start_queued(release):
            self._start_in_any(but=release.release_id)

    def free_abandoned(self, count: int) -> None:
        """Give back slots whose owner crashed before it did, and start whoever waits for one."""
        for stored in self.ports.slots.slots(count):
            if stored.row.owner and self._is_abandoned(stored.row):
                log.warning("slot given back", action="slot_abandoned", slot=stored.row.number, owner=stored.row.owner)
                self._release(stored.row.number, stored.row.owner)
                self._start_in_any()

    def _start_in_any(self, *, but: str = "") -> None:
        for release_id in self.ports.releases.active_release_ids():
            found = None if release_id == but else self.ports.releases.release(release_id)
            if found is not None and found.row.phase in USES_SLOTS and self.start_queued(found.row):
                return

    def _is_abandoned(self, slot: Slot) -> bool:
        """Its lease has run out, or its owner's row has said for a while that it needs it no more.

        A queued owner may just be about to write its row: it keeps the slot, and takes it up when it is started again.
        """
        now = self.ports.clock.now()
        if slot.leased_until <= now:
            return True
        release_id, _, rest = slot.owner.partition("|")
        gen, *circuit = rest.split("|")
        if len(circuit) != 2:
            return False
        found = self.ports.releases.release_and_run(release_id, Circuit(plant_id=circuit[0], circuit_id=circuit[1]))
        if found is None:
            return False
        policy, run = found[0].row.policy, found[1].row
        uses = run.phase is CircuitPhase.SMOKE_TESTING and run.slot == slot.number
        done = str(run.gen) != gen or not (uses or run.phase is CircuitPhase.QUEUED)
        return done and now - run.since >= policy.overdue_after

    def _take(self, release: Release, run: CircuitRun) -> int | None:
        """The number of a slot that is this circuit's from now on; None: there is none.

        A slot that it holds already was taken by somebody who crashed before the circuit's row was written.
        """
        now, owner = self.ports.clock.now(), slot_owner(run)
        slots = self.ports.slots.slots(release.policy.smoke_slots)
        mine = [slot for slot in slots if slot.row.owner == owner]
        free = [slot for slot in slots if not slot.row.owner or slot.row.leased_until <= now]
        if not mine and not free:
            return None
        slot = (mine or free)[0]
        until = now + release.policy.smoke_net + LEASE_MARGIN
        self.ports.slots.write_slot(replace(slot.row, owner=owner, leased_until=until), slot.etag)
        return slot.row.number

    def _release(self, number: int, owner: str) -> None:
        """Free a slot that this owner still holds."""

        def attempt() -> None:
            stored = self.ports.slots.slots(number + 1)[number]
            if stored.row.owner == owner:
                self.ports.slots.write_slot(Slot(number=number, owner="", leased_until=LONG_AGO), stored.etag)

        settle(self.ports.clock, attempt)
