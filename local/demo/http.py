"""HTTP to the stack's own addresses: never through a proxy, with cookies where a browser would keep them."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookiejar import CookieJar
from typing import Any

TIMEOUT_SECONDS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A reply after redirects: where it came from in the end, and what it says."""

    status: int
    url: str
    text: str

    def json(self) -> Any:
        return json.loads(self.text)


class Http:
    """One client with one cookie jar."""

    def __init__(self, headers: Mapping[str, str] | None = None) -> None:
        self._headers = dict(headers or {})
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(CookieJar())
        )

    def get(self, url: str, headers: Mapping[str, str] | None = None) -> Reply:
        return self._send(url, None, headers)

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        return self._send(url, body, headers)

    def delete(self, url: str) -> Reply:
        return self._send(url, None, None, method="DELETE")

    def _send(
        self, url: str, body: bytes | None, headers: Mapping[str, str] | None, method: str | None = None
    ) -> Reply:
        request = urllib.request.Request(  # noqa: S310 - addresses come from the stack's own description
            url, data=body, headers=self._headers | dict(headers or {}), method=method
        )
        try:
            with self._opener.open(request, timeout=TIMEOUT_SECONDS) as reply:
                return Reply(status=reply.status, url=reply.url, text=reply.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                return Reply(status=error.code, url=url, text=error.read().decode(errors="replace"))
