"""I4-I6: who may take an endpoint from whom, and what the ledger says of it."""

from shared.domain.model import (
    Circuit,
    EndpointLock,
    Environment,
    LedgerEntry,
    Round,
)
from shared.domain.naming import is_rollback
from shared.domain.rows import RELEASE_KEY, run_key
from tests.simulation.invariants.drift import DriftTold
from tests.simulation.invariants.seen import Check, Seen, is_held


class Locks(Check):
    """I4-I6: who may take an endpoint from whom, and what the ledger says of it."""

    def __init__(self, seen: Seen, drift_told: DriftTold) -> None:
        super().__init__(seen)
        self.drift_told = drift_told

    def locked(self, new: EndpointLock, entry: LedgerEntry | None, old: EndpointLock | None) -> None:
        place = (new.environment, new.circuit)
        who = f"{new.environment} {new.circuit}"
        self.seen.engine.note(f"lock {who}: {new.owner} fence {new.fence} want {new.want or '-'}")
        if new.want:
            self.seen.wanted[place].add(new.want)
        if entry:
            self._chained(who, place, entry)
            self.drift_told.activated(entry)
            self._was_at_it(who, entry)
        if new.drift and not new.repair_by and new.drift != (old.drift if old else ""):
            self.drift_told.drift_noted(new)
        if old is not None:
            self._moved_lock(who, new, old, entry)

    def _moved_lock(self, who: str, new: EndpointLock, old: EndpointLock, entry: LedgerEntry | None) -> None:
        if new.fence < old.fence:
            self.fail("I6", f"{who}: the fence fell from {old.fence} to {new.fence}")
        moved = (new.owner, new.want, new.want_none) != (old.owner, old.want, old.want_none)
        if moved and new.fence == old.fence:
            self.fail("I6", f"{who}: owner or want changed under the same fence {new.fence}")
        if new.want != old.want and entry is None:
            self.fail("I5", f"{who}: want changed to {new.want!r} without a ledger row")
        if new.owner != old.owner:
            self._taken_over(who, new, old)

    def _chained(self, who: str, place: tuple[Environment, Circuit], entry: LedgerEntry) -> None:
        rows = sorted(self.seen.endpoints.ledgers[place], key=lambda row: row.fence)
        if len(rows) > 1 and rows[-1].previous != rows[-2].deployment:
            self.fail(
                "I5",
                f"{who}: {rows[-1].deployment} says previous {rows[-1].previous!r}, {rows[-2].deployment!r} was live",
            )
        if rows[-1] is not entry:
            self.fail("I6", f"{who}: a ledger row was written below the newest")

    def _was_at_it(self, who: str, entry: LedgerEntry) -> None:
        """I4: whoever wants something has looked at the lock while it was its turn, however long it stood still then."""
        task, stored = self.seen.engine.current, self.seen.releases.rows[entry.release_id].get(run_key(entry.circuit))
        if task is None or stored is None or stored.row.todo is not Round.NONE:
            return
        if stored.row.since < task.looked_at.get("lock", stored.row.since):
            over = f"{stored.row.phase} since {stored.row.since:%H:%M:%S}"
            self.fail("I4", f"{who}: {entry.release_id} wants {entry.deployment or '(none)'}, and is {over}")

    def _taken_over(self, who: str, new: EndpointLock, old: EndpointLock) -> None:
        self._later_wish_won(who, new, old)
        if new.environment is Environment.TEST:
            if new.owner_seq < old.owner_seq and not is_rollback(new.owner):
                self.fail("I4", f"{who}: the older {new.owner} came after {old.owner}")
            return
        if is_rollback(new.owner):
            if not is_held(new, self.seen.engine.now()):
                self.fail("known failure 12", f"{who}: {new.owner} rolled back and set no hold")
            return
        before = self.seen.releases.rows[old.owner].get(RELEASE_KEY)
        if before is not None and not before.row.is_terminal:
            self.fail("I4", f"{who}: {new.owner} took the lock from {old.owner}, which is {before.row.phase}")
        if new.owner_seq < old.owner_seq:
            self.fail("I4", f"{who}: the older {new.owner} took the lock from {old.owner}")
        if is_held(old, self.seen.engine.now()):
            self.fail("known failure 12", f"{who}: {new.owner} took a held endpoint")

    def _later_wish_won(self, who: str, new: EndpointLock, old: EndpointLock) -> None:
        """D13: of two rollbacks the one that was asked for later has its way."""
        if not (is_rollback(new.owner) and is_rollback(old.owner)):
            return
        asked = [self.seen.releases.rows[owner][RELEASE_KEY].row.created_at for owner in (old.owner, new.owner)]
        if asked[0] > asked[1]:
            self.fail("D13", f"{who}: {new.owner} took the endpoint from {old.owner}, which was asked for later")
