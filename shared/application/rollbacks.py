"""Rollbacks: one call puts circuits back to their previous deployment, or to a named one (R42-R44, D6, D13)."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from shared.application.plans import RollbackPlan, RollbackTarget
from shared.application.ports import Ports
from shared.domain.errors import RequestRefused
from shared.domain.model import (
    Circuit,
    CircuitPhase,
    CircuitRun,
    EndpointLock,
    Environment,
    HistoryEntry,
    LedgerEntry,
    ProcessKind,
    Release,
    ReleasePhase,
)
from shared.domain.naming import ROLLBACK_PREFIX, endpoint_name, is_rollback
from shared.domain.process import fan_out
from shared.telemetry import log

SAME_REQUEST_FOR = timedelta(minutes=10)
"""D13: an identical request within this time is the same one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackRequest:
    """What a caller asks for: a release's circuits, a plant's, or named ones."""

    requested_by: str
    reason: str
    release_id: str = ""
    plant_id: str = ""
    circuits: tuple[Circuit, ...] = ()
    to: str = ""
    """A deployment; empty: the previous one."""
    live: str = ""
    """What the caller believes is live; empty: whatever is."""
    environment: Environment = Environment.PRODUCTION


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackStarted:
    rollback_id: str
    is_new: bool
    notes: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class _Gathered:
    targets: list[RollbackTarget] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Rollbacks:
    ports: Ports

    def request(self, request: RollbackRequest) -> RollbackStarted:
        """Start a rollback, or find the one that this request already started.

        Raises:
            RequestRefused: 404 nothing known by that name, 409 nothing to go back to (with the reason per circuit).
        """
        circuits = self._circuits(request)
        locks = {circuit: self._lock(request.environment, circuit) for circuit in circuits}
        if existing := self._existing(request, locks):
            return existing
        gathered = _Gathered()
        for circuit, lock in locks.items():
            self._add(request, circuit, lock, gathered)
        if gathered.problems:
            detail = f"{'; '.join(gathered.problems)}. Nothing was changed."
            raise RequestRefused(409, "Nothing to go back to", detail)
        plan = RollbackPlan(environment=request.environment, targets=tuple(gathered.targets))
        return self._start(request, plan, tuple(gathered.notes))

    # --------------------------------------------------------------------------------- what is asked for

    def _circuits(self, request: RollbackRequest) -> Sequence[Circuit]:
        if request.release_id:
            return tuple(run.circuit for run in self._activated_by(request.release_id))
        if request.plant_id:
            found = self.ports.endpoints.circuits(request.environment, request.plant_id)
            if not found:
                detail = f"No circuit of {request.plant_id} has an activation of ours in {request.environment}."
                raise RequestRefused(404, "Unknown plant", detail)
            return found
        return tuple(dict.fromkeys(request.circuits))

    def _activated_by(self, release_id: str) -> Sequence[CircuitRun]:
        stored = self.ports.releases.release(release_id)
        if stored is None or stored.row.kind is not ProcessKind.RELEASE:
            raise RequestRefused(404, "No such release", f"There is no release {release_id!r}.")
        switched = {CircuitPhase.LIVE, CircuitPhase.ACTIVATING}
        runs = [found.row for found in self.ports.releases.runs(release_id) if found.row.phase in switched]
        if not runs:
            detail = f"Release {release_id} is {stored.row.phase} and has no circuit live or being activated."
            raise RequestRefused(409, "Nothing to go back to", detail)
        return runs

    def _lock(self, environment: Environment, circuit: Circuit) -> EndpointLock | None:
        stored = self.ports.endpoints.lock(environment, circuit)
        return stored.row if stored else None

    def _add(self, request: RollbackRequest, circuit: Circuit, lock: EndpointLock | None, gathered: _Gathered) -> None:
        if lock is None or not lock.want:
            gathered.problems.append(f"{circuit}: nothing of ours is live in {request.environment}")
            return
        target = self._target(request, circuit, lock, gathered)
        if not target:
            return
        naming = self.ports.naming
        in_test = request.environment is Environment.TEST
        template = naming.test_endpoint if in_test else naming.production_endpoint
        gathered.targets.append(
            RollbackTarget(
                plant_id=circuit.plant_id,
                circuit_id=circuit.circuit_id,
                endpoint=endpoint_name(template, circuit),
                live=lock.want,
                to=target,
                fence=lock.fence,
            )
        )

    def _target(self, request: RollbackRequest, circuit: Circuit, lock: EndpointLock, gathered: _Gathered) -> str:
        """D13; empty: there is none, and the reason is among the problems."""
        if request.to:
            if request.to == lock.want:
                gathered.problems.append(f"{circuit}: {request.to} is live already")
                return ""
            return request.to
        ledger = self.ports.endpoints.ledger(request.environment, circuit)
        if request.release_id:
            return self._frozen(request.release_id, circuit, gathered)
        first = _first_activation(ledger, lock.want)
        previous = first.previous if first else ""
        if not previous:
            gathered.problems.append(
                f"{circuit}: {lock.want} is the first deployment that went live here, there is none before it (D6)"
            )
        elif is_rollback(lock.owner):
            gathered.notes.append(
                f"{circuit}: was rolled back to {lock.want} before, goes one further back to {previous}"
            )
        return previous

    def _frozen(self, release_id: str, circuit: Circuit, gathered: _Gathered) -> str:
        found = self.ports.releases.release_and_run(release_id, circuit)
        previous = found[1].row.previous_deployment if found else ""
        if not previous:
            gathered.problems.append(f"{circuit}: release {release_id} was its first, there is nothing before it (D6)")
        return previous

    # -------------------------------------------------------------------------------- the same request

    def _existing(self, request: RollbackRequest, locks: dict[Circuit, EndpointLock | None]) -> RollbackStarted | None:
        """A double click, a repeat within ten minutes, or a request on outdated knowledge."""
        for lock in locks.values():
            if lock is None or not is_rollback(lock.owner):
                continue
            stored = self.ports.releases.release(lock.owner)
            if stored is None:
                continue
            outdated = bool(request.live) and request.live != lock.want
            recent = self.ports.clock.now() - stored.row.created_at < SAME_REQUEST_FOR or not stored.row.is_terminal
            if outdated or (recent and stored.row.request_digest == _fingerprint(request)):
                return RollbackStarted(rollback_id=lock.owner, is_new=False)
        self._refuse_outdated(request, locks)
        return None

    def _refuse_outdated(self, request: RollbackRequest, locks: dict[Circuit, EndpointLock | None]) -> None:
        wrong = [
            f"{circuit}: {lock.want or 'nothing'} is live, not {request.live}"
            for circuit, lock in locks.items()
            if request.live and lock is not None and lock.want != request.live
        ]
        if wrong:
            raise RequestRefused(409, "Outdated", f"{'; '.join(wrong)}. Look again, then decide.")

    # ------------------------------------------------------------------------------------------- start

    def _start(self, request: RollbackRequest, plan: RollbackPlan, notes: tuple[str, ...]) -> RollbackStarted:
        """The id follows from what is asked at which fences: the same click twice is the same rollback."""
        content = plan.to_bytes()
        digest = hashlib.sha256(content).hexdigest()
        now = self.ports.clock.now()
        rollback = Release(
            release_id=f"{ROLLBACK_PREFIX}{digest[:16]}",
            build_id="",
            phase=ReleasePhase.ROLLING_BACK,
            kind=ProcessKind.ROLLBACK,
            environment=request.environment,
            seq=int(f"{now:%Y%m%d}000000"),
            total=len(plan.targets),
            manifest_sha256=digest,
            manifest_blob=f"rollbacks/{digest}.json",
            policy=self.ports.policy,
            created_at=now,
            due_at=now + self.ports.policy.overdue_after,
            requested_by=request.requested_by,
            reason_asked=request.reason,
            request_digest=_fingerprint(request),
            warnings=notes,
            hist=(
                HistoryEntry(
                    at=now, source="", target=ReleasePhase.ROLLING_BACK, why=request.reason, by=request.requested_by
                ),
            ),
        )
        is_new = self.ports.releases.release(rollback.release_id) is None
        self.ports.evidence.put(rollback.manifest_blob, content)
        self.ports.releases.begin(rollback)
        self.ports.bus.send((fan_out(rollback),))
        log.info("rollback started", action="rollback_started", release_id=rollback.release_id, circuits=rollback.total)
        return RollbackStarted(rollback_id=rollback.release_id, is_new=is_new, notes=notes)


def _first_activation(ledger: Sequence[LedgerEntry], deployment: str) -> LedgerEntry | None:
    """The row that first made a deployment live, never a rollback's (rows come newest first)."""
    rows = [row for row in ledger if row.deployment == deployment and not is_rollback(row.release_id)]
    return rows[-1] if rows else None


def _fingerprint(request: RollbackRequest) -> str:
    """Equal for identical requests, whoever sends them."""
    circuits = ",".join(sorted(map(str, request.circuits)))
    said = (request.environment, request.release_id, request.plant_id, circuits, request.to)
    return hashlib.sha256("|".join(said).encode()).hexdigest()
