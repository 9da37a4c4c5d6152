"""Local stack, Functions host: a Service Bus message's trigger metadata, key by key as the real host sends it.

Rules of the real host: null is left out, a string stays a string, everything else is JSON.
LockedUntil, TimeToLive, State, ScheduledEnqueueTimeUtc, EnqueuedSequenceNumber and the dead-letter
reason are never sent (the reason comes in ApplicationProperties).
"""

import base64
import json
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from azure.servicebus import ServiceBusReceivedMessage

FOREVER_UTC = "9999-12-31T23:59:59.9999999Z"


def trigger_metadata(message: ServiceBusReceivedMessage) -> dict[str, dict[str, str]]:
    """Metadata in the engine's typed form."""
    properties = _json(_properties(message))
    expires_utc = FOREVER_UTC if message.expires_at_utc is None else _utc(message.expires_at_utc)
    values = {
        # The wire counts failures before this delivery, the host counts deliveries.
        "DeliveryCount": _json((message.delivery_count or 0) + 1),
        "DeadLetterSource": _text(message.dead_letter_source),
        "LockToken": _text(message.lock_token),
        "SequenceNumber": _json(message.sequence_number),
        "MessageId": _text(message.message_id),
        "ContentType": _text(message.content_type),
        "CorrelationId": _text(message.correlation_id),
        "ExpiresAtUtc": _json(expires_utc),
        "ExpiresAt": _json(_with_offset(expires_utc)),
        "EnqueuedTimeUtc": _moment(message.enqueued_time_utc, offset=False),
        "EnqueuedTime": _moment(message.enqueued_time_utc, offset=True),
        "ReplyTo": _text(message.reply_to),
        "To": _text(message.to),
        "Subject": _text(message.subject),
        "Label": _text(message.subject),
        "ApplicationProperties": properties,
        "UserProperties": properties,
        "SessionId": _text(message.session_id),
        "ReplyToSessionId": _text(message.reply_to_session_id),
        "PartitionKey": _text(message.partition_key),
    }
    return {key: value for key, value in values.items() if value is not None}


def message_body(message: ServiceBusReceivedMessage, *, binary: bool) -> dict[str, Any]:
    """The body as the trigger value: text where it is text, bytes where it is not or `dataType` says so."""
    body = b"".join(message.body)
    if not binary:
        try:
            return {"string": body.decode()}
        except UnicodeDecodeError:
            pass
    return {"bytes": body}


def trace_parent(message: ServiceBusReceivedMessage) -> str | None:
    """The W3C trace the sender was in, if it said so."""
    properties = _properties(message)
    parent = properties.get("traceparent") or properties.get("Diagnostic-Id")
    return parent if isinstance(parent, str) else None


def _properties(message: ServiceBusReceivedMessage) -> dict[str, Any]:
    return {_plain(key): _plain(value) for key, value in (message.application_properties or {}).items()}


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        try:
            return value.decode()  # the SDK hands AMQP strings out as bytes
        except UnicodeDecodeError:
            return base64.b64encode(value).decode()
    if isinstance(value, datetime):
        return _utc(value)
    return str(value) if isinstance(value, uuid.UUID) else value


def _text(value: object) -> dict[str, str] | None:
    return None if value is None else {"string": str(_plain(value))}


def _json(value: Mapping[str, Any] | str | int | None) -> dict[str, str] | None:
    return None if value is None else {"json": json.dumps(value)}


def _moment(moment: datetime | None, *, offset: bool) -> dict[str, str] | None:
    if moment is None:
        return None
    return _json(_with_offset(_utc(moment)) if offset else _utc(moment))


def _utc(moment: datetime) -> str:
    # .NET drops trailing zeros of the fraction.
    text = moment.strftime("%Y-%m-%dT%H:%M:%S.%f").rstrip("0").rstrip(".")
    return f"{text}Z"


def _with_offset(utc: str) -> str:
    return utc.removesuffix("Z") + "+00:00"
