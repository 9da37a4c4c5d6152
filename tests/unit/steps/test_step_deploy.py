"""Unit: endpoint and deployment in Test and Production; the lock, and what is frozen under it."""

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.application.ports import DeploymentSpec
from shared.application.steps.deploy import deploy
from shared.domain import events  # a name that starts with Test, imported, would be collected
from shared.domain.errors import ConfigurationError, IllegalTransition, PermanentError, TransientError
from shared.domain.events import (
    CircuitSuperseded,
    ProductionLocked,
    ProductionStaged,
    StepFailed,
    StillRunning,
)
from shared.domain.model import CircuitPhase, Environment, ReleasePhase
from shared.domain.naming import endpoint_tags, release_seq, smoke_job_name
from tests.support.builders import CIRCUIT, OTHER_CIRCUIT, RELEASE_ID, a_ledger_entry, a_release, a_run
from tests.support.circuit_world import (
    CUTOFF,
    DEPLOYMENT,
    ENDPOINT,
    MODEL,
    OLD,
    OLD_RELEASE,
    PLACE,
    SEQ,
    VERSION,
    World,
    found,
)

TEST, PRODUCTION = Environment.TEST, Environment.PRODUCTION
NEWER, OLDER = "20251211.1", "20251209.1"


@pytest.fixture
def testing(world: World) -> World:
    """A promoted circuit that shall be deployed to Test."""
    world.promoted(CircuitPhase.DEPLOYING_TEST)
    return world


@pytest.fixture
def staging(world: World) -> World:
    """A locked circuit that shall be staged next to the live deployment."""
    world.promoted(CircuitPhase.STAGING, previous_deployment=OLD)
    world.with_live()
    return world


@pytest.fixture
def approved(world: World) -> World:
    """A circuit behind gate 2: tested, and production as the approver saw it."""
    job = smoke_job_name(RELEASE_ID, 1, CIRCUIT)
    world.promoted(CircuitPhase.LOCKING, live_deployment=OLD, job_name=job)
    world.with_test_endpoint()
    world.models.create_deployment(TEST, _test_spec(world))
    world.models.start_smoke_job(endpoint=ENDPOINT, deployment=DEPLOYMENT, circuit=CIRCUIT, job_name=job)
    for _ in range(3):
        world.models.job(job)
    world.with_live()
    world.put_lock(
        a_ledger_entry(fence=1, deployment=OLD, release_id=OLD_RELEASE),
        owner=OLD_RELEASE,
        owner_seq=release_seq(OLD_RELEASE),
        fence=1,
        want=OLD,
    )
    world.models.journal.clear()
    return world


def _test_spec(world: World) -> DeploymentSpec:
    world.change(phase=CircuitPhase.DEPLOYING_TEST)
    deploy(world.work(), world.ports)
    world.change(phase=CircuitPhase.LOCKING)
    return world.models.spec(TEST, ENDPOINT, DEPLOYMENT)


def failed(outcome: object) -> StepFailed:
    assert isinstance(outcome, StepFailed), outcome
    return outcome


# ------------------------------------------------------------------------------------------------- Test


def test_endpoint_and_deployment_are_made_step_by_step_without_waiting(testing: World) -> None:
    """R18-R21, R35: each look starts what is missing and returns."""
    testing.models.operation_time = timedelta(minutes=2)

    assert testing.look(deploy) == StillRunning()
    assert len(testing.models.calls("create_endpoint")) == 1
    assert testing.models.calls("create_deployment") == []
    event = testing.until_decided(deploy)

    assert isinstance(event, events.TestDeploymentReady)
    assert event.evidence["test_deployment"] == {"endpoint": ENDPOINT, "deployment": DEPLOYMENT, "seconds": 240.0}
    spec = testing.models.spec(TEST, ENDPOINT, DEPLOYMENT)
    assert (spec.model_name, spec.model_version) == (MODEL, VERSION)
    assert (spec.instance_count, spec.max_concurrency_per_instance, spec.mini_batch_size) == (1, 2, 10)
    assert (len(testing.models.calls("create_endpoint")), len(testing.models.calls("create_deployment"))) == (1, 1)
    assert testing.models.production_writes() == []


def test_a_new_endpoint_carries_our_tags_and_no_default(testing: World) -> None:
    """R59, D5: known as ours, and nothing is switched at creation."""
    testing.until_decided(deploy)

    endpoint = testing.models.endpoint(TEST, ENDPOINT)
    assert endpoint is not None
    assert (endpoint.tags, endpoint.default) == (endpoint_tags(CIRCUIT), "")


def test_an_existing_endpoint_is_reused_and_never_put(testing: World) -> None:
    """R19: a PUT without defaults would clear its default."""
    testing.with_test_endpoint(default="deployment-20251209-1")

    testing.until_decided(deploy)

    assert testing.models.calls("create_endpoint") == []
    assert testing.models.calls("set_default") == []
    assert testing.default(TEST) == "deployment-20251209-1"
    tags = testing.models.spec(TEST, ENDPOINT, DEPLOYMENT).tags
    assert tags["previous_deployment"] == "deployment-20251209-1"


def test_a_redelivered_message_makes_no_second_deployment(testing: World) -> None:
    """Each look reads first."""
    testing.until_decided(deploy)

    assert isinstance(testing.look(deploy), events.TestDeploymentReady)
    assert len(testing.models.calls("create_deployment")) == 1


@pytest.mark.parametrize("method", ["create_endpoint", "create_deployment"])
def test_a_lost_answer_is_found_out_at_the_next_look(testing: World, method: str) -> None:
    """A crash after the effect: nothing is made twice."""
    testing.models.fail_next(method, TransientError("connection lost"), after_effect=True)
    with pytest.raises(TransientError):
        testing.until_decided(deploy)

    assert isinstance(testing.until_decided(deploy), events.TestDeploymentReady)
    assert len(testing.models.calls(method)) == 1


def test_a_failed_deployment_fails_the_circuit_with_a_diagnosis(testing: World) -> None:
    """R22, R51: what the service said, endpoint, compute, model, and the next action."""
    testing.models.fail_deployments_on(TEST, ENDPOINT, "image build failed")

    event = failed(testing.until_decided(deploy))

    assert event.error.startswith("deployment in test failed:")
    assert f"{DEPLOYMENT} on {ENDPOINT} is Failed: image build failed" in event.error
    assert f"endpoint {ENDPOINT} in test is Succeeded" in found(event)
    assert "compute in test: Succeeded" in found(event)
    assert f"the Registry has {MODEL} version {VERSION}" in found(event)
    assert "next: " in found(event)
    assert testing.models.calls("delete_deployment") == []


def test_a_retry_deletes_the_failed_deployment_of_the_earlier_attempt_once(testing: World) -> None:
    """And a second failure is told, not deleted again and again."""
    testing.models.fail_deployments_on(TEST, ENDPOINT, "image build failed")
    failed(testing.until_decided(deploy))
    testing.clock.forward(timedelta(minutes=5))
    testing.change(gen=2, since=testing.clock.now())

    failed(testing.until_decided(deploy))

    assert len(testing.models.calls("delete_deployment")) == 1
    assert len(testing.models.calls("create_deployment")) == 2


def test_a_retry_keeps_a_deployment_that_had_succeeded(testing: World) -> None:
    """Only failed ones are made anew."""
    testing.until_decided(deploy)
    testing.clock.forward(timedelta(minutes=5))
    testing.change(gen=2, since=testing.clock.now())

    assert isinstance(testing.look(deploy), events.TestDeploymentReady)
    assert len(testing.models.calls("create_deployment")) == 1


@pytest.mark.parametrize("role", ["live", "previous"])
def test_a_failed_deployment_that_is_live_or_previous_is_never_deleted(staging: World, role: str) -> None:
    """Whatever the tags say."""
    staging.models.fail_deployments_on(PRODUCTION, ENDPOINT, "image build failed")
    failed(staging.until_decided(deploy))
    staging.clock.forward(timedelta(minutes=5))
    staging.change(gen=2, since=staging.clock.now())
    if role == "live":
        staging.models.change_default(PRODUCTION, ENDPOINT, DEPLOYMENT)
    else:
        staging.change(previous_deployment=DEPLOYMENT)

    failed(staging.until_decided(deploy))

    assert staging.models.calls("delete_deployment") == []


def test_a_deployment_of_another_release_is_not_touched(testing: World) -> None:
    """Its name is ours by chance."""
    testing.models.add_endpoint(TEST, ENDPOINT, deployments=[DEPLOYMENT], tags=endpoint_tags(CIRCUIT))

    assert "not of this release" in failed(testing.look(deploy)).error
    assert testing.models.calls("delete_deployment") == []


def test_a_deployment_of_another_model_is_not_taken_for_ours(testing: World) -> None:
    """R21: the model id is compared."""
    testing.models.add_endpoint(
        TEST,
        ENDPOINT,
        deployments=[DEPLOYMENT],
        tags=endpoint_tags(CIRCUIT),
        deployment_tags={"release_id": RELEASE_ID},
    )

    assert "runs another model" in failed(testing.look(deploy)).error


@pytest.mark.parametrize(
    ("registry", "is_ours"),
    [("mlr-shared", True), ("MLR-Shared", True), ("mlr-other", False), ("my-mlr-shared", False)],
)
def test_a_model_of_the_same_name_in_another_registry_is_not_ours(
    testing: World, registry: str, *, is_ours: bool
) -> None:
    """R21: name and version may be equal by chance, the Registry's name is compared as well."""
    testing.models.registry_name = registry

    outcome = testing.until_decided(deploy)

    assert isinstance(outcome, events.TestDeploymentReady) is is_ours
    assert is_ours or f"runs another model: azureml://registries/{registry}/models/{MODEL}/" in failed(outcome).error


def test_an_endpoint_of_another_circuit_is_not_deployed_to(testing: World) -> None:
    """Even if it was tagged after the inspection."""
    testing.models.add_endpoint(TEST, ENDPOINT, tags=endpoint_tags(OTHER_CIRCUIT))

    assert "tagged for another circuit" in failed(testing.look(deploy)).error
    assert testing.models.calls("create_deployment") == []


def test_a_model_missing_in_the_registry_is_diagnosed(testing: World) -> None:
    """R49, R51: Dev's candidates are listed."""
    testing.change(model_version="20251210-9")

    event = failed(testing.until_decided(deploy))

    assert f"the Registry does not have {MODEL} version 20251210-9" in found(event)
    assert "Dev's candidates: version 1" in found(event)


def test_a_diagnosis_that_can_not_look_says_so_and_hides_nothing(testing: World) -> None:
    """The failure itself stays in front."""
    testing.models.fail_deployments_on(TEST, ENDPOINT, "image build failed")
    testing.models.fail_next("compute_state", TransientError("503"))

    event = failed(testing.until_decided(deploy))

    assert "image build failed" in event.error
    assert "compute could not be looked at (503)" in found(event)


def test_a_missing_role_is_left_to_the_worker(testing: World) -> None:
    """Configuration is not the circuit's fault."""
    testing.models.fail_next("create_endpoint", ConfigurationError("403"))

    with pytest.raises(ConfigurationError):
        deploy(testing.work(), testing.ports)


def test_a_message_for_another_phase_does_nothing(world: World) -> None:
    """The table says which phases have something to deploy."""
    world.put(a_run(phase=CircuitPhase.TESTED))

    with pytest.raises(IllegalTransition):
        deploy(world.work(), world.ports)


# -------------------------------------------------------------------------------------------- Production


def test_staging_puts_the_new_deployment_beside_the_live_one(staging: World) -> None:
    """R35, R37, R40: four tags, the old deployment stays, the default is untouched."""
    staging.models.operation_time = timedelta(minutes=2)

    event = staging.until_decided(deploy)

    assert isinstance(event, ProductionStaged)
    assert event.evidence["staged"] == {"endpoint": ENDPOINT, "deployment": DEPLOYMENT, "seconds": 120.0}
    spec = staging.models.spec(PRODUCTION, ENDPOINT, DEPLOYMENT)
    assert (spec.instance_count, spec.max_concurrency_per_instance, spec.mini_batch_size) == (2, 4, 10)
    assert spec.tags == {
        "cutoff_date": CUTOFF,
        "release_id": RELEASE_ID,
        "deployed_at": "2025-12-10T09:00:00Z",
        "previous_deployment": OLD,
    }
    assert staging.default() == OLD
    assert [call.method for call in staging.models.production_writes()] == ["create_deployment"]


def test_the_first_release_of_a_circuit_makes_the_endpoint_without_a_default(world: World) -> None:
    """D6: previous_deployment is the empty string."""
    world.promoted(CircuitPhase.STAGING, previous_deployment="")

    assert isinstance(world.until_decided(deploy), ProductionStaged)
    assert world.models.spec(PRODUCTION, ENDPOINT, DEPLOYMENT).tags["previous_deployment"] == ""
    assert world.default() == ""


def test_a_failure_in_production_is_diagnosed(staging: World) -> None:
    """R51: endpoint provisioning, compute, model present in the Registry."""
    staging.models.fail_deployments_on(PRODUCTION, ENDPOINT, "no quota")

    event = failed(staging.until_decided(deploy))

    assert "no quota" in event.error
    assert f"endpoint {ENDPOINT} in production is Succeeded, default {OLD}" in found(event)
    assert "compute in production" in found(event)


# --------------------------------------------------------------------------------------- lock, then freeze


def test_locking_freezes_what_is_live_and_changes_nothing_in_azure(approved: World) -> None:
    """R36: the previous default is in state before any change."""
    event = approved.look(deploy)

    assert isinstance(event, ProductionLocked)
    assert (event.previous_deployment, event.warnings) == (OLD, ())
    lock = approved.lock()
    assert lock is not None
    assert (lock.owner, lock.owner_seq, lock.fence, lock.want) == (RELEASE_ID, SEQ, 2, OLD)
    assert approved.models.production_writes() == []
    assert approved.endpoints.requests["ledger"] == 0


def test_the_default_is_read_after_the_lock_is_taken(approved: World) -> None:
    """Read before, it might be changed by whoever held the lock."""
    order: list[str] = []
    approved.endpoints.on_request = order.append
    approved.models.before = order.append

    approved.look(deploy)

    assert order.index("write_lock") < order.index("endpoint")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"registry_tags": {"cutoff_date": CUTOFF}}, "has other tags"),
        ({"source_hash": "0" * 64}, "another content hash"),
        ({"model_version": "20251210-9"}, "version 20251210-9 is gone"),
        ({"job_name": "smoke-other"}, "smoke job smoke-other is gone"),
    ],
)
def test_what_the_approver_saw_is_read_again_before_any_write(
    approved: World, change: dict[str, object], said: str
) -> None:
    """Model version, tags, hash and smoke job."""
    approved.change(**change)

    error = failed(approved.look(deploy)).error

    assert error.startswith("changed since approval:")
    assert said in error
    assert approved.endpoints.requests["lock"] == 0
    assert approved.models.production_writes() == []


def test_a_default_changed_since_the_approval_fails_the_circuit(approved: World) -> None:
    """Somebody switched it by hand."""
    approved.models.change_default(PRODUCTION, ENDPOINT, "blue")

    error = failed(approved.look(deploy)).error

    assert f"{OLD} was live at approval, now blue is" in error


def test_an_older_release_of_ours_may_have_gone_live_meanwhile(approved: World) -> None:
    """It is the previous deployment then, and people are told."""
    between = "deployment-20251209-1"
    approved.models.change_default(PRODUCTION, ENDPOINT, between)
    approved.put_lock(
        a_ledger_entry(fence=2, deployment=between, previous=OLD, release_id=OLDER),
        owner=OLDER,
        owner_seq=release_seq(OLDER),
        fence=2,
        want=between,
    )

    event = approved.look(deploy)

    assert isinstance(event, ProductionLocked)
    assert event.previous_deployment == between
    assert f"release {OLDER} has gone live meanwhile" in event.warnings[0]


def test_a_rollback_since_the_approval_is_no_older_release(approved: World) -> None:
    """Known failure 12: a release must not silently undo it."""
    approved.models.change_default(PRODUCTION, ENDPOINT, "deployment-20251126-1")
    approved.put_lock(
        a_ledger_entry(fence=2, deployment="deployment-20251126-1", previous=OLD, release_id="rollback-1"),
        owner="rollback-1",
        owner_seq=release_seq(OLD_RELEASE),
        fence=2,
        want="deployment-20251126-1",
    )

    assert "changed since approval" in failed(approved.look(deploy)).error


def test_our_own_deployment_is_never_its_own_predecessor(approved: World) -> None:
    """Known failure 7: redelivered after the switch, the ledger knows what was before."""
    approved.models.create_deployment(PRODUCTION, approved.models.spec(TEST, ENDPOINT, DEPLOYMENT))
    approved.models.change_default(PRODUCTION, ENDPOINT, DEPLOYMENT)
    approved.put_lock(
        a_ledger_entry(fence=3, deployment=DEPLOYMENT, previous=OLD, release_id=RELEASE_ID), fence=3, want=DEPLOYMENT
    )

    event = approved.look(deploy)

    assert isinstance(event, ProductionLocked)
    assert event.previous_deployment == OLD


def test_without_a_ledger_row_the_frozen_predecessor_is_kept(approved: World) -> None:
    """And if that is our own name too, there is none."""
    approved.models.change_default(PRODUCTION, ENDPOINT, DEPLOYMENT)
    approved.endpoints.ledgers[PLACE].clear()

    for frozen, previous in ((OLD, OLD), (DEPLOYMENT, "")):
        approved.change(previous_deployment=frozen)
        event = approved.look(deploy)
        assert isinstance(event, ProductionLocked)
        assert event.previous_deployment == previous


def test_locking_again_gives_the_same_fact(approved: World) -> None:
    """Redelivery: the same predecessor, a higher fence, no ledger row."""
    first, again = approved.look(deploy), approved.look(deploy)

    assert isinstance(first, ProductionLocked)
    assert first == again
    assert len(approved.ledger()) == 1


def test_an_adopted_default_becomes_the_ledgers_first_row(approved: World) -> None:
    """R59: so that a rollback finds it."""
    approved.endpoints.ledgers[PLACE].clear()
    del approved.endpoints.locks[PLACE]

    event = approved.look(deploy)

    assert isinstance(event, ProductionLocked)
    assert event.previous_deployment == OLD
    [row] = approved.ledger()
    assert (row.deployment, row.previous, row.release_id, row.by) == (OLD, "", "imported", "imported")
    lock = approved.lock()
    assert lock is not None
    assert (lock.want, lock.fence, row.fence) == (OLD, 2, 2)
    assert approved.look(deploy) == event
    assert len(approved.ledger()) == 1


def test_a_first_release_freezes_the_absence_of_a_predecessor(approved: World) -> None:
    """D6: nothing to import, nothing to restore but nothing."""
    approved.models._endpoints.pop((PRODUCTION, ENDPOINT))
    del approved.endpoints.locks[PLACE]
    approved.change(live_deployment="")

    event = approved.look(deploy)

    assert isinstance(event, ProductionLocked)
    assert event.previous_deployment == ""
    lock = approved.lock()
    assert lock is not None
    assert (lock.fence, lock.want, lock.want_none) == (1, "", False)


def test_an_endpoint_in_transition_is_waited_for(approved: World) -> None:
    """A default read in the middle of a change says nothing."""
    approved.models.looks = 2
    approved.models.set_default(PRODUCTION, ENDPOINT, OLD)

    assert isinstance(approved.look(deploy), StillRunning)
    assert isinstance(approved.until_decided(deploy), ProductionLocked)


# ---------------------------------------------------------------------------------------------- overlap


@pytest.mark.parametrize("phase", [ReleasePhase.STAGING_PRODUCTION, ReleasePhase.SUCCEEDED, ReleasePhase.FAILED])
def test_a_newer_owner_supersedes_this_run_held_or_freed(approved: World, phase: ReleasePhase) -> None:
    """Neutral: nothing failed, nothing was written."""
    approved.put_release(a_release(NEWER, phase=phase))
    approved.put_lock(owner=NEWER, owner_seq=release_seq(NEWER), fence=5, want=OLD)

    event = approved.look(deploy)

    assert isinstance(event, CircuitSuperseded)
    assert NEWER in event.why
    lock = approved.lock()
    assert lock is not None
    assert (lock.owner, lock.fence) == (NEWER, 5)


def test_an_older_owner_that_is_under_way_is_waited_for_without_a_deadline(approved: World) -> None:
    """A release never takes a lock from a live release."""
    older = a_release(OLDER, phase=ReleasePhase.ACTIVATING)
    approved.put_release(older)
    approved.put_lock(owner=OLDER, owner_seq=release_seq(OLDER), fence=5, want=OLD)

    assert approved.look(deploy) == StillRunning(restart_clock=True)
    assert approved.run().since == approved.clock.now() - approved.work().release.policy.poll
    approved.put_release(replace(older, phase=ReleasePhase.SUCCEEDED))

    assert isinstance(approved.look(deploy), ProductionLocked)
    lock = approved.lock()
    assert lock is not None
    assert (lock.owner, lock.fence, lock.want) == (RELEASE_ID, 6, OLD)


def test_release_ten_is_newer_than_release_nine(approved: World) -> None:
    """Order is by number, not by text."""
    approved.put_lock(owner="20251210.10", owner_seq=release_seq("20251210.10"), fence=5, want=OLD)

    assert isinstance(approved.look(deploy), CircuitSuperseded)


def test_a_lock_lost_in_the_moment_of_taking_is_looked_at_again(approved: World) -> None:
    """If-Match: the newer release that was quicker keeps it."""

    def newer_is_quicker(request: str) -> None:
        if request == "write_lock":
            approved.endpoints.on_request = lambda _request: None
            approved.put_lock(owner=NEWER, owner_seq=release_seq(NEWER), fence=2, want=OLD)

    approved.endpoints.on_request = newer_is_quicker

    assert isinstance(approved.look(deploy), CircuitSuperseded)
    lock = approved.lock()
    assert lock is not None
    assert lock.owner == NEWER


def test_a_service_that_refuses_while_staging_fails_the_circuit(staging: World) -> None:
    """The service's own words reach the people."""
    staging.models.fail_next("create_deployment", PermanentError("the quota of 500 deployments is used up"))

    assert "the quota of 500 deployments is used up" in failed(staging.until_decided(deploy)).error


def test_a_circuit_on_hold_is_left_out_and_says_who_held_it_since_when_and_why(approved: World) -> None:
    """After a rollback nothing is activated until the hold ends or is lifted (known failure 12)."""
    now = approved.clock.now()
    approved.put_lock(
        fence=5,
        want=OLD,
        owner="rollback-1",
        owner_seq=release_seq(OLD_RELEASE),
        hold_since=now - timedelta(days=1),
        hold_until=now + timedelta(days=13),
        hold_by="ann@example.com",
        hold_why="bad predictions",
    )

    event = approved.look(deploy)

    assert isinstance(event, events.CircuitHeld)
    assert "held since 9 Dec 2025, 09:00 UTC, by ann@example.com, because bad predictions" in event.why
    lock = approved.lock()
    assert lock is not None
    assert (lock.owner, lock.fence) == ("rollback-1", 5)


def test_a_hold_that_has_ended_holds_nothing(approved: World) -> None:
    """To the second."""
    approved.put_lock(
        fence=5, want=OLD, owner="rollback-1", owner_seq=release_seq(OLD_RELEASE), hold_until=approved.clock.now()
    )

    assert isinstance(approved.look(deploy), ProductionLocked)
