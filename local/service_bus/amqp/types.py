"""The AMQP types Python has no name for (AMQP 1.0, part 1, section 1.6), so that a value keeps its type.

A plain `int` is a long, a plain `float` a double; `None`, `bool`, `str`, `bytes`, `UUID`, `list` and `dict`
stand for themselves.
"""

from dataclasses import dataclass


class Ubyte(int):
    __slots__ = ()


class Ushort(int):
    __slots__ = ()


class Uint(int):
    __slots__ = ()


class Ulong(int):
    __slots__ = ()


class Byte(int):
    __slots__ = ()


class Short(int):
    __slots__ = ()


class Int(int):
    __slots__ = ()


class Timestamp(int):
    """Milliseconds since 1970, UTC."""

    __slots__ = ()


class Float(float):
    """A float of four bytes."""

    __slots__ = ()


class Char(str):
    __slots__ = ()


class Symbol(str):
    __slots__ = ()


class Decimal(bytes):
    """A decimal32, 64 or 128, told apart by its length; carried through, never calculated with."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Array:
    """Values of one type."""

    items: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Described:
    descriptor: object
    value: object


class DecodeError(ValueError):
    """Bytes that are no AMQP value."""


class EncodeError(ValueError):
    """A Python value that AMQP cannot carry."""
