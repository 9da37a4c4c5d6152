"""Step: make the tested deployment Test's default, and later the staged one Production's, by want and converge."""

from dataclasses import replace

from shared.application.convergence import LOOK_AGAIN, Converged, Converging, converge, hand_over
from shared.application.diagnosis import ASK_AGAIN, failed
from shared.application.differences import default_changed
from shared.application.live import live_evidence, read_live
from shared.application.live_again import score_live_again
from shared.application.locks import LockLost, marks
from shared.application.ports import Ports
from shared.application.side_by_side import side_by_side
from shared.application.wants import (
    BeingChanged,
    MovedOn,
    NotAsStaged,
    OnHold,
    Wanted,
    raise_fence,
    want_in_test,
    want_live,
)
from shared.application.work import Work
from shared.domain.errors import IllegalTransition, PermanentError
from shared.domain.events import (
    ActivationSkipped,
    CircuitActivated,
    CircuitEvent,
    CircuitHeld,
    StepFailed,
    StillRunning,
    TestDefaultSet,
)
from shared.domain.model import UNSUCCESSFUL, CircuitPhase, Environment
from shared.domain.naming import timestamp
from shared.domain.process import LIVE_INSTEAD


def activate(work: Work, ports: Ports) -> CircuitEvent | StillRunning:
    """One look at one circuit's switch of default."""
    match work.run.phase:
        case CircuitPhase.ACTIVATING_TEST:
            return _in_test(work, ports)
        case CircuitPhase.ACTIVATING:
            return _in_production(work, ports)
        case phase:
            raise IllegalTransition(f"{work.run.circuit} is {phase}: there is nothing to activate")


def _in_test(work: Work, ports: Ports) -> CircuitEvent | StillRunning:
    run = work.run
    if isinstance(want_in_test(work, ports), MovedOn):
        return StillRunning()
    match converge(Environment.TEST, run.circuit, run.test_endpoint, ports):
        case Converging():
            return StillRunning(check_in=min(LOOK_AGAIN, work.release.policy.poll))
        case Converged(default=default):
            why = "" if default == run.deployment else f"a newer release's {default} stays Test's default"
    live = read_live(run, ports, ports.models.endpoint(Environment.PRODUCTION, run.endpoint))
    if waiting := score_live_again(work, ports, live):
        return waiting
    fresh = live.name != run.live_deployment
    models = ports.models.dev_models(run.model_name) if fresh else ()
    evidence: dict[str, object] = {"live": live_evidence(run, ports, live, models)} if fresh else {}
    evidence["side_by_side"] = side_by_side(run, ports, live)
    evidence |= marks(ports, run, run.evidence)
    return TestDefaultSet(at=ports.clock.now(), why=why, live_deployment=live.name, evidence=evidence)


def _in_production(work: Work, ports: Ports) -> CircuitEvent | StillRunning:
    """D11: before the deadline nothing fails a switch; what a service refused may pass when asked again."""
    if not work.run.previous_deployment and (early := _not_yet(work, ports)):
        return early
    try:
        wanted = want_live(work, ports)
    except PermanentError as error:
        return StillRunning(transient=str(error))
    match wanted:
        case LockLost() as lost:
            return hand_over(Environment.PRODUCTION, work.run, lost, ports)
        case MovedOn():
            return StillRunning()
        case OnHold(why=why):
            return CircuitHeld(at=ports.clock.now(), why=why)
        case BeingChanged():
            return StillRunning(check_in=min(LOOK_AGAIN, work.release.policy.poll))
        case NotAsStaged(default=default):
            return _not_as_staged(work, ports, default)
        case Wanted():
            return _switch(work, ports, wanted)


def _not_yet(work: Work, ports: Ports) -> ActivationSkipped | StillRunning | None:
    """D11: what has no predecessor goes last, because it may be impossible to undo."""
    release_id, died = work.release.release_id, work.release.died
    if not died and ports.releases.predecessors_pending(release_id):
        return StillRunning(restart_clock=True)
    if (died or ports.releases.any_in(release_id, UNSUCCESSFUL)) and raise_fence(work, ports):
        return ActivationSkipped(at=ports.clock.now(), why="another circuit could not be activated")
    return None


def _not_as_staged(work: Work, ports: Ports, default: str) -> StepFailed:
    run = work.run
    was = f"{run.previous_deployment or '(none)'} was live when it was staged, now {default or '(none)'} is"
    found = failed(
        ports,
        f"changed since it was staged: {was}; the circuit was not switched",
        (f"next: find out who changed {run.endpoint}, then {default_changed(run.circuit)}; {ASK_AGAIN}",),
    )
    return replace(found, evidence={**found.evidence, LIVE_INSTEAD: default})


def _switch(work: Work, ports: Ports, wanted: Wanted) -> CircuitEvent | StillRunning:
    run, fence = work.run, wanted.lock.fence
    facts = {"fence": fence}
    try:
        reached = converge(Environment.PRODUCTION, run.circuit, run.endpoint, ports, seen=wanted.seen)
    except PermanentError as error:
        return StillRunning(facts=facts, transient=str(error))
    now = ports.clock.now()
    match reached:
        case Converged(default=run.deployment):
            return CircuitActivated(at=now, fence=fence, evidence={"activated": {"at": timestamp(now)}})
        case _:
            return StillRunning(check_in=min(LOOK_AGAIN, work.release.policy.poll), facts=facts)
