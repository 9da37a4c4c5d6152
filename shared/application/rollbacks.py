"""Rollbacks: one call puts circuits back to their previous deployment, or to a named one (R42-R44, D6, D13)."""

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from shared.application.dispatcher import Dispatcher
from shared.application.plans import ROLLS_BACK, RollbackPlan
from shared.application.ports import Ports
from shared.application.rollback_targets import Targets, activated_by, unfinished
from shared.application.work import Work
from shared.domain.errors import RequestRefused
from shared.domain.events import CircuitRolledBack
from shared.domain.model import (
    UNSUCCESSFUL,
    Circuit,
    EndpointLock,
    Environment,
    HistoryEntry,
    ProcessKind,
    Release,
    ReleasePhase,
)
from shared.domain.naming import ROLLBACK_PREFIX, is_rollback, timestamp
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
    smoke_test: bool = False
    """What is restored shall be smoke-tested afterwards."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackStarted:
    rollback_id: str
    is_new: bool
    notes: tuple[str, ...] = ()


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
        ways = Targets(ports=self.ports, environment=request.environment, release_id=request.release_id, to=request.to)
        found = [ways.of(circuit, lock) for circuit, lock in locks.items()]
        targets = tuple(one.target for one in found if one.target)
        problems = [one.problem for one in found if one.problem]
        if problems and (request.circuits or request.only or not targets):
            raise RequestRefused(409, "Nothing to go back to", f"{_listed(problems)}. Nothing was changed.")
        notes = (one.note for one in found if one.note)
        left_out = (f"left out: {problem}" for problem in problems)
        return RollbackPlan(environment=request.environment, targets=targets), (*notes, *left_out)

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

    # -------------------------------------------------------------------------------- the same request

    def _existing(self, request: RollbackRequest, locks: Locks) -> RollbackStarted | None:
        """A double click, a repeat within ten minutes, or a request on outdated knowledge.

        Raises:
            RequestRefused: 409, something else than the caller believes is live, and no rollback explains that.
        """
        owners = {lock.owner if lock else "" for lock in locks.values()}
        for owner in filter(is_rollback, owners):
            if self._is_same(owner, request):
                return self._known(owner, request)
        outdated = [
            f"{circuit}: {lock.want or 'nothing'} is live, not {request.seen[circuit]}"
            for circuit, lock in locks.items()
            if circuit in request.seen and lock is not None and not self._is_live(lock, request.seen[circuit])
        ]
        if not outdated:
            return None
        (owner, *others) = owners
        if not others and is_rollback(owner):
            return self._known(owner, request)
        raise RequestRefused(409, "Outdated", f"{_listed(outdated)}. Look again, then decide.")

    def _known(self, rollback_id: str, request: RollbackRequest) -> RollbackStarted:
        first = self.ports.releases.release(rollback_id)
        notes = _what_stands(first.row, request) if first else ()
        return RollbackStarted(rollback_id=rollback_id, is_new=False, notes=notes)

    def _is_live(self, lock: EndpointLock, seen: str) -> bool:
        """Also what a rollback that did not succeed has left live."""
        pending = unfinished(lock, self.ports)
        left = pending.deployment if pending and pending.phase in UNSUCCESSFUL else lock.want
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
            smoke_test=request.smoke_test,
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
        begun = self.ports.releases.release(rollback_id)
        is_mine = is_new and (begun is None or begun.row.hist[:1] == rollback.hist)
        said = () if is_mine or begun is None else _what_stands(begun.row, request)
        return RollbackStarted(rollback_id=rollback_id, is_new=is_mine, notes=(*notes, *said))

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

    Repeatable. A run that has not begun to switch finds the lost lock by itself. A newer release may have gone live
    between the request and the switch: then it is that one's deployment that went.
    """
    if work.release.environment is Environment.TEST:
        return
    planned = str(work.run.evidence.get(ROLLS_BACK) or "")
    _mark(work, ports, planned, work.run.deployment)
    ledger = ports.endpoints.ledger(Environment.PRODUCTION, work.run.circuit)
    taken_back = next((row.previous for row in ledger if row.release_id == work.release.release_id), "")
    if taken_back not in {"", work.run.deployment}:
        _mark(work, ports, activated_by(ledger, taken_back), taken_back)


def _mark(work: Work, ports: Ports, release_id: str, deployment: str) -> None:
    found = ports.releases.release_and_run(release_id, work.run.circuit) if release_id else None
    if found is None or found[1].row.deployment != deployment:
        return
    event = CircuitRolledBack(
        at=ports.clock.now(),
        by=work.release.requested_by,
        why=f"{work.release.release_id}: {work.release.reason_asked}",
    )
    Dispatcher(ports).to_run(found[0], found[1], event)


def _what_stands(first: Release, request: RollbackRequest) -> tuple[str, ...]:
    return (*_reason_that_stands(first, request), *_no_smoke_test(first, request))


def _reason_that_stands(first: Release, request: RollbackRequest) -> tuple[str, ...]:
    """What is said to a caller whose own reason is recorded nowhere, because the rollback had been asked for before."""
    if first.reason_asked == request.reason:
        return ()
    whom = first.requested_by or "nobody known"
    asked = f"{first.release_id} was asked for at {timestamp(first.created_at)} by {whom}"
    return (f"{asked}; its reason stands, this request's is not recorded: {first.reason_asked}",)


def _listed(problems: Sequence[str]) -> str:
    hidden = len(problems) - MOST_PROBLEMS
    return "; ".join(problems[:MOST_PROBLEMS]) + (f"; and {hidden} more" if hidden > 0 else "")


def _no_smoke_test(first: Release, request: RollbackRequest) -> tuple[str, ...]:
    if first.smoke_test or not request.smoke_test:
        return ()
    return (f"{first.release_id} was asked for without a smoke test, so none follows it",)


def _fingerprint(request: RollbackRequest) -> str:
    """Equal for identical requests, whoever sends them."""
    circuits, only = (",".join(sorted(map(str, names))) for names in (request.circuits, request.only))
    said = (request.environment, request.release_id, request.plant_id, circuits, only, request.to)
    return hashlib.sha256("|".join(said).encode()).hexdigest()
