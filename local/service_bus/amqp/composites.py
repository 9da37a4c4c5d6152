"""The described lists of AMQP 1.0 (parts 2, 3 and 5): performatives, link ends, outcomes, message header.

A field's wire type stands beside it; trailing empty fields are left out, empty ones read as their default.
"""

from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from local.service_bus.amqp.encode import encode
from local.service_bus.amqp.types import (
    DecodeError,
    Described,
    Symbol,
    Ubyte,
    Uint,
    Ulong,
    Ushort,
)

_MAX_UINT = 2**32 - 1


def _wire(kind: type, default: object = None) -> Any:
    return field(default=default, metadata={"wire": kind})


@dataclass(frozen=True, slots=True, kw_only=True)
class Composite:
    CODE: ClassVar[int] = 0
    TRIMMED: ClassVar[bool] = True

    def described(self) -> Described:
        """The value as it goes over the wire."""
        values = [_lower(getattr(self, item.name), item.metadata.get("wire")) for item in fields(self)]
        while self.TRIMMED and values and values[-1] is None:
            values.pop()
        return Described(Ulong(self.CODE), values)

    def encoded(self) -> bytes:
        return encode(self.described())


def _lower(value: object, kind: type | None) -> object:
    if isinstance(value, Composite):
        return value.described()
    return value if value is None or kind is None else kind(value)


def lift(value: object) -> Any:
    """A described list as its composite; anything else, and descriptors we do not know, as they are.

    Raises:
        DecodeError: a known descriptor with a body that is not its list.
    """
    if not isinstance(value, Described) or value.descriptor not in _BY_CODE:
        return value
    kind, body = _BY_CODE[value.descriptor], value.value
    names = fields(kind)
    if not isinstance(body, list) or len(body) > len(names):
        raise DecodeError(f"{kind.__name__} is not a list of at most {len(names)} fields")
    given = zip(names, body, strict=False)
    return kind(**{item.name: lift(entry) for item, entry in given if entry is not None})


@dataclass(frozen=True, slots=True, kw_only=True)
class Error(Composite):
    CODE: ClassVar[int] = 0x1D
    TRIMMED: ClassVar[bool] = False  # the Python client reads all three fields by their place
    condition: str = _wire(Symbol, "")
    description: str | None = None
    info: dict[Any, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Open(Composite):
    CODE: ClassVar[int] = 0x10
    container_id: str = ""
    hostname: str | None = None
    max_frame_size: int = _wire(Uint, _MAX_UINT)
    channel_max: int = _wire(Ushort, 65535)
    idle_time_out: int | None = _wire(Uint)
    outgoing_locales: Any = None
    incoming_locales: Any = None
    offered_capabilities: Any = None
    desired_capabilities: Any = None
    properties: dict[Any, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Begin(Composite):
    CODE: ClassVar[int] = 0x11
    remote_channel: int | None = _wire(Ushort)
    next_outgoing_id: int = _wire(Uint, 0)
    incoming_window: int = _wire(Uint, 0)
    outgoing_window: int = _wire(Uint, 0)
    handle_max: int = _wire(Uint, _MAX_UINT)
    offered_capabilities: Any = None
    desired_capabilities: Any = None
    properties: dict[Any, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Source(Composite):
    CODE: ClassVar[int] = 0x28
    address: str | None = None
    durable: int | None = _wire(Uint)
    expiry_policy: Any = None
    timeout: int | None = _wire(Uint)
    dynamic: bool | None = None
    dynamic_node_properties: Any = None
    distribution_mode: Any = None
    filter: dict[Any, Any] | None = None
    default_outcome: Any = None
    outcomes: Any = None
    capabilities: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target(Composite):
    CODE: ClassVar[int] = 0x29
    address: str | None = None
    durable: int | None = _wire(Uint)
    expiry_policy: Any = None
    timeout: int | None = _wire(Uint)
    dynamic: bool | None = None
    dynamic_node_properties: Any = None
    capabilities: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attach(Composite):
    CODE: ClassVar[int] = 0x12
    name: str = ""
    handle: int = _wire(Uint, 0)
    role: bool = False  # true: the sender of this frame receives
    snd_settle_mode: int = _wire(Ubyte, 2)
    rcv_settle_mode: int = _wire(Ubyte, 0)
    source: Any = None
    target: Any = None
    unsettled: Any = None
    incomplete_unsettled: bool | None = None
    initial_delivery_count: int | None = _wire(Uint)
    max_message_size: int | None = _wire(Ulong)
    offered_capabilities: Any = None
    desired_capabilities: Any = None
    properties: dict[Any, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow(Composite):
    CODE: ClassVar[int] = 0x13
    next_incoming_id: int | None = _wire(Uint)
    incoming_window: int = _wire(Uint, 0)
    next_outgoing_id: int = _wire(Uint, 0)
    outgoing_window: int = _wire(Uint, 0)
    handle: int | None = _wire(Uint)
    delivery_count: int | None = _wire(Uint)
    link_credit: int | None = _wire(Uint)
    available: int | None = _wire(Uint)
    drain: bool = False
    echo: bool = False
    properties: dict[Any, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer(Composite):
    CODE: ClassVar[int] = 0x14
    handle: int = _wire(Uint, 0)
    delivery_id: int | None = _wire(Uint)
    delivery_tag: bytes | None = None
    message_format: int | None = _wire(Uint)
    settled: bool | None = None
    more: bool = False
    rcv_settle_mode: int | None = _wire(Ubyte)
    state: Any = None
    resume: bool = False
    aborted: bool = False
    batchable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Disposition(Composite):
    CODE: ClassVar[int] = 0x15
    role: bool = False
    first: int = _wire(Uint, 0)
    last: int | None = _wire(Uint)
    settled: bool = False
    state: Any = None
    batchable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Detach(Composite):
    CODE: ClassVar[int] = 0x16
    handle: int = _wire(Uint, 0)
    closed: bool = False
    error: Error | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class End(Composite):
    CODE: ClassVar[int] = 0x17
    error: Error | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Close(Composite):
    CODE: ClassVar[int] = 0x18
    error: Error | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Received(Composite):
    CODE: ClassVar[int] = 0x23
    section_number: int = _wire(Uint, 0)
    section_offset: int = _wire(Ulong, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted(Composite):
    CODE: ClassVar[int] = 0x24


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected(Composite):
    CODE: ClassVar[int] = 0x25
    error: Error | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Released(Composite):
    CODE: ClassVar[int] = 0x26


@dataclass(frozen=True, slots=True, kw_only=True)
class Modified(Composite):
    CODE: ClassVar[int] = 0x27
    delivery_failed: bool = False
    undeliverable_here: bool = False
    message_annotations: dict[Any, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SaslMechanisms(Composite):
    CODE: ClassVar[int] = 0x40
    sasl_server_mechanisms: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SaslInit(Composite):
    CODE: ClassVar[int] = 0x41
    mechanism: str = _wire(Symbol, "")
    initial_response: bytes | None = None
    hostname: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SaslOutcome(Composite):
    CODE: ClassVar[int] = 0x44
    code: int = _wire(Ubyte, 0)
    additional_data: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Header(Composite):
    CODE: ClassVar[int] = 0x70
    durable: bool | None = None
    priority: int | None = _wire(Ubyte)
    ttl: int | None = _wire(Uint)  # milliseconds
    first_acquirer: bool | None = None
    delivery_count: int | None = _wire(Uint)


@dataclass(frozen=True, slots=True, kw_only=True)
class Properties(Composite):
    CODE: ClassVar[int] = 0x73
    message_id: Any = None
    user_id: bytes | None = None
    to: str | None = None
    subject: str | None = None
    reply_to: str | None = None
    correlation_id: Any = None
    content_type: str | None = _wire(Symbol)
    content_encoding: str | None = _wire(Symbol)
    absolute_expiry_time: int | None = None
    creation_time: int | None = None
    group_id: str | None = None
    group_sequence: int | None = _wire(Uint)
    reply_to_group_id: str | None = None


# A slotted dataclass is made twice; the second, later in this list, is the one that is used.
_BY_CODE: dict[object, type[Composite]] = {kind.CODE: kind for kind in Composite.__subclasses__()}
