"""Error conditions on the wire, and which of them each refusal of the engine becomes.

ProtocolError       closes the connection
LinkRefused         answers an attach with a detach
"""

from local.service_bus.amqp.composites import Error
from local.service_bus.engine.model import (
    EngineError,
    InvalidMessage,
    LockLost,
    MessageNotFound,
    MessageTooLarge,
    QueueFull,
)

NOT_FOUND = "amqp:not-found"
NOT_ALLOWED = "amqp:not-allowed"
NOT_IMPLEMENTED = "amqp:not-implemented"
UNAUTHORIZED = "amqp:unauthorized-access"
DECODE_ERROR = "amqp:decode-error"
INTERNAL_ERROR = "amqp:internal-error"
ARGUMENT_ERROR = "com.microsoft:argument-error"


class ProtocolError(Exception):
    """The peer broke a rule; the connection ends with this error."""

    def __init__(self, condition: str, description: str) -> None:
        super().__init__(description)
        self.error = Error(condition=condition, description=description)


class LinkRefused(Exception):
    """An attach that is answered with a detach."""

    def __init__(self, condition: str, description: str) -> None:
        super().__init__(description)
        self.error = Error(condition=condition, description=description)


# refusal of the engine -> (condition, status of a management reply)
_CONDITIONS: dict[type[EngineError], tuple[str, int]] = {
    LockLost: ("com.microsoft:message-lock-lost", 410),
    MessageNotFound: ("com.microsoft:message-not-found", 404),
    MessageTooLarge: ("amqp:link:message-size-exceeded", 400),
    InvalidMessage: (ARGUMENT_ERROR, 400),
    QueueFull: ("amqp:resource-limit-exceeded", 403),
}


def wire_error(error: EngineError) -> Error:
    """The error that goes into a rejected outcome."""
    return Error(condition=_CONDITIONS[type(error)][0], description=str(error))


def status_code(error: EngineError) -> int:
    """The status code of a management reply."""
    return _CONDITIONS[type(error)][1]
