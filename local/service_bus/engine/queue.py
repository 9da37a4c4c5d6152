"""One queue and its dead-letter queue: locks, counts, deadlines, duplicates."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from local.service_bus.engine.duplicates import Duplicates
from local.service_bus.engine.model import (
    Clock,
    Counts,
    DeadLetter,
    Entry,
    Incoming,
    Lock,
    LockLost,
    Message,
    MessageNotFound,
    Op,
    QueueFull,
    QueueSettings,
    State,
)
from local.service_bus.engine.shelf import Shelf
from local.service_bus.engine.store import Store

_FOREVER = timedelta(days=36500)
_CAPACITY_BYTES = 100 * 1024 * 1024  # the official emulator's limit per queue


class Queue:
    """A queue; without `dead_letters` it is itself a dead-letter queue: no expiry, no last delivery."""

    def __init__(
        self,
        settings: QueueSettings,
        *,
        store: Store,
        clock: Clock,
        on_available: Callable[["Queue"], None],
        dead_letters: "Queue | None" = None,
    ) -> None:
        self.settings = settings
        self.name = settings.name
        self.dead_letters = dead_letters
        self._store, self._clock, self._on_available = store, clock, on_available
        self._shelf = Shelf(store)
        self._last = store.last_sequence(self.name)
        self._duplicates = Duplicates(self.name, settings.duplicate_window, store)
        self._load()

    def _load(self) -> None:
        for message in self._store.messages(self.name):
            self._shelf.load(message)
            self._on_available(self)
            if message.lock is not None:
                self._fail(message, Op.LOCK_EXPIRED)  # whoever held it has lost its connection

    # Sending

    def send(self, batch: Sequence[Incoming]) -> list[int]:
        """Enqueue or schedule messages; their sequence numbers, also for duplicates, which are dropped.

        Raises:
            QueueFull: the queue holds as much as it may; none of the messages is taken.
        """
        if self._shelf.size_bytes + sum(len(one.payload) for one in batch) > _CAPACITY_BYTES:
            raise QueueFull(f"queue {self.name} holds its {_CAPACITY_BYTES} bytes already")
        return [self._send_one(incoming, self._clock()) for incoming in batch]

    def _send_one(self, incoming: Incoming, now: datetime) -> int:
        waits = incoming.scheduled_for is not None and incoming.scheduled_for > now
        message = Message(
            queue=self.name,
            sequence_number=(number := self._next_number()),
            enqueued_sequence_number=number,
            payload=incoming.payload,
            message_id=incoming.message_id,
            time_to_live=min(incoming.time_to_live or _FOREVER, self.settings.default_time_to_live),
            state=State.SCHEDULED if waits else State.ACTIVE,
            enqueued_at=now,
            scheduled_for=incoming.scheduled_for,
        )
        if self._duplicates.is_known(incoming.message_id, now):
            self._record(Op.DUPLICATE_DROPPED, message)
            return number
        self._record(Op.SCHEDULE if waits else Op.SEND, message)
        self._save(message if waits else self._started(message, now))
        return number

    def cancel_scheduled(self, numbers: Sequence[int]) -> None:
        """Take scheduled messages back.

        Raises:
            MessageNotFound: one of the numbers is not scheduled (any more); none is cancelled.
        """
        for message in self._find(numbers, State.SCHEDULED):
            self._shelf.drop(message)
            self._record(Op.CANCEL, message)

    # Receiving

    def lock_next(self) -> Message | None:
        """Lock the oldest message that is free."""
        message = self._next_ready()
        return message and self._lock(message)

    def take_next(self) -> Message | None:
        """Remove the oldest message that is free (receive-and-delete)."""
        message = self._next_ready()
        if message is not None:
            self._record(Op.DELIVER, message)
            self._shelf.drop(message)
        return message

    def receive_deferred(self, numbers: Sequence[int], *, delete: bool) -> list[Message]:
        """Lock, or remove, deferred messages.

        Raises:
            MessageNotFound: one of the numbers is not deferred, or is locked; none is touched.
        """
        found = self._find(numbers, State.DEFERRED)
        if not delete:
            return [self._lock(message) for message in found]
        for message in found:
            self._record(Op.DELIVER, message)
            self._shelf.drop(message)
        return found

    def peek(self, from_number: int, count: int) -> list[Message]:
        """Messages in every state, in order, untouched."""
        return self._shelf.from_number(from_number)[:count]

    # Settling, by lock token; each raises LockLost when the token locks nothing any more

    def complete(self, token: UUID) -> None:
        message = self._held(token)
        self._shelf.drop(message)
        self._record(Op.COMPLETE, message)

    def abandon(self, token: UUID) -> None:
        self._fail(self._held(token), Op.ABANDON)

    def release(self, token: UUID) -> None:
        """Give a message back as if it had not been delivered."""
        message = replace(self._held(token), lock=None)
        self._save(message)
        self._record(Op.RELEASE, message)

    def defer(self, token: UUID) -> None:
        message = replace(self._held(token), lock=None, state=State.DEFERRED)
        self._save(message)
        self._record(Op.DEFER, message)

    def dead_letter(self, token: UUID, reason: str | None, description: str | None) -> None:
        self._bury(self._held(token), reason, description)

    def renew(self, token: UUID) -> datetime:
        """Lock for another lock duration from now on; says until when."""
        message = self._held(token)
        lock = Lock(token=token, until=self._clock() + self.settings.lock_duration)
        self._save(replace(message, lock=lock))
        self._record(Op.RENEW, message)
        return lock.until

    # Time

    def tick(self) -> None:
        """Do what is due: locks that end, messages that start, messages that expire."""
        now = self._clock()
        for message in self._shelf.locks_to_end(now):
            self._fail(message, Op.LOCK_EXPIRED)
        for message in self._shelf.scheduled_to_start(now):
            self._activate(message, now)
        for message in self._shelf.expired(now):
            self._expire(message)

    def next_deadline(self) -> datetime | None:
        return self._shelf.next_deadline()

    def counts(self) -> Counts:
        shelf = self._shelf
        return Counts(
            active=shelf.count_free(State.ACTIVE),
            scheduled=shelf.count_free(State.SCHEDULED),
            deferred=shelf.count_free(State.DEFERRED),
            locked=shelf.count_locked(),
            dead_letter=0 if self.dead_letters is None else len(self.dead_letters),
        )

    def __len__(self) -> int:
        return len(self._shelf)

    def _activate(self, message: Message, now: datetime) -> None:
        """A scheduled message starts as a new message, behind those that are already there."""
        self._shelf.drop(message)
        started = self._started(replace(message, sequence_number=self._next_number()), now)
        self._save(started)
        self._record(Op.ACTIVATE, started)

    def _expire(self, message: Message) -> None:
        if self.settings.dead_letter_on_expiration:
            self._bury(message, "TTLExpiredException", "The message expired and was dead lettered.")
        else:
            self._shelf.drop(message)
            self._record(Op.EXPIRED, message)

    # Inside

    def _next_number(self) -> int:
        self._last += 1
        self._store.remember_sequence(self.name, self._last)
        return self._last

    def _started(self, message: Message, now: datetime) -> Message:
        return replace(message, state=State.ACTIVE, enqueued_at=now, expires_at=now + message.time_to_live)

    def _next_ready(self) -> Message | None:
        now = self._clock()
        while (message := self._shelf.pop_ready()) is not None:
            if message.expires_at is None or message.expires_at > now:
                return message
            self._expire(message)
        return None

    def _save(self, message: Message) -> None:
        self._shelf.save(message)
        if message.lock is None and message.state is State.ACTIVE:
            self._on_available(self)

    def _lock(self, message: Message) -> Message:
        lock = Lock(token=uuid4(), until=self._clock() + self.settings.lock_duration)
        locked = replace(message, lock=lock)
        self._save(locked)
        self._record(Op.DELIVER, locked)
        return locked

    def _held(self, token: UUID) -> Message:
        message = self._shelf.locked_by(token)
        if message is None or message.lock is None or message.lock.until <= self._clock():
            raise LockLost(f"lock {token} of queue {self.name} is unknown or has expired")
        return message

    def _find(self, numbers: Sequence[int], state: State) -> list[Message]:
        found = [self._shelf.get(number) for number in numbers]
        fitting = [m for m in found if m is not None and m.state is state and m.lock is None]
        if len(fitting) != len(numbers):
            raise MessageNotFound(f"queue {self.name} has no {state} message with one of the numbers {[*numbers]}")
        return fitting

    def _fail(self, message: Message, op: Op) -> None:
        """A delivery failed: the message is free again, or has failed too often."""
        failed = replace(message, lock=None, delivery_count=message.delivery_count + 1)
        self._save(failed)
        self._record(op, failed)
        if self.dead_letters is not None and failed.delivery_count >= self.settings.max_delivery_count:
            why = f"Message could not be consumed after {failed.delivery_count} delivery attempts."
            self._bury(failed, "MaxDeliveryCountExceeded", why)

    def _bury(self, message: Message, reason: str | None, description: str | None) -> None:
        if self.dead_letters is None:
            self._save(replace(message, lock=None))  # a dead-letter queue has none of its own
            return
        letter = DeadLetter(source=self.name, reason=reason, description=description)
        self._shelf.drop(message)
        self._record(Op.DEAD_LETTER, message, reason)
        self.dead_letters.receive_dead(message, letter)

    def receive_dead(self, message: Message, letter: DeadLetter) -> None:
        """Take in what another queue has given up."""
        self._save(
            replace(
                message,
                queue=self.name,
                sequence_number=self._next_number(),
                state=State.ACTIVE,
                lock=None,
                expires_at=None,
                dead_letter=letter,
            )
        )

    def _record(self, op: Op, message: Message, reason: str | None = None) -> None:
        self._store.record(
            Entry(
                at=self._clock(),
                op=op,
                queue=self.name,
                message_id=message.message_id,
                sequence_number=message.sequence_number,
                delivery_count=message.delivery_count,
                reason=reason,
            )
        )
