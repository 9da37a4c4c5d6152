"""What the real azure-ai-ml client sees of an estate."""

from collections.abc import Sequence
from typing import Any

from azure.ai.ml import MLClient
from azure.core.credentials import TokenCredential

WORKSPACES = {"test": ("rg-mlops-test", "mlw-test"), "production": ("rg-mlops-prod", "mlw-prod")}


def report(credential: TokenCredential, subscription_id: str, models: Sequence[str]) -> dict[str, Any]:
    """Models in Dev and in the Registry, endpoints with their deployments in Test and Production."""
    dev = MLClient(credential, subscription_id, "rg-mlops-dev", "mlw-dev")
    registry = MLClient(credential, subscription_id, registry_name="mlr-shared")
    seen: dict[str, Any] = {
        "dev": {name: _models(dev, name) for name in models},
        "registry": {name: _models(registry, name) for name in models},
    }
    for stage, (group, workspace) in WORKSPACES.items():
        client = MLClient(credential, subscription_id, group, workspace)
        seen[stage] = {name: _endpoint(client, f"be-{name}") for name in models}
    return seen


def _models(client: Any, name: str) -> list[dict[str, Any]]:
    found = [client.models.get(name, version.version) for version in client.models.list(name)]
    return [
        {"version": m.version, "type": str(m.type), "tags": dict(m.tags or {}), "properties": dict(m.properties or {})}
        for m in found
    ]


def _endpoint(client: Any, name: str) -> dict[str, Any]:
    endpoint = client.batch_endpoints.get(name)
    deployments = [client.batch_deployments.get(one.name, name) for one in client.batch_deployments.list(name)]
    return {
        "state": str(endpoint.provisioning_state),
        "default": endpoint.defaults.deployment_name if endpoint.defaults else None,
        "deployments": {one.name: _deployment(one) for one in deployments},
    }


def _deployment(deployment: Any) -> dict[str, Any]:
    return {
        "state": str(deployment.provisioning_state),
        "model": str(deployment.model),
        "tags": dict(deployment.tags or {}),
        "compute": deployment.compute,
        "instance_count": deployment.resources.instance_count,
        "max_concurrency_per_instance": deployment.max_concurrency_per_instance,
        "mini_batch_size": deployment.mini_batch_size,
        "output_action": str(deployment.output_action),
        "error_threshold": deployment.error_threshold,
    }
