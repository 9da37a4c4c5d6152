"""Python values to AMQP bytes, in the shortest encoding each type allows."""

import struct
from collections.abc import Callable
from uuid import UUID

from local.service_bus.amqp.types import (
    Array,
    Byte,
    Char,
    Decimal,
    Described,
    EncodeError,
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

_DECIMAL_CODES = {4: 0x74, 8: 0x84, 16: 0x94}


def encode(value: object) -> bytes:
    """Encode a value.

    Raises:
        EncodeError: the value, or something inside it, is not of an AMQP type or out of its type's range.
    """
    compact = _COMPACT.get(type(value))
    if compact is not None and (short := compact(value)) is not None:
        return short
    code, body = _wide(value)
    return bytes([code]) + body


def _wide(value: object) -> tuple[int, bytes]:
    """Constructor and body in the widest encoding, the one all elements of an array share."""
    writer = _WIDE.get(type(value))
    if writer is None:
        raise EncodeError(f"{type(value).__name__} is no AMQP type")
    try:
        return writer(value)
    except (struct.error, UnicodeEncodeError) as error:
        raise EncodeError(f"{value!r} does not fit its AMQP type: {error}") from error


def _fixed(code: int, layout: str) -> Callable[..., tuple[int, bytes]]:
    pack = struct.Struct(">" + layout).pack
    return lambda value: (code, pack(value))


def _variable(code: int, data: bytes) -> tuple[int, bytes]:
    return code, struct.pack(">I", len(data)) + data


def _compound(code: int, count: int, body: bytes) -> tuple[int, bytes]:
    return code, struct.pack(">II", len(body) + 4, count) + body


def _wide_decimal(value: Decimal) -> tuple[int, bytes]:
    if len(value) not in _DECIMAL_CODES:
        raise EncodeError(f"a decimal has 4, 8 or 16 bytes, not {len(value)}")
    return _DECIMAL_CODES[len(value)], bytes(value)


def _flat(pairs: dict[object, object]) -> bytes:
    return b"".join(encode(key) + encode(value) for key, value in pairs.items())


def _wide_array(array: Array) -> tuple[int, bytes]:
    if not array.items:
        return _compound(0xF0, 0, b"\x40")
    constructor, bodies = _elements(array.items)
    return _compound(0xF0, len(array.items), constructor + b"".join(bodies))


def _elements(items: tuple[object, ...]) -> tuple[bytes, list[bytes]]:
    described = [item for item in items if isinstance(item, Described)]
    if described:
        prefixes = {encode(item.descriptor) for item in described}
        if len(described) != len(items) or len(prefixes) != 1:
            raise EncodeError("the elements of an array have one type")
        constructor, bodies = _elements(tuple(item.value for item in described))
        return b"\x00" + prefixes.pop() + constructor, bodies
    wide = [_wide(item) for item in items]
    if len({code for code, _ in wide}) != 1:
        raise EncodeError("the elements of an array have one type")
    return bytes([wide[0][0]]), [body for _, body in wide]


def _small_number(code: int, layout: str, low: int, high: int, zero: int | None) -> Callable[..., bytes | None]:
    pack = struct.Struct(">B" + layout).pack

    def compact(value: int) -> bytes | None:
        if zero is not None and value == 0:
            return bytes([zero])
        return pack(code, value) if low <= value <= high else None

    return compact


def _small_data(code: int, data: bytes) -> bytes | None:
    return bytes([code, len(data)]) + data if len(data) < 256 else None


def _small_text(code: int, encoding: str) -> Callable[..., bytes | None]:
    def compact(value: str) -> bytes | None:
        try:
            return _small_data(code, value.encode(encoding))
        except UnicodeEncodeError as error:
            raise EncodeError(f"{value!r} is not {encoding}") from error

    return compact


def _small_compound(code: int, count: int, body: bytes) -> bytes | None:
    return bytes([code, len(body) + 1, count]) + body if len(body) < 255 and count < 256 else None


def _small_list(value: list[object]) -> bytes | None:
    if not value:
        return b"\x45"
    return _small_compound(0xC0, len(value), b"".join(map(encode, value)))


def _described(value: Described) -> bytes:
    return b"\x00" + encode(value.descriptor) + encode(value.value)


_COMPACT: dict[type, Callable[..., bytes | None]] = {
    type(None): lambda _: b"\x40",
    bool: lambda value: b"\x41" if value else b"\x42",
    Uint: _small_number(0x52, "B", 0, 255, 0x43),
    Ulong: _small_number(0x53, "B", 0, 255, 0x44),
    Int: _small_number(0x54, "b", -128, 127, None),
    int: _small_number(0x55, "b", -128, 127, None),
    bytes: lambda value: _small_data(0xA0, value),
    str: _small_text(0xA1, "utf-8"),
    Symbol: _small_text(0xA3, "ascii"),
    list: _small_list,
    dict: lambda value: _small_compound(0xC1, 2 * len(value), _flat(value)),
    Described: _described,
}

_WIDE: dict[type, Callable[..., tuple[int, bytes]]] = {
    type(None): lambda _: (0x40, b""),
    bool: _fixed(0x56, "?"),
    Ubyte: _fixed(0x50, "B"),
    Byte: _fixed(0x51, "b"),
    Ushort: _fixed(0x60, "H"),
    Short: _fixed(0x61, "h"),
    Uint: _fixed(0x70, "I"),
    Int: _fixed(0x71, "i"),
    Float: _fixed(0x72, "f"),
    Char: lambda value: (0x73, value.encode("utf-32-be")),
    Ulong: _fixed(0x80, "Q"),
    int: _fixed(0x81, "q"),
    float: _fixed(0x82, "d"),
    Timestamp: _fixed(0x83, "q"),
    UUID: lambda value: (0x98, value.bytes),
    Decimal: _wide_decimal,
    bytes: lambda value: _variable(0xB0, value),
    str: lambda value: _variable(0xB1, value.encode()),
    Symbol: lambda value: _variable(0xB3, value.encode("ascii")),
    list: lambda value: _compound(0xD0, len(value), b"".join(map(encode, value))),
    dict: lambda value: _compound(0xD1, 2 * len(value), _flat(value)),
    Array: _wide_array,
}
