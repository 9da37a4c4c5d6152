"""Step: make the frozen previous deployment production's default again, by want and converge (D11)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from shared.application.convergence import LOOK_AGAIN, Converged, Converging, converge, hand_over, note_seen_live
from shared.application.diagnosis import failed
from shared.application.live import is_anothers
from shared.application.locks import LockLost
from shared.application.plans import TARGET
from shared.application.ports import Endpoint, Ports
from shared.application.wants import MovedOn, NeverSwitched, NotAsSeen, Wanted, want_previous, want_rolled_back
from shared.application.way_back import WaysBack
from shared.application.work import Work
from shared.domain.errors import PermanentError, TransientError
from shared.domain.events import CircuitEvent, CircuitRestored, StepFailed, StillRunning
from shared.domain.model import Environment, ProcessKind

FIRST_LOOK, NEXT_LOOKS = timedelta(seconds=10), timedelta(seconds=12)
"""When to look at a rollback's switch under way. Two looks see the end of one that takes 20 s: with the look at the
target, the endpoint and the switch itself that is five calls per circuit."""


def restore(work: Work, ports: Ports) -> CircuitEvent | StillRunning:
    """One look at one circuit's way back. What was never switched needs none."""
    if work.release.kind is ProcessKind.ROLLBACK:
        return _roll_back(work, ports)
    try:
        wanted = want_previous(work, ports)
    except PermanentError as error:  # D11: before its deadline nothing fails a way back
        return StillRunning(transient=str(error))
    match wanted:
        case LockLost() as lost:
            return hand_over(Environment.PRODUCTION, work.run, lost, ports)
        case NeverSwitched():
            return CircuitRestored(at=ports.clock.now(), why="was never switched")
        case MovedOn():
            return StillRunning()
        case Wanted(lock=lock):
            return _switch_back(work, ports, lock.fence)


def _switch_back(work: Work, ports: Ports, fence: int) -> CircuitEvent | StillRunning:
    run = work.run
    facts = {"fence": fence}
    try:
        reached = converge(Environment.PRODUCTION, run.circuit, run.endpoint, ports)
    except PermanentError as error:
        return _cannot_be_unset(work, ports, str(error)) or StillRunning(facts=facts, transient=str(error))
    match reached:
        case Converged(default=run.previous_deployment):
            note_seen_live(reached, ports)
            return CircuitRestored(at=ports.clock.now(), why=f"{run.previous_deployment or 'no default'} is back")
        case _:
            wait = min(LOOK_AGAIN, work.release.policy.poll)
            return _cannot_be_unset(work, ports) or StillRunning(check_in=wait, facts=facts)


def _cannot_be_unset(work: Work, ports: Ports, last: str = "") -> StepFailed | None:
    """A first activation, and the service has kept the default until the deadline however often it was asked."""
    run = work.run
    if run.previous_deployment or ports.clock.now() < run.since + work.release.policy.restore_limit:
        return None
    told = f"{run.deployment} on {run.endpoint} is new, could not be unset{f' (last: {last})' if last else ''}"
    return failed(ports, told, (f"next: delete {run.endpoint} if it must not serve, else start a new release for it",))


# ------------------------------------------------------------------------------------------------ rollbacks


def _roll_back(work: Work, ports: Ports) -> CircuitEvent | StillRunning:
    """R42: the target is looked at first, then the endpoint is taken over, switched, and re-read."""
    seen = _Target() if TARGET in work.run.evidence else _look_at_target(work, ports)
    if seen.problem and not _has_begun(work, ports):
        next_action = "next: put it right or name another deployment in `to`, then ask for the rollback again"
        return failed(ports, f"{seen.problem}; nothing was changed", (next_action,))
    match want_rolled_back(work, ports):
        case LockLost() as lost:
            return hand_over(work.release.environment, work.run, lost, ports)
        case MovedOn():
            return StillRunning()
        case NotAsSeen(live=live):
            told = f"{live or 'nothing'} should be live by now, not {work.run.live_deployment} as the request said"
            next_action = "next: look at what is live now, then ask again with that in `from`, or without"
            return failed(ports, f"{told}; nothing was changed", (next_action,))
        case Wanted(lock=lock):
            other = seen.endpoint if seen.endpoint and seen.endpoint.default != lock.want else None
            return _to_target(work, ports, lock.fence, seen.facts, other)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    """What a look at the deployment to go back to has shown."""

    problem: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)
    """Evidence."""
    endpoint: Endpoint | None = None
    """As it was looked at beside it."""


def _look_at_target(work: Work, ports: Ports) -> _Target:
    run, environment = work.run, work.release.environment
    endpoint = ports.models.endpoint(environment, run.endpoint)
    if endpoint and is_anothers(endpoint, run.circuit):
        return _Target(problem=f"{run.endpoint} is tagged for another circuit")
    ways = WaysBack(ports=ports, environment=environment, circuit=run.circuit, endpoint=run.endpoint)
    seen = ways.look_at(run.target)
    if seen.problem or seen.deployment is None:
        return _Target(problem=seen.problem)
    told = {"deployment": run.target, "state": seen.deployment.state, "model": seen.deployment.model_id}
    return _Target(facts={TARGET: told}, endpoint=endpoint)


def _has_begun(work: Work, ports: Ports) -> bool:
    """Was the endpoint taken over already, and the look before that forgotten by a process that died?"""
    held = ports.endpoints.lock(work.release.environment, work.run.circuit)
    return held is not None and held.row.owner == work.run.release_id


def _to_target(
    work: Work, ports: Ports, fence: int, seen: Mapping[str, object], endpoint: Endpoint | None
) -> CircuitEvent | StillRunning:
    """Whatever breaks from here on, what was seen before is kept: the look at the target is not repeated."""
    run, facts = work.run, {"fence": fence, "evidence": seen}
    try:
        reached = converge(work.release.environment, run.circuit, run.endpoint, ports, seen=endpoint)
        if isinstance(reached, Converged):
            note_seen_live(reached, ports)
    except (PermanentError, TransientError) as error:
        wait = error.retry_after if isinstance(error, TransientError) else None
        return StillRunning(facts=facts, transient=str(error), check_in=wait)
    now = ports.clock.now()
    match reached:
        case Converged(default=run.target):
            seconds = round((now - work.release.created_at).total_seconds(), 1)
            told = {"from": run.leaves, "to": run.target, "seconds": seconds}
            return CircuitRestored(at=now, why=f"{run.target} is back", evidence={**seen, "rollback": told})
        case Converging(has_begun=True):
            return StillRunning(check_in=min(FIRST_LOOK, work.release.policy.poll), facts=facts)
        case _:
            return StillRunning(check_in=min(NEXT_LOOKS, work.release.policy.poll), facts=facts)
