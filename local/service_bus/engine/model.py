"""The engine's words: settings, messages, locks, counts, journal entries, refusals.

EngineError
├── LockLost            the token locks nothing any more
├── MessageNotFound     no such sequence number in that state
├── InvalidMessage      an id or property beyond the service's limits
├── MessageTooLarge
└── QueueFull
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

type Clock = Callable[[], datetime]

DEAD_LETTER_SUFFIX = "/$deadletterqueue"


class EngineError(Exception):
    """The engine refuses, and nothing happened."""


class LockLost(EngineError):
    pass


class MessageNotFound(EngineError):
    pass


class InvalidMessage(EngineError):
    pass


class MessageTooLarge(EngineError):
    pass


class QueueFull(EngineError):
    pass


class State(StrEnum):
    ACTIVE = "active"
    SCHEDULED = "scheduled"
    DEFERRED = "deferred"


class Op(StrEnum):
    """What the journal tells."""

    SEND = "send"
    SCHEDULE = "schedule"
    CANCEL = "cancel"
    ACTIVATE = "activate"
    DUPLICATE_DROPPED = "duplicate-dropped"
    DELIVER = "deliver"
    COMPLETE = "complete"
    ABANDON = "abandon"
    RELEASE = "release"
    DEFER = "defer"
    RENEW = "renew"
    LOCK_EXPIRED = "lock-expired"
    DEAD_LETTER = "dead-letter"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSettings:
    name: str
    lock_duration: timedelta = timedelta(minutes=1)
    max_delivery_count: int = 3
    default_time_to_live: timedelta = timedelta(hours=1)
    dead_letter_on_expiration: bool = False
    duplicate_window: timedelta | None = None  # none: no duplicate detection


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """A message as a sender hands it over; the payload is opaque to the engine."""

    payload: bytes
    message_id: str | None = None
    time_to_live: timedelta | None = None
    scheduled_for: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    token: UUID
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """Why and from where a message came into a dead-letter queue."""

    source: str
    reason: str | None
    description: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    queue: str
    sequence_number: int
    enqueued_sequence_number: int
    payload: bytes
    message_id: str | None
    time_to_live: timedelta
    state: State
    enqueued_at: datetime
    scheduled_for: datetime | None = None
    expires_at: datetime | None = None  # none while scheduled and in dead-letter queues
    delivery_count: int = 0  # deliveries that failed
    lock: Lock | None = None
    dead_letter: DeadLetter | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A line of the journal."""

    at: datetime
    op: Op
    queue: str
    message_id: str | None
    sequence_number: int
    delivery_count: int
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    active: int
    scheduled: int
    deferred: int
    locked: int
    dead_letter: int
