"""Endpoints as somebody made them by hand before there was a pipeline: no tags of ours, a deployment that is live.

Runs in a process of its own, because the client takes its proxy and its identity from the environment:
`python -m local.samples.brownfield < PLAN`; repeatable: what is there stays as it is.
"""

import contextlib
import json
import sys
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

from azure.ai.ml import MLClient
from azure.ai.ml.constants import AssetTypes, BatchDeploymentOutputAction
from azure.ai.ml.entities import (
    BatchEndpoint,
    Model,
    ModelBatchDeployment,
    ModelBatchDeploymentSettings,
    ResourceConfiguration,
)
from azure.core.exceptions import ResourceNotFoundError
from azure.identity import DefaultAzureCredential

from local.samples.mlflow_format import write_model
from local.samples.training import train
from local.stack.azure_names import PRODUCTION, REGISTRY, TEST, Workspace

VERSION, DEPLOYMENT = "by-hand-1", "made-by-hand"
POLL_SECONDS = 0.5


def main() -> int:
    """Make the plan's circuits' endpoints in Test and Production."""
    plan = json.load(sys.stdin)
    credential = DefaultAzureCredential()
    made = 0
    with contextlib.redirect_stdout(sys.stderr):  # the client prints its notices there
        registry = MLClient(credential, registry_name=REGISTRY, polling_interval=POLL_SECONDS)
        for circuit in plan["circuits"]:
            name = f"{circuit['plant_id']}-{circuit['circuit_id']}".lower()
            _register(registry, name, circuit)
            for workspace in (TEST, PRODUCTION):
                made += _make(_client(workspace, plan["subscription_id"], credential), name)
    print(f"{made} endpoints made by hand")
    return 0


def _client(workspace: Workspace, subscription_id: str, credential: DefaultAzureCredential) -> MLClient:
    return MLClient(
        credential, subscription_id, workspace.resource_group, workspace.name, polling_interval=POLL_SECONDS
    )


def _register(registry: Any, name: str, circuit: dict[str, str]) -> None:
    try:
        registry.models.get(name, VERSION)
    except ResourceNotFoundError:
        title = f"{circuit['plant_id']}/{circuit['circuit_id']}"
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "model"
            trained = train(title, cutoff=date.fromisoformat(circuit["cutoff_date"]), alpha=5.0)
            write_model(trained.pipeline, folder, seed=f"{name} by hand")
            model = Model(name=name, version=VERSION, path=str(folder), type=AssetTypes.MLFLOW_MODEL)
            registry.models.create_or_update(model)


def _make(client: Any, name: str) -> int:
    endpoint = f"be-{name}"
    try:
        client.batch_endpoints.get(endpoint)
    except ResourceNotFoundError:
        made = client.batch_endpoints.begin_create_or_update(BatchEndpoint(name=endpoint)).result()
        client.batch_deployments.begin_create_or_update(_deployment(endpoint, name)).result()
        made.defaults = {"deployment_name": DEPLOYMENT}
        client.batch_endpoints.begin_create_or_update(made).result()
        return 1
    return 0


def _deployment(endpoint: str, name: str) -> ModelBatchDeployment:
    return ModelBatchDeployment(
        name=DEPLOYMENT,
        endpoint_name=endpoint,
        model=f"azureml://registries/{REGISTRY}/models/{name}/versions/{VERSION}",
        compute="batch-cluster",
        resources=ResourceConfiguration(instance_count=1),
        settings=ModelBatchDeploymentSettings(
            mini_batch_size=10,
            max_concurrency_per_instance=1,
            output_action=BatchDeploymentOutputAction.APPEND_ROW,
            output_file_name="predictions.csv",
        ),
    )


if __name__ == "__main__":
    sys.exit(main())
