"""The two kinds of link, seen from the broker: into a node, and out of one."""

from collections import deque
from typing import Any, Protocol
from uuid import UUID

from local.service_bus.amqp.composites import (
    Accepted,
    Attach,
    Composite,
    Error,
    Flow,
    Rejected,
    Source,
    Target,
    Transfer,
)
from local.service_bus.amqp.message import batched, parse
from local.service_bus.amqp.types import DecodeError
from local.service_bus.engine.model import EngineError, InvalidMessage, Message, MessageTooLarge
from local.service_bus.engine.queue import Queue
from local.service_bus.wire.cbs import put_token
from local.service_bus.wire.errors import (
    DECODE_ERROR,
    NOT_ALLOWED,
    NOT_IMPLEMENTED,
    LinkRefused,
    ProtocolError,
    wire_error,
)
from local.service_bus.wire.hub import Hub
from local.service_bus.wire.management import manage
from local.service_bus.wire.mapping import LINK_PROPERTIES, MAX_MESSAGE_BYTES, incoming, outgoing
from local.service_bus.wire.nodes import ManagementNode, Node, QueueNode, TokenNode

_CREDIT = 1000  # messages a client may send ahead; topped up when half is used
_MAX_REQUEST_BYTES = 4 * 1024 * 1024  # a schedule request holds many messages
_BATCH_FORMAT = 0x80013700
_SETTLED = 1  # snd-settle-mode of receive-and-delete
_SERIAL = 2**32  # sequence numbers of the protocol wrap around (RFC 1982)


class Lines(Protocol):
    """What a link needs of its session."""

    hub: Hub

    def send(self, performative: Composite, payload: bytes = b"") -> None: ...

    def transfer(self, link: "OutLink", payload: bytes, *, tag: bytes, settled: bool) -> int: ...

    def has_room(self) -> bool: ...

    def await_settlement(self, delivery_id: int, link: "QueueOutLink", token: UUID) -> None: ...

    def flow(self, link: "InLink | OutLink", *, drain: bool = False) -> None: ...

    def reply_link(self, request: "InLink", reply_to: str | None) -> "ReplyLink | None": ...

    def authorize(self) -> None: ...


class InLink:
    """A client sends to a node."""

    def __init__(self, attach: Attach, node: Node, lines: Lines) -> None:
        self.handle, self.name, self.node = attach.handle, attach.name, node
        self._lines = lines
        self._format, self._delivery_id, self._settled = 0, 0, False
        self._parts: list[bytes] = []
        self._size = 0
        self.delivery_count = attach.initial_delivery_count or 0
        self.credit = _CREDIT
        self._max_bytes = MAX_MESSAGE_BYTES if isinstance(node, QueueNode) else _MAX_REQUEST_BYTES

    def attach_reply(self, attach: Attach) -> Attach:
        return _reply(attach, max_message_size=self._max_bytes)

    def on_transfer(self, transfer: Transfer, payload: bytes) -> tuple[int, Composite] | None:
        """Collect a frame; after a delivery's last one, its id and outcome, unless it came settled."""
        if transfer.delivery_id is not None and not self._parts:
            self._delivery_id = transfer.delivery_id
            self._format = transfer.message_format or 0
            self._settled = False
        self._settled = self._settled or bool(transfer.settled)
        self._size += len(payload)
        self._parts.append(payload if self._size <= self._max_bytes else b"")
        if transfer.more and not transfer.aborted:
            return None
        outcome = Accepted() if transfer.aborted else self._outcome(transfer.state)
        settled = self._settled or transfer.aborted
        self._start_next()
        return None if settled else (self._delivery_id, outcome)

    def on_flow(self, flow: Flow) -> None:
        if flow.echo:
            self._lines.flow(self)

    def detach(self) -> None:
        """Nothing is left behind: an incomplete delivery is no delivery."""

    def _start_next(self) -> None:
        self._parts, self._size = [], 0
        self.delivery_count = (self.delivery_count + 1) % _SERIAL
        self.credit -= 1
        if self.credit < _CREDIT // 2:
            self.credit = _CREDIT
            self._lines.flow(self)

    def _outcome(self, state: object) -> Composite:
        if state is not None:
            text = "transactions are not served by this stand-in"
            return Rejected(error=Error(condition=NOT_IMPLEMENTED, description=text))
        try:
            if self._size > self._max_bytes:
                raise MessageTooLarge(f"at most {self._max_bytes} bytes, these were {self._size}")
            return self._deliver(b"".join(self._parts))
        except EngineError as error:
            return Rejected(error=wire_error(error))

    def _deliver(self, payload: bytes) -> Composite:
        match self.node:
            case QueueNode(queue=queue):
                payloads = _unbatched(payload) if self._format == _BATCH_FORMAT else [payload]
                queue.send([incoming(one) for one in payloads])
            case ManagementNode() | TokenNode():
                return self._request(payload)
        return Accepted()

    def _request(self, payload: bytes) -> Composite:
        try:
            request = parse(payload)
        except DecodeError as error:
            raise ProtocolError(DECODE_ERROR, f"a request that is no message: {error}") from error
        replies = self._lines.reply_link(self, request.properties.reply_to)
        if replies is None:
            raise InvalidMessage("a request without a link for its reply")
        match self.node:
            case ManagementNode(queue=queue):
                replies.push(manage(queue, request))
            case _:
                accepted, reply = put_token(request)
                if accepted:
                    self._lines.authorize()
                replies.push(reply)
        return Accepted()


class OutLink:
    """A client receives from a node; the credit is the client's."""

    def __init__(self, attach: Attach, node: Node, lines: Lines) -> None:
        self.handle, self.name, self.node = attach.handle, attach.name, node
        self.target_address = getattr(attach.target, "address", None)
        self._lines = lines
        self.delivery_count, self.credit = 0, 0
        self._draining = False

    def attach_reply(self, attach: Attach) -> Attach:
        return _reply(attach, initial_delivery_count=0)

    def on_flow(self, flow: Flow) -> None:
        """Take over the client's credit (part 2, section 2.6.7)."""
        if flow.link_credit is not None:
            seen = flow.delivery_count or 0
            credit = (seen + flow.link_credit - self.delivery_count) % _SERIAL
            self.credit = credit if credit < _SERIAL // 2 else 0
        self._draining = flow.drain
        self.on_credit()
        if flow.echo and not flow.drain:
            self._lines.flow(self)

    def on_credit(self) -> None:
        """There is new credit to use."""

    def detach(self) -> None:
        """Stop."""

    def can_take(self) -> bool:
        return self.credit > 0 and self._lines.has_room()

    def end_drain(self) -> None:
        """Use up the credit that found no message, and say so."""
        if self._draining:
            self._draining = False
            self.delivery_count = (self.delivery_count + self.credit) % _SERIAL
            self.credit = 0
            self._lines.flow(self, drain=True)

    def _transfer(self, payload: bytes, *, tag: bytes, settled: bool) -> int:
        self.delivery_count = (self.delivery_count + 1) % _SERIAL
        self.credit -= 1
        return self._lines.transfer(self, payload, tag=tag, settled=settled)


class ReplyLink(OutLink):
    """Carries replies of `$cbs` and `$management`."""

    def __init__(self, attach: Attach, node: Node, lines: Lines) -> None:
        super().__init__(attach, node, lines)
        self._replies: deque[bytes] = deque()

    def push(self, reply: bytes) -> None:
        self._replies.append(reply)
        self.on_credit()

    def on_credit(self) -> None:
        while self._replies and self.can_take():
            tag = self.delivery_count.to_bytes(4, "big")
            self._transfer(self._replies.popleft(), tag=tag, settled=True)
        self.end_drain()


class QueueOutLink(OutLink):
    """Hands out a queue's messages, locked or (receive-and-delete) for good."""

    def __init__(self, attach: Attach, node: QueueNode, lines: Lines) -> None:
        super().__init__(attach, node, lines)
        self.queue: Queue = node.queue
        self._deletes = attach.snd_settle_mode == _SETTLED
        lines.hub.add(self)

    def on_credit(self) -> None:
        self._lines.hub.wake(self.queue)

    def detach(self) -> None:
        self._lines.hub.remove(self)

    def next_message(self) -> Message | None:
        return self.queue.take_next() if self._deletes else self.queue.lock_next()

    def deliver(self, message: Message) -> None:
        payload = outgoing(message)
        if message.lock is None:
            self._transfer(payload, tag=message.sequence_number.to_bytes(8, "big"), settled=True)
            return
        token = message.lock.token
        # The client reads the lock token from the delivery tag, in the byte order of a .NET Guid.
        delivery_id = self._transfer(payload, tag=token.bytes_le, settled=False)
        self._lines.await_settlement(delivery_id, self, token)


type Link = InLink | OutLink


def make_link(attach: Attach, node: Node, lines: Lines) -> Link:
    """The broker's end for a client's attach.

    Raises:
        LinkRefused: the node has no such end.
    """
    match node:
        case QueueNode(queue=queue) if not attach.role and queue.dead_letters is None:
            raise LinkRefused(NOT_ALLOWED, "nobody can send to a dead-letter queue")
        case QueueNode() if attach.role:
            return QueueOutLink(attach, node, lines)
        case _ if attach.role:
            return ReplyLink(attach, node, lines)
        case _:
            return InLink(attach, node, lines)


def _unbatched(payload: bytes) -> list[bytes]:
    try:
        return batched(payload)
    except DecodeError as error:
        raise InvalidMessage(f"not a batch of messages: {error}") from error


def _reply(attach: Attach, **ours: Any) -> Attach:
    return Attach(
        name=attach.name,
        handle=attach.handle,
        role=not attach.role,
        snd_settle_mode=attach.snd_settle_mode,
        rcv_settle_mode=attach.rcv_settle_mode,
        source=attach.source or Source(),
        target=attach.target or Target(),
        properties=LINK_PROPERTIES,
        **ours,
    )
