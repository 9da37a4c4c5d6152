"""The messages of one queue in memory, by number, by lock and by what happens to them next."""

import heapq
from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from local.service_bus.engine.deadlines import Deadlines
from local.service_bus.engine.model import Message, State
from local.service_bus.engine.store import Store


class Shelf:
    """What it keeps is what the store keeps; its heaps may hold stale entries, which are skipped when read."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._messages: dict[int, Message] = {}
        self._locks: dict[UUID, int] = {}
        self._ready: list[int] = []
        self._scheduled = Deadlines[int]()
        self._expiring = Deadlines[int]()
        self._locked = Deadlines[UUID]()
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._messages)

    def load(self, message: Message) -> None:
        """Take in a message that the store already has."""
        number = message.sequence_number
        self._messages[number] = message
        self.size_bytes += len(message.payload)
        if message.lock is not None:
            self._locks[message.lock.token] = number
            self._locked.add(message.lock.until, message.lock.token)
        elif message.state is State.SCHEDULED and message.scheduled_for is not None:
            self._scheduled.add(message.scheduled_for, number)
        elif message.state is State.ACTIVE:
            heapq.heappush(self._ready, number)
            if message.expires_at is not None:
                self._expiring.add(message.expires_at, number)

    def save(self, message: Message) -> None:
        """Put a message in, in place of what has its number."""
        self._forget(message.sequence_number)
        self.load(message)
        self._store.put(message)

    def drop(self, message: Message) -> None:
        self._forget(message.sequence_number)
        self._store.remove(message)

    def get(self, number: int) -> Message | None:
        return self._messages.get(number)

    def from_number(self, number: int) -> list[Message]:
        """All messages with this or a larger number, in order."""
        return [self._messages[found] for found in sorted(self._messages) if found >= number]

    def locked_by(self, token: UUID) -> Message | None:
        return self._messages.get(self._locks.get(token, 0))

    def pop_ready(self) -> Message | None:
        """The oldest message that is active and free; it is not offered again until it is saved again."""
        while self._ready:
            message = self._messages.get(heapq.heappop(self._ready))
            if message is not None and _is_free(message, State.ACTIVE):
                return message
        return None

    def locks_to_end(self, now: datetime) -> Iterator[Message]:
        for token in self._locked.due(now):
            message = self.locked_by(token)
            # A renewed lock has a later deadline of its own.
            if message is not None and message.lock is not None and message.lock.until <= now:
                yield message

    def scheduled_to_start(self, now: datetime) -> Iterator[Message]:
        for number in self._scheduled.due(now):
            message = self._messages.get(number)
            if message is not None and message.state is State.SCHEDULED:
                yield message

    def expired(self, now: datetime) -> Iterator[Message]:
        """Free messages past their time; a locked one comes up when its lock ends."""
        for number in self._expiring.due(now):
            message = self._messages.get(number)
            if message is not None and _is_free(message, State.ACTIVE):
                yield message

    def next_deadline(self) -> datetime | None:
        heads = (self._locked.earliest, self._scheduled.earliest, self._expiring.earliest)
        return min((head for head in heads if head is not None), default=None)

    def count_free(self, state: State) -> int:
        return sum(_is_free(message, state) for message in self._messages.values())

    def count_locked(self) -> int:
        return len(self._locks)

    def _forget(self, number: int) -> None:
        message = self._messages.pop(number, None)
        if message is not None:
            self.size_bytes -= len(message.payload)
            if message.lock is not None:
                self._locks.pop(message.lock.token, None)


def _is_free(message: Message, state: State) -> bool:
    return message.lock is None and message.state is state
