"""Unit: retry and cancel, as operators ask for them."""

from datetime import timedelta

import pytest

from shared.domain.errors import RequestRefused
from shared.domain.model import CircuitPhase, Environment, GateName, ReleasePhase
from tests.support.builders import CIRCUIT, NOW, OTHER_CIRCUIT, RELEASE_ID, a_release, a_run
from tests.support.pipeline_world import PipelineWorld, dev_tags

MODEL, VERSION = "plant001-circuit01", "12345-2025-11-01"
ENDPOINT = "be-plant001-circuit01"


@pytest.fixture
def not_validated(world: PipelineWorld) -> PipelineWorld:
    """A release that failed inspection because one model is not validated."""
    world.start()
    world.models.change_dev_model(MODEL, VERSION, tags={**dev_tags(CIRCUIT), "validated": "True"})
    world.run()
    assert world.phase() is ReleasePhase.FAILED
    return world


def retry(world: PipelineWorld, **exclude: str) -> None:
    world.operations().retry(RELEASE_ID, by="ops", reason="fixed", exclude=exclude)


def test_a_retry_resumes_where_it_failed_with_the_failed_circuits_only(not_validated: PipelineWorld) -> None:
    """The others keep what they have; the generation grows."""
    not_validated.models.change_dev_model(MODEL, VERSION, tags=dev_tags(CIRCUIT))
    looked = len(not_validated.models.calls("smoke_input"))

    retry(not_validated)
    not_validated.run(lambda: not_validated.phase() is ReleasePhase.AWAITING_REGISTRY_APPROVAL)

    assert not_validated.release().gen == 2
    assert len(not_validated.models.calls("smoke_input")) == looked + 1
    assert not_validated.release().reason == ""


def test_a_retry_may_leave_the_bad_circuit_out(not_validated: PipelineWorld) -> None:
    """R58: one bad circuit need not stop the others for ever."""
    not_validated.operations().retry(RELEASE_ID, by="ops", reason="go on", exclude={str(CIRCUIT): "no model"})
    not_validated.to_phase(ReleasePhase.SUCCEEDED)

    assert not_validated.phases() == [CircuitPhase.EXCLUDED, CircuitPhase.LIVE, CircuitPhase.LIVE]


def test_a_retry_that_leaves_every_circuit_out_has_nothing_to_do(not_validated: PipelineWorld) -> None:
    """R58: nobody has overtaken it, so it is not superseded."""
    left_out = {str(run.circuit): "sensors are being replaced" for run in not_validated.runs()}
    not_validated.operations().retry(RELEASE_ID, by="ops", reason="go on", exclude=left_out)
    not_validated.run()

    assert not_validated.phases() == [CircuitPhase.EXCLUDED] * 3
    assert not_validated.phase() is ReleasePhase.NOTHING_TO_DO


def test_a_retry_can_not_leave_out_a_circuit_that_is_not_in_it(not_validated: PipelineWorld) -> None:
    """422, and nothing happens."""
    with pytest.raises(RequestRefused) as refused:
        not_validated.operations().retry(RELEASE_ID, by="ops", reason="go on", exclude={"PLANT9/CIRCUIT9": "no"})

    assert refused.value.status == 422
    assert not_validated.release().gen == 1


@pytest.mark.parametrize("phase", sorted(set(ReleasePhase) - {ReleasePhase.FAILED, ReleasePhase.EXPIRED}))
def test_only_failed_or_expired_releases_can_be_retried(world: PipelineWorld, phase: ReleasePhase) -> None:
    """409 for all others, with the reason."""
    world.put(a_release(phase=phase))

    with pytest.raises(RequestRefused) as refused:
        retry(world)

    assert refused.value.status == 409
    assert phase in refused.value.detail


def test_operations_on_a_release_nobody_knows_are_not_found(world: PipelineWorld) -> None:
    """404."""
    for ask in (lambda: retry(world), lambda: world.operations().cancel(RELEASE_ID, by="ops", reason="why")):
        with pytest.raises(RequestRefused) as refused:
            ask()
        assert refused.value.status == 404


def test_a_failed_test_is_retried_with_the_models_already_promoted(world: PipelineWorld) -> None:
    """R17: no second version; the failed deployment is deleted first and made again."""
    world.models.fail_deployments_on(Environment.TEST, ENDPOINT, "no capacity")
    world.start()
    world.to_phase(ReleasePhase.AWAITING_REGISTRY_APPROVAL)
    world.answer(GateName.REGISTRY)
    world.run()
    assert world.phase() is ReleasePhase.FAILED
    assert "no capacity" in world.release().reason
    assert world.models.production_writes() == []

    world.models.heal_deployments_on(Environment.TEST, ENDPOINT)
    world.clock.forward(timedelta(minutes=5))
    retry(world)
    world.to_phase(ReleasePhase.SUCCEEDED)

    assert len(world.models.registry_writes()) == 3
    assert [call.args["name"] for call in world.models.calls("delete_deployment")] == ["deployment-20251210-1"]


def test_a_failure_after_gate_2_asks_gate_2_again(world: PipelineWorld) -> None:
    """With fresh evidence; the circuits that were staged are staged again under a fresh lock."""
    world.start()
    world.to_phase(ReleasePhase.AWAITING_PRODUCTION_APPROVAL)
    world.models.fail_deployments_on(Environment.PRODUCTION, ENDPOINT, "no capacity")
    world.answer(GateName.PRODUCTION)
    world.run()
    assert world.phase() is ReleasePhase.FAILED
    first = world.gate(GateName.PRODUCTION)

    world.models.heal_deployments_on(Environment.PRODUCTION, ENDPOINT)
    world.clock.forward(timedelta(minutes=5))
    retry(world)

    assert world.phase() is ReleasePhase.AWAITING_PRODUCTION_APPROVAL
    assert world.gate(GateName.PRODUCTION).nonce != first.nonce
    world.to_phase(ReleasePhase.SUCCEEDED)
    assert world.phases() == [CircuitPhase.LIVE] * 3


@pytest.mark.parametrize(
    "phase",
    [ReleasePhase.INSPECTING, ReleasePhase.PROMOTING, ReleasePhase.TESTING, ReleasePhase.STAGING_PRODUCTION],
)
def test_a_cancellation_during_a_round_is_remembered_until_it_ends(world: PipelineWorld, phase: ReleasePhase) -> None:
    """Every stage ends only after all its circuits have."""
    world.put(a_release(phase=phase))

    world.operations().cancel(RELEASE_ID, by="ops", reason="wrong build")

    assert (world.phase(), world.release().cancel_requested_by) == (phase, "ops")


def test_a_cancelled_gate_ends_the_release_at_once(world: PipelineWorld) -> None:
    """Nobody works, so nobody has to end first."""
    world.start()
    world.to_phase(ReleasePhase.AWAITING_REGISTRY_APPROVAL)

    world.operations().cancel(RELEASE_ID, by="ops", reason="wrong build")

    assert (world.phase(), world.release().reason) == (ReleasePhase.CANCELLED, "wrong build")


@pytest.mark.parametrize(
    "phase", [ReleasePhase.ACTIVATING, ReleasePhase.REVERTING, ReleasePhase.SUCCEEDED, ReleasePhase.FAILED]
)
def test_once_production_is_being_switched_it_is_too_late_to_cancel(world: PipelineWorld, phase: ReleasePhase) -> None:
    """409; a rollback is the way from there."""
    world.put(a_release(phase=phase), a_run(since=NOW))

    with pytest.raises(RequestRefused) as refused:
        world.operations().cancel(RELEASE_ID, by="ops", reason="wrong build")

    assert refused.value.status == 409


def test_cancelling_twice_is_refused(world: PipelineWorld) -> None:
    """It is being cancelled already."""
    world.put(a_release(), a_run(), a_run(OTHER_CIRCUIT))
    world.operations().cancel(RELEASE_ID, by="ops", reason="wrong build")

    with pytest.raises(RequestRefused):
        world.operations().cancel(RELEASE_ID, by="ops", reason="wrong build")
