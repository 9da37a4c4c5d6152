"""Frames and protocol headers (AMQP 1.0, part 2, section 2.3): bytes in, performatives out."""

import struct
from dataclasses import dataclass

from local.service_bus.amqp.composites import Composite, lift
from local.service_bus.amqp.decode import decode
from local.service_bus.amqp.types import DecodeError

AMQP_HEADER = b"AMQP\x00\x01\x00\x00"
SASL_HEADER = b"AMQP\x03\x01\x00\x00"
AMQP, SASL = 0, 1

_PREFIX = struct.Struct(">IBBH")
_WORD = 4  # the data offset counts words of four bytes


class FramingError(ValueError):
    """Bytes that are no frame, or a larger one than was agreed on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A frame; without performative it is a heartbeat."""

    kind: int
    channel: int
    performative: Composite | None
    payload: bytes


def frame_bytes(performative: Composite, *, channel: int = 0, payload: bytes = b"", kind: int = AMQP) -> bytes:
    """A whole frame."""
    body = performative.encoded()
    return _PREFIX.pack(_PREFIX.size + len(body) + len(payload), 2, kind, channel) + body + payload


HEARTBEAT = _PREFIX.pack(_PREFIX.size, 2, AMQP, 0)


class FrameBuffer:
    """What arrived and is not yet a whole frame."""

    def __init__(self, max_frame_size: int) -> None:
        self._data = bytearray()
        self._max = max_frame_size

    def feed(self, data: bytes) -> None:
        self._data += data

    def next_bytes(self, count: int) -> bytes | None:
        """So many bytes that are no frame, once they are here."""
        return self._take(count) if len(self._data) >= count else None

    def next_frame(self) -> Frame | None:
        """The next whole frame, once it is here.

        Raises:
            FramingError: its size or offset is impossible.
            DecodeError: its body is not a performative.
        """
        if len(self._data) < _PREFIX.size:
            return None
        size, offset, kind, channel = _PREFIX.unpack_from(self._data)
        if not _PREFIX.size <= size <= self._max:
            raise FramingError(f"a frame of {size} bytes; agreed are {_PREFIX.size} to {self._max}")
        if len(self._data) < size:
            return None
        start = offset * _WORD
        if not _PREFIX.size <= start <= size or kind not in {AMQP, SASL}:
            raise FramingError(f"a frame with data offset {offset} and type {kind}")
        body = self._take(size)[start:]
        if not body:
            return Frame(kind=kind, channel=channel, performative=None, payload=b"")
        value, end = decode(body)
        performative = lift(value)
        if not isinstance(performative, Composite):
            raise DecodeError("a frame's body is not a performative")
        return Frame(kind=kind, channel=channel, performative=performative, payload=body[end:])

    def _take(self, count: int) -> bytes:
        taken = bytes(self._data[:count])
        del self._data[:count]
        return taken
