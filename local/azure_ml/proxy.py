"""The CONNECT proxy: ends TLS for the hosts of Azure and hands the connection to the HTTP server inside."""

import asyncio
import logging
import re
from collections.abc import Callable
from typing import cast

from local.azure_ml.certificates import Certificates

log = logging.getLogger(__name__)

HOSTS = re.compile(
    r"(?:management\.azure\.com|login\.microsoftonline\.com|[a-z0-9-]+\.api\.azureml\.ms"
    r"|[a-z0-9.-]+\.experiments\.azureml\.net|[A-Za-z0-9-]+\.[a-z0-9-]+\.inference\.ml\.azure\.com"
    r"|[a-z0-9]+\.blob\.core\.windows\.net)",
    re.IGNORECASE,
)
HANDSHAKE_SECONDS = 20
LONGEST_HEAD = 16 * 1024

type ProtocolFactory = Callable[[], asyncio.Protocol]


class Proxy:
    """Listens for CONNECT; every known host ends in the one HTTP server, which tells them apart by name."""

    def __init__(self, certificates: Certificates, http: ProtocolFactory) -> None:
        self._certificates = certificates
        self._http = http
        self._server: asyncio.Server | None = None
        self._handshakes: set[asyncio.Task[None]] = set()

    async def start(self, port: int) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Tunnel(self), "127.0.0.1", port)

    async def stop(self) -> None:
        if self._server:
            self._server.close()
            self._server.close_clients()

    def take_over(self, transport: asyncio.Transport, host: str) -> None:
        """TLS on an open connection, then the HTTP server's protocol on top."""
        task = asyncio.create_task(self._take_over(transport, host))
        self._handshakes.add(task)
        task.add_done_callback(self._handshakes.discard)

    async def _take_over(self, transport: asyncio.Transport, host: str) -> None:
        handover = _Handover()
        context = self._certificates.context_for(host)
        loop = asyncio.get_running_loop()
        try:
            secure = await loop.start_tls(
                transport, handover, context, server_side=True, ssl_handshake_timeout=HANDSHAKE_SECONDS
            )
        except (OSError, EOFError) as error:
            log.warning("no TLS with a client that asked for %s: %s", host, error)
            transport.abort()
            return
        if secure is None:
            return
        protocol = self._http()
        secure.set_protocol(protocol)
        protocol.connection_made(secure)
        if handover.early:
            protocol.data_received(handover.early)


class _Tunnel(asyncio.Protocol):
    """A connection until its CONNECT is read."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._transport: asyncio.Transport | None = None
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        assert self._transport
        self._head += data
        if b"\r\n\r\n" not in self._head and len(self._head) < LONGEST_HEAD:
            return
        method, target = (*self._head.split(b"\r\n", 1)[0].decode("latin-1").split(" "), "", "")[:2]
        host, _, port = target.partition(":")
        if method != "CONNECT" or port != "443" or not HOSTS.fullmatch(host):
            log.warning("refused: %s %s", method, target)
            self._transport.write(_refusal(f"{method} {target}"))
            self._transport.close()
            return
        self._transport.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        self._proxy.take_over(self._transport, host.lower())


class _Handover(asyncio.Protocol):
    """Keeps what arrives between the end of the handshake and the moment the HTTP server takes over."""

    def __init__(self) -> None:
        self.early = b""

    def data_received(self, data: bytes) -> None:
        self.early += data


def _refusal(asked: str) -> bytes:
    text = (
        f"The local Azure ML stand-in cannot carry '{asked}': it knows the hosts of Azure Resource Manager, Azure ML, "
        "Entra sign-in and blob storage, on port 443. Put other addresses into NO_PROXY.\n"
    )
    body = text.encode()
    head = f"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"Connection: close\r\n\r\n" + body
