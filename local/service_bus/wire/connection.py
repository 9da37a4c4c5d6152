"""A connection: protocol headers, SASL, open and close, heartbeats; an error here ends this one only."""

import asyncio
import logging
from collections.abc import Callable
from enum import Enum, auto
from typing import cast

from local.service_bus.amqp.composites import (
    Begin,
    Close,
    Composite,
    Error,
    Open,
    SaslInit,
    SaslMechanisms,
    SaslOutcome,
)
from local.service_bus.amqp.frames import (
    AMQP_HEADER,
    HEARTBEAT,
    SASL,
    SASL_HEADER,
    Frame,
    FrameBuffer,
    FramingError,
    frame_bytes,
)
from local.service_bus.amqp.types import Array, DecodeError, Symbol
from local.service_bus.wire.errors import DECODE_ERROR, INTERNAL_ERROR, NOT_ALLOWED, ProtocolError
from local.service_bus.wire.hub import Hub
from local.service_bus.wire.nodes import AddressBook
from local.service_bus.wire.session import Session

_LOG = logging.getLogger(__name__)

_MAX_FRAME_BYTES = 65536
_SMALLEST_FRAME_BYTES = 512  # part 2, section 2.7.1
_IDLE_MILLISECONDS = 240_000
_MECHANISMS = ("MSSBCBS", "PLAIN", "ANONYMOUS", "EXTERNAL")
_SASL_OK, _SASL_FAILED = 0, 1


class _Stage(Enum):
    HEADER = auto()
    SASL_INIT = auto()
    AMQP_HEADER = auto()
    OPEN = auto()
    OPENED = auto()
    CLOSED = auto()


class Connection(asyncio.Protocol):
    def __init__(self, hub: Hub, addresses: AddressBook, *, on_lost: Callable[["Connection"], None]) -> None:
        self.hub, self.addresses, self._on_lost = hub, addresses, on_lost
        self.authorized = False
        self.peer_max_frame_size = _SMALLEST_FRAME_BYTES
        self._stage = _Stage.HEADER
        self._buffer = FrameBuffer(_MAX_FRAME_BYTES)
        self._sessions: dict[int, Session] = {}
        self._out: list[bytes] = []
        self._closing = False
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._heartbeat: asyncio.TimerHandle | None = None
        self._silence = self._loop.call_later(2 * _IDLE_MILLISECONDS / 1000, self._on_silence)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 how it was lost changes nothing
        self._stage = _Stage.CLOSED
        for session in self._sessions.values():
            session.close()
        self._sessions.clear()
        self._silence.cancel()
        if self._heartbeat is not None:
            self._heartbeat.cancel()
        self.hub.forget(self)
        self._on_lost(self)

    def data_received(self, data: bytes) -> None:
        self._push_silence()
        self._buffer.feed(data)
        try:
            while self._stage is not _Stage.CLOSED and self._step():
                pass
        except ProtocolError as error:
            self._fail(error.error)
        except FramingError as error:
            self._fail(Error(condition="amqp:connection:framing-error", description=str(error)))
        except DecodeError as error:
            self._fail(Error(condition=DECODE_ERROR, description=str(error)))
        except Exception as error:  # noqa: BLE001 our own fault; the other connections go on
            _LOG.exception("a connection failed", extra={"action": "connection_failed"})
            self._fail(Error(condition=INTERNAL_ERROR, description=repr(error)))

    # Out

    def send(self, channel: int, performative: Composite, payload: bytes = b"") -> None:
        """Queue a frame; it leaves after the turn's commit."""
        self._write(frame_bytes(performative, channel=channel, payload=payload))

    def flush(self) -> None:
        """Hand the queued frames to the operating system."""
        if self._transport is None:
            return
        self._transport.write(b"".join(self._out))
        self._out.clear()
        if self._closing:
            self._transport.close()

    def close(self, error: Error | None = None) -> None:
        """Say goodbye."""
        if self._stage is _Stage.OPENED:
            self.send(0, Close(error=error))
        self._end()

    def _write(self, data: bytes) -> None:
        self._out.append(data)
        self.hub.answer(self)

    def _end(self) -> None:
        self._stage = _Stage.CLOSED
        self._closing = True
        self.hub.answer(self)

    def _fail(self, error: Error) -> None:
        _LOG.warning(
            "a connection is closed: %s: %s",
            error.condition,
            error.description,
            extra={"action": "connection_refused"},
        )
        if self._stage is _Stage.OPEN:  # a close is only legal after an open
            self._send_open()
            self._stage = _Stage.OPENED
        self.close(error)

    # In

    def _step(self) -> bool:
        """Act on the next thing that has arrived whole; says whether there was one."""
        if self._stage in {_Stage.HEADER, _Stage.AMQP_HEADER}:
            header = self._buffer.next_bytes(len(AMQP_HEADER))
            if header is not None:
                self._on_header(header)
            return header is not None
        frame = self._buffer.next_frame()
        if frame is not None and frame.performative is not None:
            self._on_frame(frame, frame.performative)
        return frame is not None

    def _on_header(self, header: bytes) -> None:
        wanted = SASL_HEADER if self._stage is _Stage.HEADER else AMQP_HEADER
        self._write(wanted)
        if header != wanted:  # part 2, section 2.2: answer with what we speak, and hang up
            self._end()
        elif wanted == SASL_HEADER:
            mechanisms = Array(tuple(Symbol(name) for name in _MECHANISMS))
            self._write(frame_bytes(SaslMechanisms(sasl_server_mechanisms=mechanisms), kind=SASL))
            self._stage = _Stage.SASL_INIT
        else:
            self._stage = _Stage.OPEN

    def _on_frame(self, frame: Frame, performative: Composite) -> None:
        match self._stage, performative:
            case _Stage.SASL_INIT, SaslInit(mechanism=mechanism):
                self._on_sasl_init(mechanism)
            case _Stage.OPEN, Open():
                self._on_open(performative)
            case _Stage.OPENED, Begin():
                self._on_begin(frame.channel, performative)
            case _Stage.OPENED, Close():
                self.close()
            case _Stage.OPENED, _:
                self._on_session_frame(frame, performative)
            case _:
                name = type(performative).__name__
                raise ProtocolError(NOT_ALLOWED, f"{name} in stage {self._stage.name}")

    def _on_sasl_init(self, mechanism: str) -> None:
        known = mechanism in _MECHANISMS
        self.authorized = mechanism == "PLAIN"  # name and key were shown; the others show a token to $cbs
        outcome = SaslOutcome(code=_SASL_OK if known else _SASL_FAILED)
        self._write(frame_bytes(outcome, kind=SASL))
        if known:
            self._stage = _Stage.AMQP_HEADER
        else:
            self._end()

    def _on_open(self, opened: Open) -> None:
        if opened.max_frame_size < _SMALLEST_FRAME_BYTES:
            raise ProtocolError("amqp:invalid-field", f"max-frame-size is at least {_SMALLEST_FRAME_BYTES}")
        self.peer_max_frame_size = min(opened.max_frame_size, _MAX_FRAME_BYTES)
        self._send_open()
        self._stage = _Stage.OPENED
        if opened.idle_time_out:
            self._beat(opened.idle_time_out / 2000)

    def _send_open(self) -> None:
        ours = Open(
            container_id="service-bus-stand-in",
            max_frame_size=_MAX_FRAME_BYTES,
            channel_max=4999,
            idle_time_out=_IDLE_MILLISECONDS,
        )
        self.send(0, ours)

    def _on_begin(self, channel: int, begin: Begin) -> None:
        if channel in self._sessions:
            raise ProtocolError(NOT_ALLOWED, f"channel {channel} has a session already")
        self._sessions[channel] = Session(self, channel, begin)

    def _on_session_frame(self, frame: Frame, performative: Composite) -> None:
        session = self._sessions.get(frame.channel)
        if session is None:
            return  # the Python client detaches its links after it has ended their session
        self.hub.touch()
        if not session.handle(performative, frame.payload):
            self._sessions.pop(frame.channel).close()

    # Idle time (part 2, section 2.4.5)

    def _beat(self, seconds: float) -> None:
        self._write(HEARTBEAT)
        self._heartbeat = self._loop.call_later(seconds, self._beat, seconds)

    def _push_silence(self) -> None:
        self._silence.cancel()
        self._silence = self._loop.call_later(2 * _IDLE_MILLISECONDS / 1000, self._on_silence)

    def _on_silence(self) -> None:
        self._fail(Error(condition="amqp:resource-limit-exceeded", description="nothing heard for too long"))
