"""What the real azure-ai-ml client sees of some circuits, as JSON: `python -m tests.chaos.seen_by_client < PLAN`.

Runs in a process of its own, because the client takes its proxy and its identity from the environment. The plan is JSON,
`{subscription_id, models: [name, …]}`; an endpoint is called `be-{model}`.
"""

import contextlib
import json
import sys
from typing import Any

from azure.ai.ml import MLClient
from azure.core.exceptions import ResourceNotFoundError
from azure.identity import DefaultAzureCredential

from local.stack.azure_names import PRODUCTION, REGISTRY, TEST, Workspace


def main() -> int:
    """Print, per model: its versions in the Registry, its endpoints with their deployments, the smoke jobs in Test."""
    plan = json.load(sys.stdin)
    credential = DefaultAzureCredential()
    with contextlib.redirect_stdout(sys.stderr):  # the client prints its notices there
        registry = MLClient(credential, registry_name=REGISTRY)
        test, production = (_client(one, plan["subscription_id"], credential) for one in (TEST, PRODUCTION))
        seen = {
            name: {
                "registry": _versions(registry, name),
                "test": _endpoint(test, f"be-{name}"),
                "production": _endpoint(production, f"be-{name}"),
                "jobs": _jobs(test, f"be-{name}"),
            }
            for name in plan["models"]
        }
    print(json.dumps(seen))
    return 0


def _client(workspace: Workspace, subscription_id: str, credential: DefaultAzureCredential) -> MLClient:
    return MLClient(credential, subscription_id, workspace.resource_group, workspace.name)


def _versions(registry: Any, name: str) -> dict[str, dict[str, str]]:
    """Version and tags."""
    found = [registry.models.get(name, one.version) for one in registry.models.list(name)]
    return {str(model.version): dict(model.tags or {}) for model in found}


def _jobs(client: Any, endpoint: str) -> dict[str, str]:
    """Name and status; none of an endpoint that was never made."""
    with contextlib.suppress(ResourceNotFoundError):
        return {job.name: job.status for job in client.batch_endpoints.list_jobs(endpoint)}
    return {}


def _endpoint(client: Any, name: str) -> dict[str, Any]:
    try:
        endpoint = client.batch_endpoints.get(name)
    except ResourceNotFoundError:
        return {"state": "MISSING", "default": None, "deployments": {}}
    return {
        "state": str(endpoint.provisioning_state).rpartition(".")[2].upper(),
        "default": endpoint.defaults.deployment_name if endpoint.defaults else None,
        "deployments": {
            one.name: {"model": str(one.model), "tags": dict(one.tags or {})}
            for one in client.batch_deployments.list(name)
        },
    }


if __name__ == "__main__":
    sys.exit(main())
