"""What somebody does to a batch job of the Test workspace behind the app's back, with the real azure-ai-ml client."""

import contextlib
from typing import Any

from azure.ai.ml import MLClient
from azure.core.credentials import TokenCredential
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import ContainerClient

from local.stack.azure_names import TEST
from tests.support.waiting import wait_until

PREDICTIONS = "workspaceblobstore", "azureml/{run}/score/predictions.csv"
ERROR_FILE = "workspaceartifactstore", "ExperimentRun/dcid.{run}/logs/user/error.txt"


def cancel(credential: TokenCredential, subscription_id: str, job: str) -> None:
    """As a person does who needs the cluster."""
    _client(credential, subscription_id).jobs.begin_cancel(job)


def completed_run(credential: TokenCredential, subscription_id: str, job: str) -> str:
    """Wait until a job has completed; the run that scored, after which its files are named."""
    client = _client(credential, subscription_id)
    wait_until(lambda: _has_completed(client, job), f"job {job} has completed")
    (run,) = [str(child.name) for child in client.jobs.list(parent_job_name=job)]
    return run


def put_file(credential: TokenCredential, subscription_id: str, datastore: str, path: str, text: str) -> None:
    """Write a file, also in the place of one that is there."""
    with _container(_client(credential, subscription_id), datastore) as container:
        container.upload_blob(path, text.encode(), overwrite=True)


def _has_completed(client: MLClient, job: str) -> bool:
    with contextlib.suppress(ResourceNotFoundError):
        return bool(client.jobs.get(job).status == "Completed")
    return False


def _client(credential: TokenCredential, subscription_id: str) -> MLClient:
    return MLClient(credential, subscription_id, TEST.resource_group, TEST.name)


def _container(client: MLClient, name: str) -> ContainerClient:
    datastore: Any = client.datastores.get(name, include_secrets=True)
    return ContainerClient(
        f"https://{datastore.account_name}.blob.core.windows.net",
        datastore.container_name,
        credential=datastore.credentials.sas_token,
    )
