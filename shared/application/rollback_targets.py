"""Use cases: what a circuit goes back to, or why it can't (D6, D13), read from lock, ledger and runs; nothing is written.

What a lock wants is live only once that was seen. Until then a way back is unfinished: what it takes away may still be
live, and the next request goes on with it instead of one further back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shared.application.locks import activation_by
from shared.application.plans import RollbackTarget
from shared.application.ports import Ports
from shared.application.rollback_affected import how_it_came
from shared.application.way_back import WaysBack
from shared.domain.errors import TransientError
from shared.domain.model import Circuit, CircuitPhase, CircuitRun, EndpointLock, Environment, LedgerEntry, Release
from shared.domain.naming import deployment_name, endpoint_name, is_rollback


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundTarget:
    """One circuit's way back; without a target there is a problem."""

    target: RollbackTarget | None = None
    problem: str = ""
    note: str = ""
    """What a caller should know of a target that is not simply the previous deployment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OfRelease:
    """The release that is to be taken back and its circuits, as they were read after the locks."""

    release: Release
    runs: Mapping[Circuit, CircuitRun]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Way:
    """A deployment to go back to, or why there is none."""

    to: str = ""
    problem: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """Finds targets for the circuits of one request."""

    ports: Ports
    environment: Environment
    release_id: str = ""
    """The release that is to be taken back; empty: circuits were asked for by themselves."""
    to: str = ""
    """A deployment; empty: the previous one."""
    of_release: OfRelease | None = None

    def of(self, circuit: Circuit, lock: EndpointLock | None, *, seen: str = "") -> FoundTarget:
        """Where this circuit goes, by its lock as it was just read. `seen`: what the caller said is live."""
        if lock is None or not lock.want:
            return FoundTarget(problem=f"{circuit}: nothing of ours is live in {self.environment}")
        # One by one: a query for many would read the ledgers of all that lie between, which grow with every release.
        ledger = self.ports.endpoints.ledger(self.environment, circuit)
        way = self._way(lock, ledger)
        if not way.to:
            return FoundTarget(problem=way.problem)
        target = RollbackTarget(
            plant_id=circuit.plant_id,
            circuit_id=circuit.circuit_id,
            endpoint=self._endpoint_name(circuit),
            live=lock.live,
            to=way.to,
            fence=lock.fence,
            release_id="" if way.to == lock.live else activated_by(ledger, lock.live),
            # Who asks for what he sees to stay means that, whatever a release does meanwhile.
            seen="" if seen == way.to else seen,
        )
        return FoundTarget(target=target, note=way.note)

    def _endpoint_name(self, circuit: Circuit) -> str:
        naming = self.ports.naming
        in_test = self.environment is Environment.TEST
        return endpoint_name(naming.test_endpoint if in_test else naming.production_endpoint, circuit)

    def _way(self, lock: EndpointLock, ledger: Sequence[LedgerEntry]) -> _Way:
        """D13."""
        if self.to:
            return self._named(lock)
        if lock.leaves and (not self.release_id or lock.leaves == deployment_name(self.release_id)):
            return self._go_on(lock, ledger)
        if self.release_id:
            return self._before_release(lock, ledger)
        return _one_back(lock, ledger)

    def _named(self, lock: EndpointLock) -> _Way:
        if self.to == lock.want and not lock.leaves:
            return _Way(
                problem=f"{lock.circuit}: {self.to} should be live already; if it is not, have the drift repaired"
            )
        problem = self._problem_of(lock.circuit, self.to)
        return _Way(problem=f"{lock.circuit}: {problem}") if problem else _Way(to=self.to)

    def _go_on(self, lock: EndpointLock, ledger: Sequence[LedgerEntry]) -> _Way:
        """A way back was begun and has not been seen through; if it leads nowhere, one further back."""
        by = ledger[0].release_id if ledger else lock.owner
        try:
            problem = self._problem_of(lock.circuit, lock.want)
        except TransientError:
            problem = ""  # the rollback looks again before it changes anything
        if not problem:
            return _Way(to=lock.want, note=f"{lock.circuit}: {by} has not brought {lock.want} back, this one goes on")
        way = _one_back(lock, ledger)
        if not way.to:
            return _Way(problem=f"{lock.circuit}: {by} can't bring {lock.want} back ({problem}); {way.problem}")
        return _Way(
            to=way.to, note=f"{lock.circuit}: {by} can't bring {lock.want} back ({problem}), goes back to {way.to}"
        )

    def _problem_of(self, circuit: Circuit, deployment: str) -> str:
        name = self._endpoint_name(circuit)
        ways = WaysBack(ports=self.ports, environment=self.environment, circuit=circuit, endpoint=name)
        return ways.look_at(deployment).problem

    def _before_release(self, lock: EndpointLock, ledger: Sequence[LedgerEntry]) -> _Way:
        """What the run froze before it changed anything; in Test, what the ledger says it replaced there."""
        run = self.of_release.runs.get(lock.circuit) if self.of_release else None
        if self.of_release is None or run is None:
            return _Way(
                problem=f"{lock.circuit}: nothing is kept of release {self.release_id}; name a deployment in `to`"
            )
        at_work = not self.of_release.release.is_terminal
        switching = {CircuitPhase.STAGED, CircuitPhase.ACTIVATING}
        under_way = lock.owner == self.release_id and at_work and run.phase in switching
        if lock.want != run.deployment and not under_way:
            how = how_it_came(ledger, self.ports)
            return _Way(
                problem=f"{lock.circuit}: {lock.want} should be live, not {run.deployment}{how and f' ({how})'}"
            )
        replaced = activation_by(ledger, self.release_id, run.deployment)
        in_test = lock.environment is Environment.TEST
        previous = (replaced.previous if replaced else "") if in_test else run.previous_deployment
        if not previous:
            return _Way(
                problem=f"{lock.circuit}: release {self.release_id} was its first, there is nothing before it (D6)"
            )
        return _Way(to=previous)


def _one_back(lock: EndpointLock, ledger: Sequence[LedgerEntry]) -> _Way:
    """What the wanted one replaced when it first went live; after a rollback that is one further back."""
    first = _first_activation(ledger, lock.want)
    previous = first.previous if first else ""
    if not previous:
        return _Way(
            problem=f"{lock.circuit}: {lock.want} is the first deployment that went live here, there is none before it (D6)"
        )
    if ledger[0].deployment == lock.want and is_rollback(ledger[0].release_id):
        return _Way(
            to=previous,
            note=f"{lock.circuit}: was rolled back to {lock.want} before, goes one further back to {previous}",
        )
    return _Way(to=previous)


def _first_activation(ledger: Sequence[LedgerEntry], deployment: str) -> LedgerEntry | None:
    """The row that first made a deployment live, never a rollback's (rows come newest first)."""
    rows = [row for row in ledger if row.deployment == deployment and not is_rollback(row.release_id)]
    return rows[-1] if rows else None


def activated_by(ledger: Sequence[LedgerEntry], deployment: str) -> str:
    """The release whose deployment it is; one that went back to it only made it live again. Empty: none of ours."""
    owners = (row.release_id for row in ledger if row.deployment == deployment)
    return next((owner for owner in owners if deployment_name(owner) == deployment), "")
