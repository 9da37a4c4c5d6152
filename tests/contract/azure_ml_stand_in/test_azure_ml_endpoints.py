"""Batch endpoints, through the real client."""

import pytest
from azure.ai.ml.entities import BatchEndpoint
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure_ml_estate import (
    A_WHILE,
    FOR_EVER,
    StandIn,
    a_deployment,
    arm,
    deployed,
    endpoint_in,
    eventually,
    settled_endpoint,
    workspace,
)

BODY = {"location": "northeurope", "properties": {"authMode": "aadToken"}}


def test_an_endpoint_passes_through_creating(stand_in: StandIn, unique: str) -> None:
    """It has no scoring address before it is ready."""
    client = workspace("mlw-test")
    asked = BatchEndpoint(name=f"be-{unique}", tags={"plant_id": "P1"})
    with stand_in.settings(durations={"endpoint_create": A_WHILE}):
        poller = client.batch_endpoints.begin_create_or_update(asked)
    new = client.batch_endpoints.get(f"be-{unique}")
    assert (new.provisioning_state, new.scoring_uri) == ("Creating", None)
    ready = settled_endpoint("mlw-test", f"be-{unique}")
    assert ready.scoring_uri == f"https://be-{unique}.northeurope.inference.ml.azure.com/jobs"
    assert ready.tags == {"plant_id": "P1"}
    assert poller.result().name == f"be-{unique}"


def test_an_endpoint_that_is_being_created_takes_no_second_put(stand_in: StandIn, unique: str) -> None:
    """Whoever is too early is told so with 409."""
    client = workspace("mlw-test")
    with stand_in.settings(durations={"endpoint_create": FOR_EVER}):
        client.batch_endpoints.begin_create_or_update(BatchEndpoint(name=f"be-{unique}"))
    with pytest.raises(ResourceExistsError, match="'Creating'"):
        client.batch_endpoints.begin_create_or_update(BatchEndpoint(name=f"be-{unique}"))


@pytest.mark.parametrize("name", ["ab", "1abc", "be_x", "be--x", "be-x-", "b" * 33, "be.x"])
def test_illegal_endpoint_names_are_refused(stand_in: StandIn, name: str) -> None:
    """3 to 32 characters, a letter first, letters, numbers and single hyphens."""
    reply = arm("PUT", "mlw-test", f"/batchEndpoints/{name}", BODY)
    assert reply.status_code == 400
    error = reply.json()["error"]
    assert error["code"] == "UserError"
    assert name in error["message"]


def test_a_batch_endpoint_is_called_with_tokens_only(stand_in: StandIn, unique: str) -> None:
    """The client cannot ask for keys; the service would not give any."""
    reply = arm("PUT", "mlw-test", f"/batchEndpoints/be-{unique}", {"properties": {"authMode": "Key"}})
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "UserError")
    assert "properties.authMode: Input should be 'AADToken' (given: 'Key')" in reply.json()["error"]["message"]


@pytest.mark.parametrize("query", ["$skip=abc", "$skip=-1", "$top=many"])
def test_a_page_that_is_no_number_is_refused(stand_in: StandIn, query: str) -> None:
    """As the service says no, not as a breakdown."""
    reply = arm("GET", "mlw-test", f"/batchEndpoints?{query}")
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "UserError")
    assert f"'{query.partition('=')[0]}' must be a whole number" in reply.json()["error"]["message"]


def test_a_name_is_taken_in_the_whole_region(stand_in: StandIn, unique: str) -> None:
    """Dev and Production share a region; Test lies in another one."""
    endpoint_in("mlw-prod", f"be-{unique}")
    endpoint_in("mlw-test", f"be-{unique}")
    with stand_in.settings(workspaces=[{"name": "mlw-test", "region": "westeurope"}]):
        refused = arm("PUT", "mlw-test", f"/batchEndpoints/be-{unique}x", BODY)
        endpoint_in("mlw-prod", f"be-{unique}y")
        taken = arm("PUT", "mlw-test", f"/batchEndpoints/be-{unique}y", BODY)
    assert refused.status_code == 201
    assert taken.status_code == 409
    assert "already in use in region 'westeurope'" in taken.json()["error"]["message"]


def test_the_endpoints_of_a_region_are_counted(stand_in: StandIn, unique: str) -> None:
    """Beyond the quota the service says no, and how many there are."""
    with stand_in.settings(quotas={"endpoints_per_region": 0}):
        reply = arm("PUT", "mlw-test", f"/batchEndpoints/be-{unique}", BODY)
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "UserError")
    assert "the limit is 0" in reply.json()["error"]["message"]


def test_a_put_without_defaults_clears_the_default(stand_in: StandIn, registered: str, unique: str) -> None:
    """The trap of a fresh BatchEndpoint(name=...) on an existing endpoint."""
    client = workspace("mlw-test")
    endpoint = endpoint_in("mlw-test", f"be-{unique}")
    deployed("mlw-test", a_deployment(f"be-{unique}", "deployment-1", registered))
    endpoint.defaults.deployment_name = "deployment-1"
    client.batch_endpoints.begin_create_or_update(endpoint)
    assert settled_endpoint("mlw-test", f"be-{unique}").defaults.deployment_name == "deployment-1"
    client.batch_endpoints.begin_create_or_update(BatchEndpoint(name=f"be-{unique}"))
    assert settled_endpoint("mlw-test", f"be-{unique}").defaults.deployment_name is None


def test_the_old_default_stays_while_the_new_one_is_being_set(stand_in: StandIn, registered: str, unique: str) -> None:
    """The endpoint is Updating, shows the old default, and shows the new one when it has Succeeded."""
    client = workspace("mlw-test")
    endpoint = endpoint_in("mlw-test", f"be-{unique}")
    deployed("mlw-test", a_deployment(f"be-{unique}", "deployment-1", registered))
    endpoint.defaults.deployment_name = "deployment-1"
    with stand_in.settings(durations={"endpoint_update": A_WHILE}):
        client.batch_endpoints.begin_create_or_update(endpoint)
    meanwhile = client.batch_endpoints.get(f"be-{unique}")
    assert (meanwhile.provisioning_state, meanwhile.defaults.deployment_name) == ("Updating", None)
    assert settled_endpoint("mlw-test", f"be-{unique}").defaults.deployment_name == "deployment-1"


def test_a_default_that_does_not_exist_is_refused(stand_in: StandIn, unique: str) -> None:
    """The endpoint keeps what it has."""
    endpoint = endpoint_in("mlw-test", f"be-{unique}")
    endpoint.defaults.deployment_name = "deployment-9"
    with pytest.raises(HttpResponseError, match="does not exist"):
        workspace("mlw-test").batch_endpoints.begin_create_or_update(endpoint)
    assert settled_endpoint("mlw-test", f"be-{unique}").defaults.deployment_name is None


def test_an_update_that_fails_leaves_the_old_default(stand_in: StandIn, registered: str, unique: str) -> None:
    """The long operation ends as Failed, and so does the endpoint's state."""
    client = workspace("mlw-test")
    endpoint = endpoint_in("mlw-test", f"be-{unique}")
    deployed("mlw-test", a_deployment(f"be-{unique}", "deployment-1", registered))
    endpoint.defaults.deployment_name = "deployment-1"
    with stand_in.fault(match={"operation": "endpoints.put"}, action="fail_lro"):
        poller = client.batch_endpoints.begin_create_or_update(endpoint)
    with pytest.raises(HttpResponseError) as failure:
        poller.result()
    assert failure.value.error.code == "InternalServerError"
    after = settled_endpoint("mlw-test", f"be-{unique}")
    assert (after.provisioning_state, after.defaults.deployment_name) == ("Failed", None)


def test_a_deleted_endpoint_is_gone_with_its_deployments(stand_in: StandIn, registered: str, unique: str) -> None:
    """Deleting takes its time too."""
    client = workspace("mlw-test")
    endpoint_in("mlw-test", f"be-{unique}")
    deployed("mlw-test", a_deployment(f"be-{unique}", "deployment-1", registered))
    with stand_in.settings(durations={"endpoint_delete": A_WHILE}):
        assert arm("DELETE", "mlw-test", f"/batchEndpoints/be-{unique}").status_code == 202
    assert client.batch_endpoints.get(f"be-{unique}").provisioning_state == "Deleting"
    eventually(lambda: f"be-{unique}" not in [one.name for one in client.batch_endpoints.list()])
    with pytest.raises(ResourceNotFoundError):
        client.batch_deployments.get("deployment-1", f"be-{unique}")
