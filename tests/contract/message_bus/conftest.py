"""The bus a test sends on: the fake, and Service Bus over AMQP."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from azure.servicebus import ServiceBusClient

from shared.adapters.service_bus import ServiceBusMessageBus, queue_of
from shared.application.messages import parse_message
from shared.application.ports import MessageBus, Sendable
from tests.support.broker import Broker, running_broker
from tests.support.fakes_state import FakeMessageBus

WITHIN_SECONDS = 15


@dataclass(kw_only=True)
class Bus:
    """The port, and what arrives at the other end."""

    port: MessageBus
    client: ServiceBusClient | None = None
    _held: list[Sendable] = field(default_factory=list)

    def received(self, queue: str, count: int) -> list[Sendable]:
        """The first `count` commands on a queue, as their receivers read them."""
        if self.client is None:
            assert isinstance(self.port, FakeMessageBus)
            self._held += self.port.take()
            mine = [command for command in self._held if queue_of(command) == queue][:count]
            self._held = [command for command in self._held if command not in mine]
            return [replace(command, delay=timedelta()) for command in mine]
        commands: list[Sendable] = []
        with self.client.get_queue_receiver(queue) as receiver:
            while len(commands) < count:
                messages = receiver.receive_messages(count - len(commands), max_wait_time=WITHIN_SECONDS)
                assert messages, f"{len(commands)} of {count} arrived on {queue}"
                for message in messages:
                    commands.append(parse_message(b"".join(message.body)))
                    receiver.complete_message(message)
        return commands


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """Shared by the run: tests use releases of their own, so that nothing is taken for a duplicate."""
    with running_broker(tmp_path_factory.mktemp("broker")) as running:
        yield running


@pytest.fixture(params=["fake", "service-bus"])
def bus(request: pytest.FixtureRequest) -> Iterator[Bus]:
    """An empty bus."""
    if request.param == "fake":
        yield Bus(port=FakeMessageBus())
        return
    broker: Broker = request.getfixturevalue("broker")
    with ServiceBusClient.from_connection_string(broker.connection_string) as client:
        port = ServiceBusMessageBus(client)
        yield Bus(port=port, client=client)
        port.close()
