"""Use cases: what is past its time is removed, so much per run; the next run goes on where this one stopped.

Rows go first: a release's own row, so that there is no such release any more, then the rest, then the index notes it. The
index remembers the release until its evidence goes, too. Never touched is what is active, and what explains the present:
the ledger rows of what is live and of what a rollback would go back to, and the releases that they name.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.application.hold_history import past_holds
from shared.application.ports import Ports
from shared.domain.errors import ConflictError, PermanentError
from shared.domain.listing import Listed
from shared.domain.model import EndpointLock, Environment, LedgerEntry, ProcessKind
from shared.telemetry import log

MOST_ROWS = 5_000
"""Per run, likewise the others."""
MOST_LEDGER_ROWS = 2_000
MOST_BLOBS = 2_000
PAGE = 100
REFUSAL_MAILS = "invalid/mails/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """How long what is over is kept, from the end of its release."""

    rows: timedelta
    evidence: timedelta


@dataclass(slots=True, kw_only=True)
class Removed:
    """What one run has removed."""

    releases: int = 0
    rows: int = 0
    ledger_rows: int = 0
    bundles: int = 0
    """Releases whose evidence is gone."""
    blobs: int = 0
    more: bool = False
    """The run's limit was reached: there is more to do."""


@dataclass(slots=True, kw_only=True)
class _Named:
    """The releases that ledger rows name."""

    now: set[str] = field(default_factory=set)
    """By rows about what is live, or was before it."""
    ever: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Retention:
    ports: Ports
    keep: Keep

    def run(self) -> Removed:
        """Remove what is past its time. Repeatable; TransientError: a store is out of reach, the next run goes on."""
        removed = Removed()
        named = self._ledgers(removed)
        self._rows(named.now, removed)
        self._evidence(named.ever, removed)
        log.info(
            "retention",
            action="retention",
            releases=removed.releases,
            rows=removed.rows,
            ledger_rows=removed.ledger_rows,
            bundles=removed.bundles,
            blobs=removed.blobs,
            more=removed.more,
        )
        return removed

    # ------------------------------------------------------------------------------------------- ledgers

    def _ledgers(self, removed: Removed) -> _Named:
        named = _Named()
        for environment in Environment:
            for stored in self.ports.endpoints.all_locks(environment):
                self._ledger(stored.row, named, removed)
        return named

    def _ledger(self, lock: EndpointLock, named: _Named, removed: Removed) -> None:
        ledger = self.ports.endpoints.ledger(lock.environment, lock.circuit)
        past = self._past(lock, ledger)[: max(0, MOST_LEDGER_ROWS - removed.ledger_rows)]
        if past:
            self.ports.endpoints.remove_ledger(lock.environment, lock.circuit, [entry.fence for entry in past])
            removed.ledger_rows += len(past)
            removed.more |= removed.ledger_rows >= MOST_LEDGER_ROWS
        if lock.holds:
            held = self.ports.endpoints.holds(lock.environment, lock.circuit)
            if over := past_holds(held, self._rows_until):
                self.ports.endpoints.remove_holds(lock.environment, lock.circuit, over)
        present = _present(lock, ledger)
        named.now |= {lock.owner, *(entry.release_id for entry in ledger if entry.deployment in present)}
        named.ever |= {entry.release_id for entry in ledger if entry not in past}

    def _past(self, lock: EndpointLock, ledger: Sequence[LedgerEntry]) -> list[LedgerEntry]:
        """The oldest rows, up to the first one that is needed: a gap would make what is left lie about times."""
        present = _present(lock, ledger)
        newest = dict.fromkeys(entry.deployment for entry in ledger)
        kept = {*present, *list(newest)[: self.ports.policy.deployments_kept]}
        ended = [None, *(newer.activated_at for newer in ledger)]
        past: list[LedgerEntry] = []
        for entry, until in reversed(list(zip(ledger, ended, strict=False))):
            if until is None or until >= self._rows_until or entry.deployment in kept:
                break
            past.append(entry)
        return past

    # ---------------------------------------------------------------------------------------------- rows

    @property
    def _rows_until(self) -> datetime:
        return self.ports.clock.now() - self.keep.rows

    def _rows(self, needed: set[str], removed: Removed) -> None:
        active = set(self.ports.releases.active_release_ids())
        for listed in self._ended_before(self._rows_until, rows_gone=False):
            if removed.rows >= MOST_ROWS:
                removed.more = True
                return
            if listed.release_id not in active | needed:
                self._or_not_now(listed, lambda one: self._rows_of(one, removed))

    def _rows_of(self, listed: Listed, removed: Removed) -> None:
        stored = self.ports.releases.release(listed.release_id)
        if stored is not None:
            if not stored.row.is_terminal:
                return
            self.ports.releases.remove(stored)
            removed.rows += 1
        while left := min(PAGE, MOST_ROWS - removed.rows):
            count = self.ports.releases.remove_rest(listed.release_id, limit=left)
            removed.rows += count
            if not count:
                self.ports.releases.note_rows_gone(listed)
                removed.releases += 1
                return
        removed.more = True

    # ------------------------------------------------------------------------------------------ evidence

    def _evidence(self, needed: set[str], removed: Removed) -> None:
        until = self.ports.clock.now() - self.keep.evidence
        removed.blobs += self.ports.evidence.remove(
            REFUSAL_MAILS, before=f"{REFUSAL_MAILS}{until:%Y%m%dT%H%M}", limit=MOST_BLOBS
        )
        for listed in self._ended_before(until, rows_gone=True):
            if removed.blobs >= MOST_BLOBS:
                removed.more = True
                return
            if listed.release_id not in needed:
                self._or_not_now(listed, lambda one: self._evidence_of(one, removed))

    def _evidence_of(self, listed: Listed, removed: Removed) -> None:
        while left := min(PAGE, MOST_BLOBS - removed.blobs):
            count = self.ports.evidence.remove(f"{listed.release_id}/", limit=left)
            removed.blobs += count
            if not count:
                break
        else:
            removed.more = True
            return
        if listed.manifest_blob and listed.kind is not ProcessKind.CHECK:
            removed.blobs += self.ports.evidence.remove(listed.manifest_blob, limit=1)
        self.ports.releases.forget_listed(listed)
        removed.bundles += 1

    # -------------------------------------------------------------------------------------------- helpers

    def _ended_before(self, at: datetime, *, rows_gone: bool) -> Iterator[Listed]:
        after = ""
        while page := self.ports.releases.ended_before(at, rows_gone=rows_gone, limit=PAGE, after=after):
            yield from page
            after = page[-1].place

    def _or_not_now(self, listed: Listed, remove: Callable[[Listed], None]) -> None:
        """What is in the way of one release does not keep the others."""
        try:
            remove(listed)
        except ConflictError:
            log.info("somebody else is at work", action="retention_skipped", release_id=listed.release_id)
        except PermanentError as error:
            log.warning("not removed", action="retention_failed", release_id=listed.release_id, error=error)


def _present(lock: EndpointLock, ledger: Sequence[LedgerEntry]) -> set[str]:
    """The deployment that is live, and those that a rollback of it goes back to."""
    return {lock.want, *(entry.previous for entry in ledger if entry.deployment == lock.want)} - {""}
