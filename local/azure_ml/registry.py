"""Registries: discovery, upload places, model versions and imports, as the registry's own data plane answers."""

import asyncio
import uuid
from dataclasses import replace
from datetime import timedelta
from typing import Any

from local.azure_ml.assets import (
    GUID_ID,
    asset_id,
    described,
    find,
    key_of,
    known_version,
    made_version,
    store_from,
    stored,
)
from local.azure_ml.calls import Call, Reply, World, require_right
from local.azure_ml.errors import conflict, invalid, not_found
from local.azure_ml.names import check_asset_name, check_version
from local.azure_ml.operations import begin
from local.azure_ml.settings import Registry, Right
from local.azure_ml.storage import READ_ONLY, READ_WRITE, Place
from local.azure_ml.store import Document

UPLOADS = "uploads"
LIFETIME = timedelta(hours=1)


async def get_discovery(world: World, call: Call) -> Reply:
    """Where a registry lives."""
    registry = call.registry
    body = {
        "registryId": registry.guid,
        "registryName": registry.name,
        "tenantId": world.settings.tenant_id,
        "primaryRegion": registry.region,
        "regions": [registry.region],
        "subscriptionId": registry.subscription_id,
        "resourceGroup": registry.resource_group,
        "workspaceName": None,
        "primaryRegionResourceProviderUri": f"https://cert-{registry.region}.experiments.azureml.net/",
        "registryFqdns": {
            registry.region: {"uri": f"https://{registry.guid}.registry.{registry.region}.api.azureml.ms"}
        },
    }
    return Reply(body=body)


async def put_upload_place(world: World, call: Call) -> Reply:
    """A container for the files of a version that does not exist yet, and a signature to fill it."""
    registry, name, version = call.registry, call.params["name"], call.params["version"]
    check_asset_name("model", name)
    check_version(version)
    key = key_of(registry, name, version)
    if stored(world, key) is not None:
        raise conflict(f"Asset already exists: {asset_id(registry, name, version)}")
    upload = world.store.get(UPLOADS, key)
    if upload is None:
        upload = {"container": f"{registry.name}-{uuid.uuid4()}", "id": str(uuid.uuid4())}
        world.store.put(UPLOADS, key, upload)
    await asyncio.to_thread(world.blobs.create_container, registry, upload["container"])
    reference = _reference(world, registry, upload["container"], "", READ_WRITE)
    body = {
        "blobReferenceForConsumption": reference,
        "imageReferenceForConsumption": None,
        "temporaryDataReferenceId": upload["id"],
        "temporaryDataReferenceType": None,
    }
    return Reply(body=body)


async def post_download_place(world: World, call: Call) -> Reply:
    """A signature to read the files of a version."""
    found = known_version(world, call)
    uri = found["properties"]["modelUri"]
    place = world.blobs.locate(uri)
    reference = _reference(world, call.registry, place.container, "", READ_ONLY)
    return Reply(body={"blobReferenceForConsumption": {**reference, "blobUri": uri}})


async def put_version(world: World, call: Call) -> Reply:
    """Create a version from the files uploaded for it, or change the tags of an existing one; either takes a while."""
    registry, name, version = call.registry, call.params["name"], call.params["version"]
    key = key_of(registry, name, version)
    old = stored(world, key)
    if old is None:
        _check_upload(world, call, key)
    document = await made_version(world, call, registry, old)
    if old is None and stored(world, key) is not None:
        raise conflict(f"Asset already exists: {asset_id(registry, name, version)}")
    result = {"assetId": asset_id(registry, name, version)}
    operation = begin(world, call, prefix="", duration="registry_create", scope=registry, result=result)
    if operation["error"] is None:
        store_from(world, key, document, operation["ready_at"] if old is None else world.now())
    return _accepted(operation)


async def post_import(world: World, call: Call) -> Reply:
    """Copy a workspace's model version into the registry, files and tags, on the server's side."""
    registry, asked = call.registry, call.properties
    source = find(world, str(asked.get("sourceAssetId")))
    if source is None:
        raise not_found(f"Could not find asset with ID: {asked.get('sourceAssetId')}")
    _require_source(world, call, str(asked["sourceAssetId"]))
    name, version = str(asked.get("destinationName") or ""), str(asked.get("destinationVersion") or "")
    check_asset_name("model", name)
    check_version(version)
    key = key_of(registry, name, version)
    if stored(world, key) is not None:
        raise conflict(f"Asset already exists: {asset_id(registry, name, version)}")
    operation = begin(world, call, prefix="", duration="registry_import", scope=registry, result={})
    if operation["error"] is None:
        destination = replace(call, params={"name": name, "version": version})
        await _import(world, destination, source, operation["ready_at"])
    return _accepted(operation)


async def _import(world: World, call: Call, source: Document, visible_at: float | None) -> None:
    registry, name, version = call.registry, call.params["name"], call.params["version"]
    container = f"{registry.name}-{uuid.uuid4()}"
    origin = world.blobs.locate(source["properties"]["modelUri"])
    folder = origin.path.rstrip("/")
    target = Place(scope=registry, container=container, path=folder)
    await asyncio.to_thread(world.blobs.create_container, registry, container)
    await asyncio.to_thread(world.blobs.copy, origin, target)
    properties = {key: value for key, value in source["properties"].items() if key != "stage"}
    properties["originAssetId"] = call.properties["sourceAssetId"]
    properties["modelUri"] = f"https://{registry.storage_account}.blob.core.windows.net/{container}/{folder}"
    document = described(world, call, registry, properties)
    store_from(world, key_of(registry, name, version), document, visible_at)


def _require_source(world: World, call: Call, source: str) -> None:
    """Who imports must be allowed to read where the model comes from."""
    match = GUID_ID.fullmatch(source)
    workspace = next((one for one in world.settings.workspaces if match and one.guid == match["guid"]), None)
    if workspace is None:
        raise invalid(f"'{source}' is not the id of a workspace's asset.")
    action = "Microsoft.MachineLearningServices/workspaces/models/versions/read"
    require_right(call.caller, workspace, Right.READ, action)


def _check_upload(world: World, call: Call, key: str) -> None:
    upload = world.store.get(UPLOADS, key)
    account = call.registry.storage_account
    uri = str(call.properties.get("modelUri") or "").replace(":443/", "/")
    if upload is None or not uri.startswith(f"https://{account}.blob.core.windows.net/{upload['container']}"):
        raise invalid("The model's path does not lie in the place that was given out for this version's files.")


def _reference(world: World, registry: Registry, container: str, path: str, permissions: str) -> dict[str, Any]:
    account = registry.storage_account
    uri = f"https://{account}.blob.core.windows.net/{container}{path}"
    token = world.blobs.signature(registry, container, permissions, LIFETIME)
    group = f"/subscriptions/{registry.subscription_id}/resourceGroups/{registry.resource_group}"
    return {
        "blobUri": uri,
        "storageAccountArmId": f"{group}/providers/Microsoft.Storage/storageAccounts/{account}",
        "credential": {"credentialType": "SAS", "sasUri": f"{uri}?{token}", "wasbsUri": None},
    }


def _accepted(operation: Document) -> Reply:
    url = f"https://{operation['region']}.api.azureml.ms/assetstore/v1.0/operations/{operation['id']}"
    return Reply(status=202, null=True, headers={"Location": url, "x-ms-async-operation-timeout": "PT1H"})
