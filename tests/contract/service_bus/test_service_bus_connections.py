"""Many connections at once, and connections that break the protocol."""

import asyncio
import socket
from collections import Counter

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient
from raw_amqp import RawClient
from service_bus_process import BrokerProcess, Handlers

from local.service_bus.amqp.composites import (
    Accepted,
    Attach,
    Begin,
    Close,
    Detach,
    Disposition,
    End,
    Error,
    Flow,
    Open,
    Rejected,
    SaslInit,
    Source,
    Target,
    Transfer,
)
from local.service_bus.amqp.message import build, value_section
from local.service_bus.amqp.types import Described, Ulong


async def _drain(client: ServiceBusClient, queue: str, got: Counter[str], total: int) -> None:
    async with client.get_queue_receiver(queue, prefetch_count=3) as receiver:
        while got.total() < total:
            for message in await receiver.receive_messages(max_message_count=5, max_wait_time=0.5):
                await receiver.complete_message(message)
                got[str(message)] += 1


async def _fill(client: ServiceBusClient, queue: str, sender_number: int) -> None:
    async with client.get_queue_sender(queue) as sender:
        for number in range(10):
            await sender.send_messages(ServiceBusMessage(f"{sender_number}-{number}"))


async def test_concurrent_receivers_share_a_queue(broker: BrokerProcess, queue: str) -> None:
    """Twenty senders and twenty receivers at once: every message reaches exactly one receiver."""
    got: Counter[str] = Counter()
    async with ServiceBusClient.from_connection_string(broker.connection_string) as client:
        senders = [_fill(client, queue, number) for number in range(20)]
        receivers = [_drain(client, queue, got, 200) for _ in range(20)]
        await asyncio.gather(*senders, *receivers)
    assert got.total() == 200
    assert set(got.values()) == {1}
    counts = broker.get("/queues")[queue]
    assert (counts["active"], counts["locked"]) == (0, 0)


@pytest.mark.parametrize(
    "garbage",
    [b"\x00\x00\x00\x04\x02\x00\x00\x00", b"\x00\x00\x00\x09\x02\x00\x00\x00\xee", b"\xff\xff\xff\xff\x02\x00\x00\x00"],
    ids=["a frame shorter than its header", "an unknown constructor", "a frame of four gigabytes"],
)
def test_garbage_ends_its_own_connection_only(
    broker: BrokerProcess, handlers: Handlers, queue: str, garbage: bytes
) -> None:
    """The offender gets a close that says why; a sender on another connection does not notice."""
    sender = handlers.sender(queue)
    sender.send_messages(ServiceBusMessage("before"))
    with RawClient(broker.port) as offender:
        offender.open()
        offender.write(garbage)
        close = offender.expect(Close)
        assert isinstance(close.error, Error)
        assert close.error.condition in {"amqp:connection:framing-error", "amqp:decode-error"}
        assert offender.is_closed()
    sender.send_messages(ServiceBusMessage("after"))
    assert broker.get("/queues")[queue]["active"] == 2


def test_another_protocol_is_shown_ours(broker: BrokerProcess) -> None:
    """Whoever speaks HTTP gets our protocol header and the end of the connection."""
    with socket.create_connection(("127.0.0.1", broker.port), timeout=5) as http:
        http.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert http.recv(100) == b"AMQP\x03\x01\x00\x00"
        assert http.recv(100) == b""


def test_a_frame_out_of_order_is_answered_with_a_close(broker: BrokerProcess) -> None:
    """A begin before the open is not allowed."""
    with RawClient(broker.port) as client:
        client.handshake(SaslInit(mechanism="ANONYMOUS"))
        client.send(Begin())
        client.expect(Open)
        close = client.expect(Close)
        assert isinstance(close.error, Error)
        assert close.error.condition == "amqp:not-allowed"


def test_a_detach_after_the_end_is_ignored(broker: BrokerProcess) -> None:
    """The Python client detaches after it has ended the session; the connection goes on."""
    with RawClient(broker.port) as client:
        client.open()
        client.send(Begin())
        client.expect(Begin)
        client.send(End())
        client.send(Detach(handle=1, closed=True))
        client.expect(End)
        client.send(Begin())
        client.expect(Begin)


def test_an_attach_without_a_token_is_refused(broker: BrokerProcess, queue: str) -> None:
    """Before a token has been put to $cbs, no queue is open."""
    with RawClient(broker.port) as client:
        client.open(SaslInit(mechanism="ANONYMOUS"))
        client.send(Begin())
        client.expect(Begin)
        client.send(Attach(name="a", handle=1, role=True, source=Source(address=queue), target=Target()))
        assert client.expect(Attach).source is None
        detach = client.expect(Detach)
        assert isinstance(detach.error, Error)
        assert detach.error.condition == "amqp:unauthorized-access"


def _attached(client: RawClient, attach: Attach) -> None:
    client.open()
    client.send(Begin())
    client.expect(Begin)
    client.send(attach)
    client.expect(Attach)


def _sending(queue: str) -> Attach:
    return Attach(name="in", handle=0, source=Source(), target=Target(address=queue), initial_delivery_count=0)


def _receiving(queue: str) -> Attach:
    return Attach(name="out", handle=0, role=True, source=Source(address=queue), target=Target())


def test_credit_bounds_what_is_sent_and_drain_uses_it_up(broker: BrokerProcess, handlers: Handlers, queue: str) -> None:
    """Two credits bring two messages of three; a drain brings the third and returns the rest."""
    handlers.sender(queue).send_messages([ServiceBusMessage(text) for text in "abc"])
    with RawClient(broker.port) as client:
        _attached(client, _receiving(queue))
        client.send(Flow(handle=0, delivery_count=0, link_credit=2, incoming_window=100))
        client.expect(Transfer)
        second = client.expect(Transfer)
        client.send(Flow(handle=0, delivery_count=2, link_credit=10, incoming_window=100, drain=True))
        assert client.expect(Transfer).delivery_id == (second.delivery_id or 0) + 1
        drained = client.expect(Flow)
        assert (drained.drain, drained.link_credit, drained.delivery_count) == (True, 0, 12)


def test_one_disposition_settles_a_range(broker: BrokerProcess, handlers: Handlers, queue: str) -> None:
    """First to last are answered one by one; what is unknown among them is refused."""
    handlers.sender(queue).send_messages([ServiceBusMessage(text) for text in "ab"])
    with RawClient(broker.port) as client:
        _attached(client, _receiving(queue))
        client.send(Flow(handle=0, delivery_count=0, link_credit=2, incoming_window=100))
        first = client.expect(Transfer).delivery_id or 0
        client.expect(Transfer)
        client.send(Disposition(role=True, first=first, last=first + 1, state=Accepted()))
        answers = [client.expect(Disposition) for _ in range(2)]
        assert [(answer.first, answer.settled, answer.state) for answer in answers] == [
            (first, True, Accepted()),
            (first + 1, True, Accepted()),
        ]
        client.send(Disposition(role=True, first=first, state=Accepted()))
        assert isinstance(client.expect(Disposition).state, Rejected)
    assert broker.get("/queues")[queue]["active"] == 0


def test_the_outcome_of_a_transaction_is_refused(broker: BrokerProcess, queue: str) -> None:
    """Neither a coordinator nor a transactional state is served; the condition says so."""
    coordinator = Attach(name="tx", handle=0, source=Source(), target=Described(Ulong(0x30), []))
    with RawClient(broker.port) as client:
        client.open()
        client.send(Begin())
        client.expect(Begin)
        client.send(coordinator)
        client.expect(Attach)
        detach = client.expect(Detach)
        assert isinstance(detach.error, Error)
        assert detach.error.condition == "amqp:not-implemented"
        client.send(_sending(queue))
        client.expect(Attach)
        state = Described(Ulong(0x34), [b"tx"])
        client.send(Transfer(handle=0, delivery_id=0, delivery_tag=b"1", state=state), build(body=value_section(1)))
        refused = client.expect(Disposition).state
        assert isinstance(refused, Rejected)
        assert isinstance(refused.error, Error)
        assert refused.error.condition == "amqp:not-implemented"


def test_an_oversized_transfer_is_rejected_and_the_link_goes_on(broker: BrokerProcess, queue: str) -> None:
    """A delivery of many frames that passes the limit is rejected when it ends; the next one is taken."""
    with RawClient(broker.port) as client:
        _attached(client, _sending(queue))
        for number in range(6):
            client.send(Transfer(handle=0, delivery_id=0, delivery_tag=b"1", more=number < 5), b"x" * 60_000)
        refused = client.expect(Disposition).state
        assert isinstance(refused, Rejected)
        assert isinstance(refused.error, Error)
        assert refused.error.condition == "amqp:link:message-size-exceeded"
        client.send(Transfer(handle=0, delivery_id=1, delivery_tag=b"2"), build(body=value_section("small")))
        assert client.expect(Disposition).state == Accepted()
        client.send(Transfer(handle=0, delivery_id=2, delivery_tag=b"3"), b"no message")
        assert isinstance(client.expect(Disposition).state, Rejected)
    assert broker.get("/queues")[queue]["active"] == 1


def test_a_transfer_without_a_link_ends_the_session(broker: BrokerProcess) -> None:
    """The session ends with unattached-handle, the connection stays."""
    with RawClient(broker.port) as client:
        client.open()
        client.send(Begin())
        client.expect(Begin)
        client.send(Transfer(handle=9, delivery_id=0, delivery_tag=b"1"), b"")
        end = client.expect(End)
        assert isinstance(end.error, Error)
        assert end.error.condition == "amqp:session:unattached-handle"
        client.send(Begin())
        client.expect(Begin)


def test_the_broker_keeps_an_idle_client_company(broker: BrokerProcess) -> None:
    """A client that asks for a frame every 200 ms gets empty ones."""
    with RawClient(broker.port) as client:
        client.open(idle_time_out=200)
        assert client.read_raw(16) == b"\x00\x00\x00\x08\x02\x00\x00\x00" * 2
