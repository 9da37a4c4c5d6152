"""Unit: the candidate's predictions beside those of the model that is live in production."""

import json
from collections.abc import Callable, Mapping
from datetime import timedelta

import pytest

from shared.application.evidence import attention
from shared.application.views import ApprovalState, ApprovalView
from shared.domain.errors import PermanentError
from shared.domain.model import CircuitPhase, Environment, GateName, ReleasePhase
from shared.domain.naming import model_name
from shared.pages.render import render_approval
from tests.support.builders import CIRCUIT, RELEASE_ID
from tests.support.fake_models import JobPlan
from tests.support.pipeline_world import PipelineWorld

FIRST, SECOND = RELEASE_ID, "20251211.1"
OTHER = b"row,prediction\n0,1.5\n1,3.5\n"

type Spoil = Callable[[PipelineWorld], None]


@pytest.fixture
def pipeline() -> PipelineWorld:
    """One release is live."""
    world = PipelineWorld()
    world.release_all(FIRST, CIRCUIT)
    return world


def second(world: PipelineWorld) -> Mapping[str, object]:
    """What gate 2 of a second release shows beside the first."""
    world.start(SECOND, CIRCUIT, build="12399")
    world.to_phase(ReleasePhase.AWAITING_PRODUCTION_APPROVAL, SECOND)
    beside = world.circuit(CIRCUIT, SECOND).evidence["side_by_side"]
    assert isinstance(beside, Mapping)
    return beside


def shown(world: PipelineWorld) -> str:
    """The frozen evidence of gate 2."""
    content = world.evidence.get(world.gate(GateName.PRODUCTION, SECOND).evidence_blob)
    assert content
    return content.decode()


def test_predictions_that_differ_are_told_with_their_distance(pipeline: PipelineWorld) -> None:
    """Issue 3, item 9: rows that differ, mean and largest difference; no job is started for it."""
    pipeline.models.plan_job(CIRCUIT, JobPlan(predictions=OTHER))
    beside = second(pipeline)
    assert (beside["deployment"], beside["release_id"]) == ("deployment-20251210-1", FIRST)
    assert beside["told"] == "1 of 2 rows differ, by 0.5 on average, by 1 at most"
    assert beside["unchanged"] is False
    assert "1 of 2 rows differ" in shown(pipeline)
    assert len(pipeline.models.calls("start_smoke_job")) == 2


def test_unchanged_predictions_of_a_changed_model_ask_for_attention(pipeline: PipelineWorld) -> None:
    """The wrong model was deployed, or it learned nothing: a person should look, nothing is blocked."""
    beside = second(pipeline)
    assert (beside["unchanged"], beside["same_model"]) == (True, False)
    assert "side by side: predictions are those of deployment-20251210-1, unchanged although" in shown(pipeline)
    pipeline.to_phase(ReleasePhase.SUCCEEDED, SECOND)


def test_the_same_model_may_predict_the_same(pipeline: PipelineWorld) -> None:
    """A second release of one content is no finding."""
    pipeline.start(SECOND, CIRCUIT, build="12399")
    content = pipeline.models.dev_content_hash(model_name(CIRCUIT), "12399-2025-11-01")
    pipeline.change(pipeline.circuit(CIRCUIT, FIRST), source_hash=content)
    pipeline.to_phase(ReleasePhase.AWAITING_PRODUCTION_APPROVAL, SECOND)
    beside = pipeline.circuit(CIRCUIT, SECOND).evidence["side_by_side"]
    assert isinstance(beside, Mapping)
    assert (beside["differ"], beside["same_model"], beside["unchanged"]) == (0, True, False)


def changed_input(world: PipelineWorld) -> None:
    """A second release, as far as its tested deployment becoming Test's default; its test input is a new one."""
    world.start(SECOND, CIRCUIT, build="12399")
    world.models.add_smoke_input(CIRCUIT, content=b"x\n7\n8\n")
    world.to_phase(ReleasePhase.AWAITING_REGISTRY_APPROVAL, SECOND)
    world.answer(GateName.REGISTRY, release_id=SECOND)
    world.run(lambda: world.circuit(CIRCUIT, SECOND).phase is CircuitPhase.ACTIVATING_TEST)


def beside(world: PipelineWorld) -> Mapping[str, object]:
    world.to_phase(ReleasePhase.AWAITING_PRODUCTION_APPROVAL, SECOND)
    found = world.circuit(CIRCUIT, SECOND).evidence["side_by_side"]
    assert isinstance(found, Mapping)
    return found


def test_the_live_model_scores_a_changed_input_too(pipeline: PipelineWorld) -> None:
    """Issue 3, item 9: on the same data, so its Test deployment, kept from pruning, runs once more, and only once."""
    changed_input(pipeline)
    pipeline.models.plan_job(CIRCUIT, JobPlan(predictions=OTHER))

    found = beside(pipeline)

    assert found["told"] == "1 of 2 rows differ, by 0.5 on average, by 1 at most"
    started = [call.args["deployment"] for call in pipeline.models.calls("start_smoke_job")]
    assert started == ["deployment-20251210-1", "deployment-20251211-1", "deployment-20251210-1"]
    pipeline.to_phase(ReleasePhase.SUCCEEDED, SECOND)


def test_a_service_that_names_jobs_itself_scores_it_once_as_well(pipeline: PipelineWorld) -> None:
    """D14: the name that it gave is remembered."""
    changed_input(pipeline)
    pipeline.models.plan_job(CIRCUIT, JobPlan(predictions=OTHER, honour_name=False))
    assert "absent" not in beside(pipeline)
    assert len(pipeline.models.calls("start_smoke_job")) == 3


def refuse(world: PipelineWorld) -> None:
    world.models.fail_next("start_smoke_job", PermanentError("deployment-20251210-1 was deleted by hand"))


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (refuse, "deleted by hand"),
        (lambda world: world.models.plan_job(CIRCUIT, JobPlan(statuses=("Failed",))), "ended as Failed"),
        (lambda world: world.models.plan_job(CIRCUIT, JobPlan(predictions=None)), "left no predictions"),
        (lambda world: world.models.plan_job(CIRCUIT, JobPlan(takes=timedelta(hours=3))), "did not end within"),
    ],
    ids=["refused", "failed", "nothing", "never ends"],
)
def test_a_live_model_that_cannot_score_it_blocks_nothing(pipeline: PipelineWorld, spoil: Spoil, why: str) -> None:
    """Issue 3, item 9: on the same data or not at all; why not is told to who approves; within the step's deadline."""
    changed_input(pipeline)
    spoil(pipeline)

    found = beside(pipeline)

    assert "told" not in found
    assert "the test input has changed since deployment-20251210-1 was tested, and it was not scored" in str(found)
    assert why in str(found["absent"])
    assert f"side by side: nothing was compared: {found['absent']}" in attention(pipeline.circuit(CIRCUIT, SECOND))
    assert not [job for job in pipeline.models.cancelled_jobs if job.startswith("smoke-")]
    pipeline.to_phase(ReleasePhase.SUCCEEDED, SECOND)


def test_a_job_that_never_ends_is_cancelled(pipeline: PipelineWorld) -> None:
    """It would go on costing money."""
    changed_input(pipeline)
    pipeline.models.plan_job(CIRCUIT, JobPlan(takes=timedelta(hours=3)))
    beside(pipeline)
    (cancelled,) = pipeline.models.cancelled_jobs
    assert cancelled.startswith("beside-")


def test_nothing_live_is_said(pipeline: PipelineWorld) -> None:
    """A first release has nothing beside it."""
    beside = pipeline.circuit(CIRCUIT, FIRST).evidence["side_by_side"]
    assert beside == {"absent": "nothing is live in production"}


def without_predictions(world: PipelineWorld) -> None:
    world.evidence.blobs = {k: v for k, v in world.evidence.blobs.items() if "/predictions/" not in k}


def test_predictions_that_are_gone_are_made_again(pipeline: PipelineWorld) -> None:
    """Kept by an older version of the app, or cleaned away."""
    without_predictions(pipeline)
    assert second(pipeline)["differ"] == 0
    assert len(pipeline.models.calls("start_smoke_job")) == 3


def test_predictions_that_cannot_be_had_are_said(pipeline: PipelineWorld) -> None:
    """Absent, with both reasons, and the release goes on."""
    changed_input(pipeline)
    pipeline.evidence.blobs = {
        k: v for k, v in pipeline.evidence.blobs.items() if not k.startswith(f"{FIRST}/predictions/")
    }
    refuse(pipeline)
    told = beside(pipeline)["absent"]
    assert told == (
        "no predictions of deployment-20251210-1 are kept, and it was not scored again: "
        "deployment-20251210-1 was deleted by hand"
    )


def test_a_deployment_from_before_us_has_no_predictions() -> None:
    """R59: an adopted endpoint."""
    world = PipelineWorld()
    world.models.add_endpoint(Environment.PRODUCTION, f"be-{model_name(CIRCUIT)}", default="deployment-of-old")
    world.start(SECOND, CIRCUIT)
    world.to_phase(ReleasePhase.AWAITING_PRODUCTION_APPROVAL, SECOND)
    beside = world.circuit(CIRCUIT, SECOND).evidence["side_by_side"]
    assert isinstance(beside, Mapping)
    assert "deployment-of-old was not tested by this pipeline" in str(beside["absent"])


def test_the_approvers_page_shows_the_comparison(pipeline: PipelineWorld) -> None:
    """In the card of the circuit, beside the smoke test."""
    pipeline.models.plan_job(CIRCUIT, JobPlan(predictions=OTHER))
    second(pipeline)
    view = ApprovalView(
        state=ApprovalState.OPEN,
        release=pipeline.release(SECOND),
        gate=pipeline.gate(GateName.PRODUCTION, SECOND),
        evidence=json.loads(shown(pipeline)),
        now=pipeline.clock.now(),
    )
    page = render_approval(view)
    assert "Beside the live model" in page
    assert "deployment-20251210-1: 1 of 2 rows differ, by 0.5 on average, by 1 at most" in page
