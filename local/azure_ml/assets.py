"""Model versions, of workspaces and registries alike: kept, listed, found by any form of their id."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import yaml
from azure.core.exceptions import AzureError

from local.azure_ml.arm.training import resolved
from local.azure_ml.asked import tags_of
from local.azure_ml.calls import Call, Reply, World, page_of, system_data
from local.azure_ml.errors import invalid, not_found
from local.azure_ml.names import check_asset_name, check_version
from local.azure_ml.settings import Registry, Scope, Workspace
from local.azure_ml.storage import Place, UnknownPlace
from local.azure_ml.store import Document

MODELS = "models"
REGISTRY_ID = re.compile(r"azureml://registries/(?P<scope>[^/]+)/models/(?P<name>[^/]+)/versions/(?P<version>[^/]+)")
GUID_ID = re.compile(
    r"azureml://locations/(?P<location>[^/]+)/workspaces/(?P<guid>[^/]+)/models/(?P<name>[^/]+)/versions/(?P<version>[^/]+)"
)
ARM_ID = re.compile(
    r"(?:azureml:)?/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\.MachineLearningServices"
    r"/workspaces/(?P<scope>[^/]+)/models/(?P<name>[^/]+)/versions/(?P<version>[^/]+)",
    re.IGNORECASE,
)


def key_of(scope: Scope, name: str, version: str) -> str:
    """The key of a model version in the store."""
    return f"{scope.name}/{name}/{version}"


def stored(world: World, key: str) -> Document | None:
    """A version that exists or is about to."""
    found = world.store.get(MODELS, key)
    return None if found is None else dict(found["model"])


def store_from(world: World, key: str, model: Document, visible_at: float | None) -> None:
    """Keep a version; readers see it from `visible_at` on (None: never, its creation is stuck)."""
    world.store.put(MODELS, key, {"model": model, "visible_at": visible_at})


def _visible(world: World, prefix: str) -> list[Document]:
    now = world.now()
    found = world.store.find_all(MODELS, prefix)
    return [dict(one["model"]) for one in found if one["visible_at"] is not None and one["visible_at"] <= now]


def _visible_one(world: World, key: str) -> Document | None:
    found = world.store.get(MODELS, key)
    if found is None or found["visible_at"] is None or found["visible_at"] > world.now():
        return None
    return dict(found["model"])


def find(world: World, asset_id: str) -> Document | None:
    """The model version that an id of any form means."""
    if (match := REGISTRY_ID.fullmatch(asset_id) or ARM_ID.fullmatch(asset_id)) is not None:
        scope = match["scope"]
    elif (match := GUID_ID.fullmatch(asset_id)) is not None:
        guid = match["guid"]
        scope = next((one.name for one in world.settings.workspaces if one.guid == guid), "")
    else:
        return None
    return _visible_one(world, f"{scope}/{match['name']}/{match['version']}")


async def get_version(world: World, call: Call) -> Reply:
    """One version."""
    return Reply(body=known_version(world, call))


def known_version(world: World, call: Call) -> Document:
    """The version that the request's path names.

    Raises:
        ServiceError: 404.
    """
    name, version = call.params["name"], call.params["version"]
    assert call.scope
    found = _visible_one(world, key_of(call.scope, name, version))
    if found is None:
        raise not_found(f"Could not find asset with ID: {asset_id(call.scope, name, version)}")
    return found


async def list_versions(world: World, call: Call) -> Reply:
    """All versions of one model, the newest first unless asked otherwise."""
    assert call.scope
    found = _visible(world, f"{call.scope.name}/{call.params['name']}/")
    view = call.query.get("listViewType", "ActiveOnly")
    shown = [one for one in found if view == "All" or one["properties"]["isArchived"] == (view == "ArchivedOnly")]
    ascending = call.query.get("$orderBy", "").lower().endswith(" asc")
    shown.sort(key=lambda one: str(one["systemData"]["createdAt"]), reverse=not ascending)
    return page_of(world, call, shown)


async def list_containers(world: World, call: Call) -> Reply:
    """All models by name; as in the service, a container shows no tags."""
    assert call.scope
    newest: dict[str, Document] = {}
    for one in _visible(world, f"{call.scope.name}/"):
        name = one["name"] if isinstance(call.scope, Registry) else one["id"].split("/")[-3]
        if name not in newest or one["systemData"]["createdAt"] >= newest[name]["systemData"]["createdAt"]:
            newest[name] = one
    return page_of(world, call, [_container(name, one) for name, one in sorted(newest.items())])


async def get_container(world: World, call: Call) -> Reply:
    """One model by name, with its latest version."""
    assert call.scope
    name = call.params["name"]
    found = _visible(world, f"{call.scope.name}/{name}/")
    if not found:
        raise not_found(f"Could not find model container with name: {name}")
    return Reply(body=_container(name, max(found, key=lambda one: str(one["systemData"]["createdAt"]))))


async def put_version(world: World, call: Call) -> Reply:
    """Create a workspace's model version (201), or change tags and description of one that exists (200)."""
    workspace = call.workspace
    key = key_of(workspace, call.params["name"], call.params["version"])
    old = stored(world, key)
    asked = dict(call.properties)
    if asked.get("modelUri"):
        uri, job = resolved(world, workspace, asked["modelUri"])
        asked |= {"modelUri": uri, "jobName": job or (old["properties"]["jobName"] if old else None)}
    document = await made_version(world, replace(call, body={**call.body, "properties": asked}), workspace, old)
    store_from(world, key, document, world.now())
    return Reply(status=200 if old else 201, body=document)


async def made_version(world: World, call: Call, scope: Scope, old: Document | None) -> Document:
    """The version that a PUT asks for.

    Raises:
        ServiceError: an illegal name, other content than the existing version has, or no files at the model's URI.
    """
    name, version, asked = call.params["name"], call.params["version"], call.properties
    check_asset_name("model", name)
    check_version(version)
    if old and not _same_content(world, scope, old["properties"], asked):
        raise invalid("Asset paths cannot be updated.")
    if old is None and not asked.get("modelUri"):
        raise invalid("The model's 'modelUri' is missing.")
    flavors = old["properties"]["flavors"] if old else await _flavors_at(world, asked["modelUri"], scope)
    properties = {
        "description": asked.get("description"),
        "tags": tags_of(asked),
        "properties": asked.get("properties") or {},
        "isArchived": bool(asked.get("isArchived")),
        "isAnonymous": bool(asked.get("isAnonymous")),
        "flavors": flavors or asked.get("flavors") or {},
        "modelType": asked.get("modelType") or (old["properties"]["modelType"] if old else "custom_model"),
        "modelUri": asked.get("modelUri") or (old["properties"]["modelUri"] if old else ""),
        "jobName": asked.get("jobName"),  # the workspace's own finding; a registry's copy keeps none
    }
    return described(world, call, scope, properties, old)


def _same_content(world: World, scope: Scope, old: Mapping[str, Any], asked: Mapping[str, Any]) -> bool:
    """Whether a PUT means the files and the type that the version has; one place has several URIs."""
    if asked.get("modelType", old["modelType"]) != old["modelType"]:
        return False
    uri = asked.get("modelUri") or old["modelUri"]
    if uri == old["modelUri"]:
        return True
    home = scope if isinstance(scope, Workspace) else None
    try:
        return world.blobs.locate(uri, home) == world.blobs.locate(old["modelUri"], home)
    except UnknownPlace:
        return False


def described(
    world: World, call: Call, scope: Scope, properties: Mapping[str, Any], old: Document | None = None
) -> Document:
    """A model version around its properties: id, name and type as workspace and registry write them."""
    name, version = call.params["name"], call.params["version"]
    if isinstance(scope, Registry):
        extra: dict[str, Any] = {"originAssetId": old["properties"]["originAssetId"] if old else None}
        shown_name, kind = name, "models"
    else:
        extra = {"stage": None}
        shown_name, kind = version, "Microsoft.MachineLearningServices/workspaces/models/versions"
    return {
        "id": asset_id(scope, name, version),
        "name": shown_name,
        "type": kind,
        "properties": {**extra, **properties},
        "systemData": {
            **system_data(world, call, old["systemData"] if old else None),
            "createdByType": "Application",
            "lastModifiedBy": call.caller.object_id,
            "lastModifiedByType": "Application",
        },
    }


def asset_id(scope: Scope, name: str, version: str) -> str:
    """The id of a model version, in its scope's own form."""
    if isinstance(scope, Workspace):
        return f"{scope.arm_id}/models/{name}/versions/{version}"
    return f"azureml://registries/{scope.name}/models/{name}/versions/{version}"


async def _flavors_at(world: World, uri: str, scope: Scope) -> dict[str, Any]:
    """The flavors in the MLmodel file of a new version; none for a model without one."""
    home = scope if isinstance(scope, Workspace) else None
    try:
        place = world.blobs.locate(uri, home)
        return await asyncio.to_thread(_read_flavors, world, place)
    except UnknownPlace as error:
        raise invalid(f"The model's path is not usable: {error}.") from error
    except AzureError as error:
        raise invalid(f"The model's path '{uri}' could not be read.") from error


def _read_flavors(world: World, place: Place) -> dict[str, Any]:
    names = world.blobs.names_in(place)
    if not names:
        raise invalid(f"There are no files at the model's path '{place.path}' in container '{place.container}'.")
    described_in = next((name for name in sorted(names, key=len) if name.rpartition("/")[2] == "MLmodel"), None)
    if described_in is None:
        return {}
    text = world.blobs.read(Place(scope=place.scope, container=place.container, path=described_in))
    flavors = yaml.safe_load(text).get("flavors") or {}
    return {flavor: {"data": {key: str(value) for key, value in data.items()}} for flavor, data in flavors.items()}


def _container(name: str, newest: Document) -> dict[str, Any]:
    version = newest["id"].rpartition("/")[2]
    return {
        "id": newest["id"].rpartition("/versions/")[0],
        "name": name,
        "type": newest["type"].removesuffix("/versions"),
        "properties": {
            "description": None,
            "tags": {},
            "properties": {},
            "isArchived": False,
            "latestVersion": version,
            "nextVersion": str(int(version) + 1) if version.isdigit() else None,
        },
        "systemData": newest["systemData"],
    }
