"""What only the real bus has: properties, schedules, duplicates, and a broker that goes away."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from azure.servicebus import ServiceBusClient, ServiceBusReceivedMessage

from shared.adapters.service_bus import CLIENT_OPTIONS, ServiceBusMessageBus
from shared.application.messages import message_id
from shared.domain.commands import RunStep, StepKind
from shared.domain.errors import ConfigurationError, TransientError
from shared.domain.model import CircuitPhase
from tests.support.broker import Broker, running_broker
from tests.support.builders import CIRCUIT
from tests.support.net import free_ports


def command(release_id: str, *, n: int = 0, delay: timedelta = timedelta()) -> RunStep:
    return RunStep(
        release_id=release_id,
        circuit=CIRCUIT,
        gen=1,
        kind=StepKind.DEPLOY,
        phase=CircuitPhase.DEPLOYING_TEST,
        n=n,
        delay=delay,
    )


@pytest.fixture
def client(broker: Broker) -> Iterator[ServiceBusClient]:
    with ServiceBusClient.from_connection_string(broker.connection_string, **CLIENT_OPTIONS) as client:
        yield client


@pytest.fixture
def bus(client: ServiceBusClient) -> Iterator[ServiceBusMessageBus]:
    bus = ServiceBusMessageBus(client)
    yield bus
    bus.close()


def received(client: ServiceBusClient, count: int = 1) -> list[ServiceBusReceivedMessage]:
    messages: list[ServiceBusReceivedMessage] = []
    with client.get_queue_receiver("deployment") as receiver:
        while len(messages) < count:
            more = receiver.receive_messages(count - len(messages), max_wait_time=15)
            assert more, f"{len(messages)} of {count} messages arrived"
            for message in more:
                receiver.complete_message(message)
            messages += more
    return messages


def test_a_message_says_what_it_is(client: ServiceBusClient, bus: ServiceBusMessageBus) -> None:
    """Its id is derived, its type is JSON, its subject is the kind of work."""
    sent = command("properties")
    bus.send([sent])
    (message,) = received(client)
    assert message.message_id == message_id(sent)
    assert (message.content_type, message.subject) == ("application/json", "deploy")


def test_a_delay_is_kept(client: ServiceBusClient, bus: ServiceBusMessageBus) -> None:
    """A look in half a second is not a look now."""
    before = datetime.now(UTC)
    bus.send([command("delay", delay=timedelta(milliseconds=500))])
    (message,) = received(client)
    assert message.enqueued_time_utc is not None
    assert message.enqueued_time_utc >= before + timedelta(milliseconds=490)


def test_the_same_command_twice_is_one_message_and_a_redrive_is_another(
    client: ServiceBusClient, bus: ServiceBusMessageBus
) -> None:
    """Duplicate detection is a courtesy that derived ids make possible."""
    bus.send([command("twice")])
    bus.send([command("twice"), command("twice", n=1)])
    assert [message.message_id for message in received(client, 2)] == [
        message_id(command("twice")),
        message_id(command("twice", n=1)),
    ]


def test_a_restarted_broker_is_found_again(tmp_path: Path) -> None:
    """The cached connection is dead; the next send opens another."""
    with (
        running_broker(tmp_path) as broker,
        ServiceBusClient.from_connection_string(broker.connection_string, **CLIENT_OPTIONS) as client,
    ):
        bus = ServiceBusMessageBus(client)
        bus.send([command("before")])
        broker.stop()
        broker.start()
        bus.send([command("after")])
        ids = {message.message_id for message in received(client, 2)}
        assert ids == {message_id(command("before")), message_id(command("after"))}
        bus.close()


def test_a_bus_that_cannot_be_reached_is_a_transient_error() -> None:
    """The caller waits and tries again."""
    connection = (
        f"Endpoint=sb://localhost:{free_ports(1)[0]};SharedAccessKeyName=RootManageSharedAccessKey;"
        "SharedAccessKey=SAS_KEY_VALUE;UseDevelopmentEmulator=true;"
    )
    with ServiceBusClient.from_connection_string(connection, retry_total=0) as client:
        bus = ServiceBusMessageBus(client)
        with pytest.raises(TransientError, match="queue deployment"):
            bus.send([command("nowhere")])
        bus.close()


def test_a_queue_that_does_not_exist_is_a_configuration_error(tmp_path: Path) -> None:
    """Trying again would not make it."""
    namespace = {"Name": "sbemulatorns", "Queues": [{"Name": "control", "Properties": {}}], "Topics": []}
    config = tmp_path / "Config.json"
    config.write_text(json.dumps({"UserConfig": {"Namespaces": [namespace], "Logging": {"Type": "Console"}}}))
    with (
        running_broker(tmp_path, config) as broker,
        ServiceBusClient.from_connection_string(broker.connection_string, **CLIENT_OPTIONS) as client,
    ):
        bus = ServiceBusMessageBus(client)
        with pytest.raises(ConfigurationError, match="queue deployment"):
            bus.send([command("no-queue")])
        bus.close()
