"""Unit: the candidate's predictions beside those of the model that is live in production."""

import json
from collections.abc import Mapping

import pytest

from shared.application.views import ApprovalState, ApprovalView
from shared.domain.model import Environment, GateName, ReleasePhase
from shared.domain.naming import model_name
from shared.pages.render import render_approval
from tests.support.builders import CIRCUIT, RELEASE_ID
from tests.support.fake_models import PREDICTIONS, JobPlan
from tests.support.pipeline_world import PipelineWorld

FIRST, SECOND = RELEASE_ID, "20251211.1"
OTHER = b"row,prediction\n0,1.5\n1,3.5\n"


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
    assert (beside["unchanged"], beside["input_changed"]) == (False, False)
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


def test_a_changed_test_input_is_said(pipeline: PipelineWorld) -> None:
    """Differences may come from the data."""
    pipeline.models.plan_job(CIRCUIT, JobPlan(predictions=OTHER))
    pipeline.start(SECOND, CIRCUIT, build="12399")
    pipeline.models.add_smoke_input(CIRCUIT, content=b"x\n7\n8\n")
    pipeline.to_phase(ReleasePhase.AWAITING_PRODUCTION_APPROVAL, SECOND)
    beside = pipeline.circuit(CIRCUIT, SECOND).evidence["side_by_side"]
    assert isinstance(beside, Mapping)
    assert beside["input_changed"] is True


def test_nothing_live_is_said(pipeline: PipelineWorld) -> None:
    """A first release has nothing beside it."""
    beside = pipeline.circuit(CIRCUIT, FIRST).evidence["side_by_side"]
    assert beside == {"absent": "nothing is live in production"}


def test_predictions_that_are_gone_are_said(pipeline: PipelineWorld) -> None:
    """Kept by an older version of the app, or cleaned away: absent, and the release goes on."""
    pipeline.evidence.blobs = {k: v for k, v in pipeline.evidence.blobs.items() if "/predictions/" not in k}
    assert second(pipeline)["absent"] == "no predictions of deployment-20251210-1 are kept"
    assert PREDICTIONS in pipeline.evidence.blobs.values()


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
