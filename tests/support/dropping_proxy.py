"""A TCP proxy that lets a request through and loses the answer: the worst a network does to a writer."""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

CHUNK = 65_536
WITHIN_SECONDS = 30
OF_THIS_TRY = re.compile(rb"(?:batch|changeset)_[0-9a-f-]{36}|(?:x-ms-date|\nDate):[^\r]*", re.IGNORECASE)
"""What differs in a batch from one try to the next."""
CONNECTION_LOST = b""
BUSY = b"HTTP/1.1 503 Server Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@dataclass
class DroppingProxy:
    """Forwards connections to one port; requests that start with an armed method lose their answer, once each.

    `every_first`: each request loses its answer when it comes for the first time, and gets one when it is repeated.
    """

    target_port: int
    server: socket.socket
    every_first: bytes | None = None
    armed: list[tuple[bytes, bytes]] = field(default_factory=list)
    seen: list[bytes] = field(default_factory=list)
    dropped: list[bytes] = field(default_factory=list)
    _known: set[tuple[bytes, bytes]] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def port(self) -> int:
        port: int = self.server.getsockname()[1]
        return port

    def drop_answer_of(self, method: str, *, instead: bytes = b"") -> None:
        """The next such request is carried out, but its answer is replaced (empty: the connection breaks)."""
        self.armed.append((method.encode(), instead))

    def serve(self) -> None:
        """Until the server socket is closed."""
        while True:
            try:
                client, _ = self.server.accept()
            except OSError:
                return
            threading.Thread(target=self._connection, args=(client,), daemon=True).start()

    def _connection(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self.target_port), timeout=WITHIN_SECONDS) as upstream:
            client.settimeout(WITHIN_SECONDS)
            with suppress(OSError):
                while request := _message(client):
                    upstream.sendall(request)
                    answer = _message(upstream)
                    instead = self._fate(request)
                    if instead is not None:
                        client.sendall(instead)
                        return
                    client.sendall(answer)

    def _fate(self, request: bytes) -> bytes | None:
        line, body = request.split(b"\r\n", 1)[0], OF_THIS_TRY.sub(b"", request.partition(b"\r\n\r\n")[2])
        with self._lock:
            self.seen.append(line)
            instead = self._instead(line, body)
            if instead is not None:
                self.dropped.append(line)
            return instead

    def _instead(self, line: bytes, body: bytes) -> bytes | None:
        """What the client gets in place of the answer; None: the answer."""
        if self.every_first is not None and (line, body) not in self._known:
            self._known.add((line, body))
            return self.every_first
        if self.armed and line.startswith(self.armed[0][0] + b" "):
            return self.armed.pop(0)[1]
        return None


def _message(sender: socket.socket) -> bytes:
    """One whole HTTP/1.1 message: headers, and a body by length, by chunks or none."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = sender.recv(CHUNK)
        if not more:
            return data
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    headers = head.lower()
    if b"transfer-encoding: chunked" in headers:
        while not body.endswith(b"0\r\n\r\n"):
            body += _more(sender)
    elif b"content-length:" in headers:
        length = int(headers.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
        while len(body) < length:
            body += _more(sender)
    return head + b"\r\n\r\n" + body


def _more(sender: socket.socket) -> bytes:
    more = sender.recv(CHUNK)
    if not more:
        raise ConnectionError("the sender stopped in the middle of a message")
    return more


@contextmanager
def dropping_proxy(target_port: int, *, every_first: bytes | None = None) -> Iterator[DroppingProxy]:
    """A proxy in front of a local port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        proxy = DroppingProxy(target_port=target_port, server=server, every_first=every_first)
        thread = threading.Thread(target=proxy.serve, daemon=True)
        thread.start()
        yield proxy
        server.shutdown(socket.SHUT_RDWR)
    thread.join(timeout=WITHIN_SECONDS)
