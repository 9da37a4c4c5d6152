"""The training job behind a sample model: submitted to Dev, and its artifacts written as the job's process would."""

import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from azure.ai.ml import command
from azure.storage.blob import ContainerClient

ARTIFACT_STORE = "workspaceartifactstore"
ENVIRONMENT = "azureml://registries/azureml/environments/sklearn-1.5/versions/1"
LOG, MODEL = "user_logs/std_log.txt", "model"


def submit(client: Any, *, title: str) -> str:
    """Submit a command job for one model; returns its name."""
    job = command(
        name=f"train-{uuid.uuid4()}",
        display_name=title,
        experiment_name="training",
        command="python train.py",
        environment=ENVIRONMENT,
        compute="training-cluster",
    )
    return str(client.jobs.create_or_update(job).name)


def artifacts_of(client: Any) -> ContainerClient:
    """The container in which Dev keeps what its jobs leave behind."""
    store = client.datastores.get(ARTIFACT_STORE, include_secrets=True)
    account = f"https://{store.account_name}.blob.core.windows.net"
    return ContainerClient(account, store.container_name, credential=store.credentials.sas_token)


def leave(artifacts: ContainerClient, job: str, model: Path, log: Iterable[str]) -> str:
    """Write the run's log and model; returns the model's address among the job's outputs."""
    folder = f"ExperimentRun/dcid.{job}"
    artifacts.upload_blob(f"{folder}/{LOG}", "".join(f"{line}\n" for line in log).encode())
    for file in sorted(one for one in model.rglob("*") if one.is_file()):
        artifacts.upload_blob(f"{folder}/{MODEL}/{file.relative_to(model).as_posix()}", file.read_bytes())
    return f"azureml://jobs/{job}/outputs/artifacts/paths/{MODEL}"
