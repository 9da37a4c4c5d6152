"""AMQP values, composites, frames and messages survive the wire."""

import struct
from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.service_bus.amqp.composites import (
    Accepted,
    Attach,
    Composite,
    Disposition,
    Error,
    Flow,
    Header,
    Modified,
    Open,
    Properties,
    Rejected,
    Source,
    Target,
    Transfer,
    lift,
)
from local.service_bus.amqp.decode import decode
from local.service_bus.amqp.encode import encode
from local.service_bus.amqp.frames import FrameBuffer, FramingError, frame_bytes
from local.service_bus.amqp.message import batched, build, parse, value_section
from local.service_bus.amqp.types import (
    Array,
    Byte,
    Char,
    Decimal,
    DecodeError,
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


def _whole(bits: int, *, signed: bool) -> st.SearchStrategy[int]:
    low = -(2 ** (bits - 1)) if signed else 0
    return st.integers(low, low + 2**bits - 1)


_TEXT = st.text(st.characters(exclude_categories=["Cs"]))
_ASCII = st.text(st.characters(max_codepoint=127))
_SCALARS: list[st.SearchStrategy[object]] = [
    st.none(),
    st.booleans(),
    _whole(8, signed=False).map(Ubyte),
    _whole(16, signed=False).map(Ushort),
    _whole(32, signed=False).map(Uint),
    _whole(64, signed=False).map(Ulong),
    _whole(8, signed=True).map(Byte),
    _whole(16, signed=True).map(Short),
    _whole(32, signed=True).map(Int),
    _whole(64, signed=True),
    _whole(64, signed=True).map(Timestamp),
    st.floats(width=32, allow_nan=False).map(Float),
    st.floats(allow_nan=False),
    st.characters(exclude_categories=["Cs"]).map(Char),
    *[st.binary(min_size=size, max_size=size).map(Decimal) for size in (4, 8, 16)],
    st.uuids(),
    st.binary(max_size=600),
    _TEXT,
    _ASCII.map(Symbol),
]
_SCALAR = st.one_of(_SCALARS)
_ARRAY = st.one_of([st.lists(one, max_size=5) for one in _SCALARS]).map(lambda items: Array(tuple(items)))


def _nested(inner: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.one_of(
        st.lists(inner, max_size=5),
        st.dictionaries(_ASCII.map(Symbol) | _TEXT | st.uuids(), inner, max_size=5),
        st.builds(Described, _whole(64, signed=False).map(Ulong), inner),
    )


_VALUE = st.recursive(_SCALAR | _ARRAY, _nested, max_leaves=20)


def _typed(value: object) -> object:
    """The value with the type of everything in it, since a Uint equals a Long of the same size."""
    match value:
        case list():
            return [_typed(item) for item in value]
        case dict():
            return {_typed(key): _typed(item) for key, item in value.items()}
        case Array(items):
            return ("array", *[_typed(item) for item in items])
        case Described(descriptor, inner):
            return ("described", _typed(descriptor), _typed(inner))
    return type(value), value


@given(_VALUE)
def test_a_value_comes_back_with_its_type(value: object) -> None:
    """Encoding and decoding is the identity, to the last byte."""
    data = encode(value)
    decoded, end = decode(data)
    assert end == len(data)
    assert _typed(decoded) == _typed(value)


@given(_VALUE, st.data())
def test_a_value_cut_short_is_refused(value: object, data: st.DataObject) -> None:
    """No prefix of a value is a value."""
    whole = encode(value)
    with pytest.raises(DecodeError):
        decode(whole[: data.draw(st.integers(0, len(whole) - 1))])


@given(st.binary(max_size=60))
def test_any_bytes_are_a_value_or_refused(data: bytes) -> None:
    """Nothing a peer can send raises anything but DecodeError."""
    try:
        value, end = decode(data)
    except DecodeError:
        return
    assert end <= len(data)
    assert decode(encode(value))[0] == value or value != value  # noqa: PLR0124 a NaN is not itself


@pytest.mark.parametrize(
    ("data", "value"),
    [
        ("40", None),
        ("41", True),
        ("5601", True),
        ("43", Uint(0)),
        ("520a", Uint(10)),
        ("7000000100", Uint(256)),
        ("44", Ulong(0)),
        ("5310", Ulong(16)),
        ("55ff", -1),
        ("8100000000000000ff", 255),
        ("a30161", Symbol("a")),
        ("a103e282ac", "€"),
        ("45", []),
        ("c00302520152", None),
        ("c10501a10161", None),
        ("e00402a3016101", None),
    ],
)
def test_bytes_of_the_specification_mean_what_it_says(data: str, value: object) -> None:
    """Encodings of AMQP 1.0, part 1, section 1.6; three that break their own lengths."""
    if value is None and data != "40":
        with pytest.raises(DecodeError):
            decode(bytes.fromhex(data))
        return
    decoded, _ = decode(bytes.fromhex(data))
    assert _typed(decoded) == _typed(value)


def test_a_count_no_frame_could_hold_is_refused_at_once() -> None:
    """Four bytes cannot make us build a list of four billion."""
    with pytest.raises(DecodeError, match="claims more"):
        decode(b"\xd0" + struct.pack(">II", 4, 2**32 - 1))
    with pytest.raises(DecodeError, match="claims more"):
        decode(b"\xf0" + struct.pack(">II", 5, 2**32 - 1) + b"\x40")


def test_deep_nesting_is_refused() -> None:
    """A thousand lists in one another do not overflow the stack."""
    with pytest.raises(DecodeError, match="nested deeper"):
        decode(b"\x00\x44" * 1000)


@pytest.mark.parametrize(
    "value",
    [Ellipsis, 2**63, Uint(-1), Ubyte(256), Symbol("ü"), Array((1, "a")), Decimal(b"123"), {"a": {1, 2}}],
    ids=repr,
)
def test_what_amqp_cannot_carry_is_refused(value: object) -> None:
    """A value without an AMQP type, or out of its range, is an EncodeError."""
    with pytest.raises(EncodeError):
        encode(value)


@pytest.mark.parametrize(
    "composite",
    [
        Open(container_id="c", hostname="h", idle_time_out=5, properties={Symbol("product"): "x"}),
        Attach(
            name="n",
            handle=3,
            role=True,
            snd_settle_mode=1,
            source=Source(address="q", filter={Symbol("f"): "v"}),
            target=Target(),
            max_message_size=2**40,
        ),
        Flow(incoming_window=5, handle=0, link_credit=7, drain=True),
        Transfer(handle=1, delivery_id=2, delivery_tag=b"t", more=True),
        Disposition(role=True, first=1, last=4, state=Rejected(error=Error(condition="c", info={Symbol("a"): 1}))),
        Disposition(state=Modified(delivery_failed=True)),
        Disposition(state=Accepted()),
    ],
    ids=lambda composite: type(composite).__name__,
)
def test_a_composite_comes_back_as_it_was(composite: Composite) -> None:
    """Performatives and outcomes survive, with what is inside them."""
    assert lift(decode(composite.encoded())[0]) == composite


def test_empty_fields_read_as_their_defaults() -> None:
    """An omitted field and a null one both mean the default (part 1, section 1.4)."""
    assert lift(Described(Ulong(0x10), ["c"])).max_frame_size == 2**32 - 1
    assert lift(Described(Ulong(0x10), ["c", None, None])).max_frame_size == 2**32 - 1


@pytest.mark.parametrize("body", [{"a": 1}, ["x"] * 20], ids=["a map", "too many fields"])
def test_a_composite_of_another_shape_is_refused(body: object) -> None:
    """A known descriptor does not make anything else a list of its fields."""
    with pytest.raises(DecodeError):
        lift(Described(Ulong(0x10), body))


@given(st.lists(st.binary(max_size=300), max_size=5), st.integers(1, 50))
def test_frames_come_out_of_any_pieces(payloads: list[bytes], piece: int) -> None:
    """However the stream is cut, the same frames come out."""
    stream = b"".join(frame_bytes(Transfer(handle=1), channel=7, payload=payload) for payload in payloads)
    buffer, frames = FrameBuffer(1024), []
    for start in range(0, len(stream), piece):
        buffer.feed(stream[start : start + piece])
        while (frame := buffer.next_frame()) is not None:
            frames.append(frame)
    assert [frame.payload for frame in frames] == payloads
    assert {(frame.channel, type(frame.performative)) for frame in frames} <= {(7, Transfer)}


@pytest.mark.parametrize("header", ["00000007 02000000", "00000401 02000000", "0000000a 03000000", "0000000a 02050000"])
def test_impossible_frames_are_refused(header: str) -> None:
    """Too short, too long, an offset behind the end, an unknown type."""
    buffer = FrameBuffer(1024)
    buffer.feed(bytes.fromhex(header) + bytes(1100))
    with pytest.raises(FramingError):
        buffer.next_frame()


def test_a_message_keeps_what_nobody_asked_about() -> None:
    """Properties and body go through byte for byte; header and maps can be replaced around them."""
    payload = build(
        header=Header(durable=True, ttl=5000),
        annotations={"x-opt-partition-key": "p"},
        properties=Properties(message_id=UUID(int=1), user_id=b"me", group_sequence=9).encoded(),
        application_properties={"n": Int(5)},
        body=value_section([1, "two"]),
    )
    message = parse(payload)
    assert (message.header.ttl, message.properties.message_id, message.value) == (5000, UUID(int=1), [1, "two"])
    rebuilt = build(
        header=replace(message.header, delivery_count=3),
        annotations=message.annotations,
        properties=message.properties_bytes,
        application_properties={**message.application_properties, "why": "x"},
        body=message.body_bytes,
    )
    again = parse(rebuilt)
    assert again.properties_bytes == message.properties_bytes
    assert again.body_bytes == message.body_bytes
    assert _typed(again.application_properties) == _typed({"n": Int(5), "why": "x"})
    assert again.header == Header(durable=True, ttl=5000, delivery_count=3)


def test_a_batch_holds_messages_in_its_data_sections() -> None:
    """Each data section is one message; anything but binary is refused."""
    one, two = build(body=value_section(1)), build(body=value_section(2))
    batch = b"".join(encode(Described(Ulong(0x75), part)) for part in (one, two))
    assert batched(batch) == [one, two]
    with pytest.raises(DecodeError):
        batched(encode(Described(Ulong(0x75), "text")))


@pytest.mark.parametrize(
    "payload",
    [
        b"\x40",
        encode(Described(Ulong(0x50), [])),
        encode(Described(Symbol("amqp:data:binary"), b"")),
        encode(Described(Ulong(0x70), "x")),
        encode(Described(Ulong(0x74), "x")),
    ],
    ids=["no section", "an unknown section", "a named section", "a header of text", "properties of text"],
)
def test_what_is_no_message_is_refused(payload: bytes) -> None:
    """Bytes that are AMQP and still no message."""
    with pytest.raises(DecodeError):
        parse(payload)
