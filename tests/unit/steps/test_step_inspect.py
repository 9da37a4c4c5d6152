"""Unit: the inspection finds everything that is in the way, all at once, before anybody is asked."""

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.application.ports import ProvisioningState
from shared.application.steps.inspect import inspect
from shared.domain.errors import ConfigurationError, PermanentError, TransientError
from shared.domain.events import ModelChosen, StepFailed
from shared.domain.model import Environment
from shared.domain.naming import endpoint_tags
from tests.support.builders import CIRCUIT, OTHER_CIRCUIT, RELEASE_ID, a_run
from tests.support.circuit_world import (
    BUILD,
    CUTOFF,
    DEPLOYMENT,
    DEV_TAGS,
    ENDPOINT,
    MODEL,
    OLD,
    OLD_CUTOFF,
    OLD_RELEASE,
    World,
)

TEST, PRODUCTION = Environment.TEST, Environment.PRODUCTION


def chosen(world: World) -> ModelChosen:
    outcome = world.look(inspect)
    assert isinstance(outcome, ModelChosen), outcome
    return outcome


def room(region: str, *, endpoints: int, need: int = 1) -> dict[str, object]:
    """What a region's quotas look like in the evidence: deployments that nobody counted are not said to be none."""
    return {
        "endpoints": {"region": region, "need": need, "have": endpoints, "limit": 100},
        "deployments": {"region": region, "need": need, "have_at_most": 20 * endpoints, "limit": 500},
    }


def refused(world: World) -> StepFailed:
    outcome = world.look(inspect)
    assert isinstance(outcome, StepFailed), outcome
    return outcome


def test_the_right_model_is_chosen_with_what_an_approver_needs_to_see(world: World) -> None:
    """R10: version, link, metrics, data asset, validated; beside it what is live."""
    world.inspectable()

    event = chosen(world)

    assert (event.source_version, event.live_deployment, event.warnings) == ("1", OLD, ())
    assert event.source_tags == DEV_TAGS
    assert len(event.source_hash) == 64
    assert event.evidence["model"] == {
        "version": "1",
        "studio_url": f"https://ml.azure.com/model/{MODEL}:1/details",
        "created_at": "2025-12-10T09:00:00Z",
        "metrics": {"rmse": 0.41},
        "data_asset": f"PLANT001_CIRCUIT01:{CUTOFF}",
        "validated": "true",
    }
    assert event.evidence["live"] == {
        "deployment": OLD,
        "model_version": "1",
        "cutoff_date": OLD_CUTOFF,
        "release_id": OLD_RELEASE,
        "metrics": {},
    }
    assert event.evidence["adopted"] is False
    assert event.evidence["quota"] == {
        "test": {"need": 1, "have": 0, "limit": 20},
        "production": {"need": 1, "have": 1, "limit": 20},
        "test_region": room("northeurope", endpoints=0),
        "production_region": room("westeurope", endpoints=1),
    }
    assert event.evidence["test_input"] == {"rows": 2, "columns": 1, "unused": [], "known": False}


def test_inspection_writes_nothing_anywhere(world: World) -> None:
    """R5, R4: it only looks."""
    world.inspectable()

    chosen(world)

    assert world.models.production_writes() == []
    assert world.models.registry_writes() == []
    assert world.models.calls("create_endpoint") == []


def test_the_live_models_metrics_are_found_by_way_of_the_registry(world: World) -> None:
    """The Registry knows which Dev version it holds; Dev has the numbers."""
    world.inspectable()
    world.models.add_dev_model(MODEL, "0", {"cutoff_date": OLD_CUTOFF}, properties={"metric.rmse": "0.5"})
    world.models.promote(name=MODEL, source_version="0", version="1", tags={}, mode="copy")

    live = chosen(world).evidence["live"]

    assert isinstance(live, dict)
    assert live["metrics"] == {"rmse": 0.5}


def test_a_circuit_that_was_never_released_has_nothing_live(world: World) -> None:
    """D6: no endpoint in either environment is no finding."""
    world.models.add_dev_model(MODEL, "1", DEV_TAGS)
    world.models.add_smoke_input(CIRCUIT)
    world.put(a_run())

    event = chosen(world)

    assert event.live_deployment == ""
    assert event.evidence["live"] is None


@pytest.mark.parametrize(
    ("warnings", "told"), [(None, None), ((), []), (("WARNING: few rows",), ["WARNING: few rows"])]
)
def test_training_warnings_are_told_apart_from_logs_that_are_not_available(
    world: World, warnings: tuple[str, ...] | None, told: list[str] | None
) -> None:
    """R10: none, some, or nobody can tell."""
    world.inspectable()
    world.models.add_dev_model(
        MODEL, "2", {**DEV_TAGS, "cutoff_date": "2025-11-02", "data_asset_version": "2025-11-02"}, warnings=warnings
    )
    world.change(cutoff_date="2025-11-02")

    assert chosen(world).evidence["training_warnings"] == told


def test_a_model_of_another_build_is_taken_with_a_warning(world: World) -> None:
    """R12, third rule."""
    world.inspectable()
    world.put_release(replace(world.work().release, build_id="54321"))

    event = chosen(world)

    assert event.source_version == "1"
    assert BUILD in event.warnings[0]


# ---------------------------------------------------------------------------------------------- findings


def test_every_finding_is_told_at_once(world: World) -> None:
    """R31 and more: one look, one complete list, with the circuit's name; the input alone in its folder."""
    world.models.add_smoke_input(CIRCUIT, "other.csv")
    world.models.computes.clear()
    world.put(a_run(cutoff_date="2026-01-01"))

    error = refused(world).error

    assert error.startswith("6 findings: (1) ")
    for part in (
        "lies in the future",
        "no version of this model",
        "test_input.csv does not exist",
        "alone, not also other.csv",
        "test: mlw-test has no compute batch-cluster: create it, or set COMPUTE_NAME",
        "production: mlw-prod has no compute batch-cluster",
    ):
        assert part in error


def test_without_a_validated_model_the_circuit_fails_by_name_with_the_candidates(world: World) -> None:
    """R11, known failure 3."""
    world.inspectable()
    world.models.change_dev_model(MODEL, "1", tags={**DEV_TAGS, "validated": "True"})

    error = refused(world).error

    assert error.startswith("model plant001-circuit01: no model with validated=true")
    assert "version 1 (validated=True" in error


@pytest.mark.parametrize(
    ("tag", "value"),
    [
        ("data_asset_name", "PLANT001_CIRCUIT02"),
        ("data_asset_version", "2025-10-01"),
        ("plant_id", "PLANT002"),
        ("circuit_id", "CIRCUIT02"),
    ],
)
def test_a_model_trained_on_other_data_is_a_finding(world: World, tag: str, value: str) -> None:
    """R6: name and version of the MLTable are compared with the artifact."""
    world.inspectable()
    world.models.change_dev_model(MODEL, "1", tags={**DEV_TAGS, tag: value})

    assert f"tag {tag} is {value!r}" in refused(world).error


def test_a_model_without_the_data_asset_tags_is_a_finding(world: World) -> None:
    """R6: what can't be compared is not passed."""
    world.inspectable()
    world.models.change_dev_model(
        MODEL, "1", tags={k: v for k, v in DEV_TAGS.items() if not k.startswith("data_asset")}
    )

    assert "2 findings" in refused(world).error


@pytest.mark.parametrize("cutoff", ["20251101", "2025-13-01", "2025-02-30", "01.11.2025", "", "2025-W44-6"])
def test_a_cutoff_date_must_be_a_real_iso_date(world: World, cutoff: str) -> None:
    """It is a version of a data asset: guessing would compare apples with pears."""
    world.inspectable()
    world.change(cutoff_date=cutoff)

    assert "must be a real date, YYYY-MM-DD" in refused(world).error


def test_a_cutoff_date_of_today_is_fine_and_of_tomorrow_is_not(world: World) -> None:
    """By the injected clock, in UTC."""
    world.inspectable()
    today = world.clock.now().date()
    for day in (today, today + timedelta(days=1)):
        tags = {**DEV_TAGS, "cutoff_date": f"{day}", "data_asset_version": f"{day}"}
        world.models.add_dev_model(MODEL, f"{day}", tags)

    world.change(cutoff_date=f"{today}")
    chosen(world)
    world.change(cutoff_date=f"{today + timedelta(days=1)}")

    assert "lies in the future" in refused(world).error


def test_going_back_behind_what_is_live_is_refused(world: World) -> None:
    """The live deployment's cutoff_date tag decides."""
    world.inspectable()
    tags = {"cutoff_date": "2025-11-15", "release_id": OLD_RELEASE}
    world.models.add_endpoint(PRODUCTION, ENDPOINT, default=OLD, tags=endpoint_tags(CIRCUIT), deployment_tags=tags)

    error = refused(world).error

    assert "cutoff_date 2025-11-01 is older than 2025-11-15" in error
    assert OLD in error


def test_going_back_is_fine_if_the_artifact_says_that_it_is_meant(world: World) -> None:
    """The field `allow_older_cutoff` of the circuit."""
    world.inspectable()
    tags = {**DEV_TAGS, "cutoff_date": "2025-09-01", "data_asset_version": "2025-09-01"}
    world.models.change_dev_model(MODEL, "1", tags=tags)
    world.change(cutoff_date="2025-09-01")
    assert "older than" in refused(world).error

    world.change(cutoff_date="2025-09-01", allow_older_cutoff=True)

    assert chosen(world).source_version == "1"


SIGNED = {
    "MLmodel": b"""signature:
  inputs: '[{"type": "double", "name": "flow", "required": true}, {"type": "string", "name": "mode"}, {"type":
    "double", "name": "spare", "required": false}]'
"""
}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"mode\nday\n", "lacks columns the model was trained on: flow"),
        (b"flow,mode\nmuch,day\n", "column flow: double expected, string found"),
        (b"flow,mode\n", "holds no rows below its header"),
        (b"", "holds no rows below its header"),
        (b"flow,mode\n1.5,day\n" * 100_000, "a smoke test takes at most 1048576"),
        (b"\xff\xfe\x00", "can't be read as CSV"),
    ],
)
def test_a_test_input_that_does_not_fit_the_training_schema_is_a_finding(
    world: World, content: bytes, said: str
) -> None:
    """R32: before anybody is asked, not a quarter of an hour later in a smoke test."""
    world.inspectable()
    world.models.add_dev_model(MODEL, "2", DEV_TAGS, files=SIGNED)
    world.change(requested_version="2")
    world.models.add_smoke_input(CIRCUIT, content=content)

    error = refused(world).error

    assert f"test data: test-data/PLANT001/CIRCUIT01/test_input.csv {said}" in error or said in error


def test_a_test_input_that_fits_is_evidence(world: World) -> None:
    """R32: an optional column may be missing, one that the model does not know is named."""
    world.inspectable()
    world.models.add_dev_model(MODEL, "2", DEV_TAGS, files=SIGNED)
    world.change(requested_version="2")
    world.models.add_smoke_input(CIRCUIT, content=b"flow,mode,weather\n1,day,sunny\n2.5,night,\n")

    assert chosen(world).evidence["test_input"] == {"rows": 2, "columns": 3, "unused": ["weather"], "known": True}


# ------------------------------------------------------------------------------------- regions' quotas


def fill_region(world: World, environment: Environment, endpoints: int, each: int = 0) -> None:
    """Endpoints of other circuits."""
    for number in range(endpoints):
        names = [f"deployment-20250101-{n + 1}" for n in range(each)]
        world.models.add_endpoint(environment, f"be-other-{number}", deployments=names)


def test_a_full_region_is_a_finding_that_says_need_have_and_missing(world: World) -> None:
    """D4: 100 endpoints per region and subscription, whoever made them."""
    world.inspectable()
    fill_region(world, TEST, 100)

    error = refused(world).error

    assert "region northeurope has no room for the release's endpoints: need 1, have 100 of at most 100, " in error
    assert "missing 1; delete unused ones, or have the quota raised and set ENDPOINT_QUOTA" in error


def test_an_endpoint_that_exists_needs_no_room(world: World) -> None:
    """A full region takes further releases of the circuits it has."""
    world.inspectable()
    world.with_test_endpoint()
    fill_region(world, TEST, 99)

    assert chosen(world).evidence["quota"]["test_region"]["endpoints"]["need"] == 0  # type: ignore[index]  # JSON


def test_the_whole_release_is_counted_not_one_circuit(world: World) -> None:
    """Ninety-nine of a hundred: room for one, and this release has two new ones."""
    world.inspectable()
    world.put_release(replace(world.work().release, total=2))
    world.put(a_run(OTHER_CIRCUIT))
    fill_region(world, TEST, 99)

    assert "need 2, have 99 of at most 100, missing 1" in refused(world).error


def test_a_region_with_too_many_deployments_is_a_finding(world: World) -> None:
    """D4: 500 per region and subscription; counted only where there can be so many."""
    world.inspectable()
    fill_region(world, TEST, 25, each=20)

    error = refused(world).error

    assert "room for the release's deployments: need 1, have 500 of at most 500, missing 1" in error
    assert "DEPLOYMENT_QUOTA" in error


def test_deployments_that_were_counted_are_evidence(world: World) -> None:
    """D4: with so many endpoints each is looked at, and what there is of them is told."""
    world.inspectable()
    fill_region(world, TEST, 25, each=19)

    quota = chosen(world).evidence["quota"]

    assert quota["test_region"]["deployments"] == {"region": "northeurope", "need": 1, "have": 475, "limit": 500}  # type: ignore[index]  # JSON


def test_online_endpoints_of_the_region_count(world: World) -> None:
    """D4: all endpoint types; with a hundred of them there is no room for the release's one, and they are in what it has."""
    world.inspectable()
    world.models.others["northeurope"] = {f"on-{n}": "the online endpoint" for n in range(100)}

    error = refused(world).error

    assert (
        "region northeurope has no room for the release's endpoints: need 1, have 100 of at most 100, missing 1"
        in error
    )


def test_a_name_that_another_type_of_endpoint_has_is_a_finding(world: World) -> None:
    """D2: a region has each name once; told before gate 1, with what holds it and the setting to change."""
    world.inspectable()
    world.models.others["northeurope"][ENDPOINT] = f"the online endpoint {ENDPOINT} in mlw-test"

    assert (
        f"test: the name {ENDPOINT} is taken in northeurope by the online endpoint {ENDPOINT} in mlw-test; "
        "change TEST_ENDPOINT_TEMPLATE, or delete that endpoint"
    ) in refused(world).error


def test_few_endpoints_are_not_counted_through(world: World) -> None:
    """Each endpoint costs a request: twenty of them can't hold 500 deployments."""
    world.inspectable()
    fill_region(world, TEST, 20, each=20)

    event = chosen(world)

    assert event.evidence["quota"]["test_region"] == room("northeurope", endpoints=20)  # type: ignore[index]  # JSON
    assert [call.args["count_from"] for call in world.models.calls("region_use")] == [24, 24]


def test_two_environments_in_one_region_need_twice_the_room(world: World) -> None:
    """Test and Production with names of their own share the quota."""
    world.inspectable()
    world.models.regions[TEST] = "westeurope"
    world.change(test_endpoint="be-test-plant001-circuit01")
    fill_region(world, TEST, 99)

    assert "need 1, have 100 of at most 100, missing 1" in refused(world).error


def test_a_raised_quota_is_a_setting(world: World) -> None:
    """The service's limits can be raised; the release carries what was set when it began."""
    world.inspectable()
    policy = replace(world.work().release.policy, endpoint_quota=150)
    world.put_release(replace(world.work().release, policy=policy))
    fill_region(world, TEST, 100)

    assert chosen(world)


def test_the_same_cutoff_date_again_is_fine(world: World) -> None:
    """A model may be trained again on the same data."""
    world.inspectable()
    world.models.add_endpoint(
        PRODUCTION, ENDPOINT, default=OLD, tags=endpoint_tags(CIRCUIT), deployment_tags={"cutoff_date": CUTOFF}
    )

    chosen(world)


def test_an_illegal_name_is_a_finding_and_is_not_looked_up(world: World) -> None:
    """D1: 32 characters at most; the setting that changes it is named."""
    world.inspectable()
    world.change(test_endpoint="be-a-very-long-plant-name-and-circuit")

    error = refused(world).error

    assert "test: 'be-a-very-long-plant-name-and-circuit' has 37 characters" in error
    assert "TEST_ENDPOINT_TEMPLATE" in error
    assert [call.args["environment"] for call in world.models.calls("endpoint")] == [PRODUCTION]


def test_the_same_name_in_one_region_is_a_finding_that_names_the_setting(world: World) -> None:
    """D2: found before gate 1, not at the first deployment."""
    world.inspectable()
    world.models.regions[TEST] = world.models.regions[PRODUCTION]

    error = refused(world).error

    assert "both lie in westeurope" in error
    assert "TEST_ENDPOINT_TEMPLATE" in error


def test_different_names_may_share_a_region(world: World) -> None:
    """A template per environment is the remedy, so it must be one."""
    world.inspectable()
    world.models.regions[TEST] = world.models.regions[PRODUCTION]
    world.change(test_endpoint="be-test-plant001-circuit01")

    chosen(world)


def test_an_endpoint_without_our_tags_is_adopted_with_a_notice(world: World) -> None:
    """R59, in each environment."""
    world.inspectable()
    world.models.add_endpoint(PRODUCTION, ENDPOINT, default="blue", tags={"team": "heating"})
    world.models.add_endpoint(TEST, ENDPOINT, tags={})

    event = chosen(world)

    assert event.evidence["adopted"] is True
    assert event.live_deployment == "blue"
    assert event.warnings == (f"endpoint {ENDPOINT} exists in test without our tags and is taken over",)


def test_an_endpoint_that_was_taken_over_is_not_told_to_be_again(world: World) -> None:
    """R59: its tags stay what they were; that a deployment of ours is the default says that it is ours by now."""
    world.inspectable()
    for environment in Environment:
        world.models.add_endpoint(environment, ENDPOINT, default=OLD, deployment_tags={"release_id": OLD_RELEASE})

    event = chosen(world)

    assert event.evidence["adopted"] is False
    assert event.warnings == ()


@pytest.mark.parametrize("environment", list(Environment))
def test_an_endpoint_of_another_circuit_is_refused(world: World, environment: Environment) -> None:
    """R59: never taken over."""
    world.inspectable()
    world.models.add_endpoint(environment, ENDPOINT, tags=endpoint_tags(OTHER_CIRCUIT))

    assert "tagged for another circuit (PLANT001/CIRCUIT02)" in refused(world).error


def test_an_endpoint_without_room_is_a_finding_that_says_need_have_and_missing(world: World) -> None:
    """D4: 20 deployments per endpoint."""
    world.inspectable()
    names = [f"deployment-2025110{n // 10}-{n % 10 + 1}" for n in range(20)]
    world.models.add_endpoint(TEST, ENDPOINT, deployments=names, tags=endpoint_tags(CIRCUIT))

    assert "need 1 deployment, have 20 of at most 20, missing 1" in refused(world).error


def test_nineteen_deployments_leave_room_for_one(world: World) -> None:
    """The limit itself is allowed."""
    world.inspectable()
    names = [f"deployment-2025110{n // 10}-{n % 10 + 1}" for n in range(19)]
    world.models.add_endpoint(TEST, ENDPOINT, deployments=names, tags=endpoint_tags(CIRCUIT))

    chosen(world)


def test_a_deployment_of_our_name_that_is_not_ours_is_a_finding(world: World) -> None:
    """Somebody took the name: nothing of theirs is deleted."""
    world.inspectable()
    world.models.add_endpoint(TEST, ENDPOINT, deployments=[DEPLOYMENT], tags=endpoint_tags(CIRCUIT))

    assert f"{DEPLOYMENT} already exists on {ENDPOINT} and belongs to nobody we know" in refused(world).error


def test_our_own_deployment_from_an_earlier_try_is_no_finding(world: World) -> None:
    """Inspection may be repeated."""
    world.inspectable()
    world.models.add_endpoint(
        TEST,
        ENDPOINT,
        deployments=[DEPLOYMENT],
        tags=endpoint_tags(CIRCUIT),
        deployment_tags={"release_id": RELEASE_ID},
    )

    chosen(world)


# --------------------------------------------------------------------------------------- when things break


def test_what_the_service_refuses_is_one_finding_among_the_others(world: World) -> None:
    """A 400 on one look does not hide the rest."""
    world.inspectable()
    world.models.fail_next("smoke_input", PermanentError("the datastore is gone"))
    world.models.computes.clear()

    error = refused(world).error

    assert "3 findings" in error
    assert "the datastore is gone" in error


def test_a_service_that_is_down_is_not_a_finding(world: World) -> None:
    """The worker tries again; nothing is decided."""
    world.inspectable()
    world.models.fail_next("endpoint", TransientError("503"))

    with pytest.raises(TransientError):
        inspect(world.work(), world.ports)


def test_a_missing_role_is_not_a_finding_either(world: World) -> None:
    """Configuration is for the operator, by its own way."""
    world.inspectable()
    world.models.fail_next("dev_models", ConfigurationError("403"))

    with pytest.raises(ConfigurationError):
        inspect(world.work(), world.ports)


@pytest.mark.parametrize(
    ("environment", "default", "advice"),
    [
        (PRODUCTION, OLD, f"do not delete it: repair it, or roll {CIRCUIT} back"),
        (PRODUCTION, "", "repair or delete it"),
        (TEST, OLD, "repair or delete it"),
    ],
)
def test_the_advice_about_a_failed_endpoint_never_ends_what_serves(
    world: World, environment: Environment, default: str, advice: str
) -> None:
    """Issue 4: production's default still serves; a rollback writes it again, which settles the endpoint."""
    world.inspectable()
    world.models.add_endpoint(environment, ENDPOINT, default=default, tags=endpoint_tags(CIRCUIT))
    world.models._endpoints[environment, ENDPOINT].settling.ends = ProvisioningState.FAILED
    assert advice in refused(world).error
