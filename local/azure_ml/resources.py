"""Endpoints and deployments as documents: what is, what they are turning into, and when.

A document holds `shown` (what a reader sees) and, while an operation runs, `next` (what it will be; none: it goes).
"""

from collections.abc import Mapping
from typing import Any

from local.azure_ml.calls import World
from local.azure_ml.operations import is_over
from local.azure_ml.store import Document

ENDPOINTS, DEPLOYMENTS = "endpoints", "deployments"
ONLINE_ENDPOINTS, ONLINE_DEPLOYMENTS = "online_endpoints", "online_deployments"
IN_TRANSITION = frozenset({"Creating", "Updating", "Deleting"})


def load(world: World, collection: str, key: str) -> Document | None:
    """What a reader sees of a resource now, or None."""
    document = world.store.get(collection, key)
    return None if document is None else _settled(world, collection, key, document)


def load_all(world: World, collection: str, prefix: str) -> list[Document]:
    """What a reader sees of all resources below a prefix, in the order of their keys."""
    settled = (_settled(world, collection, one["key"], one) for one in world.store.find_all(collection, prefix))
    return [shown for shown in settled if shown is not None]


def default_names(world: World, key: str) -> set[str]:
    """The deployment that is an endpoint's default, and the one that is about to be."""
    document = world.store.get(ENDPOINTS, key) or {}
    versions = [one for one in (document.get("shown"), document.get("next")) if one]
    return {one["properties"]["defaults"]["deploymentName"] for one in versions} - {None}


def state_of(shown: Document) -> str:
    return str(shown["properties"]["provisioningState"])


def change(
    world: World,
    collection: str,
    key: str,
    *,
    shown: Mapping[str, Any],
    following: Mapping[str, Any] | None,
    operation: Mapping[str, Any] | None,
) -> None:
    """Show `shown` until the operation ends, then `following`, or nothing at all."""
    document = {"key": key, "shown": shown, "next": following, "operation": operation}
    world.store.put(collection, key, document)


def in_state(resource: Mapping[str, Any], state: str) -> dict[str, Any]:
    """The resource with another provisioning state."""
    return {**resource, "properties": {**resource["properties"], "provisioningState": state}}


def _settled(world: World, collection: str, key: str, document: Document) -> Document | None:
    operation = document["operation"]
    if operation is None or not is_over(world, operation):
        return dict(document["shown"])
    if operation["error"]:
        after: Document | None = in_state(document["shown"], "Failed")
    else:
        after = document["next"]
    if after is None:
        world.store.delete(collection, key)
        return None
    world.store.put(collection, key, {"key": key, "shown": after, "next": None, "operation": None})
    return dict(after)
