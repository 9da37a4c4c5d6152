"""Puts each circuit's test input into the Test workspace's datastore, where smoke tests look for it."""

from collections.abc import Iterable
from datetime import date
from typing import Any

from azure.core.exceptions import ResourceExistsError
from azure.storage.blob import ContainerClient

from local.samples.sensors import smoke_input

DATASTORE = "workspaceblobstore"


def upload_test_data(client: Any, circuits: Iterable[tuple[str, str]], *, until: date) -> int:
    """Upload `test-data/{PLANT}/{CIRCUIT}/test_input.csv` for each circuit that has none; how many were new."""
    container = _container(client)
    return sum(_upload(container, plant, circuit, until) for plant, circuit in circuits)


def _container(client: Any) -> ContainerClient:
    """The datastore's container, by the short-lived signature that the workspace hands out for it."""
    datastore = client.datastores.get(DATASTORE, include_secrets=True)
    return ContainerClient(
        f"https://{datastore.account_name}.blob.core.windows.net",
        datastore.container_name,
        credential=datastore.credentials.sas_token,
    )


def _upload(container: ContainerClient, plant: str, circuit: str, until: date) -> bool:
    table = smoke_input(f"{plant}/{circuit}", until=until)
    blob = container.get_blob_client(f"test-data/{plant}/{circuit}/test_input.csv")
    try:
        blob.upload_blob(table.to_csv(index=False).encode())
    except ResourceExistsError:
        return False
    return True
