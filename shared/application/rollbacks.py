"""Rollbacks: one call puts circuits back to their previous deployment, or to a named one (R42-R44, D6, D13)."""

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from shared.application.dispatcher import Dispatcher
from shared.application.locks import IMPORTED, activation_by
from shared.application.plans import ROLLS_BACK, RollbackPlan, RollbackTarget
from shared.application.ports import Ports
from shared.application.work import Work
from shared.domain.errors import RequestRefused
from shared.domain.events import CircuitRolledBack
from shared.domain.model import (
    UNSUCCESSFUL,
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
from shared.domain.naming import ROLLBACK_PREFIX, deployment_name, endpoint_name, is_rollback
from shared.domain.process import fan_out
from shared.telemetry import log

MOST_PROBLEMS = 20
SAME_REQUEST_FOR = timedelta(minutes=10)
"""D13: an identical request within this time is the same one."""


type Locks = dict[Circuit, EndpointLock | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackRequest:
    """What a caller asks for: a release's circuits, a plant's, or named ones."""

    requested_by: str
    reason: str
    release_id: str = ""
    plant_id: str = ""
    circuits: tuple[Circuit, ...] = ()
    only: tuple[Circuit, ...] = ()
    """Of the above, the ones that were chosen; empty: all. How far each goes back stays the selection's question."""
    to: str = ""
    """A deployment; empty: the previous one."""
    seen: Mapping[Circuit, str] = field(default_factory=dict)
    """What the caller believes is live; absent: whatever is."""
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

        Of a release or a plant, circuits without anything to go back to are left out and named in the notes; a
        circuit asked for by its name must have a target.

        Raises:
            RequestRefused: 404 nothing known by that name, 409 nothing to go back to (with the reason per circuit).
        """
        locks = self._locks(request)
        if existing := self._existing(request, locks):
            return existing
        plan, notes = self._plan(request, locks)
        return self._start(request, plan, notes)

    def plan(self, request: RollbackRequest) -> tuple[RollbackPlan, tuple[str, ...]]:
        """What the request would do now, and what is to be said about it. RequestRefused as above."""
        return self._plan(request, self._locks(request))

    def _plan(self, request: RollbackRequest, locks: Locks) -> tuple[RollbackPlan, tuple[str, ...]]:
        gathered = _Gathered()
        for circuit, lock in locks.items():
            self._add(request, circuit, lock, gathered)
        if gathered.problems and (request.circuits or request.only or not gathered.targets):
            raise RequestRefused(409, "Nothing to go back to", f"{_listed(gathered.problems)}. Nothing was changed.")
        left_out = tuple(f"left out: {problem}" for problem in gathered.problems)
        plan = RollbackPlan(environment=request.environment, targets=tuple(gathered.targets))
        return plan, (*gathered.notes, *left_out)

    # --------------------------------------------------------------------------------- what is asked for

    def known(self, request: RollbackRequest) -> Sequence[Circuit]:
        """The circuits that the request is about, whatever can be done with them. RequestRefused: 404."""
        return tuple(self._circuits(request))

    def _locks(self, request: RollbackRequest) -> Locks:
        locks: Locks = {}
        for circuit in self._circuits(request):
            if request.only and circuit not in request.only:
                continue
            stored = self.ports.endpoints.lock(request.environment, circuit)
            locks[circuit] = stored.row if stored else None
        return locks

    def _circuits(self, request: RollbackRequest) -> Sequence[Circuit]:
        if request.release_id:
            stored = self.ports.releases.release(request.release_id)
            if stored is None or stored.row.kind is not ProcessKind.RELEASE:
                raise RequestRefused(404, "No such release", f"There is no release {request.release_id!r}.")
            return tuple(found.row.circuit for found in self.ports.releases.runs(request.release_id))
        if request.plant_id:
            found = self.ports.endpoints.circuits(request.environment, request.plant_id)
            if not found:
                detail = f"No circuit of {request.plant_id} has an activation of ours in {request.environment}."
                raise RequestRefused(404, "Unknown plant", detail)
            return found
        return tuple(dict.fromkeys(request.circuits))

    def _add(self, request: RollbackRequest, circuit: Circuit, lock: EndpointLock | None, gathered: _Gathered) -> None:
        if lock is None or not lock.want:
            gathered.problems.append(f"{circuit}: nothing of ours is live in {request.environment}")
            return
        ledger = self.ports.endpoints.ledger(request.environment, circuit)
        unfinished = self._unfinished(lock)
        target = self._target(request, lock, ledger, unfinished, gathered)
        if not target:
            return
        naming = self.ports.naming
        in_test = request.environment is Environment.TEST
        template = naming.test_endpoint if in_test else naming.production_endpoint
        name = endpoint_name(template, circuit)
        if request.to and self.ports.models.deployment(request.environment, name, request.to) is None:
            gathered.problems.append(f"{circuit}: {request.to} does not exist on {name}")
            return
        gathered.targets.append(
            RollbackTarget(
                plant_id=circuit.plant_id,
                circuit_id=circuit.circuit_id,
                endpoint=name,
                live=unfinished.deployment if unfinished else lock.want,
                to=target,
                fence=lock.fence,
                release_id=_takes_back(ledger, lock, target, unfinished),
            )
        )

    def _unfinished(self, lock: EndpointLock) -> CircuitRun | None:
        """The rollback that made the lock want what it wants, if it has not seen that become live."""
        found = self.ports.releases.release_and_run(lock.owner, lock.circuit) if is_rollback(lock.owner) else None
        if found is None or found[1].row.phase is CircuitPhase.RESTORED:
            return None
        return found[1].row if found[1].row.previous_deployment == lock.want else None

    def _target(
        self,
        request: RollbackRequest,
        lock: EndpointLock,
        ledger: Sequence[LedgerEntry],
        unfinished: CircuitRun | None,
        gathered: _Gathered,
    ) -> str:
        """D13; empty: there is none, and the reason is among the problems."""
        if request.to:
            is_live = request.to == lock.want and unfinished is None
            if is_live:
                gathered.problems.append(f"{lock.circuit}: {request.to} is live already")
            return "" if is_live else request.to
        if request.release_id and not _takes_back_release(unfinished, request.release_id):
            return self._before_release(request.release_id, lock, ledger, gathered)
        if unfinished:
            gathered.notes.append(f"{lock.circuit}: {lock.owner} has not brought {lock.want} back, this one goes on")
            return lock.want
        first = _first_activation(ledger, lock.want)
        previous = first.previous if first else ""
        if not previous:
            gathered.problems.append(
                f"{lock.circuit}: {lock.want} is the first deployment that went live here, there is none before it (D6)"
            )
        elif is_rollback(lock.owner):
            gathered.notes.append(
                f"{lock.circuit}: was rolled back to {lock.want} before, goes one further back to {previous}"
            )
        return previous

    def _before_release(
        self, release_id: str, lock: EndpointLock, ledger: Sequence[LedgerEntry], gathered: _Gathered
    ) -> str:
        """What the run froze before it changed anything; in Test, what the ledger says it replaced there."""
        found = self.ports.releases.release_and_run(release_id, lock.circuit)
        assert found is not None
        run = found[1].row
        switching = {CircuitPhase.STAGED, CircuitPhase.ACTIVATING}
        under_way = lock.owner == release_id and not found[0].row.is_terminal and run.phase in switching
        if lock.want != run.deployment and not under_way:
            gathered.problems.append(f"{lock.circuit}: {lock.want} is live, not {run.deployment}")
            return ""
        replaced = activation_by(ledger, release_id, run.deployment)
        in_test = lock.environment is Environment.TEST
        previous = (replaced.previous if replaced else "") if in_test else run.previous_deployment
        if not previous:
            gathered.problems.append(
                f"{lock.circuit}: release {release_id} was its first, there is nothing before it (D6)"
            )
        return previous

    # -------------------------------------------------------------------------------- the same request

    def _existing(self, request: RollbackRequest, locks: Locks) -> RollbackStarted | None:
        """A double click, a repeat within ten minutes, or a request on outdated knowledge.

        Raises:
            RequestRefused: 409, something else than the caller believes is live, and no rollback explains that.
        """
        owners = {lock.owner if lock else "" for lock in locks.values()}
        for owner in filter(is_rollback, owners):
            if self._is_same(owner, request):
                return RollbackStarted(rollback_id=owner, is_new=False)
        outdated = [
            f"{circuit}: {lock.want or 'nothing'} is live, not {request.seen[circuit]}"
            for circuit, lock in locks.items()
            if circuit in request.seen and lock is not None and not self._is_live(lock, request.seen[circuit])
        ]
        if not outdated:
            return None
        (owner, *others) = owners
        if not others and is_rollback(owner):
            return RollbackStarted(rollback_id=owner, is_new=False)
        raise RequestRefused(409, "Outdated", f"{_listed(outdated)}. Look again, then decide.")

    def _is_live(self, lock: EndpointLock, seen: str) -> bool:
        """Also what a rollback that did not succeed has left live."""
        unfinished = self._unfinished(lock)
        left = unfinished.deployment if unfinished and unfinished.phase in UNSUCCESSFUL else lock.want
        return seen in {left, lock.want}

    def _is_same(self, rollback_id: str, request: RollbackRequest) -> bool:
        stored = self.ports.releases.release(rollback_id)
        if stored is None or stored.row.request_digest != _fingerprint(request):
            return False
        return not stored.row.is_terminal or self.ports.clock.now() - stored.row.created_at < SAME_REQUEST_FOR

    # ------------------------------------------------------------------------------------------- start

    def _start(self, request: RollbackRequest, plan: RollbackPlan, notes: tuple[str, ...]) -> RollbackStarted:
        """The id follows from what is asked at which fences: the same click twice is the same rollback."""
        content = plan.to_bytes()
        digest = hashlib.sha256(content).hexdigest()
        now = self.ports.clock.now()
        rollback_id, is_new = self._free_id(digest)
        rollback = Release(
            release_id=rollback_id,
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
        self.ports.evidence.put(rollback.manifest_blob, content)
        self.ports.releases.begin(rollback)
        self.ports.bus.send((fan_out(rollback),))
        log.info("rollback started", action="rollback_started", release_id=rollback.release_id, circuits=rollback.total)
        return RollbackStarted(rollback_id=rollback.release_id, is_new=is_new, notes=notes)

    def _free_id(self, digest: str) -> tuple[str, bool]:
        """Of this plan's rollbacks the one under way, or the next.

        One that has ended and left the fences as they were has changed nothing: it may be asked for again.
        """
        for n in itertools.count(1):
            rollback_id = f"{ROLLBACK_PREFIX}{hashlib.sha256(f'{digest}|{n}'.encode()).hexdigest()[:16]}"
            stored = self.ports.releases.release(rollback_id)
            if stored is None or not stored.row.is_terminal:
                return rollback_id, stored is None
        raise AssertionError


def mark_rolled_back(work: Work, ports: Ports) -> None:
    """The release whose deployment was taken back says so too: its circuit is neutral from now on (D11).

    Repeatable. A run that is not live by now finds the lost lock by itself.
    """
    in_test = work.release.environment is Environment.TEST
    release_id = "" if in_test else str(work.run.evidence.get(ROLLS_BACK) or "")
    found = ports.releases.release_and_run(release_id, work.run.circuit) if release_id else None
    if found is None or found[1].row.deployment != work.run.deployment:
        return
    event = CircuitRolledBack(
        at=ports.clock.now(),
        by=work.release.requested_by,
        why=f"{work.release.release_id}: {work.release.reason_asked}",
    )
    Dispatcher(ports).to_run(found[0], found[1], event)


def _listed(problems: Sequence[str]) -> str:
    hidden = len(problems) - MOST_PROBLEMS
    return "; ".join(problems[:MOST_PROBLEMS]) + (f"; and {hidden} more" if hidden > 0 else "")


def _activated_by(ledger: Sequence[LedgerEntry], deployment: str) -> str:
    """The release that made it live last; empty: none of ours did."""
    rows = (row.release_id for row in ledger if row.deployment == deployment)
    return next((owner for owner in rows if not is_rollback(owner) and owner != IMPORTED), "")


def _takes_back(ledger: Sequence[LedgerEntry], lock: EndpointLock, target: str, unfinished: CircuitRun | None) -> str:
    """The release whose deployment goes; empty: none of ours, or what is wanted already stays."""
    if unfinished:
        return str(unfinished.evidence.get(ROLLS_BACK) or "")
    return "" if target == lock.want else _activated_by(ledger, lock.want)


def _takes_back_release(unfinished: CircuitRun | None, release_id: str) -> bool:
    return unfinished is not None and unfinished.deployment == deployment_name(release_id)


def _first_activation(ledger: Sequence[LedgerEntry], deployment: str) -> LedgerEntry | None:
    """The row that first made a deployment live, never a rollback's (rows come newest first)."""
    rows = [row for row in ledger if row.deployment == deployment and not is_rollback(row.release_id)]
    return rows[-1] if rows else None


def _fingerprint(request: RollbackRequest) -> str:
    """Equal for identical requests, whoever sends them."""
    circuits, only = (",".join(sorted(map(str, names))) for names in (request.circuits, request.only))
    said = (request.environment, request.release_id, request.plant_id, circuits, only, request.to)
    return hashlib.sha256("|".join(said).encode()).hexdigest()
