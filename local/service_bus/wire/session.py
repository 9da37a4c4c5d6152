"""A session: links by handle, transfers in both directions, settlement."""

from typing import Protocol
from uuid import UUID

from local.service_bus.amqp.composites import (
    Accepted,
    Attach,
    Begin,
    Composite,
    Detach,
    Disposition,
    End,
    Error,
    Flow,
    Modified,
    Rejected,
    Released,
    Source,
    Transfer,
)
from local.service_bus.amqp.types import Described
from local.service_bus.engine.model import EngineError
from local.service_bus.engine.queue import Queue
from local.service_bus.wire.errors import (
    NOT_ALLOWED,
    NOT_IMPLEMENTED,
    UNAUTHORIZED,
    LinkRefused,
    wire_error,
)
from local.service_bus.wire.hub import Hub
from local.service_bus.wire.links import InLink, Link, OutLink, QueueOutLink, ReplyLink, make_link
from local.service_bus.wire.nodes import AddressBook, TokenNode

_WINDOW = 2**31 - 1  # we take whatever comes; link credit is what bounds a client
_SERIAL = 2**32
# The Python client matches dispositions against its own deliveries without looking at the role, and those
# begin at 0: ours begin where the two cannot meet.
_FIRST_DELIVERY_ID = 2**20
_SESSION_FILTER = "com.microsoft:session-filter"
_TRANSFER_OVERHEAD_BYTES = 128  # frame header and the largest transfer performative we write


class Channel(Protocol):
    """What a session needs of its connection."""

    hub: Hub
    addresses: AddressBook
    authorized: bool
    peer_max_frame_size: int

    def send(self, channel: int, performative: Composite, payload: bytes = b"") -> None: ...


class Session:
    def __init__(self, connection: Channel, channel: int, begin: Begin) -> None:
        self.hub = connection.hub
        self._connection, self._channel = connection, channel
        self._links: dict[int, Link] = {}
        self._unsettled: dict[int, tuple[QueueOutLink, UUID]] = {}
        self._next_incoming = begin.next_outgoing_id
        self._next_outgoing = self._next_delivery = _FIRST_DELIVERY_ID
        self._peer_window = begin.incoming_window
        self.send(
            Begin(
                remote_channel=channel,
                next_outgoing_id=_FIRST_DELIVERY_ID,
                incoming_window=_WINDOW,
                outgoing_window=_WINDOW,
                handle_max=255,
            )
        )

    def handle(self, performative: Composite, payload: bytes) -> bool:
        """Act on a frame; says whether the session goes on."""
        match performative:
            case Attach():
                self._on_attach(performative)
            case Detach():
                self._on_detach(performative)
            case Flow():
                self._on_flow(performative)
            case Transfer():
                return self._on_transfer(performative, payload)
            case Disposition():
                self._on_disposition(performative)
            case End():
                self.send(End())
                return False
        return True

    def close(self) -> None:
        """Forget all links; what they had locked stays locked until its time."""
        for link in self._links.values():
            link.detach()
        self._links.clear()
        self._unsettled.clear()

    # Lines, for the links

    def send(self, performative: Composite, payload: bytes = b"") -> None:
        self._connection.send(self._channel, performative, payload)

    def has_room(self) -> bool:
        """Whether the client's window takes another delivery, however many frames it has."""
        return self._peer_window > 64

    def transfer(self, link: OutLink, payload: bytes, *, tag: bytes, settled: bool) -> int:
        """Send a delivery in as many frames as it needs; its id."""
        delivery_id = self._next_delivery
        self._next_delivery = (delivery_id + 1) % _SERIAL
        room = self._connection.peer_max_frame_size - _TRANSFER_OVERHEAD_BYTES
        for start in range(0, len(payload) or 1, room):
            more = start + room < len(payload)
            if start == 0:
                frame = Transfer(
                    handle=link.handle,
                    delivery_id=delivery_id,
                    delivery_tag=tag,
                    message_format=0,
                    settled=settled,
                    more=more,
                )
            else:
                frame = Transfer(handle=link.handle, settled=settled, more=more)
            self.send(frame, payload[start : start + room])
            self._next_outgoing = (self._next_outgoing + 1) % _SERIAL
            self._peer_window -= 1
        return delivery_id

    def await_settlement(self, delivery_id: int, link: QueueOutLink, token: UUID) -> None:
        self._unsettled[delivery_id] = (link, token)

    def flow(self, link: InLink | OutLink | None = None, *, drain: bool = False) -> None:
        """Tell the session's state and, of a link, credit and count."""
        self.send(
            Flow(
                next_incoming_id=self._next_incoming,
                incoming_window=_WINDOW,
                next_outgoing_id=self._next_outgoing,
                outgoing_window=_WINDOW,
                handle=None if link is None else link.handle,
                delivery_count=None if link is None else link.delivery_count,
                link_credit=None if link is None else link.credit,
                drain=drain,
            )
        )

    def reply_link(self, request: InLink, reply_to: str | None) -> ReplyLink | None:
        """The link that carries replies from the request's node, best the one it names."""
        fitting = [o for o in self._links.values() if isinstance(o, ReplyLink) and o.node == request.node]
        named = [link for link in fitting if link.target_address == reply_to]
        return next(iter(named or fitting), None)

    def authorize(self) -> None:
        self._connection.authorized = True

    # Frames of the client

    def _on_attach(self, attach: Attach) -> None:
        try:
            link = self._new_link(attach)
        except LinkRefused as refusal:
            self._refuse(attach, refusal.error)
            return
        self._links[attach.handle] = link
        self.send(link.attach_reply(attach))
        if isinstance(link, InLink):
            self.flow(link)

    def _new_link(self, attach: Attach) -> Link:
        if attach.handle in self._links:
            raise LinkRefused(NOT_ALLOWED, f"handle {attach.handle} is in use")
        end = attach.source if attach.role else attach.target
        if isinstance(end, Described):  # the coordinator of transactions is the one we know of
            raise LinkRefused(NOT_IMPLEMENTED, "transactions are not served by this stand-in")
        node = self._connection.addresses.resolve(getattr(end, "address", None))
        if not isinstance(node, TokenNode) and not self._connection.authorized:
            raise LinkRefused(UNAUTHORIZED, "put a token to $cbs first")
        if isinstance(end, Source) and _SESSION_FILTER in (end.filter or {}):
            raise LinkRefused(NOT_ALLOWED, "the entity does not require sessions")
        return make_link(attach, node, self)

    def _refuse(self, attach: Attach, error: Error) -> None:
        count = 0 if attach.role else None
        refused = Attach(name=attach.name, handle=attach.handle, role=not attach.role, initial_delivery_count=count)
        self.send(refused)
        self.send(Detach(handle=attach.handle, closed=True, error=error))

    def _on_detach(self, detach: Detach) -> None:
        link = self._links.pop(detach.handle, None)
        if link is None:
            return  # the answer to our own detach
        link.detach()
        self._unsettled = {key: held for key, held in self._unsettled.items() if held[0] is not link}
        self.send(Detach(handle=detach.handle, closed=detach.closed))

    def _on_flow(self, flow: Flow) -> None:
        seen = _FIRST_DELIVERY_ID if flow.next_incoming_id is None else flow.next_incoming_id
        window = (seen + flow.incoming_window - self._next_outgoing) % _SERIAL
        self._peer_window = window if window < _SERIAL // 2 else 0
        if flow.handle is None:
            for link in self._links.values():
                if isinstance(link, OutLink):
                    link.on_credit()  # the window may have been what it waited for
            if flow.echo:
                self.flow()
        elif flow.handle in self._links:
            self._links[flow.handle].on_flow(flow)

    def _on_transfer(self, transfer: Transfer, payload: bytes) -> bool:
        self._next_incoming = (self._next_incoming + 1) % _SERIAL
        link = self._links.get(transfer.handle)
        if not isinstance(link, InLink):
            text = f"handle {transfer.handle} is not attached for sending"
            self.send(End(error=Error(condition="amqp:session:unattached-handle", description=text)))
            return False
        done = link.on_transfer(transfer, payload)
        if done is not None:
            self.send(Disposition(role=True, first=done[0], settled=True, state=done[1]))
        return True

    def _on_disposition(self, disposition: Disposition) -> None:
        """Settle the client's deliveries; only a receiver's disposition has something to settle here."""
        if not disposition.role or disposition.state is None:
            return
        last = disposition.first if disposition.last is None else disposition.last
        span = (last - disposition.first) % _SERIAL
        if span > len(self._unsettled):  # a wide range over few deliveries: walk the few
            ids = [key for key in self._unsettled if (key - disposition.first) % _SERIAL <= span]
        else:
            ids = [(disposition.first + offset) % _SERIAL for offset in range(span + 1)]
        for delivery_id in ids:
            outcome = self._settle(delivery_id, disposition.state)
            if not disposition.settled:
                self.send(Disposition(role=False, first=delivery_id, settled=True, state=outcome))

    def _settle(self, delivery_id: int, state: object) -> Composite:
        held = self._unsettled.pop(delivery_id, None)
        if held is None:
            text = "the delivery is unknown or already settled"
            return Rejected(error=Error(condition="com.microsoft:message-lock-lost", description=text))
        link, token = held
        self.hub.touch()
        try:
            return _apply(link.queue, token, state)
        except EngineError as error:
            return Rejected(error=wire_error(error))


def _apply(queue: Queue, token: UUID, state: object) -> Composite:
    """Outcome of a receiver -> what the engine does; the answer echoes the outcome without its details."""
    match state:
        case Accepted():
            queue.complete(token)
            return Accepted()
        case Released():
            queue.release(token)
            return Released()
        case Modified(undeliverable_here=True):
            queue.defer(token)
            return state
        case Modified():
            queue.abandon(token)
            return state
        case Rejected(error=error):
            queue.dead_letter(token, *_reason(error))
            return Rejected()
    text = "this outcome is not served; transactions are not"
    return Rejected(error=Error(condition=NOT_IMPLEMENTED, description=text))


def _reason(error: Error | None) -> tuple[str | None, str | None]:
    info = {} if error is None else error.info or {}
    description = info.get("DeadLetterErrorDescription") or (error.description if error else None)
    return info.get("DeadLetterReason"), description
