"""HTTP as it is on the wire: one exchange, no redirect followed, no cookie kept, no proxy."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPMessage
from typing import Any
from urllib.parse import urlsplit

TIMEOUT_SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class WireReply:
    """What came back for one request."""

    status: int
    headers: HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    @property
    def media_type(self) -> str:
        return self.headers.get_content_type() if "content-type" in self.headers else ""

    def json(self) -> Any:
        return json.loads(self.body)


def exchange(method: str, url: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> WireReply:
    """Send one request and read its reply."""
    parts = urlsplit(url)
    assert parts.hostname
    connection = HTTPConnection(parts.hostname, parts.port or 80, timeout=TIMEOUT_SECONDS)
    try:
        target = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
        connection.request(method, target, body=body, headers=dict(headers or {}))
        reply = connection.getresponse()
        return WireReply(status=reply.status, headers=reply.headers, body=reply.read())
    finally:
        connection.close()
