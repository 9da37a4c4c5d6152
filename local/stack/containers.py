"""Creates what the app expects to find in its storage account: the container that builds upload to."""

from azure.core.exceptions import ResourceExistsError
from azure.storage.blob import BlobServiceClient

from local.stack.description import Stack


def create_containers(stack: Stack) -> None:
    """Create the artifact container unless it is there."""
    with BlobServiceClient.from_connection_string(stack.blob_connection_string) as storage:
        try:
            storage.create_container(stack.artifact_container)
        except ResourceExistsError:
            return
