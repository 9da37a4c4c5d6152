"""Step: make the frozen previous deployment production's default again, by want and converge (D11)."""

from shared.application.diagnosis import failed
from shared.application.endpoints import (
    LOOK_AGAIN,
    Converged,
    LockLost,
    MovedOn,
    NeverSwitched,
    Wanted,
    converge,
    want_previous,
)
from shared.application.ports import Ports
from shared.application.work import Work
from shared.domain.errors import PermanentError
from shared.domain.events import CircuitEvent, CircuitRestored, CircuitSuperseded, StepFailed, StillRunning
from shared.domain.model import Environment


def restore(work: Work, ports: Ports) -> CircuitEvent | StillRunning:
    """One look at one circuit's way back. What was never switched needs none."""
    match want_previous(work, ports):
        case LockLost(owner=owner):
            return CircuitSuperseded(at=ports.clock.now(), why=f"{owner} has taken the endpoint over")
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
    return failed(work, ports, f"{run.deployment} on {run.endpoint} is new, could not be unset")
