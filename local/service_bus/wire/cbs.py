"""`$cbs`: a connection shows a token before it may attach (claims-based security, put-token)."""

from local.service_bus.amqp.composites import Properties
from local.service_bus.amqp.message import Message, build, value_section
from local.service_bus.amqp.types import Int

_TOKEN_TYPES = {"servicebus.windows.net:sastoken", "jwt"}


def put_token(request: Message) -> tuple[bool, bytes]:
    """Judge a request; whether the token was taken, and the reply.

    The stand-in is open to whoever reaches its port, as the official emulator is: it wants a token of a known
    type and does not check the signature.
    """
    status, description = _judge(request)
    reply = build(
        properties=Properties(correlation_id=request.properties.message_id).encoded(),
        application_properties={"status-code": Int(status), "status-description": description},
        body=value_section(None),
    )
    return status == 202, reply


def _judge(request: Message) -> tuple[int, str]:
    asked = request.application_properties
    if asked.get("operation") != "put-token":
        return 400, f"$cbs knows put-token, not {asked.get('operation')!r}"
    if asked.get("type") not in _TOKEN_TYPES:
        return 400, f"$cbs takes SAS tokens and JWTs, not {asked.get('type')!r}"
    if not request.value:
        return 401, "the token is empty"
    return 202, "Accepted"
