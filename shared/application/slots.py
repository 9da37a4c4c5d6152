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
from shared.domain.model import LONG_AGO, CircuitPhase, CircuitRun, Release, ReleasePhase, Slot
from shared.domain.process import slot_owner

LEASE_MARGIN = timedelta(minutes=5)


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
        if self.start_queued(release):
            return
        for other in self.ports.releases.active_release_ids():
            found = None if other == release.release_id else self.ports.releases.release(other)
            if found is not None and found.row.phase is ReleasePhase.TESTING and self.start_queued(found.row):
                return

    def free_expired(self, count: int) -> None:
        """Give back slots whose lease has run out: their owner crashed between two writes."""
        now = self.ports.clock.now()
        for stored in self.ports.slots.slots(count):
            if stored.row.owner and stored.row.leased_until <= now:
                self._release(stored.row.number, stored.row.owner)

    def _take(self, release: Release, run: CircuitRun) -> int | None:
        now = self.ports.clock.now()
        free = next(
            (
                s
                for s in self.ports.slots.slots(release.policy.smoke_slots)
                if not s.row.owner or s.row.leased_until <= now
            ),
            None,
        )
        if free is None:
            return None
        until = now + 2 * release.policy.smoke_limit + LEASE_MARGIN
        self.ports.slots.write_slot(replace(free.row, owner=slot_owner(run), leased_until=until), free.etag)
        return free.row.number

    def _release(self, number: int, owner: str) -> None:
        """Free a slot that this owner still holds."""

        def attempt() -> None:
            stored = self.ports.slots.slots(number + 1)[number]
            if stored.row.owner == owner:
                self.ports.slots.write_slot(Slot(number=number, owner="", leased_until=LONG_AGO), stored.etag)

        settle(self.ports.clock, attempt)
