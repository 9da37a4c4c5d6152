"""I4, I7, I8, D11: when nothing is under way any more, everything has ended as it should."""

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


class AtRest(Check):
    """I4, I7, I8, D11: when nothing is under way any more, everything has ended as it should."""

    def __init__(self, seen: Seen, drift_told: DriftTold, azure_ml: AzureMlWrites) -> None:
        super().__init__(seen)
        self.drift_told = drift_told
        self.azure_ml = azure_ml
        self.exempted = 0

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
        if live and endpoint.state is not ProvisioningState.RUNNING:
            self.drift_told.marked(lock, endpoint.default)
        if endpoint.default == lock.want:
            return
        if (
            circuit in self.drift_told.touched
            or self._is_excused(lock)
            or self._took_too_long(environment, name)
            or not live
        ):
            self.exempted += 1
            return
        self.fail(
            "I4",
            f"at rest {name} in {environment} has {endpoint.default or '(none)'}, "
            f"wanted is {lock.want or '(none)'} by {lock.owner}",
        )

    def _nothing_leaves(self, lock: EndpointLock) -> None:
        """D11: a way back that has ended well was seen live; who did not get there says so."""
        if lock.leaves and not self._is_excused(lock):
            self.fail("D11", f"at rest {lock.circuit} in {lock.environment} still leaves {lock.leaves} for {lock.want}")

    def _took_too_long(self, environment: Environment, name: str) -> bool:
        """A late writer's operation went on for longer than messages about it come again: the look for drift tells."""
        return name in self.azure_ml.overlong[environment]

    def _is_excused(self, lock: EndpointLock) -> bool:
        """Whoever wanted it ended errored at its deadline, and says so; the lock may have gone on to another since."""
        ledger = sorted(self.seen.endpoints.ledgers[lock.environment, lock.circuit], key=lambda row: -row.fence)
        wanted_by = {lock.owner, *(row.release_id for row in ledger[:1])}
        runs = (self.seen.releases.rows[owner].get(run_key(lock.circuit)) for owner in wanted_by)
        return any(
            entry.target in UNSUCCESSFUL and any(words in entry.why for words in STUCK)
            for stored in runs
            if stored is not None
            for entry in stored.row.hist
        )
