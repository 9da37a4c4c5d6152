"""Work for circuits, one message each, and the control messages."""

import azure.functions as func

from shared.application.control import Control
from shared.application.messages import parse_message
from shared.application.worker import Worker
from shared.bootstrap import ports
from shared.domain.commands import RunStep

blueprint = func.Blueprint()


def run_step(message: func.ServiceBusMessage) -> None:
    """One look at one circuit."""
    command = parse_message(message.get_body())
    assert isinstance(command, RunStep), f"{type(command).__name__} does not belong on a queue of circuits"
    Worker(ports()).handle(command, redelivered=is_redelivered(message))


def is_redelivered(message: func.ServiceBusMessage) -> bool:
    """The host counts deliveries from one."""
    return (message.delivery_count or 1) > 1


@blueprint.service_bus_queue_trigger(arg_name="message", queue_name="promotion", connection="ServiceBus")
def promotion(message: func.ServiceBusMessage) -> None:
    """Inspect a circuit, or promote its model to the Registry."""
    run_step(message)


@blueprint.service_bus_queue_trigger(arg_name="message", queue_name="deployment", connection="ServiceBus")
def deployment(message: func.ServiceBusMessage) -> None:
    """Deploy, activate or restore a circuit."""
    run_step(message)


@blueprint.service_bus_queue_trigger(arg_name="message", queue_name="smoke-test", connection="ServiceBus")
def smoke_test(message: func.ServiceBusMessage) -> None:
    """Start or look at a circuit's smoke test."""
    run_step(message)


@blueprint.service_bus_queue_trigger(arg_name="message", queue_name="control", connection="ServiceBus")
def control(message: func.ServiceBusMessage) -> None:
    """Hand out a page of work, deliver a notice, or read an artifact again."""
    Control(ports()).handle(parse_message(message.get_body()), redelivered=is_redelivered(message))
