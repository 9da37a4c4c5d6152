"""A broker killed in the middle of its work loses nothing it has acknowledged."""

import itertools
import threading
from datetime import UTC, datetime, timedelta

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.exceptions import ServiceBusError
from service_bus_process import BrokerProcess, Handlers, eventually

# The SDK leaves the socket of a lost connection to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def _send_until_it_fails(handlers: Handlers, acknowledged: list[str]) -> None:
    sender = handlers.sender("work")
    for number in itertools.count():
        try:
            sender.send_messages(ServiceBusMessage(f"m{number}", message_id=f"m{number}"))
        except (ServiceBusError, ValueError):  # the connection is gone; a ValueError when the SDK notices late
            return
        acknowledged.append(f"m{number}")


def test_kill_9_loses_no_acknowledged_message(own_broker: BrokerProcess) -> None:
    """Killed while a sender is sending, the broker comes back with every message it said yes to."""
    handlers, acknowledged = Handlers(own_broker.client()), list[str]()
    sending = threading.Thread(target=_send_until_it_fails, args=(handlers, acknowledged))
    sending.start()
    eventually(lambda: len(acknowledged) > 100)
    own_broker.kill()
    sending.join(timeout=20)
    handlers.close()
    own_broker.start()

    kept = {entry["message_id"] for entry in own_broker.get("/journal") if entry["op"] == "send"}
    assert own_broker.get("/queues")["work"]["active"] == len(kept)
    assert set(acknowledged) <= kept
    assert len(kept) <= len(acknowledged) + 1  # the last one may have been written and never answered


def test_kill_9_keeps_schedules_and_ends_locks(own_broker: BrokerProcess) -> None:
    """Scheduled messages arrive in their time after a crash; a lock of the dead broker counts as expired."""
    before = Handlers(own_broker.client())
    sender, receiver = before.sender("work"), before.receiver("work")
    at = datetime.now(UTC) + timedelta(seconds=4)
    sender.send_messages(ServiceBusMessage("locked"))
    (locked,) = receiver.receive_messages(max_wait_time=5)
    before.sender("other").schedule_messages(ServiceBusMessage("scheduled"), at)
    own_broker.kill()
    before.close()
    own_broker.start()

    after = Handlers(own_broker.client())
    (again,) = after.receiver("work").receive_messages(max_wait_time=5)
    assert (str(again), again.sequence_number, again.delivery_count) == ("locked", locked.sequence_number, 1)
    (arrived,) = after.receiver("other").receive_messages(max_wait_time=8)
    assert str(arrived) == "scheduled"
    assert arrived.enqueued_time_utc is not None
    # The protocol's timestamps have milliseconds.
    assert at.replace(microsecond=at.microsecond // 1000 * 1000) <= arrived.enqueued_time_utc
    after.close()


def test_a_stopped_broker_starts_where_it_was(own_broker: BrokerProcess) -> None:
    """It stops when its standard input ends, with exit code 0, and goes on with its numbers afterwards."""
    before = Handlers(own_broker.client())
    before.sender("work").send_messages([ServiceBusMessage("a"), ServiceBusMessage("b")])
    before.close()
    assert own_broker.stop() == 0
    own_broker.start()
    after = Handlers(own_broker.client())
    after.sender("work").send_messages(ServiceBusMessage("c"))
    got = after.receiver("work").peek_messages(10)
    assert [(message.sequence_number, str(message)) for message in got] == [(1, "a"), (2, "b"), (3, "c")]
    after.close()
