"""Unit: the troubleshooting recipes run by themselves and land where people look (R49-R51)."""

from datetime import timedelta

import pytest

from shared.application.summary import diagnosis, failure_report
from shared.domain.errors import PermanentError
from shared.domain.model import CircuitPhase, GateName, Moment, ReleasePhase
from shared.pages.mails import render_mail
from tests.support.builders import CIRCUIT
from tests.support.circuit_world import ESTATE
from tests.support.fake_models import JobPlan
from tests.support.pipeline_world import PipelineWorld

HOURS = timedelta(hours=2)


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
        "compute in production: Succeeded",
        "the Registry has plant001-circuit01 version 20251210-1",
        "next: look at be-plant001-circuit01 in the production workspace",
    ):
        assert line in report


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
    ("plan", "said"),
    [
        (JobPlan(takes=HOURS), "test-data/PLANT001/CIRCUIT01/ holds test_input.csv"),
        (JobPlan(statuses=("Failed",)), "in the Test workspace"),
        (JobPlan(predictions=None), "in the Test workspace"),
    ],
    ids=["time", "status", "output"],
)
def test_a_failed_smoke_test_ends_in_what_to_do_next(world: PipelineWorld, plan: JobPlan, said: str) -> None:
    """R50; and the report's last line is the one next action."""
    world.models.plan_job(CIRCUIT, plan)
    world.start()
    world.to_phase(ReleasePhase.AWAITING_REGISTRY_APPROVAL)
    world.answer(GateName.REGISTRY)

    report = ended(world)

    assert any(said in line for line in diagnosis(world.circuit()))
    assert diagnosis(world.circuit())[-1].startswith("next: open job smoke-")
    assert report.splitlines()[-2].startswith("Next: remove the cause, then POST /api/releases/20251210.1/retry")


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
