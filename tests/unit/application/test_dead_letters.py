"""Unit: every dead letter ends visible, and none comes again for ever."""

from datetime import timedelta

import pytest

from shared.application.dead_letters import DeadLetters
from shared.application.messages import to_json
from shared.application.ports import Sendable
from shared.domain.commands import FanOut, ReadArtifact, RunStep, SendNotice, StepKind
from shared.domain.model import FANOUT_START, CircuitPhase, ReleasePhase, Round
from shared.domain.naming import deployment_name
from tests.support.builders import CIRCUIT, RELEASE_ID, a_release, a_run
from tests.support.pipeline_world import ALL_CIRCUITS, PipelineWorld

REASON = "MaxDeliveryCountExceeded"
FAN_OUT = FanOut(release_id=RELEASE_ID, gen=1, round=Round.INSPECTION, cursor=FANOUT_START)
STEP = RunStep(release_id=RELEASE_ID, circuit=CIRCUIT, gen=1, kind=StepKind.INSPECT, phase=CircuitPhase.INSPECTING, n=0)


def bury(world: PipelineWorld, command: Sendable | bytes) -> None:
    body = command if isinstance(command, bytes) else to_json(command).encode()
    DeadLetters(world.ports).handle(body, REASON)


@pytest.mark.parametrize(
    "body", [b"", b"\xff\xfe", b"[]", b'{"v":2}', b'{"v":1,"kind":"inspect"}', b"x" * 200_000, b"[" * 100_000]
)
def test_noise_is_logged_and_over(world: PipelineWorld, body: bytes) -> None:
    """Rule 9: it never comes again, whatever it holds."""
    bury(world, body)

    assert world.bus.sent == []
    assert world.releases.rows == {}


def test_a_dead_step_makes_its_circuit_errored_and_the_round_ends(world: PipelineWorld) -> None:
    """I10: a visible failure of the release, with the reason."""
    world.put(a_release(total=1), a_run())

    bury(world, STEP)

    assert world.circuit().phase is CircuitPhase.ERRORED
    assert world.phase() is ReleasePhase.FAILED
    assert REASON in world.release().reason


def test_a_dead_step_of_an_earlier_look_changes_nothing(world: PipelineWorld) -> None:
    """Rule 9: gen, phase and n must equal the row's."""
    world.put(a_release(total=1), a_run(poll_n=3))

    bury(world, STEP)

    assert world.circuit().phase is CircuitPhase.INSPECTING


@pytest.mark.parametrize(
    "command",
    [FAN_OUT, SendNotice(release_id=RELEASE_ID, row_key="n|x", n=0), ReadArtifact(path="a/changed_circuits.json")],
)
def test_a_dead_control_message_is_driven_three_times(world: PipelineWorld, command: Sendable) -> None:
    """Each time under a new id, half a minute later."""
    world.put(a_release(total=1, fanout_cursor=FANOUT_START))
    letters = [command]
    for _ in range(4):
        world.bus.take()
        bury(world, letters[-1])
        letters += [sent for sent in world.bus.take() if isinstance(sent, type(command))]

    assert [letter.redrive for letter in letters] == [0, 1, 2, 3]
    assert {letter.delay for letter in letters[1:]} == {timedelta(seconds=30)}


def test_a_fan_out_that_dies_for_good_fails_the_release(world: PipelineWorld) -> None:
    """Nothing waits for ever."""
    world.put(a_release(fanout_cursor=FANOUT_START))

    for redrive in range(4):
        bury(world, FanOut(release_id=RELEASE_ID, gen=1, round=Round.INSPECTION, cursor="", redrive=redrive))

    assert world.phase() is ReleasePhase.FAILED
    assert "inspection work was given up" in world.release().reason


def test_an_activation_that_can_not_be_handed_out_takes_back_what_it_began(world: PipelineWorld) -> None:
    """D11: circuits of earlier pages are still at it; all old, never in between."""
    world.release_all()
    world.clock.forward(timedelta(days=1))
    world.models.operation_time = timedelta(seconds=40)
    second = "20251211.1"
    world.start(second, build="2")
    world.to_phase(ReleasePhase.ACTIVATING, second)
    world.run(lambda: world.lock().want == deployment_name(second))
    world.change(world.release(second), fanout_cursor="c|PLANT001|CIRCUIT02")

    bury(
        world,
        FanOut(release_id=second, gen=1, round=Round.ACTIVATION, cursor="c|PLANT001|CIRCUIT02", redrive=3),
    )
    world.run()

    assert world.phase(second) is ReleasePhase.FAILED
    assert [world.live_default(circuit) for circuit in ALL_CIRCUITS] == [deployment_name(RELEASE_ID)] * 3


@pytest.mark.parametrize("columns", [{"gen": 2}, {"phase": ReleasePhase.SUCCEEDED}])
def test_a_dead_fan_out_of_the_past_fails_nothing(world: PipelineWorld, columns: dict[str, object]) -> None:
    """Its generation, or its round, is over."""
    release = a_release(**{"fanout_cursor": FANOUT_START, **columns})  # type: ignore[arg-type]  # columns
    world.put(release)

    bury(world, FanOut(release_id=RELEASE_ID, gen=1, round=Round.INSPECTION, cursor="", redrive=3))

    assert world.release() == release


def test_a_dead_fan_out_of_an_earlier_round_fails_nothing(world: PipelineWorld) -> None:
    """The release has gone on in the same generation; what died is history."""
    world.put(a_release(phase=ReleasePhase.TESTING), a_run(phase=CircuitPhase.SMOKE_TESTING, todo=Round.TEST))

    bury(world, FanOut(release_id=RELEASE_ID, gen=1, round=Round.INSPECTION, cursor="", redrive=3))

    assert world.phase() is ReleasePhase.TESTING
