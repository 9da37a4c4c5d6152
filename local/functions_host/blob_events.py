"""Local stack, Event Grid's part: notices new and changed blobs and posts an event for each to a webhook.

Azurite emits no events, so this lists the container. Delivery is at least once: a blob counts as told
only after the webhook has acknowledged, and what has been told is kept on disk.
"""

import argparse
import asyncio
import json
import sys
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import ClientError, ClientSession, ClientTimeout, web
from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.storage.blob import BlobProperties
from azure.storage.blob.aio import ContainerClient

from local.functions_host.logs import quiet_libraries, redact
from local.stack.stopping import stop_event

RETRY_DELAYS_SECONDS = (0.5, 1, 2, 5)
REFUSED = frozenset({400, 401, 403, 404, 413})  # Event Grid does not repeat what was refused for good


class Told:
    """The ETag of every blob an event was delivered for."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._etags: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}

    def knows(self, name: str, etag: str) -> bool:
        return self._etags.get(name) == etag

    def remember(self, name: str, etag: str) -> None:
        self._save(self._etags | {name: etag})

    def keep_only(self, names: set[str]) -> None:
        """Forget deleted blobs, so that one of the same name counts as new."""
        if self._etags.keys() - names:
            self._save({name: etag for name, etag in self._etags.items() if name in names})

    def _save(self, etags: dict[str, str]) -> None:
        self._etags = etags
        draft = self._path.with_suffix(".new")
        draft.write_text(json.dumps(etags))
        draft.replace(self._path)


class Forwarder:
    """Watches one container on behalf of one subscription."""

    def __init__(self, *, container: ContainerClient, webhook: str, told: Told, deliveries: int) -> None:
        self._container = container
        self._webhook = webhook
        self._told = told
        self._deliveries = deliveries
        self.ready = False

    async def run(self, interval_seconds: float) -> None:
        """Look again and again until cancelled."""
        async with ClientSession(timeout=ClientTimeout(total=30)) as session:
            await self._validate(session)
            while True:
                await self._look(session)
                await asyncio.sleep(interval_seconds)

    async def _look(self, session: ClientSession) -> None:
        try:
            await self._look_once(session)
        except ResourceNotFoundError:
            self.ready = True  # the container is made by whoever uploads first
        except AzureError as error:
            if self.ready:
                print(f"storage does not answer: {error.message.splitlines()[0]}", file=sys.stderr)
            self.ready = False
        else:
            self.ready = True

    async def _look_once(self, session: ClientSession) -> None:
        names: set[str] = set()
        async for blob in self._container.list_blobs():
            names.add(blob.name)
            if not self._told.knows(blob.name, blob.etag):
                for _ in range(self._deliveries):
                    await self._deliver(session, [self._event(blob)], "Notification")
                self._told.remember(blob.name, blob.etag)
        self._told.keep_only(names)

    async def _validate(self, session: ClientSession) -> None:
        """The handshake that Event Grid makes when the subscription is created."""
        code = str(uuid.uuid4())
        event = self._envelope("Microsoft.EventGrid.SubscriptionValidationEvent", "", {"validationCode": code})
        answer = await self._deliver(session, [event], "SubscriptionValidation")
        if code not in answer:
            raise SystemExit(f"the webhook refused the subscription: {redact(self._webhook)}")

    async def _deliver(self, session: ClientSession, events: list[dict[str, Any]], kind: str) -> str:
        attempt = 0
        while True:
            try:
                async with session.post(self._webhook, json=events, headers={"aeg-event-type": kind}) as reply:
                    if reply.status < 300 or reply.status in REFUSED:
                        print(f"{kind} {events[0]['subject']}: {reply.status}", file=sys.stderr)
                        return await reply.text()
                    problem = f"answered {reply.status}"
            except (ClientError, TimeoutError) as error:
                problem = type(error).__name__
            delay = RETRY_DELAYS_SECONDS[min(attempt, len(RETRY_DELAYS_SECONDS) - 1)]
            print(f"the webhook {problem}; next try in {delay} s", file=sys.stderr)
            await asyncio.sleep(delay)
            attempt += 1

    def _event(self, blob: BlobProperties) -> dict[str, Any]:
        data = {
            "api": "PutBlob",
            "eTag": blob.etag,
            "contentType": blob.content_settings.content_type,
            "contentLength": blob.size,
            "blobType": "BlockBlob",
            "url": f"{self._container.url}/{blob.name}",
            "sequencer": f"{blob.last_modified.timestamp():032.6f}",
        }
        subject = f"/blobServices/default/containers/{self._container.container_name}/blobs/{blob.name}"
        return self._envelope("Microsoft.Storage.BlobCreated", subject, data)

    def _envelope(self, kind: str, subject: str, data: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "id": str(uuid.uuid4()),
            "topic": f"/storageAccounts/{self._container.account_name}",
            "subject": subject,
            "eventType": kind,
            "eventTime": datetime.now(UTC).isoformat(),
            "data": dict(data),
            "dataVersion": "",
            "metadataVersion": "1",
        }


async def serve(options: argparse.Namespace) -> None:
    """Forward until told to stop."""
    stopping = stop_event(stop_with_stdin=options.stop_with_stdin)
    options.state.parent.mkdir(parents=True, exist_ok=True)
    container = ContainerClient.from_connection_string(options.connection, options.container, retry_total=0)
    async with container:
        forwarder = Forwarder(
            container=container,
            webhook=options.webhook,
            told=Told(options.state),
            deliveries=options.deliveries,
        )
        health = await _serve_health(forwarder, options.health_port)
        forwarding = asyncio.create_task(forwarder.run(options.interval))
        told = asyncio.create_task(stopping.wait())
        await asyncio.wait((forwarding, told), return_when=asyncio.FIRST_COMPLETED)
        if forwarding.done():
            forwarding.result()
        forwarding.cancel()
        await asyncio.gather(forwarding, return_exceptions=True)
        await health.cleanup()


async def _serve_health(forwarder: Forwarder, port: int) -> web.AppRunner:
    async def health(_request: web.Request) -> web.Response:
        return web.Response(status=200 if forwarder.ready else 503)

    app = web.Application()
    app.router.add_get("/health", health)
    runner = web.AppRunner(app, access_log=None, handle_signals=False)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    return runner


def arguments(argv: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m local.functions_host.blob_events", description=__doc__)
    parser.add_argument("--connection", required=True, help="connection string of the storage account")
    parser.add_argument("--container", required=True)
    parser.add_argument("--webhook", required=True, help="where the events go, key included")
    parser.add_argument("--state", type=Path, required=True, help="file that remembers what has been told")
    parser.add_argument("--health-port", type=int, required=True, help="GET /health: 200 once it watches")
    parser.add_argument("--interval", type=float, default=0.3, help="seconds between looks")
    parser.add_argument("--deliveries", type=int, default=1, help="times each event is delivered")
    parser.add_argument("--stop-with-stdin", action="store_true", help="stop when standard input ends")
    return parser.parse_args(argv)


if __name__ == "__main__":
    quiet_libraries()
    asyncio.run(serve(arguments(sys.argv[1:])))
