"""Between AMQP messages and the engine's: which annotation means what, and the service's limits."""

from datetime import UTC, datetime, timedelta
from typing import Any

from local.service_bus.amqp.composites import Header
from local.service_bus.amqp.message import Message as AmqpMessage
from local.service_bus.amqp.message import build, parse
from local.service_bus.amqp.types import DecodeError, Int, Symbol, Timestamp, Uint
from local.service_bus.engine.model import Incoming, InvalidMessage, Message, MessageTooLarge, State

# Quotas of the Standard tier: https://learn.microsoft.com/azure/service-bus-messaging/service-bus-quotas
MAX_MESSAGE_BYTES = 256 * 1024
_MAX_PROPERTIES_BYTES = 64 * 1024
_MAX_ID_LENGTH = 128

_SCHEDULED = "x-opt-scheduled-enqueue-time"
_STATES = {State.ACTIVE: 0, State.DEFERRED: 1, State.SCHEDULED: 2}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST_TTL_MILLISECONDS = 2**32 - 1


def incoming(payload: bytes) -> Incoming:
    """A sender's message for the engine.

    Raises:
        InvalidMessage: no message, or ids beyond the limits.
        MessageTooLarge: the message, or what stands before its body, is too large.
    """
    if len(payload) > MAX_MESSAGE_BYTES:
        raise MessageTooLarge(f"a message has at most {MAX_MESSAGE_BYTES} bytes, this one has {len(payload)}")
    message = _parsed(payload)
    if message.size_without_body > _MAX_PROPERTIES_BYTES:
        raise MessageTooLarge(f"all properties have at most {_MAX_PROPERTIES_BYTES} bytes together")
    for text in (message.properties.message_id, message.properties.group_id):
        if isinstance(text, str) and len(text) > _MAX_ID_LENGTH:
            raise InvalidMessage(f"message and session ids have at most {_MAX_ID_LENGTH} characters")
    message_id = message.properties.message_id
    return Incoming(
        payload=payload,
        message_id=None if message_id is None else _text(message_id),
        time_to_live=_time_to_live(message),
        scheduled_for=_scheduled_for(message),
    )


def _parsed(payload: bytes) -> AmqpMessage:
    try:
        return parse(payload)
    except DecodeError as error:
        raise InvalidMessage(f"not an AMQP message: {error}") from error


def _text(message_id: object) -> str:
    return message_id.hex() if isinstance(message_id, bytes) else str(message_id)


def _time_to_live(message: AmqpMessage) -> timedelta | None:
    return None if message.header.ttl is None else timedelta(milliseconds=message.header.ttl)


def _scheduled_for(message: AmqpMessage) -> datetime | None:
    moment = message.annotations.get(_SCHEDULED)
    if moment is None:
        return None
    if not isinstance(moment, int):
        raise InvalidMessage(f"{_SCHEDULED} is not a timestamp")
    try:
        return _EPOCH + timedelta(milliseconds=moment)
    except OverflowError as error:
        raise InvalidMessage(f"{_SCHEDULED} lies beyond the year 9999") from error


def outgoing(message: Message) -> bytes:
    """An engine's message as a receiver sees it: what its sender wrote, plus what the broker knows."""
    sent = parse(message.payload)
    milliseconds = message.time_to_live // timedelta(milliseconds=1)
    header = Header(
        durable=sent.header.durable,
        priority=sent.header.priority,
        ttl=milliseconds if milliseconds <= _LONGEST_TTL_MILLISECONDS else None,
        delivery_count=message.delivery_count,
    )
    return build(
        header=header,
        delivery_annotations={"x-opt-lock-token": message.lock.token} if message.lock else None,
        annotations={**sent.annotations, **_annotations(message)},
        properties=sent.properties_bytes,
        application_properties={**sent.application_properties, **_dead_letter_properties(message)},
        body=sent.body_bytes,
    )


def timestamp(moment: datetime) -> Timestamp:
    """A moment on the wire."""
    return Timestamp((moment - _EPOCH) // timedelta(milliseconds=1))


def _annotations(message: Message) -> dict[str, Any]:
    known: dict[str, Any] = {
        "x-opt-sequence-number": message.sequence_number,
        "x-opt-enqueue-sequence-number": message.enqueued_sequence_number,
        "x-opt-enqueued-time": timestamp(message.enqueued_at),
        "x-opt-message-state": Int(_STATES[message.state]),
    }
    if message.lock is not None:
        known["x-opt-locked-until"] = timestamp(message.lock.until)
    if message.dead_letter is not None:
        known["x-opt-deadletter-source"] = message.dead_letter.source
    return known


def _dead_letter_properties(message: Message) -> dict[str, str]:
    letter = message.dead_letter
    if letter is None:
        return {}
    told = {"DeadLetterReason": letter.reason, "DeadLetterErrorDescription": letter.description}
    return {key: value for key, value in told.items() if value is not None}


LINK_PROPERTIES = {Symbol("com.microsoft:max-message-batch-size"): Uint(MAX_MESSAGE_BYTES)}
