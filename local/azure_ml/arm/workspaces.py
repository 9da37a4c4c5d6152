"""Workspaces, their discovery document, computes and datastores."""

from datetime import timedelta
from typing import Any

from local.azure_ml.calls import Call, Reply, World, page_of
from local.azure_ml.errors import ArmError, invalid, not_found
from local.azure_ml.settings import Compute, DatastoreAccess, Right, Workspace
from local.azure_ml.storage import READ_ONLY, READ_WRITE

BY_APP = {"lastModifiedByType": "Application"}
MADE = {"createdAt": "2025-01-01T00:00:00+00:00", "createdBy": "stand-in", "createdByType": "Application"}


async def get_workspace(_world: World, call: Call) -> Reply:
    """The workspace, with what clients look up in it: location, GUID, discovery address."""
    workspace = call.workspace
    group = f"/subscriptions/{workspace.subscription_id}/resourceGroups/{workspace.resource_group}"
    properties = {
        "friendlyName": workspace.name,
        "description": "",
        "workspaceId": workspace.guid,
        "discoveryUrl": f"https://{workspace.region}.api.azureml.ms/discovery",
        "mlFlowTrackingUri": f"azureml://{workspace.region}.api.azureml.ms/mlflow/v1.0{workspace.arm_id}",
        "storageAccount": f"{group}/providers/Microsoft.Storage/storageAccounts/{workspace.storage_account}",
        "provisioningState": "Succeeded",
        "publicNetworkAccess": "Enabled",
        "hbiWorkspace": False,
        "v1LegacyMode": False,
    }
    body = {
        "id": workspace.arm_id,
        "name": workspace.name,
        "type": "Microsoft.MachineLearningServices/workspaces",
        "location": workspace.region,
        "kind": "Default",
        "sku": {"name": "Basic", "tier": "Basic"},
        "tags": {},
        "identity": {"type": "SystemAssigned", "principalId": workspace.guid},
        "properties": properties,
        "systemData": MADE,
    }
    return Reply(body=body)


async def get_discovery(_world: World, call: Call) -> Reply:
    """Where the services of a workspace's region live."""
    base = f"https://{call.host}"
    names = ("api", "catalog", "experimentation", "gallery", "history", "hyperdrive", "labeling", "modelmanagement")
    return Reply(body={**dict.fromkeys(names, base), "studio": "https://ml.azure.com", "notebooks": base})


async def get_compute(_world: World, call: Call) -> Reply:
    """One cluster."""
    compute = call.workspace.compute(call.params["compute"])
    if compute is None:
        raise ArmError(404, "ComputeTargetNotFound", f"Compute '{call.params['compute']}' was not found.")
    return Reply(body=_compute(call.workspace, compute))


async def list_computes(world: World, call: Call) -> Reply:
    """All clusters of the workspace."""
    return page_of(world, call, [_compute(call.workspace, one) for one in call.workspace.computes])


def _compute(workspace: Workspace, compute: Compute) -> dict[str, Any]:
    scale = {
        "minNodeCount": compute.min_nodes,
        "maxNodeCount": compute.max_nodes,
        "nodeIdleTimeBeforeScaleDown": "PT2M",
    }
    cluster = {"vmSize": "STANDARD_DS3_V2", "vmPriority": "Dedicated", "osType": "Linux", "allocationState": "Steady"}
    return {
        "id": f"{workspace.arm_id}/computes/{compute.name}",
        "name": compute.name,
        "type": "Microsoft.MachineLearningServices/workspaces/computes",
        "location": workspace.region,
        "properties": {
            "computeType": "AmlCompute",
            "computeLocation": workspace.region,
            "provisioningState": "Succeeded",
            "properties": {**cluster, "scaleSettings": scale},
        },
    }


async def get_datastore(_world: World, call: Call) -> Reply:
    """One datastore, without its secrets."""
    return Reply(body=_datastore(call.workspace, _known_datastore(call)))


async def list_datastores(world: World, call: Call) -> Reply:
    """All datastores, or the default one alone."""
    found = [_datastore(call.workspace, name) for name in call.workspace.datastores]
    if call.query.get("isDefault", "").lower() == "true":
        found = [one for one in found if one["properties"]["isDefault"]]
    return page_of(world, call, found)


async def list_secrets(world: World, call: Call) -> Reply:
    """A signature for the datastore's container; who may only read gets one that only reads."""
    workspace, name = call.workspace, _known_datastore(call)
    if workspace.datastore_access is DatastoreAccess.IDENTITY:
        raise invalid(f"Datastore '{name}' has no credentials: it is opened with the identity of the caller.")
    may_write = call.caller.right_in(workspace.name).covers(Right.UPLOAD)
    body = call.body or {}
    if not body.get("expirableSecret") and may_write:
        return Reply(body={"secretsType": "AccountKey", "key": workspace.storage_key})
    lifetime = timedelta(hours=body.get("expireAfterHours", 1))
    permissions = READ_WRITE if may_write else READ_ONLY
    token = world.blobs.signature(workspace, workspace.datastores[name], permissions, lifetime)
    return Reply(body={"secretsType": "Sas", "sasToken": token})


def _known_datastore(call: Call) -> str:
    name = call.params["datastore"]
    if name not in call.workspace.datastores:
        raise not_found(f"Could not find datastore: {name}")
    return name


def _datastore(workspace: Workspace, name: str) -> dict[str, Any]:
    properties = {
        "description": None,
        "tags": None,
        "properties": None,
        "isDefault": name == "workspaceblobstore",
        "credentials": {"credentialsType": workspace.datastore_access},
        "datastoreType": "AzureBlob",
        "accountName": workspace.storage_account,
        "containerName": workspace.datastores[name],
        "endpoint": "core.windows.net",
        "protocol": "https",
        "serviceDataAccessAuthIdentity": "WorkspaceSystemAssignedIdentity",
    }
    return {
        "id": f"{workspace.arm_id}/datastores/{name}",
        "name": name,
        "type": "Microsoft.MachineLearningServices/workspaces/datastores",
        "properties": properties,
        "systemData": {**MADE, "lastModifiedAt": MADE["createdAt"], "lastModifiedBy": "stand-in", **BY_APP},
    }
