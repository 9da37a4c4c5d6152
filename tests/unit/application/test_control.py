"""Unit: the control queue carries out what it is told, and refuses what belongs elsewhere."""

import pytest

from shared.application.control import Control
from shared.domain.commands import ReadArtifact, RunStep, StepKind
from shared.domain.errors import PermanentError
from shared.domain.model import CircuitPhase, ReleasePhase
from tests.support.builders import CIRCUIT, RELEASE_ID
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
