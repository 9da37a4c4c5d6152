"""Local stack, Functions host: blob triggers fed by Event Grid through the host's webhook.

An event is kept on disk before it is acknowledged and deleted once its function has succeeded or its
blob went to the poison queue, so neither a crash of the worker nor one of the host loses it.
"""

import asyncio
import json
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from aiohttp import ClientError
from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.storage.blob import BlobProperties
from azure.storage.blob.aio import BlobClient

from local.functions_host.bindings import BlobTrigger, Function
from local.functions_host.blob_paths import BlobPath
from local.functions_host.errors import ConfigurationError, InvocationLostError
from local.functions_host.invoker import Invoker
from local.functions_host.logs import HostLog
from local.functions_host.poison_queue import put_poison_message

MAX_ATTEMPTS = 5  # documented default of blobs.poisonBlobThreshold
STORAGE_RETRY_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingBlob:
    """A blob whose event was accepted."""

    id: str
    function: str
    container: str
    blob: str
    etag: str
    attempts: int = 0


class PendingStore:
    """Accepted events, one file each."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    def save(self, pending: PendingBlob) -> None:
        path = self._directory / f"{pending.id}.json"
        draft = path.with_suffix(".new")
        draft.write_text(json.dumps(asdict(pending)))
        draft.replace(path)

    def delete(self, pending: PendingBlob) -> None:
        (self._directory / f"{pending.id}.json").unlink(missing_ok=True)

    def of(self, function: str) -> list[PendingBlob]:
        everything = [PendingBlob(**json.loads(path.read_text())) for path in self._directory.glob("*.json")]
        return [pending for pending in everything if pending.function == function]


class BlobListener:
    """Runs one function for the blobs that events tell of."""

    def __init__(
        self, *, function: Function, parallelism: int, store: PendingStore, invoker: Invoker, log: HostLog
    ) -> None:
        assert isinstance(function.trigger, BlobTrigger)
        self._function = function
        self._connection_string = function.trigger.connection_string
        self._path = BlobPath(function.trigger.path)
        self._store = store
        self._invoker = invoker
        self._log = log
        self._slots = asyncio.Semaphore(parallelism)
        self._tasks: set[asyncio.Task[None]] = set()

    def resume(self) -> None:
        """Take up what an earlier host had accepted and not finished."""
        for pending in self._store.of(self._function.name):
            self._start(pending)

    def accept(self, container: str, blob: str, etag: str) -> None:
        """Take responsibility for a blob; blobs outside the trigger's path are ignored."""
        if self._path.match(container, blob) is None:
            return
        pending = PendingBlob(
            id=uuid.uuid4().hex, function=self._function.name, container=container, blob=blob, etag=etag
        )
        self._store.save(pending)
        self._start(pending)

    def stop(self) -> None:
        """Abort; what is unfinished stays on disk."""
        for task in self._tasks:
            task.cancel()

    def _start(self, pending: PendingBlob) -> None:
        task = asyncio.create_task(self._process(pending))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _process(self, pending: PendingBlob) -> None:
        async with self._slots:
            while pending.attempts < MAX_ATTEMPTS:
                try:
                    if await self._attempt(pending):
                        self._store.delete(pending)
                        return
                except (AzureError, OSError) as error:
                    # Storage being away is no failure of the function, and costs no attempt.
                    self._log.write("Warning", "Host.Blobs", f"{pending.blob} cannot be read yet: {error}")
                    await asyncio.sleep(STORAGE_RETRY_SECONDS)
                    continue
                pending = replace(pending, attempts=pending.attempts + 1)
                self._store.save(pending)
            await self._give_up(pending)

    async def _attempt(self, pending: PendingBlob) -> bool:
        client = BlobClient.from_connection_string(
            self._connection_string, container_name=pending.container, blob_name=pending.blob
        )
        async with client:
            try:
                download = await client.download_blob()
                content = await download.readall()
            except ResourceNotFoundError:
                self._log.info("Host.Blobs", f"{pending.blob} is gone; its event is dropped")
                return True
            metadata = self._metadata(pending, client.url, download.properties)
        try:
            result = await self._invoker.invoke(
                self._function,
                {"bytes": content},
                metadata=metadata,
                reason=f"New blob detected(EventGrid): {pending.container}/{pending.blob}",
            )
        except InvocationLostError:
            return False
        return result.ok

    def _metadata(self, pending: PendingBlob, url: str, properties: BlobProperties) -> dict[str, Any]:
        parameters = self._path.match(pending.container, pending.blob) or {}
        return {
            "BlobTrigger": {"string": f"{pending.container}/{pending.blob}"},
            "Uri": {"json": json.dumps(url)},
            "Properties": {"json": json.dumps(_described(properties))},
            "Metadata": {"json": json.dumps(properties.metadata or {})},
            **{name: {"string": value} for name, value in parameters.items()},
        }

    async def _give_up(self, pending: PendingBlob) -> None:
        message = {
            "FunctionId": f"Host.Functions.{pending.function}",
            "BlobType": "BlockBlob",
            "ContainerName": pending.container,
            "BlobName": pending.blob,
            "ETag": pending.etag,
        }
        while True:
            try:
                await put_poison_message(self._connection_string, json.dumps(message))
            except ConfigurationError as error:
                self._log.problem("Host.Blobs", f"{pending.blob} cannot be put on the poison queue: {error}")
                return
            except (ClientError, OSError) as error:
                self._log.write("Warning", "Host.Blobs", f"the poison queue does not answer: {error}")
                await asyncio.sleep(STORAGE_RETRY_SECONDS)
            else:
                self._store.delete(pending)
                self._log.problem(
                    "Host.Blobs", f"{pending.blob} failed {MAX_ATTEMPTS} times and is on the poison queue now"
                )
                return


def _described(properties: BlobProperties) -> Mapping[str, Any]:
    """The .NET SDK's BlobProperties, the fields an app may look at."""
    settings = properties.content_settings
    return {
        "LastModified": properties.last_modified.isoformat(),
        "CreatedOn": properties.creation_time.isoformat() if properties.creation_time else None,
        "BlobType": str(properties.blob_type.value if properties.blob_type else "BlockBlob"),
        "ContentLength": properties.size,
        "ContentType": settings.content_type,
        "ContentEncoding": settings.content_encoding,
        "ETag": properties.etag,
        "Metadata": properties.metadata or {},
    }
