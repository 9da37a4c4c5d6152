"""`<queue>/$management`: requests as messages, one table of operations."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from local.service_bus.amqp.composites import Error, Properties
from local.service_bus.amqp.message import Message as AmqpMessage
from local.service_bus.amqp.message import build, value_section
from local.service_bus.amqp.types import Array, Int, Symbol
from local.service_bus.engine.model import EngineError, InvalidMessage, Message
from local.service_bus.engine.queue import Queue
from local.service_bus.wire.errors import NOT_IMPLEMENTED, status_code, wire_error
from local.service_bus.wire.mapping import incoming, outgoing, timestamp

_VENDOR = "com.microsoft:"
_PEEK_BYTES = 1024 * 1024  # a reply ends with the message that passes this

type _Body = Mapping[Any, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reply:
    status: int = 200
    description: str = "OK"
    condition: str | None = None
    value: dict[str, object] = field(default_factory=dict)


def manage(queue: Queue, request: AmqpMessage) -> bytes:
    """Carry out a request and return the reply to send."""
    try:
        reply = _perform(queue, request)
    except EngineError as error:
        refusal = wire_error(error)
        reply = _Reply(status=status_code(error), description=str(error), condition=refusal.condition)
    told: dict[str, object] = {"statusCode": Int(reply.status), "statusDescription": reply.description}
    if reply.condition is not None:
        told["errorCondition"] = Symbol(reply.condition)
    return build(
        properties=Properties(correlation_id=request.properties.message_id).encoded(),
        application_properties=told,
        body=value_section(reply.value),
    )


def _perform(queue: Queue, request: AmqpMessage) -> _Reply:
    name = str(request.application_properties.get("operation"))
    operation = _OPERATIONS.get(name.removeprefix(_VENDOR))
    if operation is None:
        error = Error(condition=NOT_IMPLEMENTED, description=f"{name} is not served by this stand-in")
        return _Reply(status=501, description=str(error.description), condition=error.condition)
    if not isinstance(request.value, dict):
        raise InvalidMessage("the body of a management request is a map")
    return operation(queue, request.value)


def _renew_lock(queue: Queue, body: _Body) -> _Reply:
    until = [queue.renew(token) for token in _list(body, "lock-tokens", UUID)]
    return _Reply(value={"expirations": Array(tuple(timestamp(moment) for moment in until))})


def _peek(queue: Queue, body: _Body) -> _Reply:
    found = queue.peek(_field(body, "from-sequence-number", int), _field(body, "message-count", int))
    messages: list[object] = []
    size = 0
    for message in found:
        if size > _PEEK_BYTES:
            break
        payload = outgoing(message)
        size += len(payload)
        messages.append({"message": payload})
    return _Reply(value={"messages": messages}) if messages else _Reply(status=204, description="No Content")


def _schedule(queue: Queue, body: _Body) -> _Reply:
    batch = [incoming(_field(entry, "message", bytes)) for entry in _list(body, "messages", dict)]
    return _Reply(value={"sequence-numbers": Array(tuple(queue.send(batch)))})


def _cancel_scheduled(queue: Queue, body: _Body) -> _Reply:
    queue.cancel_scheduled(_list(body, "sequence-numbers", int))
    return _Reply()


def _receive_deferred(queue: Queue, body: _Body) -> _Reply:
    delete = _field(body, "receiver-settle-mode", int) == 0
    found = queue.receive_deferred(_list(body, "sequence-numbers", int), delete=delete)
    return _Reply(value={"messages": [_locked_entry(message) for message in found]})


def _locked_entry(message: Message) -> dict[str, object]:
    entry: dict[str, object] = {"message": outgoing(message)}
    return entry if message.lock is None else {**entry, "lock-token": message.lock.token}


def _update_disposition(queue: Queue, body: _Body) -> _Reply:
    settle = _settlements(queue, body).get(str(body.get("disposition-status")))
    if settle is None:
        raise InvalidMessage(f"unknown disposition-status {body.get('disposition-status')!r}")
    for token in _list(body, "lock-tokens", UUID):
        settle(token)
    return _Reply()


def _settlements(queue: Queue, body: _Body) -> dict[str, Callable[[UUID], None]]:
    def suspend(token: UUID) -> None:
        queue.dead_letter(token, body.get("deadletter-reason"), body.get("deadletter-description"))

    # "defered" is how the service spells it.
    return {
        "completed": queue.complete,
        "abandoned": queue.abandon,
        "defered": queue.defer,
        "suspended": suspend,
    }


_OPERATIONS: dict[str, Callable[[Queue, _Body], _Reply]] = {
    "renew-lock": _renew_lock,
    "peek-message": _peek,
    "schedule-message": _schedule,
    "cancel-scheduled-message": _cancel_scheduled,
    "receive-by-sequence-number": _receive_deferred,
    "update-disposition": _update_disposition,
}


def _field[Kind](body: _Body, name: str, kind: type[Kind]) -> Kind:
    value = body.get(name)
    if not isinstance(value, kind):
        raise InvalidMessage(f"{name} is missing or not of type {kind.__name__}")
    return value


def _list[Kind](body: _Body, name: str, kind: type[Kind]) -> list[Kind]:
    value = body.get(name)
    items = list(value.items) if isinstance(value, Array) else value
    if not isinstance(items, list) or not all(isinstance(item, kind) for item in items):
        raise InvalidMessage(f"{name} is missing or not a list of {kind.__name__}")
    return items
