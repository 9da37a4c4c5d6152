"""Messages that could not be handled: each becomes visible, none waits for ever."""

from collections.abc import Callable

import azure.functions as func

from shared.application.dead_letters import DeadLetters
from shared.application.ports import Ports
from shared.bootstrap import ports
from shared.domain.errors import TransientError
from shared.telemetry import log

blueprint = func.Blueprint()


def bury(message: func.ServiceBusMessage) -> None:
    """Record what the message was about."""
    properties = message.application_properties or {}
    reason = str(properties.get("DeadLetterReason") or "no reason given")
    record(message.get_body(), reason, ports)


def record(body: bytes, reason: str, ports_of_process: Callable[[], Ports]) -> None:
    """A defect of our own ends in the log: raised, it would bring the dead letter back at once, without end.

    So do settings that nothing can be built from; the sweeper drives what was meant when they are mended.

    Raises:
        TransientError: state and bus are both out of reach.
    """
    try:
        DeadLetters(ports_of_process()).handle(body, reason)
    except TransientError:
        raise
    except Exception as error:  # noqa: BLE001  # the last one who can tell of it
        told = f"{type(error).__name__}: {error}"
        log.error("dead letter not recorded", action="dead_letter_unrecorded", reason=reason, error=told)


@blueprint.service_bus_queue_trigger(
    arg_name="message", queue_name="promotion/$DeadLetterQueue", connection="ServiceBus"
)
def promotion_dead_letter(message: func.ServiceBusMessage) -> None:
    """A circuit's inspection or promotion was given up."""
    bury(message)


@blueprint.service_bus_queue_trigger(
    arg_name="message", queue_name="deployment/$DeadLetterQueue", connection="ServiceBus"
)
def deployment_dead_letter(message: func.ServiceBusMessage) -> None:
    """A circuit's deployment, activation or restore was given up."""
    bury(message)


@blueprint.service_bus_queue_trigger(
    arg_name="message", queue_name="smoke-test/$DeadLetterQueue", connection="ServiceBus"
)
def smoke_test_dead_letter(message: func.ServiceBusMessage) -> None:
    """A circuit's smoke test was given up."""
    bury(message)


@blueprint.service_bus_queue_trigger(arg_name="message", queue_name="control/$DeadLetterQueue", connection="ServiceBus")
def control_dead_letter(message: func.ServiceBusMessage) -> None:
    """A fan-out, notice or artifact message was given up."""
    bury(message)
