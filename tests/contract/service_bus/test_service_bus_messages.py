"""What the real SDK does to messages, on the stand-in."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from azure.servicebus import (
    ServiceBusMessage,
    ServiceBusMessageState,
    ServiceBusReceivedMessage,
    ServiceBusReceiveMode,
    ServiceBusSubQueue,
)
from azure.servicebus.amqp import AmqpAnnotatedMessage
from azure.servicebus.exceptions import (
    MessageLockLostError,
    MessageNotFoundError,
    MessageSizeExceededError,
    MessagingEntityNotFoundError,
    ServiceBusError,
)
from service_bus_process import BrokerProcess, Handlers


def _send(handlers: Handlers, queue: str, *messages: ServiceBusMessage) -> None:
    sender = handlers.sender(queue)
    for message in messages:
        sender.send_messages(message)


def _bodies(messages: list[ServiceBusReceivedMessage]) -> list[str]:
    return [str(message) for message in messages]


def test_a_message_arrives_as_it_was_sent(handlers: Handlers, queue: str) -> None:
    """Every field a sender can set comes back, and what only a broker knows is there too."""
    sent = ServiceBusMessage(
        b"\x00\x01body",
        message_id="release|1",
        correlation_id="corr",
        subject="deploy",
        content_type="application/json",
        reply_to="elsewhere",
        partition_key="p",
        to="someone",
        time_to_live=timedelta(minutes=3),
        application_properties={"text": "ü", "number": 7, "yes": True, "id": uuid.UUID(int=5), "pi": 3.5},
    )
    before = datetime.now(UTC)
    _send(handlers, queue, sent)
    receiver = handlers.receiver(queue)
    (got,) = receiver.receive_messages(max_wait_time=5)
    locked_until = got.locked_until_utc
    receiver.complete_message(got)
    assert b"".join(got.body) == b"\x00\x01body"
    assert (got.message_id, got.correlation_id, got.subject) == ("release|1", "corr", "deploy")
    assert (got.content_type, got.reply_to, got.partition_key, got.to) == (
        "application/json",
        "elsewhere",
        "p",
        "someone",
    )
    assert got.time_to_live == timedelta(minutes=3)
    assert got.application_properties == {
        b"text": "ü".encode(),
        b"number": 7,
        b"yes": True,
        b"id": uuid.UUID(int=5),
        b"pi": 3.5,
    }
    assert (got.sequence_number, got.enqueued_sequence_number, got.delivery_count) == (1, 1, 0)
    assert got.state is ServiceBusMessageState.ACTIVE
    assert got.enqueued_time_utc is not None
    assert abs(got.enqueued_time_utc - before) < timedelta(seconds=2)
    assert locked_until is not None
    assert timedelta(seconds=58) < locked_until - got.enqueued_time_utc < timedelta(seconds=63)


def test_values_and_sequences_are_bodies_too(handlers: Handlers, queue: str) -> None:
    """A body may be an AMQP value or sequence; it comes back as it was."""
    sender = handlers.sender(queue)
    sender.send_messages(AmqpAnnotatedMessage(value_body={"a": [1, 2]}))
    sender.send_messages(AmqpAnnotatedMessage(sequence_body=[1, "two"]))
    receiver = handlers.receiver(queue, receive_mode=ServiceBusReceiveMode.RECEIVE_AND_DELETE)
    first, second = receiver.receive_messages(max_message_count=2, max_wait_time=5)
    assert first.body == {b"a": [1, 2]}
    assert list(second.body) == [[1, b"two"]]


def test_a_batch_arrives_whole_and_in_order(handlers: Handlers, queue: str) -> None:
    """Messages of a batch are messages of their own, in the order they were added."""
    sender = handlers.sender(queue)
    batch = sender.create_message_batch()
    for number in range(25):
        batch.add_message(ServiceBusMessage(f"m{number}", message_id=str(number)))
    sender.send_messages(batch)
    sender.send_messages([ServiceBusMessage("m25", message_id="25"), ServiceBusMessage("m26")])
    receiver = handlers.receiver(queue)
    got: list[ServiceBusReceivedMessage] = []
    while len(got) < 27:
        got += receiver.receive_messages(max_message_count=27, max_wait_time=5)
    for message in got:
        receiver.complete_message(message)
    assert _bodies(got) == [f"m{number}" for number in range(27)]
    assert [message.message_id for message in got][:26] == [str(number) for number in range(26)]


def test_a_large_message_goes_through_several_frames(handlers: Handlers, queue: str) -> None:
    """200 KB are more than a frame holds, in both directions."""
    body = bytes(range(256)) * 800
    _send(handlers, queue, ServiceBusMessage(body))
    receiver = handlers.receiver(queue)
    (got,) = receiver.receive_messages(max_wait_time=5)
    receiver.complete_message(got)
    assert b"".join(got.body) == body


def test_a_message_above_256_kilobytes_is_refused(handlers: Handlers, queue: str) -> None:
    """The refusal names the size, and the sender stays usable."""
    sender = handlers.sender(queue)
    with pytest.raises(MessageSizeExceededError):
        sender.send_messages(ServiceBusMessage(b"x" * 262_200))
    sender.send_messages(ServiceBusMessage("small"))
    batch = sender.create_message_batch()
    assert batch.max_size_in_bytes == 262_144


def test_an_abandoned_message_comes_back_counted(handlers: Handlers, broker: BrokerProcess, queue: str) -> None:
    """Each abandon adds one to the delivery count; the third failure of three is the last."""
    _send(handlers, queue, ServiceBusMessage("work", message_id="w"))
    receiver = handlers.receiver(queue)
    for count in range(3):
        (got,) = receiver.receive_messages(max_wait_time=5)
        assert got.delivery_count == count
        receiver.abandon_message(got)
    dead_letters = handlers.receiver(queue, sub_queue=ServiceBusSubQueue.DEAD_LETTER)
    (dead,) = dead_letters.receive_messages(max_wait_time=5)
    assert dead.dead_letter_reason == "MaxDeliveryCountExceeded"
    assert dead.dead_letter_source == queue
    assert dead.delivery_count == 3
    dead_letters.complete_message(dead)
    assert broker.ops(queue) == ["send", *["deliver", "abandon"] * 3, "dead-letter"]


def test_a_dead_letter_carries_its_reason(handlers: Handlers, broker: BrokerProcess, queue: str) -> None:
    """Reason and description reach whoever reads the dead-letter queue, beside the message's own properties."""
    _send(handlers, queue, ServiceBusMessage("bad", application_properties={"mine": 1}))
    receiver = handlers.receiver(queue)
    (got,) = receiver.receive_messages(max_wait_time=5)
    receiver.dead_letter_message(got, reason="unreadable", error_description="no JSON")
    assert broker.get("/queues")[queue] == {
        "active": 0,
        "scheduled": 0,
        "deferred": 0,
        "locked": 0,
        "dead_letter": 1,
    }
    dead_letters = handlers.receiver(queue, sub_queue="deadletter")
    (dead,) = dead_letters.receive_messages(max_wait_time=5)
    dead_letters.complete_message(dead)
    assert (str(dead), dead.dead_letter_reason, dead.dead_letter_error_description) == ("bad", "unreadable", "no JSON")
    assert dead.application_properties is not None
    assert dead.application_properties[b"mine"] == 1


def test_an_expired_lock_is_lost_and_the_message_comes_back(handlers: Handlers, broker: BrokerProcess) -> None:
    """After the lock duration someone else gets the message, counted; the first holder's complete fails."""
    _send(handlers, "short-lock", ServiceBusMessage("slow"))
    first = handlers.receiver("short-lock")
    second = handlers.receiver("short-lock")
    (held,) = first.receive_messages(max_wait_time=5)
    assert second.receive_messages(max_wait_time=1) == []
    (again,) = second.receive_messages(max_wait_time=10)
    assert (again.delivery_count, again.message_id) == (1, held.message_id)
    with pytest.raises(MessageLockLostError):
        first.complete_message(held)
    second.complete_message(again)
    assert broker.ops("short-lock") == ["send", "deliver", "lock-expired", "deliver", "complete"]


def test_the_broker_refuses_to_settle_what_is_settled(handlers: Handlers, queue: str) -> None:
    """A token that locks nothing any more is refused, on the link and by management."""
    _send(handlers, queue, ServiceBusMessage("once"))
    receiver = handlers.receiver(queue)
    (got,) = receiver.receive_messages(max_wait_time=5)
    token = got.lock_token
    assert token is not None
    receiver._settle_message_via_mgmt_link("completed", [token])
    with pytest.raises(MessageLockLostError):
        receiver._settle_message_via_mgmt_link("completed", [token])
    with pytest.raises(MessageLockLostError):
        receiver.complete_message(got)
    with pytest.raises(MessageLockLostError):
        receiver.renew_message_lock(got)


def test_a_renewed_lock_lasts_longer(handlers: Handlers, queue: str) -> None:
    """Renewing counts the whole duration from now."""
    _send(handlers, queue, ServiceBusMessage("long"))
    receiver = handlers.receiver(queue)
    (got,) = receiver.receive_messages(max_wait_time=5)
    until = got.locked_until_utc
    renewed = receiver.renew_message_lock(got)
    assert until is not None
    assert until < renewed < until + timedelta(seconds=5)
    receiver.complete_message(got)


def test_a_duplicate_is_accepted_and_dropped(handlers: Handlers, broker: BrokerProcess) -> None:
    """Within the window one message id is one message, sent, batched or scheduled."""
    later = datetime.now(UTC) + timedelta(minutes=1)
    sender = handlers.sender("no-duplicates")
    sender.send_messages(ServiceBusMessage("first", message_id="same"))
    sender.send_messages(ServiceBusMessage("second", message_id="same"))
    sender.send_messages([ServiceBusMessage("third", message_id="same"), ServiceBusMessage("x", message_id="x")])
    sender.schedule_messages(ServiceBusMessage("planned", message_id="plan"), later)
    sender.schedule_messages(ServiceBusMessage("planned again", message_id="plan"), later)
    sender.send_messages(ServiceBusMessage("not planned", message_id="plan"))
    counts = broker.get("/queues")["no-duplicates"]
    assert (counts["active"], counts["scheduled"]) == (2, 1)
    receiver = handlers.receiver("no-duplicates", receive_mode="receiveanddelete")
    assert _bodies(receiver.receive_messages(max_message_count=5, max_wait_time=5)) == ["first", "x"]
    assert broker.ops("no-duplicates").count("duplicate-dropped") == 4


def test_scheduled_messages_arrive_at_their_time(handlers: Handlers, broker: BrokerProcess, queue: str) -> None:
    """Both ways of scheduling hold a message back until its time, which AMQP tells in milliseconds."""
    at = (datetime.now(UTC) + timedelta(seconds=2.5)).replace(microsecond=0)
    sender = handlers.sender(queue)
    (number,) = sender.schedule_messages(ServiceBusMessage("by management"), at)
    sender.send_messages(ServiceBusMessage("by annotation", scheduled_enqueue_time_utc=at))
    receiver = handlers.receiver(queue)
    assert broker.get("/queues")[queue]["scheduled"] == 2
    peeked = receiver.peek_messages(max_message_count=10)
    assert [message.state for message in peeked] == [ServiceBusMessageState.SCHEDULED] * 2
    got: list[ServiceBusReceivedMessage] = []
    while len(got) < 2:
        got += receiver.receive_messages(max_message_count=2, max_wait_time=5)
    for message in got:
        receiver.complete_message(message)
    assert _bodies(got) == ["by management", "by annotation"]
    for message in got:
        assert message.enqueued_time_utc is not None
        assert message.enqueued_time_utc >= at
        assert message.scheduled_enqueue_time_utc is not None
    assert got[0].enqueued_sequence_number == number
    assert got[0].sequence_number == 3


def test_a_cancelled_message_never_arrives(handlers: Handlers, broker: BrokerProcess, queue: str) -> None:
    """Cancelling takes it back once; a second time there is nothing to cancel."""
    at = datetime.now(UTC) + timedelta(minutes=1)
    sender = handlers.sender(queue)
    numbers = sender.schedule_messages([ServiceBusMessage("a"), ServiceBusMessage("b")], at)
    sender.cancel_scheduled_messages(numbers)
    with pytest.raises(MessageNotFoundError):
        sender.cancel_scheduled_messages(numbers[0])
    assert broker.get("/queues")[queue]["scheduled"] == 0


def test_a_deferred_message_is_fetched_by_its_number(handlers: Handlers, queue: str) -> None:
    """Deferring sets it aside; only its number gets it back, and then it settles like any other."""
    _send(handlers, queue, ServiceBusMessage("later"), ServiceBusMessage("now"))
    receiver = handlers.receiver(queue)
    (later,) = receiver.receive_messages(max_wait_time=5)
    receiver.defer_message(later)
    (now,) = receiver.receive_messages(max_wait_time=5)
    assert str(now) == "now"
    receiver.complete_message(now)
    assert later.sequence_number is not None
    (got,) = receiver.receive_deferred_messages([later.sequence_number])
    assert str(got) == "later"
    assert got.lock_token is not None
    receiver.renew_message_lock(got)
    receiver.complete_message(got)
    with pytest.raises(MessageNotFoundError):
        receiver.receive_deferred_messages([later.sequence_number])


def test_an_expired_message_is_dead_lettered_where_the_queue_says_so(handlers: Handlers) -> None:
    """Its time to live over, nobody receives it from the queue."""
    _send(handlers, "buries-expired", ServiceBusMessage("stale", time_to_live=timedelta(seconds=1)))
    dead_letters = handlers.receiver("buries-expired", sub_queue="deadletter")
    (dead,) = dead_letters.receive_messages(max_wait_time=5)
    dead_letters.complete_message(dead)
    assert dead.dead_letter_reason == "TTLExpiredException"


def test_receive_and_delete_leaves_nothing(handlers: Handlers, broker: BrokerProcess, queue: str) -> None:
    """What was handed out is gone without being settled."""
    _send(handlers, queue, ServiceBusMessage("one"), ServiceBusMessage("two"))
    receiver = handlers.receiver(queue, receive_mode="receiveanddelete")
    assert _bodies(receiver.receive_messages(max_wait_time=5)) == ["one"]
    assert broker.get("/queues")[queue]["active"] == 1


def test_peeking_changes_nothing(handlers: Handlers, queue: str) -> None:
    """A peek shows messages from a number on, without locks."""
    _send(handlers, queue, *[ServiceBusMessage(f"m{number}") for number in range(5)])
    receiver = handlers.receiver(queue)
    assert _bodies(receiver.peek_messages(2)) == ["m0", "m1"]
    assert _bodies(receiver.peek_messages(9, sequence_number=4)) == ["m3", "m4"]
    (first,) = receiver.receive_messages(max_wait_time=5)
    assert (str(first), first.delivery_count) == ("m0", 0)
    receiver.abandon_message(first)


def test_closing_a_receiver_gives_prefetched_messages_back(handlers: Handlers, broker: BrokerProcess) -> None:
    """Messages in a closed receiver's buffer are released at once and uncounted."""
    _send(handlers, "once", *[ServiceBusMessage(f"m{number}") for number in range(4)])
    with handlers.receiver("once", prefetch_count=10) as greedy:
        (first,) = greedy.receive_messages(max_wait_time=5)
        greedy.complete_message(first)
    receiver = handlers.receiver("once")
    (second,) = receiver.receive_messages(max_wait_time=3)
    assert (str(second), second.delivery_count) == ("m1", 0)
    receiver.complete_message(second)
    assert broker.get("/queues")["once"]["dead_letter"] == 0


@pytest.mark.parametrize(
    ("name", "expected", "says"),
    [
        ("nowhere", MessagingEntityNotFoundError, "could not be found"),
        ("with-sessions", ServiceBusError, "amqp:not-implemented"),
    ],
)
def test_entities_that_are_not_served_are_refused(
    handlers: Handlers, name: str, expected: type[ServiceBusError], says: str
) -> None:
    """An unknown queue is not found; one with sessions is named as not implemented."""
    with pytest.raises(expected, match=says), handlers.sender(name) as sender:
        sender.send_messages(ServiceBusMessage("x"))
