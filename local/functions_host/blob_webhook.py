"""Local stack, Functions host: `/runtime/webhooks/blobs`, where Event Grid delivers."""

import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from local.functions_host.blob_trigger import BlobListener
from local.functions_host.keys import Keys, presented_key

FUNCTION_PREFIX = "Host.Functions."
CREATED = "Microsoft.Storage.BlobCreated"
SUBJECT_PREFIX = "/blobServices/default/containers/"


class BlobWebhook:
    """Speaks both of Event Grid's schemas, handshakes included."""

    def __init__(self, *, listeners: Mapping[str, BlobListener], keys: Keys) -> None:
        self._listeners = {name.lower(): listener for name, listener in listeners.items()}
        self._keys = keys
        self.accepting = True

    async def handle(self, request: web.Request) -> web.Response:
        if not self._keys.allow_webhook(presented_key(request.headers, request.query)):
            return web.Response(status=401)
        name = request.query.get("functionName", "").removeprefix(FUNCTION_PREFIX).lower()
        listener = self._listeners.get(name)
        if listener is None:
            return web.Response(status=404)
        if not self.accepting:
            return web.Response(status=503)
        if request.method == "OPTIONS":
            return _cloud_events_handshake(request)
        try:
            events = _events(await request.read())
            if request.headers.get("aeg-event-type", "").lower() == "subscriptionvalidation":
                return web.json_response({"validationResponse": events[0]["data"]["validationCode"]})
        except (ValueError, KeyError):
            return web.Response(status=400)
        for event in events:
            _deliver(listener, event)
        return web.Response(status=202)


def _events(body: bytes) -> list[dict[str, Any]]:
    """Event Grid events come as an array, a CloudEvent alone."""
    content = json.loads(body)
    events = content if isinstance(content, list) else [content]
    if not events or not all(isinstance(event, dict) for event in events):
        raise ValueError("no event in the request")
    return events


def _deliver(listener: BlobListener, event: Mapping[str, Any]) -> None:
    kind = event.get("eventType") or event.get("type")
    subject = str(event.get("subject", ""))
    container, separator, blob = subject.removeprefix(SUBJECT_PREFIX).partition("/blobs/")
    if kind == CREATED and separator:
        listener.accept(container, blob, str(event.get("data", {}).get("eTag", "")))


def _cloud_events_handshake(request: web.Request) -> web.Response:
    origin = request.headers.get("WebHook-Request-Origin", "*")
    return web.Response(headers={"WebHook-Allowed-Origin": origin, "WebHook-Allowed-Rate": "*"})
