"""Carries blob requests to Azurite as they are: the host name's first label is the account there, as it is in Azure."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
from aiohttp import web
from yarl import URL

HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "proxy-connection", "te", "upgrade"})
CHUNK = 256 * 1024


class BlobRelay:
    """A streaming relay; nothing is kept in memory beyond a chunk."""

    def __init__(self, port: int) -> None:
        self._base = f"http://127.0.0.1:{port}"
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        self._session = aiohttp.ClientSession(
            auto_decompress=False,
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        )

    async def stop(self) -> None:
        if self._session:
            await self._session.close()

    async def carry(
        self, request: web.BaseRequest, *, signature: str = "", answer: bool = True
    ) -> web.StreamResponse | None:
        """Pass the request on and its answer back; with `answer=False` it has its effect and nothing comes back.

        A `signature` stands in for the request's token, which Azurite would take over TLS only.
        """
        assert self._session
        left_out = HOP_BY_HOP | {"authorization"} if signature else HOP_BY_HOP
        headers = [(key, value) for key, value in request.headers.items() if key.lower() not in left_out]
        separator = "&" if "?" in request.raw_path else "?"
        path = f"{request.raw_path}{separator}{signature}" if signature else request.raw_path
        has_body = request.can_read_body
        async with self._session.request(
            request.method,
            URL(self._base + path, encoded=True),
            headers=headers,
            data=_chunks(request) if has_body else None,
            allow_redirects=False,
        ) as upstream:
            if not answer:
                await upstream.read()
                return None
            return await _answer(request, upstream)


async def _answer(request: web.BaseRequest, upstream: aiohttp.ClientResponse) -> web.StreamResponse:
    response = web.StreamResponse(status=upstream.status, reason=upstream.reason)
    for key, value in upstream.headers.items():
        if key.lower() not in HOP_BY_HOP:
            response.headers.add(key, value)
    await response.prepare(request)
    if request.method != "HEAD":
        async for chunk in upstream.content.iter_chunked(CHUNK):
            await response.write(chunk)
    await response.write_eof()
    return response


async def _chunks(request: web.BaseRequest) -> AsyncIterator[Any]:
    async for chunk in request.content.iter_chunked(CHUNK):
        yield chunk
