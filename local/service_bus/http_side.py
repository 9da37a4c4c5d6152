"""The HTTP side: `GET /health`, `/queues`, `/journal?after=N`; just enough HTTP for that."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import asdict
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

from local.service_bus.engine.namespace import Namespace
from local.service_bus.engine.store import Store

_REQUEST_SECONDS = 10
_MAX_HEADER_LINES = 100

type _Answer = tuple[HTTPStatus, object]


class HttpSide:
    def __init__(self, namespace: Namespace, store: Store) -> None:
        self._namespace, self._store = namespace, store

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request and close."""
        try:
            async with asyncio.timeout(_REQUEST_SECONDS):
                status, content = self._answer(*await _request(reader))
                writer.write(_response(status, content))
                await writer.drain()
        except (TimeoutError, ConnectionError, ValueError):
            pass  # nobody is left to tell
        finally:
            writer.close()

    def _answer(self, method: str, target: str) -> _Answer:
        url = urlsplit(target)
        route = _ROUTES.get(url.path)
        if route is None:
            return HTTPStatus.NOT_FOUND, {"error": f"nothing at {url.path}; there are {', '.join(_ROUTES)}"}
        if method != "GET":
            return HTTPStatus.METHOD_NOT_ALLOWED, {"error": "only GET"}
        return route(self, {name: values[-1] for name, values in parse_qs(url.query).items()})

    def _health(self, _: dict[str, str]) -> _Answer:
        return HTTPStatus.OK, {"status": "healthy", "message": "Service healthy."}

    def _queues(self, _: dict[str, str]) -> _Answer:
        queues = self._namespace.queues
        return HTTPStatus.OK, {name: asdict(queue.counts()) for name, queue in queues.items()}

    def _journal(self, query: dict[str, str]) -> _Answer:
        after = query.get("after", "0")
        if not after.isdecimal():
            return HTTPStatus.BAD_REQUEST, {"error": f"after is a number, not {after!r}"}
        return HTTPStatus.OK, self._store.journal(int(after))


_ROUTES: dict[str, Callable[[HttpSide, dict[str, str]], _Answer]] = {
    "/health": HttpSide._health,  # noqa: SLF001 a table of the class's own methods
    "/queues": HttpSide._queues,  # noqa: SLF001
    "/journal": HttpSide._journal,  # noqa: SLF001
}


async def _request(reader: asyncio.StreamReader) -> tuple[str, str]:
    """Method and target; the header fields are read and not needed."""
    method, target, _ = (await reader.readline()).decode("latin-1").split(" ", 2)
    for _line in range(_MAX_HEADER_LINES):
        if (await reader.readline()) in {b"\r\n", b"\n", b""}:
            return method, target
    raise ValueError("too many header fields")


def _response(status: HTTPStatus, content: object) -> bytes:
    body = json.dumps(content).encode()
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
