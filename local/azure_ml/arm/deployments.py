"""Batch deployments of an endpoint: names, model and compute that exist, quotas, the default that must stay."""

from typing import Any

from local.azure_ml.arm.endpoints import deletion_reply, known_endpoint, patched
from local.azure_ml.arm.room import check_room_for_deployment
from local.azure_ml.asked import DeploymentSettings, checked, tags_of
from local.azure_ml.assets import find
from local.azure_ml.calls import Call, Reply, World, page_of, system_data
from local.azure_ml.errors import conflict, invalid, not_found
from local.azure_ml.names import check_deployment_name
from local.azure_ml.operations import arm_url, begin
from local.azure_ml.resources import (
    DEPLOYMENTS,
    IN_TRANSITION,
    change,
    default_names,
    in_state,
    load,
    load_all,
    state_of,
)
from local.azure_ml.settings import Workspace
from local.azure_ml.store import Document

PREFIX = "bdbes:"
PREDICTIONS = "predictions.csv"


async def get_deployment(world: World, call: Call) -> Reply:
    """One deployment."""
    return Reply(body=known_deployment(world, call.workspace, call.params["endpoint"], call.params["deployment"]))


async def list_deployments(world: World, call: Call) -> Reply:
    """All deployments of an endpoint."""
    endpoint = known_endpoint(world, call.workspace, call.params["endpoint"])
    return page_of(world, call, load_all(world, DEPLOYMENTS, f"{call.workspace.name}/{endpoint['name']}/"))


async def put_deployment(world: World, call: Call) -> Reply:
    """Create or replace a deployment; the endpoint's default is not touched."""
    workspace, name = call.workspace, call.params["deployment"]
    check_deployment_name(name)
    endpoint = known_endpoint(world, workspace, call.params["endpoint"])
    if state_of(endpoint) in ("Creating", "Deleting", "Failed"):
        raise conflict(f"Endpoint '{endpoint['name']}' is in state '{state_of(endpoint)}': it takes no deployment now.")
    key = f"{workspace.name}/{endpoint['name']}/{name}"
    old = load(world, DEPLOYMENTS, key)
    if old is None:
        check_room_for_deployment(world, workspace, endpoint["name"], DEPLOYMENTS)
    elif state_of(old) in IN_TRANSITION:
        raise conflict(f"Deployment '{name}' is in state '{state_of(old)}' and cannot be changed now.")
    wanted = _wanted(world, call, endpoint, old)
    duration = "deployment_update" if old else "deployment_create"
    operation = begin(world, call, prefix=PREFIX, duration=duration, scope=workspace, result={})
    shown = in_state(old, "Updating") if old else in_state(wanted, "Creating")
    change(world, DEPLOYMENTS, key, shown=shown, following=in_state(wanted, "Succeeded"), operation=operation)
    version = call.query.get("api-version", "")
    headers = {"Azure-AsyncOperation": arm_url(operation, "mfeOperationsStatus", version)}
    return Reply(status=200 if old else 201, body=in_state(wanted, state_of(shown)), headers=headers)


async def patch_deployment(world: World, call: Call) -> Reply:
    """Change a deployment's tags and nothing else."""
    workspace, endpoint, name = call.workspace, call.params["endpoint"], call.params["deployment"]
    old = known_deployment(world, workspace, endpoint, name)
    return patched(world, call, DEPLOYMENTS, f"{workspace.name}/{endpoint}/{name}", old)


async def delete_deployment(world: World, call: Call) -> Reply:
    """Delete a deployment, unless it is the endpoint's default."""
    workspace, name = call.workspace, call.params["deployment"]
    endpoint = known_endpoint(world, workspace, call.params["endpoint"])
    key = f"{workspace.name}/{endpoint['name']}/{name}"
    old = load(world, DEPLOYMENTS, key)
    if old is None:
        return Reply(status=204)
    if name in default_names(world, f"{workspace.name}/{endpoint['name']}"):
        raise invalid(f"Deployment '{name}' is the default of endpoint '{endpoint['name']}' and cannot be deleted.")
    if state_of(old) in IN_TRANSITION:
        raise conflict(f"Deployment '{name}' is in state '{state_of(old)}' and cannot be deleted now.")
    operation = begin(world, call, prefix=PREFIX, duration="deployment_delete", scope=workspace, result={})
    change(world, DEPLOYMENTS, key, shown=in_state(old, "Deleting"), following=None, operation=operation)
    return deletion_reply(call, operation)


def known_deployment(world: World, workspace: Workspace, endpoint: str, name: str) -> Document:
    """The deployment as it is now.

    Raises:
        ServiceError: 404.
    """
    found = load(world, DEPLOYMENTS, f"{workspace.name}/{endpoint}/{name}")
    if found is None:
        raise not_found(f"Could not find deployment '{name}' on batch endpoint '{endpoint}'.")
    return found


def _wanted(world: World, call: Call, endpoint: Document, old: Document | None) -> dict[str, Any]:
    workspace, name, asked = call.workspace, call.params["deployment"], call.properties
    settings = checked(DeploymentSettings, asked)
    _check_model(world, asked)
    _check_compute(workspace, asked, settings.resources.instance_count)
    _check_output(asked)
    return {
        "id": f"{endpoint['id']}/deployments/{name}",
        "name": name,
        "type": "Microsoft.MachineLearningServices/workspaces/batchEndpoints/deployments",
        "properties": {
            "description": asked.get("description"),
            "properties": asked.get("properties") or {},
            "codeConfiguration": asked.get("codeConfiguration"),
            "environmentId": asked.get("environmentId"),
            "environmentVariables": asked.get("environmentVariables") or {},
            "compute": asked["compute"],
            "model": asked["model"],
            "outputFileName": asked.get("outputFileName") or PREDICTIONS,
            **settings.model_dump(by_alias=True, exclude={"resources"}),
            "resources": {**settings.resources.model_dump(by_alias=True), "instanceType": None, "properties": None},
            "provisioningState": "Creating",
        },
        "systemData": system_data(world, call, old["systemData"] if old else None),
        "tags": tags_of(call.body),
        "location": workspace.region,
    }


def _check_model(world: World, asked: dict[str, Any]) -> None:
    asset_id = (asked.get("model") or {}).get("assetId")
    if not asset_id:
        raise invalid("The deployment names no model.")
    found = find(world, asset_id)
    if found is None:
        raise invalid(f"The model '{asset_id}' does not exist.")
    if found["properties"]["modelType"] != "mlflow_model" and not asked.get("codeConfiguration"):
        raise invalid("A model that is not in MLflow format needs a scoring script and an environment.")


def _check_output(asked: dict[str, Any]) -> None:
    name = str(asked.get("outputFileName") or PREDICTIONS)
    if not name.lower().endswith(".csv"):
        raise invalid(f"The stand-in writes predictions as CSV only, not as '{name}'.")


def _check_compute(workspace: Workspace, asked: dict[str, Any], nodes: int) -> None:
    own, _, name = str(asked.get("compute") or "").rpartition("/computes/")
    compute = workspace.compute(name)
    if own.lower() != workspace.arm_id.lower() or compute is None:
        raise invalid(f"The compute '{asked.get('compute')}' does not exist in workspace '{workspace.name}'.")
    if nodes > compute.max_nodes:
        most = f"compute '{name}' has at most {compute.max_nodes} nodes"
        raise invalid(f"The request is invalid: properties.resources.instanceCount: {most} (given: {nodes}).")
