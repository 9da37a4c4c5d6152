"""Local stack, Functions host: HTTP requests and responses as the engine sees them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import quote

from aiohttp import web

from local.functions_host.worker_process import InvocationResult

# The server computes these from the body; the app's word would contradict the wire.
SERVER_HEADERS = frozenset({"content-length", "transfer-encoding", "connection"})
SAME_SITE = {1: "lax", 2: "strict", 3: "none"}


def request_value(
    request: web.Request, body: bytes, route_params: Mapping[str, str], headers: Mapping[str, str]
) -> dict[str, Any]:
    """The trigger value of an HTTP function: names lower-case, empty values left out, the body as bytes."""
    return {
        "http": {
            "method": request.method,
            "url": f"{request.scheme}://{request.host}{request.raw_path}",
            "headers": _joined((name.lower(), value) for name, value in headers.items()),
            "query": _joined(request.query.items()),
            "params": {name: value for name, value in route_params.items() if value},
            "body": {"bytes": body} if body else {},
        }
    }


def response_of(result: InvocationResult) -> web.Response:
    """What the client gets. A function that raised is a bare 500, as with the real host."""
    if not result.ok:
        return web.Response(status=500)
    returned = result.returned or {}
    if "http" not in returned:
        text = returned.get("string", "")
        return web.Response(text=text, status=200 if returned else 204)
    http = returned["http"]
    response = web.Response(status=int(http["status_code"]), body=_body(http["body"]))
    # aiohttp presets a type for bodies; only the app's own headers count.
    response.headers.popall("Content-Type", None)
    for name, value in http["headers"].items():
        if name.lower() not in SERVER_HEADERS:
            response.headers[name] = value
    for cookie in http["cookies"] or ():
        response.headers.add("Set-Cookie", _cookie(cookie))
    return response


def _joined(items: Any) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in items:
        if value:
            joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


def _body(body: Mapping[str, Any]) -> bytes:
    value = next(iter(body.values()), b"")
    return value if isinstance(value, bytes) else str(value).encode()


def _cookie(cookie: Mapping[str, Any]) -> str:
    def given(name: str) -> Any:
        return (cookie[name] or {}).get("value")

    # ASP.NET's cookie writer: it escapes the value and defaults the path to the root.
    parts = [f"{cookie['name']}={quote(cookie['value'] or '', safe='')}"]
    if expires := given("expires"):
        moment = datetime.fromtimestamp(expires["seconds"], UTC)
        parts.append(f"expires={format_datetime(moment, usegmt=True)}")
    if (max_age := given("max_age")) is not None:
        parts.append(f"max-age={max_age:.0f}")
    if domain := given("domain"):
        parts.append(f"domain={domain}")
    parts.append(f"path={given('path') or '/'}")
    if given("secure"):
        parts.append("secure")
    if same_site := SAME_SITE.get(cookie["same_site"]):
        parts.append(f"samesite={same_site}")
    if given("http_only"):
        parts.append("httponly")
    return "; ".join(parts)
