"""Asks a part whether it is ready: one plain HTTP or TCP exchange on the loopback address."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

EXCHANGE_SECONDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A question to one port: with a path over HTTP, without one only whether somebody listens."""

    port: int
    path: str | None = None
    accepts: Callable[[int, str], bool] = lambda status, _body: status == 200


def answers_at_all(status: int, _body: str) -> bool:
    """For servers that have no health route: any HTTP reply shows that they are up."""
    return status > 0


async def is_healthy(probe: Probe) -> bool:
    """Whether the probe's port answers as it should within five seconds."""
    try:
        async with asyncio.timeout(EXCHANGE_SECONDS):
            reader, writer = await asyncio.open_connection("127.0.0.1", probe.port)
            try:
                if probe.path is None:
                    return True
                return probe.accepts(*await _get(probe, reader, writer))
            finally:
                writer.close()
    except (OSError, TimeoutError, ValueError):
        return False


async def _get(probe: Probe, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[int, str]:
    """HTTP/1.0, so that the end of the connection is the end of the reply."""
    writer.write(f"GET {probe.path} HTTP/1.0\r\nHost: 127.0.0.1:{probe.port}\r\n\r\n".encode())
    await writer.drain()
    head, _, body = (await reader.read()).decode("utf-8", "replace").partition("\r\n\r\n")
    return int(head.split(maxsplit=2)[1]) if head.startswith("HTTP/") else 0, body
