"""A bare AMQP client that can do what the SDK never would."""

import socket
from typing import Self

from local.service_bus.amqp.composites import Composite, Open, SaslInit, SaslMechanisms, SaslOutcome
from local.service_bus.amqp.frames import AMQP_HEADER, SASL, SASL_HEADER, FrameBuffer, frame_bytes

_PLAIN = SaslInit(mechanism="PLAIN", initial_response=b"\0name\0key")


class RawClient:
    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=5)
        self._buffer = FrameBuffer(65536)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def handshake(self, init: SaslInit) -> None:
        self.write(SASL_HEADER)
        assert self.read_raw(8) == SASL_HEADER
        self.expect(SaslMechanisms)
        self.write(frame_bytes(init, kind=SASL))
        assert self.expect(SaslOutcome).code == 0
        self.write(AMQP_HEADER)
        assert self.read_raw(8) == AMQP_HEADER

    def open(self, init: SaslInit = _PLAIN, *, idle_time_out: int | None = None) -> None:
        self.handshake(init)
        self.send(Open(container_id="raw", idle_time_out=idle_time_out))
        self.expect(Open)

    def write(self, data: bytes) -> None:
        self._socket.sendall(data)

    def send(self, performative: Composite, payload: bytes = b"") -> None:
        self.write(frame_bytes(performative, payload=payload))

    def read_raw(self, count: int) -> bytes:
        while (taken := self._buffer.next_bytes(count)) is None:
            self._receive()
        return taken

    def expect[Kind: Composite](self, kind: type[Kind]) -> Kind:
        """The next frame of a kind; credit for senders, which comes unasked, is passed over."""
        while True:
            frame = self._buffer.next_frame()
            if frame is None:
                self._receive()
            elif isinstance(frame.performative, kind):
                return frame.performative
            else:
                name = type(frame.performative).__name__
                assert name in {"Flow", "NoneType"}, f"{frame.performative} instead of {kind.__name__}"

    def is_closed(self) -> bool:
        return self._socket.recv(1) == b""

    def _receive(self) -> None:
        data = self._socket.recv(65536)
        assert data, "the broker has closed the connection"
        self._buffer.feed(data)
