"""Unit: the troubleshooting recipes run by themselves and land where people look (R49-R51)."""

from datetime import timedelta

import pytest

from shared.application.next_action import diagnosis
from shared.application.summary import failure_report
from shared.domain.errors import PermanentError
from shared.domain.model import CircuitPhase, Environment, GateName, Moment, ReleasePhase
from shared.domain.naming import endpoint_tags
from shared.domain.remedy import Remedy
from shared.pages.mails import render_mail
from tests.support.builders import CIRCUIT, RELEASE_ID
from tests.support.circuit_world import ESTATE
from tests.support.fake_models import JobPlan
from tests.support.pipeline_world import PipelineWorld

HOURS = timedelta(hours=2)
RETRY = "remove the cause, then POST /api/releases/20251210.1/retry"


def ended(world: PipelineWorld) -> str:
    """The failed release as the failure report tells it."""
    world.run()
    assert world.phase() is ReleasePhase.FAILED
    return failure_report(world.release(), world.runs())


def test_a_deployment_that_never_stands_in_production_is_looked_into_at_its_deadline(world: PipelineWorld) -> None:
    """R51: technology broke, nothing said no, and still endpoint, compute and Registry are looked at."""
    world.start()
    world.to_phase(ReleasePhase.AWAITING_PRODUCTION_APPROVAL)
    world.models.operation_time = HOURS
    world.answer(GateName.PRODUCTION)

    report = ended(world)

    assert world.circuit().phase is CircuitPhase.ERRORED
    for line in (
        "endpoint be-plant001-circuit01 in production is Running, default (none)",
        "deployment deployment-20251210-1 does not exist",
        "compute in production: Succeeded",
        "the Registry has plant001-circuit01 version 20251210-1",
        "next: look at be-plant001-circuit01 in the production workspace; remove the cause, then retry the release",
    ):
        assert line in report


def test_a_deployment_stuck_in_creating_is_named_with_its_state(world: PipelineWorld) -> None:
    """R51: the endpoint stands, what never stands is said."""
    world.start()
    world.models.add_endpoint(Environment.TEST, "be-plant001-circuit01", tags=endpoint_tags(CIRCUIT))
    world.to_phase(ReleasePhase.AWAITING_REGISTRY_APPROVAL)
    world.models.operation_time = HOURS
    world.answer(GateName.REGISTRY)

    assert "deployment deployment-20251210-1 is still being made or changed" in ended(world)


def test_a_promotion_the_service_refuses_tells_what_dev_offers(world: PipelineWorld) -> None:
    """R49."""
    world.start()
    world.to_phase(ReleasePhase.AWAITING_REGISTRY_APPROVAL)
    world.models.fail_next("promote", PermanentError("the asset path is not allowed"), times=3)
    world.answer(GateName.REGISTRY)

    report = ended(world)

    assert "the Registry does not have plant001-circuit01 version 20251210-1" in report
    assert "Dev's candidates: version 12345-2025-11-01" in report


@pytest.mark.parametrize(
    ("plan", "said", "next_action"),
    [
        (JobPlan(takes=HOURS), "test-data/PLANT001/CIRCUIT01/ holds test_input.csv", RETRY),
        (JobPlan(statuses=("Failed",)), "in the Test workspace", RETRY),
        (JobPlan(predictions=None), "in the Test workspace", Remedy.MODEL.told("PLANT001/CIRCUIT01")),
    ],
    ids=["time", "status", "output"],
)
def test_a_failed_smoke_test_ends_in_what_to_do_next(
    world: PipelineWorld, plan: JobPlan, said: str, next_action: str
) -> None:
    """R50; and the report's last line is the one next action."""
    world.models.plan_job(CIRCUIT, plan)
    world.start()
    world.to_phase(ReleasePhase.AWAITING_REGISTRY_APPROVAL)
    world.answer(GateName.REGISTRY)

    report = ended(world)

    assert any(said in line for line in diagnosis(world.circuit()))
    assert diagnosis(world.circuit())[-1].startswith("next: open job smoke-")
    assert report.splitlines()[-2].startswith(f"Next: {next_action}")


def test_the_diagnosis_stands_in_the_mail_and_names_the_circuit_once(world: PipelineWorld) -> None:
    """Operators read it there first; `PLANT001/CIRCUIT01: PLANT001/CIRCUIT01: ...` helps nobody."""
    world.models.plan_job(CIRCUIT, JobPlan(predictions=None))
    world.start()
    world.to_phase(ReleasePhase.AWAITING_REGISTRY_APPROVAL)
    world.answer(GateName.REGISTRY)
    ended(world)

    letter = next(one for one in world.mail.letters if one.notice.moment is Moment.RELEASE_FAILED)
    text = render_mail(letter, ESTATE).text

    assert "next: open job smoke-" in text
    assert "PLANT001/CIRCUIT01: smoke test failed: the job left no predictions.csv" in world.release().reason
    assert "CIRCUIT01: PLANT001" not in text


def test_a_retry_forgets_the_diagnosis_of_the_try_before(world: PipelineWorld) -> None:
    """What was found then explains nothing now."""
    world.models.plan_job(CIRCUIT, JobPlan(predictions=None))
    world.start()
    world.to_phase(ReleasePhase.AWAITING_REGISTRY_APPROVAL)
    world.answer(GateName.REGISTRY)
    ended(world)
    world.models.plan_job(CIRCUIT, JobPlan())
    world.operations().retry(world.release().release_id, reason="repaired", by="ops", exclude={})
    world.to_phase(ReleasePhase.SUCCEEDED)

    assert diagnosis(world.circuit()) == ()


def change_dev_model(world: PipelineWorld) -> None:
    """Somebody takes the tag away that made the model eligible."""
    run = world.circuit()
    world.models.change_dev_model(run.model_name, run.source_version, tags={**run.source_tags, "validated": "false"})


def test_what_a_retry_cannot_mend_is_not_said_to_be_retried(world: PipelineWorld) -> None:
    """The model of one circuit is no longer the approved one: it needs a new release, the others a retry without it."""
    world.start()
    world.to_phase(ReleasePhase.AWAITING_REGISTRY_APPROVAL)
    world.answer(GateName.REGISTRY)
    change_dev_model(world)

    report = ended(world)

    assert "next: start a new release for it" in report
    assert diagnosis(world.circuit())[-1].startswith("next: start a new release for it")
    next_line = report.splitlines()[-2]
    assert next_line.startswith("Next: start a new release for PLANT001/CIRCUIT01: what was approved has changed")
    assert "for the others POST /api/releases/20251210.1/retry with “exclude” for PLANT001/CIRCUIT01" in next_line


def test_a_release_of_one_changed_circuit_has_nothing_left_to_retry(world: PipelineWorld) -> None:
    """The one next action is a new release; following it by a retry would fail in the same way."""
    world.start(RELEASE_ID, CIRCUIT)
    world.to_phase(ReleasePhase.AWAITING_REGISTRY_APPROVAL)
    world.answer(GateName.REGISTRY)
    change_dev_model(world)

    assert "retry with" not in ended(world)
    world.operations().retry(RELEASE_ID, reason="in vain", by="ops", exclude={})

    assert "a retry would take it again." in ended(world)


def test_a_default_that_changed_after_gate_2_is_asked_about_again(world: PipelineWorld) -> None:
    """Here a retry helps: the evidence is looked at anew, and what is live now becomes the previous deployment."""
    endpoint = "be-plant001-circuit01"
    world.models.add_endpoint(Environment.PRODUCTION, endpoint, default="by-hand-1", deployments=("by-hand-2",))
    world.start(RELEASE_ID, CIRCUIT)
    world.to_phase(ReleasePhase.AWAITING_PRODUCTION_APPROVAL)
    world.answer(GateName.PRODUCTION)
    world.models.change_default(Environment.PRODUCTION, endpoint, "by-hand-2")

    report = ended(world)
    assert f"next: find out who changed {endpoint}, then retry the release" in report
    assert "Next: remove the cause, then POST /api/releases/20251210.1/retry" in report

    world.operations().retry(RELEASE_ID, reason="it was the night shift", by="ops", exclude={})
    world.sweep_for(timedelta(minutes=3))
    world.to_phase(ReleasePhase.SUCCEEDED)
    assert world.circuit().previous_deployment == "by-hand-2"
