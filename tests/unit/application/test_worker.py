"""Unit: one message, one look; late, repeated and dead messages change nothing they should not."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.application.ports import Ports
from shared.application.work import Work
from shared.application.worker import Worker
from shared.domain.commands import RunStep, StepKind
from shared.domain.errors import PermanentError, TransientError
from shared.domain.events import CircuitEvent, ModelChosen, StillRunning
from shared.domain.model import CircuitPhase, ReleasePhase, Round
from shared.domain.process import run_step
from tests.support.builders import CIRCUIT, NOW, OTHER_CIRCUIT, RELEASE_ID, a_release, a_run
from tests.support.pipeline_world import PipelineWorld

CHOSEN = ModelChosen(at=NOW, source_version="1", source_hash="h", source_tags={}, live_deployment="")


@pytest.fixture
def inspecting(world: PipelineWorld) -> PipelineWorld:
    world.put(a_release(total=2), a_run(), a_run(OTHER_CIRCUIT))
    return world


def message(world: PipelineWorld, kind: StepKind = StepKind.INSPECT) -> RunStep:
    return run_step(world.circuit(), kind)


def worker(world: PipelineWorld, step: Callable[[Work, Ports], CircuitEvent | StillRunning]) -> Worker:
    return Worker(world.ports, steps=dict.fromkeys(StepKind, step))


def gives(outcome: CircuitEvent | StillRunning) -> Callable[[Work, Ports], CircuitEvent | StillRunning]:
    return lambda _work, _ports: outcome


def raises(error: Exception) -> Callable[[Work, Ports], CircuitEvent | StillRunning]:
    def step(_work: Work, _ports: Ports) -> CircuitEvent:
        raise error

    return step


def never(_work: Work, _ports: Ports) -> CircuitEvent:
    raise AssertionError("the step must not run")


def test_a_fact_moves_the_circuit(inspecting: PipelineWorld) -> None:
    """The step gives the fact, the tables say what it means."""
    worker(inspecting, gives(CHOSEN)).handle(message(inspecting))

    assert inspecting.circuit().phase is CircuitPhase.INSPECTED


def test_what_still_runs_is_looked_at_again_in_thirty_seconds(inspecting: PipelineWorld) -> None:
    """R24, rule 6: nothing long blocks a function; the row says when it is due."""
    worker(inspecting, gives(StillRunning())).handle(message(inspecting))

    [command] = inspecting.bus.sent
    assert isinstance(command, RunStep)
    assert (command.n, command.delay) == (1, timedelta(seconds=30))
    assert inspecting.circuit().due_at == NOW + timedelta(seconds=120)


def test_a_poll_costs_one_read_and_one_write(inspecting: PipelineWorld) -> None:
    """Issue 2, counted: release and circuit come in one request."""
    command = message(inspecting)
    inspecting.releases.requests.clear()

    worker(inspecting, gives(StillRunning())).handle(command)

    assert dict(inspecting.releases.requests) == {"release_and_run": 1, "commit": 1}


def test_a_transition_costs_three_requests(inspecting: PipelineWorld) -> None:
    """Load, write, scan."""
    command = message(inspecting)
    inspecting.releases.requests.clear()

    worker(inspecting, gives(CHOSEN)).handle(command)

    assert dict(inspecting.releases.requests) == {"release_and_run": 1, "commit": 1, "any_pending": 1}


def test_a_transient_error_keeps_the_phase_and_backs_off(inspecting: PipelineWorld) -> None:
    """Rule 8: 5, 10, 20 seconds."""
    broken = worker(inspecting, raises(TransientError("429")))
    delays = []
    for _ in range(3):
        broken.handle(message(inspecting))
        delays.append(inspecting.bus.sent[-1].delay)

    assert delays == [timedelta(seconds=5), timedelta(seconds=10), timedelta(seconds=20)]
    assert (inspecting.circuit().phase, inspecting.circuit().attempt) == (CircuitPhase.INSPECTING, 3)


def test_the_services_own_wish_decides_when_to_come_back(inspecting: PipelineWorld) -> None:
    """Retry-After."""
    worker(inspecting, raises(TransientError("429", retry_after=timedelta(seconds=77)))).handle(message(inspecting))

    assert inspecting.bus.sent[-1].delay == timedelta(seconds=77)


def test_a_permanent_error_fails_the_circuit_with_its_words(inspecting: PipelineWorld) -> None:
    """The thing said no."""
    worker(inspecting, raises(PermanentError("quota exceeded"))).handle(message(inspecting))

    assert (inspecting.circuit().phase, inspecting.circuit().error) == (CircuitPhase.FAILED, "quota exceeded")


def test_past_its_deadline_a_circuit_is_errored_not_failed(inspecting: PipelineWorld) -> None:
    """Rule 8: inspection has ten minutes; technology broke, a retry can help."""
    inspecting.clock.forward(timedelta(minutes=10))

    worker(inspecting, raises(TransientError("503"))).handle(message(inspecting))

    run = inspecting.circuit()
    assert run.phase is CircuitPhase.ERRORED
    assert "did not end within 0:10:00" in run.error
    assert "503" in run.error


def test_the_last_look_lands_on_the_deadline(inspecting: PipelineWorld) -> None:
    """Sooner than thirty seconds, if that is what is left."""
    inspecting.clock.forward(timedelta(minutes=9, seconds=50))

    worker(inspecting, gives(StillRunning())).handle(message(inspecting))

    assert inspecting.bus.sent[-1].delay == timedelta(seconds=10)


@pytest.mark.parametrize("columns", [{"gen": 2}, {"poll_n": 1}, {"phase": CircuitPhase.INSPECTED}])
def test_a_message_about_the_past_is_dropped(inspecting: PipelineWorld, columns: dict[str, object]) -> None:
    """Another gen, another look, another phase: stale polls would breed chains."""
    command = message(inspecting)
    inspecting.change(inspecting.circuit(), **columns)

    worker(inspecting, never).handle(command)

    assert inspecting.bus.sent == []


def test_a_message_for_a_circuit_nobody_knows_is_dropped(world: PipelineWorld) -> None:
    """Forged, or older than our memory."""
    command = RunStep(
        release_id="20200101.1", circuit=CIRCUIT, gen=1, kind=StepKind.INSPECT, phase=CircuitPhase.INSPECTING, n=0
    )

    worker(world, never).handle(command, redelivered=True)

    assert world.bus.sent == []


def test_a_message_whose_kind_does_not_belong_to_its_phase_is_dropped(inspecting: PipelineWorld) -> None:
    """Forged: nobody sends an activation to a circuit under inspection, and it must not fail the circuit."""
    forged = message(inspecting, StepKind.ACTIVATE)

    worker(inspecting, never).handle(forged)
    Worker(inspecting.ports).give_up(forged, "MaxDeliveryCountExceeded")

    assert inspecting.circuit().phase is CircuitPhase.INSPECTING


def test_a_redelivered_stale_message_sends_again_what_the_state_implies(inspecting: PipelineWorld) -> None:
    """Rule 2: it may have died between commit and send."""
    command = message(inspecting)
    inspecting.change(inspecting.circuit(), phase=CircuitPhase.PROMOTING, todo=Round.PROMOTION)

    worker(inspecting, never).handle(command, redelivered=True)

    [again] = inspecting.bus.sent
    assert isinstance(again, RunStep)
    assert (again.kind, again.phase) == (StepKind.PROMOTE, CircuitPhase.PROMOTING)


def test_a_redelivered_stale_message_runs_a_fan_in_that_was_lost(inspecting: PipelineWorld) -> None:
    """It may have died between the circuit's row and the release's."""
    command = message(inspecting)
    for run in inspecting.runs():
        inspecting.change(run, phase=CircuitPhase.INSPECTED, todo=Round.NONE)

    worker(inspecting, never).handle(command, redelivered=True)

    assert inspecting.phase() is ReleasePhase.AWAITING_REGISTRY_APPROVAL


def test_with_the_state_out_of_reach_the_message_comes_again_under_a_new_id(inspecting: PipelineWorld) -> None:
    """Rule 8: our own storage is like any other service."""
    command = message(inspecting)

    def down(_request: str) -> None:
        raise TransientError("storage is down")

    inspecting.releases.on_request = down
    worker(inspecting, never).handle(replace(command, redrive=2))

    [again] = inspecting.bus.sent
    assert again == replace(command, redrive=3, delay=timedelta(seconds=20))


def test_with_the_bus_down_too_the_worker_waits_a_moment_and_raises(inspecting: PipelineWorld) -> None:
    """Then the host delivers the message again."""

    def down(_request: str) -> None:
        raise TransientError("everything is down")

    inspecting.releases.on_request = inspecting.bus.on_request = down

    with pytest.raises(TransientError, match="everything is down"):
        worker(inspecting, never).handle(
            RunStep(
                release_id=RELEASE_ID, circuit=CIRCUIT, gen=1, kind=StepKind.INSPECT, phase=CircuitPhase.INSPECTING, n=0
            )
        )
    assert inspecting.clock.pauses == [timedelta(seconds=1)]


def test_a_dead_message_makes_its_circuit_errored(inspecting: PipelineWorld) -> None:
    """Rule 9: a dead message is a failed step, not a silent hang."""
    Worker(inspecting.ports).give_up(message(inspecting), "MaxDeliveryCountExceeded")

    run = inspecting.circuit()
    assert run.phase is CircuitPhase.ERRORED
    assert "MaxDeliveryCountExceeded" in run.error


def test_a_dead_message_about_an_earlier_look_changes_nothing(inspecting: PipelineWorld) -> None:
    """Rule 9: only if gen, phase and n equal the row's."""
    command = message(inspecting)
    inspecting.change(inspecting.circuit(), poll_n=1)

    Worker(inspecting.ports).give_up(command, "MaxDeliveryCountExceeded")

    assert inspecting.circuit().phase is CircuitPhase.INSPECTING


def test_a_late_message_that_may_have_written_a_default_puts_it_right(world: PipelineWorld) -> None:
    """Rule 10: stale activate and restore messages run converge before they are dropped."""
    world.release_all(RELEASE_ID, CIRCUIT)
    world.release_all("20251211.1", CIRCUIT, build="2")
    late = RunStep(
        release_id=RELEASE_ID, circuit=CIRCUIT, gen=1, kind=StepKind.ACTIVATE, phase=CircuitPhase.ACTIVATING, n=0
    )
    world.models.change_default(world.lock().environment, "be-plant001-circuit01", "deployment-20251210-1")

    world.handle(late)
    world.run()

    assert world.live_default() == "deployment-20251211-1"
