"""Step: make the frozen previous deployment production's default again, by want and converge (D11)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from shared.application.diagnosis import failed
from shared.application.endpoints import (
    LOOK_AGAIN,
    Converged,
    MovedOn,
    NeverSwitched,
    Wanted,
    converge,
    hand_over,
    want_previous,
    want_rolled_back,
)
from shared.application.live import is_other_circuits
from shared.application.locks import IMPORTED, LockLost
from shared.application.plans import TARGET
from shared.application.ports import Ports, ProvisioningState
from shared.application.work import Work
from shared.domain.errors import PermanentError
from shared.domain.events import CircuitEvent, CircuitRestored, StepFailed, StillRunning
from shared.domain.model import Environment, ProcessKind

ROLLBACK_LOOKS = (timedelta(seconds=10), timedelta(seconds=12), timedelta(seconds=5))
"""When to look at a switch under way. Two looks see the end of one that takes 20 s: with the look at the target, the
endpoint and the switch itself that is five calls per circuit."""


def restore(work: Work, ports: Ports) -> CircuitEvent | StillRunning:
    """One look at one circuit's way back. What was never switched needs none."""
    if work.release.kind is ProcessKind.ROLLBACK:
        return _roll_back(work, ports)
    match want_previous(work, ports):
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
        return _cannot_be_unset(work, ports) or StillRunning(facts=facts, transient=str(error))
    match reached:
        case Converged(default=run.previous_deployment):
            return CircuitRestored(at=ports.clock.now(), why=f"{run.previous_deployment or 'no default'} is back")
        case _:
            wait = min(LOOK_AGAIN, work.release.policy.poll)
            return _cannot_be_unset(work, ports) or StillRunning(check_in=wait, facts=facts)


def _cannot_be_unset(work: Work, ports: Ports) -> StepFailed | None:
    """A first activation, and the service has kept the default until the deadline however often it was asked."""
    run = work.run
    if run.previous_deployment or ports.clock.now() < run.since + work.release.policy.restore_limit:
        return None
    told = f"{run.deployment} on {run.endpoint} is new, could not be unset"
    return failed(ports, told, (f"next: delete {run.endpoint} if it must not serve, else start a new release for it",))


# ------------------------------------------------------------------------------------------------ rollbacks


def _roll_back(work: Work, ports: Ports) -> CircuitEvent | StillRunning:
    """R42: the target is looked at first, then the endpoint is taken over, switched, and re-read."""
    seen = _Target() if TARGET in work.run.evidence else _look_at_target(work, ports)
    if seen.problem:
        next_action = "next: put it right or name another deployment in `to`, then ask for the rollback again"
        return failed(ports, f"{seen.problem}; nothing was changed", (next_action,))
    match want_rolled_back(work, ports):
        case LockLost() as lost:
            return hand_over(work.release.environment, work.run, lost, ports)
        case MovedOn():
            return StillRunning()
        case Wanted(lock=lock):
            return _to_target(work, ports, {"fence": lock.fence, **seen.facts})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    """What a look at the deployment to go back to has shown."""

    problem: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)


def _look_at_target(work: Work, ports: Ports) -> _Target:
    """Does it exist, can it serve, is it this circuit's?"""
    run = work.run
    target = ports.models.deployment(work.release.environment, run.endpoint, run.previous_deployment)
    if target is None:
        return _Target(problem=f"{run.previous_deployment} does not exist on {run.endpoint}")
    if target.state is not ProvisioningState.SUCCEEDED:
        return _Target(problem=f"{run.previous_deployment} on {run.endpoint} is {target.state}, it can't serve")
    if is_other_circuits(target, run.model_name) and not _was_imported(work, ports):
        return _Target(problem=f"{run.previous_deployment} runs {target.model_id}, which is not {run.model_name}")
    told = {"deployment": target.name, "state": target.state, "model": target.model_id}
    return _Target(facts={"evidence": {TARGET: told}})


def _was_imported(work: Work, ports: Ports) -> bool:
    """R59: what was live before us may run a model of any name."""
    ledger = ports.endpoints.ledger(work.release.environment, work.run.circuit)
    return any((row.deployment, row.release_id) == (work.run.previous_deployment, IMPORTED) for row in ledger)


def _to_target(work: Work, ports: Ports, facts: Mapping[str, object]) -> CircuitEvent | StillRunning:
    run, now = work.run, ports.clock.now()
    try:
        reached = converge(work.release.environment, run.circuit, run.endpoint, ports)
    except PermanentError as error:
        return StillRunning(facts=facts, transient=str(error))
    match reached:
        case Converged(default=run.previous_deployment):
            seconds = round((now - work.release.created_at).total_seconds(), 1)
            told = {"from": run.deployment, "to": run.previous_deployment, "seconds": seconds}
            return CircuitRestored(at=now, why=f"{run.previous_deployment} is back", evidence={"rollback": told})
        case _:
            wait = ROLLBACK_LOOKS[min(run.poll_n, len(ROLLBACK_LOOKS) - 1)]
            return StillRunning(check_in=min(wait, work.release.policy.poll), facts=facts)
