"""Long operations: they pass through their states by the clock, and end well, badly or never."""

import uuid
from collections.abc import Mapping
from typing import Any

from local.azure_ml.calls import Call, Reply, World
from local.azure_ml.errors import not_found
from local.azure_ml.faults import Action
from local.azure_ml.settings import Scope

OPERATIONS = "operations"


def begin(
    world: World, call: Call, *, prefix: str, duration: str, scope: Scope, result: Mapping[str, Any]
) -> dict[str, Any]:
    """Start a long operation and remember it; `result` is what a caller may want to read at its end."""
    stuck = call.fault is not None and call.fault.action is Action.STICK
    name = f"{prefix}{scope.guid}:{uuid.uuid4()}" if prefix else uuid.uuid4().hex
    operation = {
        "id": name,
        "ready_at": None if stuck else world.now() + world.duration(duration),
        "error": call.fault.lro_error() if call.fault else None,
        "region": scope.region,
        "subscription": scope.subscription_id,
        "result": dict(result),
    }
    world.store.put(OPERATIONS, name, operation)
    return operation


def is_over(world: World, operation: Mapping[str, Any]) -> bool:
    """Whether the operation has ended, in whatever way."""
    return operation["ready_at"] is not None and bool(operation["ready_at"] <= world.now())


def arm_url(operation: Mapping[str, Any], kind: str, api_version: str) -> str:
    """Where a caller asks the resource manager about the operation; `kind` is mfeOperationsStatus or -Results."""
    return (
        f"https://management.azure.com/subscriptions/{operation['subscription']}/providers/"
        f"Microsoft.MachineLearningServices/locations/{operation['region']}/{kind}/{operation['id']}"
        f"?api-version={api_version}"
    )


async def get_status(world: World, call: Call) -> Reply:
    """mfeOperationsStatus: 200 with the state."""
    operation = _known(world, call)
    body: dict[str, Any] = {"id": call.path, "name": operation["id"], "status": "Updating"}
    if is_over(world, operation):
        body["status"] = "Failed" if operation["error"] else "Succeeded"
        if operation["error"]:
            body["error"] = operation["error"]
    return Reply(body=body)


async def get_results(world: World, call: Call) -> Reply:
    """mfeOperationResults: 202 until it is over."""
    operation = _known(world, call)
    if not is_over(world, operation):
        version = call.query.get("api-version", "")
        return Reply(status=202, body={}, headers={"Location": arm_url(operation, "mfeOperationResults", version)})
    if operation["error"]:
        return Reply(status=500, body={"error": operation["error"]})
    return Reply(status=200, body=operation["result"])


async def get_registry_operation(world: World, call: Call) -> Reply:
    """Asset-store operations: 202 until it is over, then 200 with the asset's id, or 204 after an import."""
    operation = _known(world, call)
    if not is_over(world, operation):
        return Reply(status=202, headers={"Location": f"https://{call.host}{call.path}"})
    if operation["error"]:
        return Reply(status=400, body={"error": operation["error"]})
    return Reply(body=operation["result"]) if operation["result"] else Reply(status=204)


def _known(world: World, call: Call) -> dict[str, Any]:
    operation = world.store.get(OPERATIONS, call.params["operation"])
    if operation is None:
        raise not_found(f"Operation '{call.params['operation']}' was not found.")
    return operation
