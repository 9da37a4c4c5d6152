"""Batch deployments, through the real client."""

import pytest
import requests
from azure.ai.ml.entities import BatchEndpoint, ModelBatchDeployment
from azure.core.exceptions import HttpResponseError, ResourceExistsError
from azure_ml_estate import (
    A_WHILE,
    DEFAULTS,
    FOR_EVER,
    StandIn,
    a_deployment,
    arm,
    deployed,
    endpoint_in,
    eventually,
    folder_input,
    settled_endpoint,
    workspace,
    workspace_id,
)


@pytest.fixture
def endpoint(stand_in: StandIn, unique: str) -> str:
    """An endpoint in Test, ready, without deployments."""
    return str(endpoint_in("mlw-test", f"be-{unique}").name)


@pytest.fixture(scope="module")
def bare_endpoint(stand_in: StandIn) -> str:
    """One more, for all whose deployments are refused."""
    return str(endpoint_in("mlw-test", "be-bare").name)


def _refusal(deployment: object) -> HttpResponseError:
    with pytest.raises(HttpResponseError) as refusal:
        workspace("mlw-test").batch_deployments.begin_create_or_update(deployment)
    return refusal.value


def test_a_deployment_keeps_what_was_asked_for(stand_in: StandIn, endpoint: str, registered: str) -> None:
    """Names, sizes and tags come back as they were sent."""
    asked = a_deployment(
        endpoint, "deployment-20251210-1", registered, instance_count=2, max_concurrency_per_instance=4
    )
    with stand_in.settings(durations={"deployment_create": A_WHILE}):
        workspace("mlw-test").batch_deployments.begin_create_or_update(asked)
    early = workspace("mlw-test").batch_deployments.get(asked.name, endpoint)
    assert early.provisioning_state == "Creating"
    seen = _ready(endpoint, asked.name)
    assert seen.model == registered
    assert (seen.resources.instance_count, seen.max_concurrency_per_instance) == (2, 4)
    assert (seen.mini_batch_size, seen.error_threshold, seen.output_action) == (10, 0, "append_row")
    assert seen.compute.endswith("/workspaces/mlw-test/computes/batch-cluster")
    assert seen.tags == {"release_id": "20251210.1"}


def _ready(endpoint: str, name: str) -> ModelBatchDeployment:
    def look() -> ModelBatchDeployment | None:
        found = workspace("mlw-test").batch_deployments.get(name, endpoint)
        return found if found.provisioning_state == "Succeeded" else None

    return eventually(look, f"deployment {name}")


@pytest.mark.parametrize("name", ["deployment-20251210.1", "ab", "1st", "d--x", "d" * 33])
def test_illegal_deployment_names_are_refused(
    stand_in: StandIn, bare_endpoint: str, registered: str, name: str
) -> None:
    """The SDK does not look; the service does. The dot of a release id is the common case."""
    refusal = _refusal(a_deployment(bare_endpoint, name, registered))
    assert (refusal.status_code, refusal.error.code) == (400, "UserError")
    assert "3 to 32 characters" in refusal.message


def test_an_unknown_model_is_refused(stand_in: StandIn, bare_endpoint: str) -> None:
    """A deployment needs a model that exists in that version."""
    missing = "azureml://registries/mlr-shared/models/nobody/versions/1"
    assert "does not exist" in _refusal(a_deployment(bare_endpoint, "deployment-1", missing)).message


def test_an_unknown_compute_is_refused(stand_in: StandIn, bare_endpoint: str, registered: str) -> None:
    """The client sends any name; the service knows its clusters."""
    asked = a_deployment(bare_endpoint, "deployment-1", registered)
    asked.compute = "no-such-cluster"
    assert "no-such-cluster" in _refusal(asked).message


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"miniBatchSize": 0}, "properties.miniBatchSize: Input should be greater than or equal to 1 (given: 0)"),
        ({"miniBatchSize": "ten"}, "properties.miniBatchSize: Input should be a valid integer (given: 'ten')"),
        ({"resources": {"instanceCount": 0}}, "properties.resources.instanceCount: Input should be greater than"),
        ({"resources": {"instanceCount": 99}}, "compute 'batch-cluster' has at most 3 nodes (given: 99)"),
        ({"maxConcurrencyPerInstance": -1}, "properties.maxConcurrencyPerInstance: Input should be greater than"),
        ({"errorThreshold": -5}, "properties.errorThreshold: Input should be greater than or equal to -1"),
        ({"outputAction": "Explode"}, "properties.outputAction: Input should be 'AppendRow' or 'SummaryOnly'"),
        ({"retrySettings": {"timeout": "5 minutes"}}, "such as PT5M (given: '5 minutes')"),
        ({"retrySettings": {"timeout": "-PT5S"}}, "properties.retrySettings.timeout: Value error, must be positive"),
        ({"loggingLevel": "loud"}, "properties.loggingLevel: Input should be 'Info', 'Warning' or 'Debug'"),
    ],
    ids=str,
)
def test_settings_that_no_service_takes_are_refused(
    stand_in: StandIn, bare_endpoint: str, registered: str, changes: dict[str, object], said: str
) -> None:
    """The client sends what it is given: one unreadable deployment would hinder all who list them."""
    compute = f"{workspace_id('mlw-test')}/computes/batch-cluster"
    properties = {"model": {"referenceType": "Id", "assetId": registered}, "compute": compute, **changes}
    path = f"/batchEndpoints/{bare_endpoint}/deployments/deployment-1"
    reply = arm("PUT", "mlw-test", path, {"location": "northeurope", "properties": properties})
    _check_refused(reply, said)
    assert arm("GET", "mlw-test", path).status_code == 404


def test_a_tag_is_a_text(stand_in: StandIn, bare_endpoint: str) -> None:
    """Of an endpoint as of a deployment, when it is made and when it is changed."""
    path, body = f"/batchEndpoints/{bare_endpoint}", {"tags": {"build": 7}, "properties": {}}
    for method in ("PUT", "PATCH"):
        _check_refused(arm(method, "mlw-test", path, body), "tags.build: Input should be a valid string (given: 7)")


@pytest.mark.parametrize(("scope", "region"), [("mlw-test", "northeurope"), ("mlw-prod", "westeurope")])
def test_a_refusal_names_the_region_of_its_workspace(stand_in: StandIn, scope: str, region: str) -> None:
    """Who reads it looks for the cause there."""
    told = arm("GET", scope, "/batchEndpoints/be-nowhere").json()["error"]["additionalInfo"]
    values = {one["type"]: one["info"]["value"] for one in told}
    assert (values["Environment"], values["Location"]) == (region, region)


def _check_refused(reply: requests.Response, said: str) -> None:
    error = reply.json()["error"]
    assert (reply.status_code, error["code"], said in error["message"]) == (400, "UserError", True), reply.text
    assert {one["type"] for one in error["additionalInfo"]} == {
        "ComponentName",
        "Environment",
        "Location",
        "InnerError",
    }


def test_an_endpoint_takes_so_many_deployments_and_no_more(stand_in: StandIn, endpoint: str, registered: str) -> None:
    """The documented limit is 20; here two stand for them, so that the test is quick."""
    assert DEFAULTS["quotas"]["deployments_per_endpoint"] == 20
    with stand_in.settings(quotas={"deployments_per_endpoint": 2}):
        for number in (1, 2):
            workspace("mlw-test").batch_deployments.begin_create_or_update(
                a_deployment(endpoint, f"deployment-{number}", registered)
            )
        refusal = _refusal(a_deployment(endpoint, "deployment-3", registered))
    assert "has 2 deployments; the limit is 2" in refusal.message


def test_the_default_deployment_cannot_be_deleted(stand_in: StandIn, endpoint: str, registered: str) -> None:
    """Another one can, and is gone after a while."""
    client = workspace("mlw-test")
    for name in ("deployment-1", "deployment-2"):
        deployed("mlw-test", a_deployment(endpoint, name, registered))
    live = client.batch_endpoints.get(endpoint)
    live.defaults.deployment_name = "deployment-1"
    client.batch_endpoints.begin_create_or_update(live)
    settled_endpoint("mlw-test", endpoint)
    refused = arm("DELETE", "mlw-test", f"/batchEndpoints/{endpoint}/deployments/deployment-1")
    assert (refused.status_code, "is the default" in refused.json()["error"]["message"]) == (400, True)
    client.batch_deployments.begin_delete("deployment-2", endpoint)
    eventually(lambda: [one.name for one in client.batch_deployments.list(endpoint)] == ["deployment-1"])


def test_an_endpoint_that_is_being_created_takes_no_deployment(stand_in: StandIn, registered: str, unique: str) -> None:
    """One waits for Succeeded, or is told 409."""
    with stand_in.settings(durations={"endpoint_create": FOR_EVER}):
        workspace("mlw-test").batch_endpoints.begin_create_or_update(BatchEndpoint(name=f"be-{unique}"))
    with pytest.raises(ResourceExistsError, match="takes no deployment now"):
        workspace("mlw-test").batch_deployments.begin_create_or_update(
            a_deployment(f"be-{unique}", "deployment-1", registered)
        )


def test_tags_of_a_deployment_can_change(stand_in: StandIn, endpoint: str, registered: str) -> None:
    """Get, change, send again: the same deployment with other tags."""
    made = deployed("mlw-test", a_deployment(endpoint, "deployment-1", registered))
    made.tags = {"previous_deployment": ""}
    assert deployed("mlw-test", made).tags == {"previous_deployment": ""}


def test_a_deployment_stuck_in_creating_stays_there(stand_in: StandIn, endpoint: str, registered: str) -> None:
    """What a deadline is for; it takes no jobs meanwhile."""
    with (
        stand_in.fault(match={"operation": "deployments.put"}, action="stick"),
        stand_in.settings(durations={"deployment_create": 0.0}),
    ):
        workspace("mlw-test").batch_deployments.begin_create_or_update(
            a_deployment(endpoint, "deployment-1", registered)
        )
        seen = workspace("mlw-test").batch_deployments.get("deployment-1", endpoint)
    assert seen.provisioning_state == "Creating"
    with pytest.raises(HttpResponseError, match="'Creating' and takes no jobs now"):
        workspace("mlw-test").batch_endpoints.invoke(
            endpoint, deployment_name="deployment-1", input=folder_input("nothing")
        )
