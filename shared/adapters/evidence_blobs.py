"""Adapter: evidence and artifacts in Azure Blob Storage (`EvidenceStore`)."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import islice, takewhile

from azure.core.exceptions import AzureError, HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.storage.blob import ContainerClient, ContentSettings

from shared.adapters.retry_after import retry_after
from shared.adapters.sign_in import is_refused
from shared.application.ports import ARTIFACT_NAME, MOST_ARTIFACT_BYTES
from shared.domain.errors import ConflictError, PermanentError, PipelineError, StateRefused, TransientError

JSON = ContentSettings(content_type="application/json")


class BlobEvidenceStore:
    """Two containers: evidence, written once and never again, and artifacts, only ever read."""

    def __init__(self, *, evidence: ContainerClient, artifacts: ContainerClient) -> None:
        self._evidence = evidence
        self._artifacts = artifacts

    def put(self, path: str, content: bytes) -> None:
        with _translated(f"writing {path}"):
            try:
                self._create(path, content)
            except ResourceExistsError as error:
                # Also the client's own repetition of an upload whose answer was lost ends here.
                if self._evidence.download_blob(path).readall() != content:
                    raise ConflictError(f"{path} holds other content, and evidence is never overwritten") from error

    def _create(self, path: str, content: bytes) -> None:
        try:
            self._upload(path, content)
        except ResourceNotFoundError:
            self._make_container()
            self._upload(path, content)

    def _upload(self, path: str, content: bytes) -> None:
        settings = JSON if path.endswith(".json") else None
        self._evidence.upload_blob(path, content, overwrite=False, content_settings=settings)

    def _make_container(self) -> None:
        try:
            self._evidence.create_container()
        except ResourceExistsError:
            return

    def get(self, path: str) -> bytes | None:
        with _translated(f"reading {path}"):
            try:
                return self._evidence.download_blob(path).readall()
            except ResourceNotFoundError:
                return None

    def remove(self, prefix: str, *, before: str = "", limit: int) -> int:
        with _translated(f"removing {prefix}"):
            try:
                found = self._evidence.list_blob_names(name_starts_with=prefix, results_per_page=min(limit, 1_000))
                old = takewhile(lambda name: not before or name < before, found)
                names = list(islice(old, limit))
            except ResourceNotFoundError:
                return 0
            for name in names:
                self._remove_one(name)
            return len(names)

    def _remove_one(self, name: str) -> None:
        try:
            self._evidence.delete_blob(name)
        except ResourceNotFoundError:
            return

    def artifact(self, path: str) -> bytes | None:
        with _translated(f"reading {path}"):
            try:
                return self._artifacts.download_blob(path, offset=0, length=MOST_ARTIFACT_BYTES + 1).readall()
            except ResourceNotFoundError:
                return None
            except HttpResponseError as error:
                if error.status_code != 416:
                    raise
                return b""  # an empty blob has no range at all

    def artifact_metadata(self, path: str) -> Mapping[str, str]:
        with _translated(f"reading the metadata of {path}"):
            try:
                return self._artifacts.get_blob_client(path).get_blob_properties().metadata or {}
            except ResourceNotFoundError:
                return {}

    def artifact_paths(self, since: datetime) -> Sequence[str]:
        with _translated("listing artifacts"):
            blobs = self._artifacts.list_blobs()
            return [b.name for b in blobs if b.name.rpartition("/")[2] == ARTIFACT_NAME and b.last_modified >= since]


@contextmanager
def _translated(what: str) -> Iterator[None]:
    try:
        yield
    except AzureError as error:
        raise _translate(error, what) from error


def _translate(error: AzureError, what: str) -> PipelineError:
    status = (error.status_code or 0) if isinstance(error, HttpResponseError) else 0
    said = error.message.splitlines()[0] if error.message else type(error).__name__
    refused = is_refused(error)
    if not refused and (status in {0, 408, 429} or status >= 500):
        wish = retry_after(getattr(getattr(error, "response", None), "headers", None) or {})
        return TransientError(f"blob storage, {what}: {said}", retry_after=wish)
    if refused or status in {401, 403, 404}:
        return StateRefused(
            f"blob storage, {what}: {said}. Check the container settings and the app's role on the storage account"
        )
    return PermanentError(f"blob storage, {what}: {said}")
