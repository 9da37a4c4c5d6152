"""Use cases: what a circuit goes back to, or why it can't (D6, D13), read from lock, ledger and runs; nothing is written."""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.application.locks import activation_by
from shared.application.plans import ROLLS_BACK, RollbackTarget
from shared.application.ports import Ports
from shared.domain.model import Circuit, CircuitPhase, CircuitRun, EndpointLock, Environment, LedgerEntry
from shared.domain.naming import deployment_name, endpoint_name, is_rollback


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One circuit's way back; without a target there is a problem."""

    target: RollbackTarget | None = None
    problem: str = ""
    note: str = ""
    """What a caller should know of a target that is not simply the previous deployment."""


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

    def of(self, circuit: Circuit, lock: EndpointLock | None) -> Found:
        """Where this circuit goes, by its lock as it was just read."""
        if lock is None or not lock.want:
            return Found(problem=f"{circuit}: nothing of ours is live in {self.environment}")
        ledger = self.ports.endpoints.ledger(self.environment, circuit)
        pending = unfinished(lock, self.ports)
        way = self._way(lock, ledger, pending)
        if not way.to:
            return Found(problem=way.problem)
        name = self._endpoint_name(circuit)
        if self.to and self.ports.models.deployment(self.environment, name, self.to) is None:
            return Found(problem=f"{circuit}: {self.to} does not exist on {name}")
        target = RollbackTarget(
            plant_id=circuit.plant_id,
            circuit_id=circuit.circuit_id,
            endpoint=name,
            live=pending.deployment if pending else lock.want,
            to=way.to,
            fence=lock.fence,
            release_id=_takes_back(ledger, lock, way.to, pending),
        )
        return Found(target=target, note=way.note)

    def _endpoint_name(self, circuit: Circuit) -> str:
        naming = self.ports.naming
        in_test = self.environment is Environment.TEST
        return endpoint_name(naming.test_endpoint if in_test else naming.production_endpoint, circuit)

    def _way(self, lock: EndpointLock, ledger: Sequence[LedgerEntry], pending: CircuitRun | None) -> _Way:
        """D13."""
        if self.to:
            if self.to == lock.want and pending is None:
                return _Way(problem=f"{lock.circuit}: {self.to} is live already")
            return _Way(to=self.to)
        if self.release_id and not _takes_back_release(pending, self.release_id):
            return self._before_release(lock, ledger)
        if pending:
            return _Way(
                to=lock.want, note=f"{lock.circuit}: {lock.owner} has not brought {lock.want} back, this one goes on"
            )
        return _one_back(lock, ledger)

    def _before_release(self, lock: EndpointLock, ledger: Sequence[LedgerEntry]) -> _Way:
        """What the run froze before it changed anything; in Test, what the ledger says it replaced there."""
        found = self.ports.releases.release_and_run(self.release_id, lock.circuit)
        assert found is not None
        run = found[1].row
        switching = {CircuitPhase.STAGED, CircuitPhase.ACTIVATING}
        under_way = lock.owner == self.release_id and not found[0].row.is_terminal and run.phase in switching
        if lock.want != run.deployment and not under_way:
            return _Way(problem=f"{lock.circuit}: {lock.want} is live, not {run.deployment}")
        replaced = activation_by(ledger, self.release_id, run.deployment)
        in_test = lock.environment is Environment.TEST
        previous = (replaced.previous if replaced else "") if in_test else run.previous_deployment
        if not previous:
            return _Way(
                problem=f"{lock.circuit}: release {self.release_id} was its first, there is nothing before it (D6)"
            )
        return _Way(to=previous)


def unfinished(lock: EndpointLock, ports: Ports) -> CircuitRun | None:
    """The rollback that made the lock want what it wants, if it has not seen that become live."""
    found = ports.releases.release_and_run(lock.owner, lock.circuit) if is_rollback(lock.owner) else None
    if found is None or found[1].row.phase is CircuitPhase.RESTORED:
        return None
    return found[1].row if found[1].row.previous_deployment == lock.want else None


def _one_back(lock: EndpointLock, ledger: Sequence[LedgerEntry]) -> _Way:
    """What the default replaced when it first went live; after a rollback that is one further back."""
    first = _first_activation(ledger, lock.want)
    previous = first.previous if first else ""
    if not previous:
        return _Way(
            problem=f"{lock.circuit}: {lock.want} is the first deployment that went live here, there is none before it (D6)"
        )
    if is_rollback(lock.owner):
        return _Way(
            to=previous,
            note=f"{lock.circuit}: was rolled back to {lock.want} before, goes one further back to {previous}",
        )
    return _Way(to=previous)


def _first_activation(ledger: Sequence[LedgerEntry], deployment: str) -> LedgerEntry | None:
    """The row that first made a deployment live, never a rollback's (rows come newest first)."""
    rows = [row for row in ledger if row.deployment == deployment and not is_rollback(row.release_id)]
    return rows[-1] if rows else None


def _takes_back(ledger: Sequence[LedgerEntry], lock: EndpointLock, target: str, pending: CircuitRun | None) -> str:
    """The release whose deployment goes; empty: none of ours, or what is wanted already stays."""
    if pending:
        return str(pending.evidence.get(ROLLS_BACK) or "")
    return "" if target == lock.want else activated_by(ledger, lock.want)


def _takes_back_release(pending: CircuitRun | None, release_id: str) -> bool:
    return pending is not None and pending.deployment == deployment_name(release_id)


def activated_by(ledger: Sequence[LedgerEntry], deployment: str) -> str:
    """The release whose deployment it is; one that went back to it only made it live again. Empty: none of ours."""
    owners = (row.release_id for row in ledger if row.deployment == deployment)
    return next((owner for owner in owners if deployment_name(owner) == deployment), "")
