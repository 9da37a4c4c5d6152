"""The sections of a message (AMQP 1.0, part 3, section 3.2), taken apart and put together again."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from local.service_bus.amqp.composites import Header, Properties, lift
from local.service_bus.amqp.decode import decode
from local.service_bus.amqp.encode import encode
from local.service_bus.amqp.types import DecodeError, Described, Symbol, Ulong

_HEADER, _DELIVERY_ANNOTATIONS, _ANNOTATIONS, _PROPERTIES = 0x70, 0x71, 0x72, 0x73
_APPLICATION_PROPERTIES, _DATA, _VALUE = 0x74, 0x75, 0x77
_LAST_SECTION = 0x78


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message; `properties_bytes` and `body_bytes` are its sections as they came, byte for byte."""

    header: Header
    annotations: Mapping[Any, Any]
    properties: Properties
    properties_bytes: bytes
    application_properties: Mapping[Any, Any]
    body_bytes: bytes
    value: Any
    size_without_body: int


def parse(payload: bytes) -> Message:
    """Take a message apart.

    Raises:
        DecodeError: the bytes are not the sections of a message.
    """
    found: dict[int, Any] = {}
    properties_bytes, body, body_at = b"", b"", None
    for code, value, start, end in _sections(payload):
        if code > _APPLICATION_PROPERTIES:
            body_at = start if body_at is None else body_at
        elif code == _PROPERTIES:
            properties_bytes = payload[start:end]
        found[code] = value
    body = b"" if body_at is None else payload[body_at:]
    return Message(
        header=_composite(found, _HEADER, Header()),
        annotations=_map(found, _ANNOTATIONS),
        properties=_composite(found, _PROPERTIES, Properties()),
        properties_bytes=properties_bytes,
        application_properties=_map(found, _APPLICATION_PROPERTIES),
        body_bytes=body,
        value=found.get(_VALUE),
        size_without_body=len(payload) - len(body),
    )


def batched(payload: bytes) -> list[bytes]:
    """The messages inside a batch: each data section holds one.

    Raises:
        DecodeError: the bytes are not the sections of a message, or a data section is not binary.
    """
    messages = [value for code, value, _, _ in _sections(payload) if code == _DATA]
    if not all(isinstance(message, bytes) for message in messages):
        raise DecodeError("a data section that is not binary")
    return messages


def build(
    *,
    header: Header | None = None,
    delivery_annotations: Mapping[str, object] | None = None,
    annotations: Mapping[Any, object] | None = None,
    properties: bytes = b"",
    application_properties: Mapping[Any, object] | None = None,
    body: bytes = b"",
) -> bytes:
    """Put a message together; properties and body are whole sections."""
    return b"".join(
        (
            b"" if header is None else header.encoded(),
            _section(_DELIVERY_ANNOTATIONS, delivery_annotations, Symbol),
            _section(_ANNOTATIONS, annotations, Symbol),
            properties,
            _section(_APPLICATION_PROPERTIES, application_properties, str),
            body,
        )
    )


def value_section(value: object) -> bytes:
    """A body that is one AMQP value."""
    return encode(Described(Ulong(_VALUE), value))


def _section(code: int, content: Mapping[Any, object] | None, key_type: type[str]) -> bytes:
    if not content:
        return b""
    entries = {key_type(key) if isinstance(key, str) else key: value for key, value in content.items()}
    return encode(Described(Ulong(code), entries))


def _sections(payload: bytes) -> Iterator[tuple[int, Any, int, int]]:
    at = 0
    while at < len(payload):
        start = at
        section, at = decode(payload, at)
        if not isinstance(section, Described) or not isinstance(section.descriptor, int):
            raise DecodeError("a message holds something that is not a section")
        if not _HEADER <= section.descriptor <= _LAST_SECTION:
            raise DecodeError(f"a message has no section 0x{int(section.descriptor):02x}")
        code = int(section.descriptor)
        yield code, lift(section) if code in {_HEADER, _PROPERTIES} else section.value, start, at


def _composite(found: Mapping[int, Any], code: int, default: Any) -> Any:
    section = found.get(code, default)
    if type(section) is not type(default):
        raise DecodeError(f"section 0x{code:02x} is not a {type(default).__name__}")
    return section


def _map(found: Mapping[int, Any], code: int) -> dict[Any, Any]:
    section = found.get(code) or {}
    if not isinstance(section, dict):
        raise DecodeError(f"section 0x{code:02x} is not a map")
    return section
