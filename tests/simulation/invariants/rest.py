"""I4, I7, I8, D11: when nothing is under way any more, everything has ended as it should."""

from collections import Counter

from shared.application.locks import ACCEPTED
from shared.application.ports import ProvisioningState
from shared.domain.model import (
    NEUTRAL,
    UNSUCCESSFUL,
    Circuit,
    CircuitPhase,
    CircuitRun,
    EndpointLock,
    Environment,
    Notice,
    NoticeState,
    ProcessKind,
    Release,
    ReleasePhase,
)
from shared.domain.naming import is_rollback
from shared.domain.rows import RELEASE_KEY, row_key, run_key
from tests.simulation.invariants.azure_ml import AzureMlWrites
from tests.simulation.invariants.drift import DriftTold
from tests.simulation.invariants.seen import STUCK, Check, Seen, is_stuck

C, R = CircuitPhase, ReleasePhase
UNTOUCHED = frozenset({C.STAGED, C.SUPERSEDED})
"""Where a switch goes that was not begun; what an earlier one has left is left still."""
SWITCHING = frozenset({C.ACTIVATING_TEST, C.ACTIVATING, C.RESTORING})
REFUSED = "is refused"
"""In Test a switch that is refused fails at once: nobody is served from there, and the next release sets the default anew."""


class AtRest(Check):
    """I4, I7, I8, D11: when nothing is under way any more, everything has ended as it should."""

    def __init__(self, seen: Seen, drift_told: DriftTold, azure_ml: AzureMlWrites) -> None:
        super().__init__(seen)
        self.drift_told = drift_told
        self.azure_ml = azure_ml
        self.excused = Counter[str]()
        """Defaults that are not what is wanted, by the reason why they may stay so."""

    def at_rest(self, *, live: bool = True, quiet: bool = False) -> None:
        """Nothing is left to do. `live`: everything must have ended; `quiet`: nothing went wrong on the way."""
        for release_id in list(self.seen.releases.rows):
            stored = self.seen.releases.rows[release_id].get(RELEASE_KEY)
            if stored is None:
                if self.seen.releases.rows[release_id]:
                    self.fail("I8", f"{release_id} has rows and no release")
                continue
            if live:
                self._ended(stored.row)
            if stored.row.is_terminal:
                self._all_or_nothing(stored.row)
            if live:
                self._live_is_live(stored.row)
        if live:
            self._nothing_left(quiet=quiet)
        for place in list(self.seen.endpoints.locks):
            self._default_is_want(*place, live=live)
            if live:
                self._nothing_leaves(self.seen.endpoints.locks[place].row)
        self.drift_told.told_once()
        self.azure_ml.kept_jobs()

    def _ended(self, release: Release) -> None:
        if not release.is_terminal:
            self.fail("I8", f"{release.release_id} is {release.phase} for ever")
        for stored in self.seen.releases._of(CircuitRun, release.release_id):
            if stored.row.todo:
                self.fail("I7", f"{release.release_id} {stored.row.circuit} is {stored.row.phase} for ever")
        for stored in self.seen.releases._of(Notice, release.release_id):
            if stored.row.state is NoticeState.PENDING:
                self.fail("I7", f"{row_key(stored.row)} was never sent")
        if (
            len(self.seen.releases._of(CircuitRun, release.release_id)) != release.total
            and release.phase is R.SUCCEEDED
        ):
            self.fail("known failure 1", f"{release.release_id} has not all its circuits")

    def _nothing_left(self, *, quiet: bool) -> None:
        if self.seen.releases.listed:
            self.fail("I8", f"still active: {sorted(self.seen.releases.listed)}")
        taken = [stored.row.number for stored in self.seen.slots.known.values() if stored.row.owner]
        if taken and quiet:  # otherwise its owner may have died; the lease runs out by itself
            self.fail("I7", f"slots {taken} were never freed")

    def _all_or_nothing(self, release: Release) -> None:
        """D11, I4: after the end no circuit is in between."""
        if release.kind is not ProcessKind.RELEASE:
            return
        runs = [stored.row for stored in self.seen.releases._of(CircuitRun, release.release_id)]
        if release.phase is R.SUCCEEDED:
            odd = [f"{run.circuit} {run.phase}" for run in runs if run.phase not in NEUTRAL | {C.LIVE}]
            if odd or not any(run.phase in {C.LIVE, C.ROLLED_BACK} for run in runs):
                self.fail("D11", f"{release.release_id} succeeded with {odd or 'nobody live'}")
            return
        for run in runs:
            stored = self.seen.endpoints.locks.get((Environment.PRODUCTION, run.circuit))
            mine = stored is not None and (stored.row.owner, stored.row.want) == (release.release_id, run.deployment)
            if mine and not is_stuck(run) and not self._was_accepted(run.circuit):
                self.fail("D11", f"{release.release_id} is {release.phase}, and {run.circuit} wants {run.deployment}")

    def _was_accepted(self, circuit: Circuit) -> bool:
        """An operator keeps what is live: it is no release's doing any more."""
        newest = max(
            self.seen.endpoints.ledgers[Environment.PRODUCTION, circuit], key=lambda row: row.fence, default=None
        )
        return newest is not None and newest.release_id == ACCEPTED

    def _live_is_live(self, release: Release) -> None:
        """What a rollback has taken back does not stand as live in the release that had made it so, and vice versa."""
        for run in (stored.row for stored in self.seen.releases._of(CircuitRun, release.release_id)):
            stored = self.seen.endpoints.locks.get((Environment.PRODUCTION, run.circuit))
            is_wanted = stored is not None and stored.row.want == run.deployment and not stored.row.leaves
            if run.phase is C.ROLLED_BACK and is_wanted:
                self.fail("R42", f"{release.release_id} {run.circuit} is rolled back, and {run.deployment} is wanted")
            if run.phase is not C.LIVE:
                continue
            ledger = sorted(
                self.seen.endpoints.ledgers[Environment.PRODUCTION, run.circuit], key=lambda row: -row.fence
            )
            mine = next((row.fence for row in ledger if row.deployment == run.deployment), 0)
            for row in ledger:
                taken_back = is_rollback(row.release_id) and row.previous == run.deployment and row.fence > mine
                if taken_back and self._restored(row.release_id, run.circuit):
                    self.fail("R42", f"{release.release_id} {run.circuit} is live, and {row.release_id} took it back")

    def _restored(self, rollback_id: str, circuit: Circuit) -> bool:
        stored = self.seen.releases.rows[rollback_id].get(run_key(circuit))
        return stored is not None and stored.row.phase is C.RESTORED

    def _default_is_want(self, environment: Environment, circuit: Circuit, *, live: bool) -> None:
        lock = self.seen.endpoints.locks[environment, circuit].row
        if not lock.want and not lock.want_none:
            return
        name = f"be-{circuit.plant_id}-{circuit.circuit_id}".lower()
        endpoint = self.seen.models.endpoint(environment, name)
        if endpoint is None:
            return
        if live and endpoint.state is not ProvisioningState.RUNNING and circuit not in self.seen.refused:
            self.drift_told.marked(lock, endpoint.default)
        if endpoint.default == lock.want:
            return
        if excuse := self._excuse(lock, name, endpoint.default, live=live):
            self.excused[excuse] += 1
            return
        self.fail(
            "I4",
            f"at rest {name} in {environment} has {endpoint.default or '(none)'}, "
            f"wanted is {lock.want or '(none)'} by {lock.owner}",
        )

    def _excuse(self, lock: EndpointLock, name: str, default: str, *, live: bool) -> str:
        """Why another default may stay; '': it may not."""
        if self.drift_told.is_by_hand(lock.environment, lock.circuit, default):
            return "by hand"
        if self._is_stuck(lock):
            return "stuck"
        if name in self.azure_ml.overlong[lock.environment]:
            return "took a day"
        return "" if live else "no sweeper"

    def _nothing_leaves(self, lock: EndpointLock) -> None:
        """D11: a way back that has ended well was seen live; who did not get there says so."""
        if lock.leaves and not self._is_stuck(lock):
            self.fail("D11", f"at rest {lock.circuit} in {lock.environment} still leaves {lock.leaves} for {lock.want}")

    def _is_stuck(self, lock: EndpointLock) -> bool:
        """Whoever wanted it last ended errored at the deadline of its switch, and says so."""
        ledger = self.seen.endpoints.ledgers[lock.environment, lock.circuit]
        newest = max(ledger, key=lambda row: row.fence, default=None)
        stored = self.seen.releases.rows[newest.release_id].get(run_key(lock.circuit)) if newest else None
        hist = stored.row.hist if stored else ()
        ends = [entry for entry in hist if entry.source in SWITCHING and entry.target not in UNTOUCHED]
        stuck = (*STUCK, REFUSED) if lock.environment is Environment.TEST else STUCK
        return bool(ends) and ends[-1].target in UNSUCCESSFUL and any(words in ends[-1].why for words in stuck)
