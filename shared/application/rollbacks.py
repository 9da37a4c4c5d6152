"""Rollbacks: one call puts circuits back to their previous deployment, or to a named one (R42-R44, D6, D13)."""

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shared.application.plans import RollbackPlan
from shared.application.ports import Ports
from shared.application.rollback_repeats import answered, fingerprint
from shared.application.rollback_request import Locks, RollbackRequest
from shared.application.rollback_targets import OfRelease, Targets
from shared.application.rollback_unknown import refuse_unknown
from shared.domain.errors import RequestRefused, TransientError
from shared.domain.model import (
    Circuit,
    HistoryEntry,
    ProcessKind,
    Release,
    ReleasePhase,
)
from shared.domain.naming import ROLLBACK_PREFIX, timestamp
from shared.domain.process import fan_out
from shared.telemetry import log

__all__ = ["RollbackRequest", "RollbackStarted", "Rollbacks"]

MOST_PROBLEMS = 20


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
        done = answered(request, locks, self.ports)
        if done and len(done) == len(locks):
            newest = max(done.values(), key=lambda rollback: rollback.created_at)
            return RollbackStarted(rollback_id=newest.release_id, is_new=False, notes=_what_stands(newest, request))
        left = {circuit: lock for circuit, lock in locks.items() if circuit not in done}
        _refuse_outdated(request, left)
        plan, notes = self._plan(request, left)
        return self._start(request, plan, (*_left_out(done, locks), *notes))

    def plan(self, request: RollbackRequest) -> tuple[RollbackPlan, tuple[str, ...]]:
        """What the request would do now, and what is to be said about it. RequestRefused as above."""
        return self._plan(request, self._locks(request))

    def _plan(self, request: RollbackRequest, locks: Locks) -> tuple[RollbackPlan, tuple[str, ...]]:
        ways = Targets(
            ports=self.ports,
            environment=request.environment,
            release_id=request.release_id,
            to=request.to,
            of_release=self._of_release(request),
        )
        found = [ways.of(circuit, lock, seen=request.seen.get(circuit, "")) for circuit, lock in locks.items()]
        targets = tuple(one.target for one in found if one.target)
        problems = [one.problem for one in found if one.problem]
        if problems and (request.circuits or request.only or not targets):
            raise RequestRefused(409, "Nothing to go back to", f"{_listed(problems)}. Nothing was changed.")
        notes = (one.note for one in found if one.note)
        left_out = (f"left out: {problem}" for problem in problems)
        return RollbackPlan(environment=request.environment, targets=targets), (*notes, *left_out)

    def _of_release(self, request: RollbackRequest) -> OfRelease | None:
        """All its circuits in one read, after the locks: what a lock wants, its run has frozen before."""
        if not request.release_id or request.to:
            return None
        stored = self.ports.releases.release(request.release_id)
        runs = self.ports.releases.runs(request.release_id) if stored else ()
        return OfRelease(release=stored.row, runs={run.row.circuit: run.row for run in runs}) if stored else None

    # --------------------------------------------------------------------------------- what is asked for

    def known(self, request: RollbackRequest) -> Sequence[Circuit]:
        """The circuits that the request is about, whatever can be done with them. RequestRefused: 404."""
        return tuple(self._circuits(request))

    def _locks(self, request: RollbackRequest) -> Locks:
        circuits = [one for one in self._circuits(request) if not request.only or one in request.only]
        found = self.ports.endpoints.locks_of(request.environment, circuits)
        if request.circuits:
            refuse_unknown(circuits, found, request.environment, self.ports)
        return {circuit: found.get(circuit) for circuit in circuits}

    def _circuits(self, request: RollbackRequest) -> Sequence[Circuit]:
        if request.release_id:
            stored = self.ports.releases.release(request.release_id)
            if stored is None or stored.row.kind is not ProcessKind.RELEASE:
                raise RequestRefused(404, "No such release", f"There is no release {request.release_id!r}.")
            circuits = (found.row.circuit for found in self.ports.releases.runs(request.release_id))
            return tuple(one for one in circuits if not request.within or one in request.within)
        if request.plant_id:
            found = self.ports.endpoints.circuits(request.environment, request.plant_id)
            if not found:
                detail = f"No circuit of {request.plant_id} has an activation of ours in {request.environment}."
                raise RequestRefused(404, "Unknown plant", detail)
            return found
        return tuple(dict.fromkeys(request.circuits))

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
            request_digest=fingerprint(request),
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
        log.info("rollback started", action="rollback_started", release_id=rollback.release_id, circuits=rollback.total)
        notes = (*notes, *self._sent(rollback))
        begun = self.ports.releases.release(rollback_id)
        is_mine = is_new and (begun is None or begun.row.hist[:1] == rollback.hist)
        said = () if is_mine or begun is None else _what_stands(begun.row, request)
        return RollbackStarted(rollback_id=rollback_id, is_new=is_mine, notes=(*notes, *said))

    def _sent(self, rollback: Release) -> tuple[str, ...]:
        """It stands, whatever becomes of its message: the sweeper drives what nobody has begun."""
        try:
            self.ports.bus.send((fan_out(rollback),))
        except TransientError as error:
            log.warning("not sent", action="rollback_not_sent", release_id=rollback.release_id, error=error)
            minutes = self.ports.policy.overdue_after.total_seconds() / 60
            return (f"the message bus is out of reach: it begins when that is back, after {minutes:g} minutes or more",)
        return ()

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


def _refuse_outdated(request: RollbackRequest, locks: Locks) -> None:
    """409: something else than the caller believes should be live, and no rollback explains that."""
    outdated = [
        f"{circuit}: {lock.want or 'nothing'} should be live, not {request.seen[circuit]}"
        for circuit, lock in locks.items()
        if circuit in request.seen and lock is not None and request.seen[circuit] not in {lock.want, lock.live}
    ]
    if outdated:
        raise RequestRefused(409, "Outdated", f"{_listed(outdated)}. Look again, then decide.")


def _left_out(done: Mapping[Circuit, Release], locks: Locks) -> tuple[str, ...]:
    return tuple(
        f"left out: {circuit}: {by.release_id}, asked for at {timestamp(by.created_at)}, puts it back to "
        f"{lock.want if lock else 'nothing'}; name `from` or `to` to go further"
        for circuit, by in done.items()
        for lock in [locks[circuit]]
    )


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
