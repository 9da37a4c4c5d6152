"""Unit: the control queue carries out what it is told, and refuses what belongs elsewhere."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.application.control import Control
from shared.application.messages import message_id
from shared.application.ports import Sendable
from shared.application.postponing import MOST_POSTPONED
from shared.domain.commands import (
    FanOut,
    LookForDrift,
    NoteLedger,
    Prune,
    ReadArtifact,
    RefreshGate,
    RunStep,
    SendNotice,
    StepKind,
)
from shared.domain.errors import ConfigurationError, PermanentError, PipelineError, TransientError
from shared.domain.model import FANOUT_START, CircuitPhase, GateName, ReleasePhase, Round
from tests.support.builders import CIRCUIT, RELEASE_ID
from tests.support.fakes_state import nothing
from tests.support.pipeline_world import PipelineWorld, artifact, artifact_path


def test_a_step_does_not_belong_on_the_control_queue(world: PipelineWorld) -> None:
    """It is refused, and ends as a dead letter that names it."""
    step = RunStep(
        release_id=RELEASE_ID, circuit=CIRCUIT, gen=1, kind=StepKind.INSPECT, phase=CircuitPhase.INSPECTING, n=0
    )

    with pytest.raises(PermanentError, match="PLANT001/CIRCUIT01: inspect does not belong"):
        Control(world.ports).handle(step)


def test_an_artifact_read_again_starts_its_release(world: PipelineWorld) -> None:
    """R57."""
    world.evidence.upload(artifact_path(RELEASE_ID), artifact([CIRCUIT]), at=world.clock.now())

    Control(world.ports).handle(ReadArtifact(path=artifact_path(RELEASE_ID)))

    assert world.phase() is ReleasePhase.INSPECTING


def test_one_release_takes_three_messages_per_fan_out(world: PipelineWorld) -> None:
    """R3, R52: the document's three circuits, in every round."""
    world.start()
    world.to_phase(ReleasePhase.SUCCEEDED)

    steps = [command for command in world.bus.sent if isinstance(command, RunStep) and command.n == 0]
    first = {
        StepKind.INSPECT: CircuitPhase.INSPECTING,
        StepKind.PROMOTE: CircuitPhase.PROMOTING,
        StepKind.DEPLOY: CircuitPhase.DEPLOYING_TEST,
        StepKind.ACTIVATE: CircuitPhase.ACTIVATING,
    }
    for kind, phase in first.items():
        assert len([step for step in steps if (step.kind, step.phase) == (kind, phase)]) == 3


CONTROL = [
    FanOut(release_id=RELEASE_ID, gen=1, round=Round.INSPECTION, cursor=FANOUT_START),
    SendNotice(release_id=RELEASE_ID, row_key="n|x", n=0),
    Prune(release_id=RELEASE_ID),
    LookForDrift(n=1),
    RefreshGate(release_id=RELEASE_ID, gate=GateName.REGISTRY, n=1),
    NoteLedger(release_id=RELEASE_ID, gen=1),
]


TROUBLES = [TransientError("storage is down"), ConfigurationError("403: the role was taken away")]


@pytest.mark.parametrize("trouble", TROUBLES, ids=["down", "forbidden"])
@pytest.mark.parametrize("command", CONTROL, ids=lambda command: type(command).__name__)
def test_with_the_store_down_a_control_message_is_postponed_and_does_not_use_up_its_deliveries(
    world: PipelineWorld, command: Sendable, trouble: PipelineError
) -> None:
    """Rule 8: an outage of hours, or a role that is missing for as long, costs a look every five minutes, no release."""
    world.break_store(trouble)
    waits, ids = [], {message_id(command)}
    for _ in range(9):
        Control(world.ports).handle(command)
        [command] = world.bus.take()
        waits.append(command.delay.total_seconds())
        ids.add(message_id(command))
        world.clock.forward(command.delay)

    assert waits == [5, 10, 20, 40, 80, 160, 300, 300, 300]
    assert len(ids) == 10, "duplicate detection would drop one with the same id"


def test_what_state_refuses_for_a_day_becomes_a_dead_letter(world: PipelineWorld) -> None:
    """Not an outage any more: the host gives it up after ten tries, and its dead letter is seen."""
    world.break_store()
    given_up = replace(CONTROL[0], postponed=MOST_POSTPONED)

    with pytest.raises(TransientError, match="storage is down"):
        Control(world.ports).handle(given_up)

    assert world.bus.take() == []


def test_a_page_that_was_postponed_after_its_write_sends_its_messages(world: PipelineWorld) -> None:
    """Rule 2: the rows stand and the bus was down; without a sweeper nobody else would send them."""
    world.start()
    [fan_out] = world.bus.take()
    world.bus.on_request = _down_once(world)

    Control(world.ports).handle(fan_out)
    [again] = [command for command in world.bus.take() if isinstance(command, FanOut)]
    Control(world.ports).handle(again)

    steps = [command for command in world.bus.take() if isinstance(command, RunStep)]
    assert len(steps) == 3


@pytest.mark.parametrize("columns", [{"postponed": 1}, {"revived": 1}])
def test_a_page_that_came_again_by_itself_is_healed_like_a_redelivered_one(
    world: PipelineWorld, columns: dict[str, int]
) -> None:
    """Postponed, or back from the dead-letter queue: the host counts it as a first delivery, the message knows better."""
    world.start()
    [fan_out] = world.bus.take()
    Control(world.ports).handle(fan_out)
    world.bus.take()

    Control(world.ports).handle(replace(fan_out, **columns))

    steps = [command for command in world.bus.take() if isinstance(command, RunStep)]
    assert len(steps) == 3


def _down_once(world: PipelineWorld) -> Callable[[str], None]:
    def refuse(_request: str) -> None:
        world.bus.on_request = nothing
        raise TransientError("the bus is down")

    return refuse


@pytest.mark.parametrize("trouble", TROUBLES, ids=["down", "forbidden"])
def test_with_state_and_bus_down_a_control_message_goes_back_to_the_host(
    world: PipelineWorld, trouble: PipelineError
) -> None:
    """After a moment: the host delivers it again at once."""
    world.break_store()

    def down(_request: str) -> None:
        raise trouble

    world.bus.on_request = down

    with pytest.raises(TransientError, match="storage is down"):
        Control(world.ports).handle(Prune(release_id=RELEASE_ID))
    assert world.clock.pauses == [timedelta(seconds=1)]
