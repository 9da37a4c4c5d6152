"""Batch endpoints: a full PUT (without defaults it clears the default), states, quotas, names unique in a region."""

from typing import Any

from local.azure_ml.arm.room import check_room_for_endpoint
from local.azure_ml.asked import BatchEndpointSettings, checked, tags_of
from local.azure_ml.calls import Call, Reply, World, page_of, system_data
from local.azure_ml.errors import conflict, invalid, not_found
from local.azure_ml.names import check_endpoint_name
from local.azure_ml.operations import arm_url, begin
from local.azure_ml.resources import (
    DEPLOYMENTS,
    ENDPOINTS,
    IN_TRANSITION,
    change,
    in_state,
    load,
    load_all,
    state_of,
)
from local.azure_ml.settings import Workspace
from local.azure_ml.store import Document

PREFIX = "bebes:"


async def get_endpoint(world: World, call: Call) -> Reply:
    """One endpoint."""
    return Reply(body=known_endpoint(world, call.workspace, call.params["endpoint"]))


async def list_endpoints(world: World, call: Call) -> Reply:
    """All endpoints of the workspace."""
    return page_of(world, call, load_all(world, ENDPOINTS, f"{call.workspace.name}/"))


async def put_endpoint(world: World, call: Call) -> Reply:
    """Create or replace an endpoint; what the body does not say is gone."""
    workspace, name = call.workspace, call.params["endpoint"]
    check_endpoint_name(name)
    key = f"{workspace.name}/{name}"
    old = load(world, ENDPOINTS, key)
    if old is None:
        check_room_for_endpoint(world, workspace, name)
    elif state_of(old) in IN_TRANSITION:
        raise conflict(f"Endpoint '{name}' is in state '{state_of(old)}' and cannot be changed now.")
    wanted = _wanted(world, call, old)
    _check_default(world, workspace, name, wanted["properties"]["defaults"]["deploymentName"])
    duration = "endpoint_update" if old else "endpoint_create"
    operation = begin(world, call, prefix=PREFIX, duration=duration, scope=workspace, result={})
    shown = in_state(old, "Updating") if old else in_state(wanted, "Creating")
    change(world, ENDPOINTS, key, shown=shown, following=_finished(wanted, workspace), operation=operation)
    version = call.query.get("api-version", "")
    headers = {
        "Azure-AsyncOperation": arm_url(operation, "mfeOperationsStatus", version),
        "Location": f"https://management.azure.com{wanted['id']}?api-version={version}",
        "x-ms-async-operation-timeout": "PT30M",
    }
    return Reply(
        status=200 if old else 201, body=in_state(wanted, shown["properties"]["provisioningState"]), headers=headers
    )


async def patch_endpoint(world: World, call: Call) -> Reply:
    """Change an endpoint's tags and nothing else; the default stays."""
    workspace, name = call.workspace, call.params["endpoint"]
    old = known_endpoint(world, workspace, name)
    return patched(world, call, ENDPOINTS, f"{workspace.name}/{name}", old)


def patched(world: World, call: Call, collection: str, key: str, old: Document) -> Reply:
    """The resource with the tags of the body, at once."""
    if state_of(old) in IN_TRANSITION:
        raise conflict(f"'{old['name']}' is in state '{state_of(old)}' and cannot be changed now.")
    if not isinstance(call.body, dict) or call.body.get("tags") is None:
        raise invalid("The request body must be a JSON object with 'tags'.")
    new = {**old, "tags": tags_of(call.body), "systemData": system_data(world, call, old["systemData"])}
    change(world, collection, key, shown=new, following=new, operation=None)
    return Reply(body=new)


async def delete_endpoint(world: World, call: Call) -> Reply:
    """Delete an endpoint and, with it, its deployments."""
    workspace, name = call.workspace, call.params["endpoint"]
    key = f"{workspace.name}/{name}"
    old = load(world, ENDPOINTS, key)
    if old is None:
        return Reply(status=204)
    if state_of(old) in IN_TRANSITION:
        raise conflict(f"Endpoint '{name}' is in state '{state_of(old)}' and cannot be deleted now.")
    operation = begin(world, call, prefix=PREFIX, duration="endpoint_delete", scope=workspace, result={})
    for deployment in load_all(world, DEPLOYMENTS, f"{key}/"):
        shown = in_state(deployment, "Deleting")
        change(world, DEPLOYMENTS, f"{key}/{deployment['name']}", shown=shown, following=None, operation=operation)
    change(world, ENDPOINTS, key, shown=in_state(old, "Deleting"), following=None, operation=operation)
    return deletion_reply(call, operation)


def deletion_reply(call: Call, operation: Document) -> Reply:
    """202 with both addresses under which the deletion can be followed."""
    version = call.query.get("api-version", "")
    headers = {
        "Azure-AsyncOperation": arm_url(operation, "mfeOperationsStatus", version),
        "Location": arm_url(operation, "mfeOperationResults", version),
        "x-ms-async-operation-timeout": "PT1H",
    }
    return Reply(status=202, headers=headers)


def known_endpoint(world: World, workspace: Workspace, name: str) -> Document:
    """The endpoint as it is now.

    Raises:
        ServiceError: 404.
    """
    found = load(world, ENDPOINTS, f"{workspace.name}/{name}")
    if found is None:
        raise not_found(f"Could not find batch endpoint '{name}' in workspace '{workspace.name}'.")
    return found


def endpoints_in_region(world: World, region: str) -> list[tuple[Workspace, Document]]:
    """All endpoints of all workspaces in a region."""
    workspaces = [one for one in world.settings.workspaces if one.region == region]
    return [(one, found) for one in workspaces for found in load_all(world, ENDPOINTS, f"{one.name}/")]


def _check_default(world: World, workspace: Workspace, endpoint: str, deployment: str | None) -> None:
    if deployment is None:
        return
    found = load(world, DEPLOYMENTS, f"{workspace.name}/{endpoint}/{deployment}")
    if found is None:
        raise invalid(f"The default deployment '{deployment}' does not exist on endpoint '{endpoint}'.")
    if state_of(found) != "Succeeded":
        raise conflict(f"Deployment '{deployment}' is in state '{state_of(found)}' and cannot become the default.")


def _wanted(world: World, call: Call, old: Document | None) -> dict[str, Any]:
    workspace, name, asked = call.workspace, call.params["endpoint"], call.properties
    own_id = f"{workspace.arm_id}/batchEndpoints/{name}"
    default = (asked.get("defaults") or {}).get("deploymentName") or None
    added = {
        "BatchEndpointCreationApiVersion": call.query.get("api-version", ""),
        "azureml.onlineendpointid": own_id,
    }
    if old:
        added = {key: old["properties"]["properties"][key] for key in added}
    return {
        "id": own_id,
        "name": name,
        "type": "Microsoft.MachineLearningServices/workspaces/batchEndpoints",
        "properties": {
            "description": asked.get("description"),
            "properties": {**(asked.get("properties") or {}), **added},
            "scoringUri": None,
            "swaggerUri": None,
            **checked(BatchEndpointSettings, asked).model_dump(by_alias=True),
            "defaults": {"deploymentName": default},
            "provisioningState": "Creating",
        },
        "systemData": system_data(world, call, old["systemData"] if old else None),
        "tags": tags_of(call.body),
        "location": workspace.region,
        "identity": {"type": "SystemAssigned", "principalId": workspace.guid, "tenantId": world.settings.tenant_id},
    }


def _finished(wanted: Document, workspace: Workspace) -> Document:
    finished = in_state(wanted, "Succeeded")
    finished["properties"]["scoringUri"] = f"https://{wanted['name']}.{workspace.region}.inference.ml.azure.com/jobs"
    return finished
