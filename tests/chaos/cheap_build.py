"""A training build whose models cost nothing to score: registered in Dev with the real azure-ai-ml client.

Runs in a process of its own, because the client takes its proxy and its identity from the environment:
`python -m tests.chaos.cheap_build < PLAN`; the plan is JSON, `{subscription_id, build_id, circuits: [{plant_id, …}]}`.
"""

import contextlib
import json
import sys
from collections.abc import Mapping
from typing import Any

from azure.ai.ml import MLClient
from azure.ai.ml.entities import Model
from azure.identity import DefaultAzureCredential
from azure.storage.blob import ContainerClient

from local.stack.azure_names import DEV, TEST, Workspace

STORE = "workspaceblobstore"
FOLDER = "builds/cheap"
"""All models are this one folder: what differs is name, version and tags."""
MLMODEL = """\
artifact_path: model
flavors:
  python_function:
    code: code
    data: factor.txt
    loader_module: multiplying
    python_version: 3.13.0
model_uuid: 7b1c4b5c0d2e4a7f8f6b1f1a2b3c4d5e
signature:
  inputs: '[{"type": "double", "name": "x", "required": true}]'
  outputs: '[{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1]}}]'
"""
CODE = """\
from pathlib import Path


class Multiplying:
    def __init__(self, factor):
        self._factor = factor

    def predict(self, data):
        return data["x"] * self._factor


def _load_pyfunc(path):
    return Multiplying(float(Path(path).read_text()))
"""
FILES = {"MLmodel": MLMODEL, "factor.txt": "2.0\n", "code/multiplying.py": CODE}
TEST_INPUT = b"x\n" + b"".join(b"%d.5\n" % n for n in range(20))


def main() -> int:
    """Register one validated version per circuit, and put each circuit's test input into Test."""
    plan = json.load(sys.stdin)
    credential = DefaultAzureCredential()
    with contextlib.redirect_stdout(sys.stderr):  # the client prints its notices there
        dev, test = (_client(one, plan["subscription_id"], credential) for one in (DEV, TEST))
        _upload_model(dev)
        with _container(test) as container:
            for circuit in plan["circuits"]:
                dev.models.create_or_update(_model(circuit, plan["build_id"]))
                place = f"test-data/{circuit['plant_id']}/{circuit['circuit_id']}/test_input.csv"
                container.upload_blob(place, TEST_INPUT, overwrite=True)
    print(f"{len(plan['circuits'])} models in {DEV.name}")
    return 0


def _client(workspace: Workspace, subscription_id: str, credential: DefaultAzureCredential) -> MLClient:
    return MLClient(credential, subscription_id, workspace.resource_group, workspace.name)


def _upload_model(dev: Any) -> None:
    with _container(dev) as container:
        for name, text in FILES.items():
            container.upload_blob(f"{FOLDER}/{name}", text.encode(), overwrite=True)


def _container(client: Any) -> ContainerClient:
    """The workspace's blob store, by the short-lived signature that the workspace hands out."""
    store = client.datastores.get(STORE, include_secrets=True)
    account = f"https://{store.account_name}.blob.core.windows.net"
    return ContainerClient(account, store.container_name, credential=store.credentials.sas_token)


def _model(circuit: Mapping[str, str], build_id: str) -> Model:
    plant, circuit_id, cutoff_date = circuit["plant_id"], circuit["circuit_id"], circuit["cutoff_date"]
    tags = {
        "validated": "true",
        "cutoff_date": cutoff_date,
        "build_id": build_id,
        "data_asset_name": f"{plant}_{circuit_id}",
        "data_asset_version": cutoff_date,
        "plant_id": plant,
        "circuit_id": circuit_id,
    }
    return Model(
        name=f"{plant}-{circuit_id}".lower(),
        version="1",
        path=f"azureml://datastores/{STORE}/paths/{FOLDER}",
        type="mlflow_model",
        tags=tags,
        properties={"metric.rmse": "0.2500"},
    )


if __name__ == "__main__":
    sys.exit(main())
