"""AMQP bytes to Python values; every length is checked before it is believed."""

import struct
from collections.abc import Callable
from typing import Any
from uuid import UUID

from local.service_bus.amqp.types import (
    Array,
    Byte,
    Char,
    Decimal,
    DecodeError,
    Described,
    Float,
    Int,
    Short,
    Symbol,
    Timestamp,
    Ubyte,
    Uint,
    Ulong,
    Ushort,
)

_DEEPEST = 32  # nesting a peer may ask for; ours never passes 6

type _Read = Callable[[bytes, int, int], tuple[Any, int]]


def decode(data: bytes, at: int = 0) -> tuple[Any, int]:
    """Decode the value at an offset; also says where the next one starts.

    Raises:
        DecodeError: the bytes end early, contradict themselves or use an unknown constructor.
    """
    try:
        return _value(data, at, 0)
    except (struct.error, IndexError, UnicodeDecodeError, TypeError, OverflowError) as error:
        raise DecodeError(f"malformed AMQP value at byte {at}: {error}") from error


def _value(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    if depth > _DEEPEST:
        raise DecodeError(f"values nested deeper than {_DEEPEST}")
    code = data[at]
    if code == 0:
        descriptor, at = _value(data, at + 1, depth + 1)
        value, at = _value(data, at, depth + 1)
        return Described(descriptor, value), at
    return _reader(code)(data, at + 1, depth)


def _reader(code: int) -> _Read:
    reader = _READERS.get(code)
    if reader is None:
        raise DecodeError(f"unknown AMQP constructor 0x{code:02x}")
    return reader


def _constant(value: object) -> _Read:
    return lambda _data, at, _depth: (value, at)


def _fixed(layout: str, kind: Callable[[Any], Any]) -> _Read:
    shape = struct.Struct(">" + layout)
    return lambda data, at, _depth: (kind(shape.unpack_from(data, at)[0]), at + shape.size)


def _slice(data: bytes, start: int, end: int) -> bytes:
    if end > len(data):
        raise DecodeError(f"{end - len(data)} bytes are missing")
    return data[start:end]


def _opaque(width: int, kind: Callable[[bytes], Any]) -> _Read:
    return lambda data, at, _depth: (kind(_slice(data, at, at + width)), at + width)


def _variable(length: struct.Struct, kind: Callable[[bytes], Any]) -> _Read:
    def read(data: bytes, at: int, _depth: int) -> tuple[Any, int]:
        start = at + length.size
        end = start + length.unpack_from(data, at)[0]
        return kind(_slice(data, start, end)), end

    return read


def _bounds(length: struct.Struct, data: bytes, at: int) -> tuple[int, int, int]:
    """Count, first element and end of a compound value."""
    size, count = length.unpack_from(data, at)[0], length.unpack_from(data, at + length.size)[0]
    end = at + length.size + size
    # An element has at least one byte, save in an array of nulls or of trues; nobody sends those by the thousand.
    if end > len(data) or count > max(size, 255):
        raise DecodeError("a compound value claims more than the frame holds")
    return count, at + 2 * length.size, end


def _items(data: bytes, at: int, end: int, count: int, depth: int) -> list[Any]:
    items = []
    for _ in range(count):
        item, at = _value(data, at, depth + 1)
        items.append(item)
    if at != end:
        raise DecodeError("a compound value does not end where it says")
    return items


def _list(length: struct.Struct) -> _Read:
    def read(data: bytes, at: int, depth: int) -> tuple[Any, int]:
        count, at, end = _bounds(length, data, at)
        return _items(data, at, end, count, depth), end

    return read


def _map(length: struct.Struct) -> _Read:
    def read(data: bytes, at: int, depth: int) -> tuple[Any, int]:
        count, at, end = _bounds(length, data, at)
        if count % 2:
            raise DecodeError("a map with a key that has no value")
        items = _items(data, at, end, count, depth)
        return dict(zip(items[::2], items[1::2], strict=True)), end

    return read


def _array(length: struct.Struct) -> _Read:
    def read(data: bytes, at: int, depth: int) -> tuple[Any, int]:
        count, at, end = _bounds(length, data, at)
        descriptors: list[object] = []
        while (code := data[at]) == 0:
            descriptor, at = _value(data, at + 1, depth + 1 + len(descriptors))
            descriptors.append(descriptor)
        reader, at, items = _reader(code), at + 1, []
        for _ in range(count):
            item, at = reader(data, at, depth + 1)
            for descriptor in reversed(descriptors):
                item = Described(descriptor, item)
            items.append(item)
        return Array(tuple(items)), end

    return read


def _text(encoding: str, kind: type[str]) -> Callable[[bytes], str]:
    return lambda data: kind(data.decode(encoding))


_SMALL, _LARGE = struct.Struct(">B"), struct.Struct(">I")

_READERS: dict[int, _Read] = {
    0x40: _constant(None),
    0x41: _constant(value=True),
    0x42: _constant(value=False),
    0x43: _constant(Uint(0)),
    0x44: _constant(Ulong(0)),
    0x45: lambda _data, at, _depth: ([], at),
    0x50: _fixed("B", Ubyte),
    0x51: _fixed("b", Byte),
    0x52: _fixed("B", Uint),
    0x53: _fixed("B", Ulong),
    0x54: _fixed("b", Int),
    0x55: _fixed("b", int),
    0x56: _fixed("?", bool),
    0x60: _fixed("H", Ushort),
    0x61: _fixed("h", Short),
    0x70: _fixed("I", Uint),
    0x71: _fixed("i", Int),
    0x72: _fixed("f", Float),
    0x73: _opaque(4, _text("utf-32-be", Char)),
    0x74: _opaque(4, Decimal),
    0x80: _fixed("Q", Ulong),
    0x81: _fixed("q", int),
    0x82: _fixed("d", float),
    0x83: _fixed("q", Timestamp),
    0x84: _opaque(8, Decimal),
    0x94: _opaque(16, Decimal),
    0x98: _opaque(16, lambda data: UUID(bytes=data)),
    0xA0: _variable(_SMALL, bytes),
    0xA1: _variable(_SMALL, _text("utf-8", str)),
    0xA3: _variable(_SMALL, _text("ascii", Symbol)),
    0xB0: _variable(_LARGE, bytes),
    0xB1: _variable(_LARGE, _text("utf-8", str)),
    0xB3: _variable(_LARGE, _text("ascii", Symbol)),
    0xC0: _list(_SMALL),
    0xC1: _map(_SMALL),
    0xD0: _list(_LARGE),
    0xD1: _map(_LARGE),
    0xE0: _array(_SMALL),
    0xF0: _array(_LARGE),
}
