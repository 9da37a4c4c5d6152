"""Is there room for one more? Endpoints of all types share names and quotas, and so do their deployments."""

from collections.abc import Iterator

from local.azure_ml.calls import World
from local.azure_ml.errors import conflict, quota_exceeded
from local.azure_ml.resources import DEPLOYMENTS, ENDPOINTS, ONLINE_DEPLOYMENTS, ONLINE_ENDPOINTS, load_all
from local.azure_ml.settings import Workspace
from local.azure_ml.store import Document


def check_room_for_endpoint(world: World, workspace: Workspace, name: str) -> None:
    """Names are unique in a region (they are host names), and a region holds so many per subscription.

    Raises:
        ServiceError: 409 for a name that is taken, 400 beyond the quota.
    """
    there = list(_in_region(world, workspace.region, ENDPOINTS, ONLINE_ENDPOINTS))
    if any(found["name"].lower() == name.lower() for _, found in there):
        raise conflict(
            f"The endpoint name '{name}' is already in use in region '{workspace.region}'. Choose another name."
        )
    limit = world.settings.quotas["endpoints_per_region"]
    have = sum(1 for other, _ in there if other.subscription_id == workspace.subscription_id)
    if have >= limit:
        raise quota_exceeded(
            f"The subscription has {have} endpoints in region '{workspace.region}'; the limit is {limit}."
        )


def check_room_for_deployment(world: World, workspace: Workspace, endpoint: str, collection: str) -> None:
    """An endpoint holds so many, and so does a region per subscription.

    Raises:
        ServiceError: 400 beyond one of the two.
    """
    quotas = world.settings.quotas
    have = len(load_all(world, collection, f"{workspace.name}/{endpoint}/"))
    limit = quotas["deployments_per_endpoint"]
    if have >= limit:
        raise quota_exceeded(f"Endpoint '{endpoint}' has {have} deployments; the limit is {limit}.")
    there = _in_region(world, workspace.region, DEPLOYMENTS, ONLINE_DEPLOYMENTS)
    have = sum(1 for other, _ in there if other.subscription_id == workspace.subscription_id)
    limit = quotas["deployments_per_region"]
    if have >= limit:
        message = f"The subscription has {have} deployments in region '{workspace.region}'; the limit is {limit}."
        raise quota_exceeded(message)


def _in_region(world: World, region: str, *collections: str) -> Iterator[tuple[Workspace, Document]]:
    for workspace in world.settings.workspaces:
        if workspace.region == region:
            for collection in collections:
                yield from ((workspace, found) for found in load_all(world, collection, f"{workspace.name}/"))
