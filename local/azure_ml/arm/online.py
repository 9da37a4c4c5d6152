"""Online endpoints and their deployments, as far as batch endpoints meet them: they take names and count into quotas.

They answer no scoring requests here. Their replies follow the service's documentation; none is compared with a recording.
"""

from typing import Any

from local.azure_ml.arm.endpoints import deletion_reply
from local.azure_ml.arm.room import check_room_for_deployment, check_room_for_endpoint
from local.azure_ml.asked import OnlineEndpointSettings, checked, tags_of
from local.azure_ml.calls import Call, Reply, World, page_of, system_data
from local.azure_ml.errors import conflict, not_found
from local.azure_ml.names import check_deployment_name, check_endpoint_name
from local.azure_ml.operations import arm_url, begin
from local.azure_ml.resources import (
    IN_TRANSITION,
    ONLINE_DEPLOYMENTS,
    ONLINE_ENDPOINTS,
    change,
    in_state,
    load,
    load_all,
    state_of,
)
from local.azure_ml.store import Document

PREFIX = "oeidp:"


async def get_endpoint(world: World, call: Call) -> Reply:
    """One endpoint."""
    return Reply(body=_known_endpoint(world, call))


async def list_endpoints(world: World, call: Call) -> Reply:
    """All online endpoints of the workspace."""
    return page_of(world, call, load_all(world, ONLINE_ENDPOINTS, f"{call.workspace.name}/"))


async def put_endpoint(world: World, call: Call) -> Reply:
    """Create or replace an endpoint."""
    workspace, name = call.workspace, call.params["endpoint"]
    check_endpoint_name(name)
    key = f"{workspace.name}/{name}"
    old = load(world, ONLINE_ENDPOINTS, key)
    if old is None:
        check_room_for_endpoint(world, workspace, name)
    return _put(world, call, (ONLINE_ENDPOINTS, key), old, _endpoint(world, call, old))


async def delete_endpoint(world: World, call: Call) -> Reply:
    """Delete an endpoint and, with it, its deployments."""
    key = f"{call.workspace.name}/{call.params['endpoint']}"
    below = [
        (ONLINE_DEPLOYMENTS, f"{key}/{one['name']}", one) for one in load_all(world, ONLINE_DEPLOYMENTS, f"{key}/")
    ]
    return _delete(world, call, ONLINE_ENDPOINTS, key, below)


async def get_deployment(world: World, call: Call) -> Reply:
    """One deployment."""
    name, endpoint = call.params["deployment"], call.params["endpoint"]
    found = load(world, ONLINE_DEPLOYMENTS, f"{call.workspace.name}/{endpoint}/{name}")
    if found is None:
        raise not_found(f"Could not find deployment '{name}' on online endpoint '{endpoint}'.")
    return Reply(body=found)


async def list_deployments(world: World, call: Call) -> Reply:
    """All deployments of an endpoint."""
    endpoint = _known_endpoint(world, call)
    return page_of(world, call, load_all(world, ONLINE_DEPLOYMENTS, f"{call.workspace.name}/{endpoint['name']}/"))


async def put_deployment(world: World, call: Call) -> Reply:
    """Create or replace a deployment."""
    workspace, name = call.workspace, call.params["deployment"]
    check_deployment_name(name)
    endpoint = _known_endpoint(world, call)
    key = f"{workspace.name}/{endpoint['name']}/{name}"
    old = load(world, ONLINE_DEPLOYMENTS, key)
    if old is None:
        check_room_for_deployment(world, workspace, endpoint["name"], ONLINE_DEPLOYMENTS)
    return _put(world, call, (ONLINE_DEPLOYMENTS, key), old, _deployment(world, call, endpoint, old))


async def delete_deployment(world: World, call: Call) -> Reply:
    """Delete a deployment."""
    key = f"{call.workspace.name}/{call.params['endpoint']}/{call.params['deployment']}"
    return _delete(world, call, ONLINE_DEPLOYMENTS, key, [])


def _known_endpoint(world: World, call: Call) -> Document:
    name = call.params["endpoint"]
    found = load(world, ONLINE_ENDPOINTS, f"{call.workspace.name}/{name}")
    if found is None:
        raise not_found(f"Could not find online endpoint '{name}' in workspace '{call.workspace.name}'.")
    return found


def _put(world: World, call: Call, place: tuple[str, str], old: Document | None, wanted: Document) -> Reply:
    _check_free(old)
    what = "endpoint" if place[0] == ONLINE_ENDPOINTS else "deployment"
    duration = f"{what}_update" if old else f"{what}_create"
    operation = begin(world, call, prefix=PREFIX, duration=duration, scope=call.workspace, result={})
    shown = in_state(old, "Updating") if old else wanted
    change(world, *place, shown=shown, following=in_state(wanted, "Succeeded"), operation=operation)
    headers = {"Azure-AsyncOperation": arm_url(operation, "mfeOperationsStatus", call.query.get("api-version", ""))}
    return Reply(status=200 if old else 201, body=in_state(wanted, state_of(shown)), headers=headers)


def _delete(world: World, call: Call, collection: str, key: str, below: list[tuple[str, str, Document]]) -> Reply:
    old = load(world, collection, key)
    if old is None:
        return Reply(status=204)
    _check_free(old)
    what = "endpoint" if collection == ONLINE_ENDPOINTS else "deployment"
    operation = begin(world, call, prefix=PREFIX, duration=f"{what}_delete", scope=call.workspace, result={})
    for held_in, held_as, one in [*below, (collection, key, old)]:
        change(world, held_in, held_as, shown=in_state(one, "Deleting"), following=None, operation=operation)
    return deletion_reply(call, operation)


def _check_free(old: Document | None) -> None:
    if old is not None and state_of(old) in IN_TRANSITION:
        raise conflict(f"'{old['name']}' is in state '{state_of(old)}' and cannot be changed now.")


def _endpoint(world: World, call: Call, old: Document | None) -> dict[str, Any]:
    workspace, name, asked = call.workspace, call.params["endpoint"], call.properties
    host = f"https://{name}.{workspace.region}.inference.ml.azure.com"
    return {
        "id": f"{workspace.arm_id}/onlineEndpoints/{name}",
        "name": name,
        "type": "Microsoft.MachineLearningServices/workspaces/onlineEndpoints",
        "kind": "Managed",
        "properties": {
            "description": asked.get("description"),
            "properties": asked.get("properties") or {},
            **checked(OnlineEndpointSettings, asked).model_dump(by_alias=True),
            "compute": asked.get("compute"),
            "publicNetworkAccess": asked.get("publicNetworkAccess", "Enabled"),
            "traffic": asked.get("traffic") or {},
            "mirrorTraffic": asked.get("mirrorTraffic") or {},
            "scoringUri": f"{host}/score",
            "swaggerUri": f"{host}/swagger.json",
            "provisioningState": "Creating",
        },
        "systemData": system_data(world, call, old["systemData"] if old else None),
        "tags": tags_of(call.body),
        "location": workspace.region,
        "identity": {"type": "SystemAssigned", "principalId": workspace.guid, "tenantId": world.settings.tenant_id},
    }


def _deployment(world: World, call: Call, endpoint: Document, old: Document | None) -> dict[str, Any]:
    name, asked = call.params["deployment"], call.properties
    kept = ("description", "model", "codeConfiguration", "environmentId", "environmentVariables", "instanceType")
    more = ("livenessProbe", "readinessProbe", "requestSettings", "appInsightsEnabled", "egressPublicNetworkAccess")
    return {
        "id": f"{endpoint['id']}/deployments/{name}",
        "name": name,
        "type": "Microsoft.MachineLearningServices/workspaces/onlineEndpoints/deployments",
        "kind": "Managed",
        "sku": call.body.get("sku") or {"name": "Default", "capacity": 1},
        "properties": {
            **{key: asked.get(key) for key in (*kept, *more)},
            "properties": asked.get("properties") or {},
            "endpointComputeType": asked.get("endpointComputeType", "Managed"),
            "scaleSettings": asked.get("scaleSettings") or {"scaleType": "Default"},
            "provisioningState": "Creating",
        },
        "systemData": system_data(world, call, old["systemData"] if old else None),
        "tags": tags_of(call.body),
        "location": call.workspace.region,
    }
