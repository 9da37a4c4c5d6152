"""Joins engine and connections: one commit per turn of the loop, and no answer leaves before it."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from local.service_bus.engine.model import Clock, Message
from local.service_bus.engine.namespace import Namespace
from local.service_bus.engine.queue import Queue
from local.service_bus.engine.store import Store


class Consumer(Protocol):
    """A link that takes messages from a queue."""

    queue: Queue

    def can_take(self) -> bool: ...

    def next_message(self) -> Message | None: ...

    def deliver(self, message: Message) -> None: ...

    def end_drain(self) -> None: ...


class Flushable(Protocol):
    """A connection with answers waiting."""

    def flush(self) -> None: ...


class Hub:
    """Whoever changes something calls `touch`; then, once per turn: deadlines, deliveries, commit, answers."""

    def __init__(self, *, store: Store, clock: Clock, on_failure: Callable[[Exception], None]) -> None:
        self._store, self._clock, self._on_failure = store, clock, on_failure
        self._loop = asyncio.get_running_loop()
        self._consumers: dict[Queue, deque[Consumer]] = defaultdict(deque)
        self._woken: dict[Queue, None] = {}  # a set that keeps its order
        self._waiting: dict[Flushable, None] = {}
        self._turn: asyncio.Handle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._namespace: Namespace | None = None

    def serve(self, namespace: Namespace) -> None:
        """Begin to watch the deadlines of these queues."""
        self._namespace = namespace
        self.touch()

    def touch(self) -> None:
        """Have the turn end with a commit."""
        if self._turn is None:
            self._turn = self._loop.call_soon(self._end_turn)

    def answer(self, connection: Flushable) -> None:
        """Have this connection flush what it has to say, after the commit."""
        self._waiting[connection] = None
        self.touch()

    def forget(self, connection: Flushable) -> None:
        self._waiting.pop(connection, None)

    def wake(self, queue: Queue) -> None:
        """There may be something to deliver."""
        self._woken[queue] = None
        self.touch()

    def add(self, consumer: Consumer) -> None:
        self._consumers[consumer.queue].append(consumer)
        self.wake(consumer.queue)

    def remove(self, consumer: Consumer) -> None:
        if consumer in self._consumers[consumer.queue]:
            self._consumers[consumer.queue].remove(consumer)

    def close(self) -> None:
        """End the last turn; nothing is served any more."""
        self._end_turn()
        for handle in (self._timer, self._turn):
            if handle is not None:
                handle.cancel()

    def _end_turn(self) -> None:
        self._turn = None
        try:
            self._run_turn()
        except Exception as error:  # noqa: BLE001 a broker whose state is in doubt must answer nobody
            self._on_failure(error)

    def _run_turn(self) -> None:
        if self._namespace is not None:
            self._namespace.tick()
        woken, self._woken = self._woken, {}
        for queue in woken:
            self._hand_out(queue)
        self._store.commit()
        waiting, self._waiting = self._waiting, {}
        for connection in waiting:
            connection.flush()
        self._set_timer()

    def _hand_out(self, queue: Queue) -> None:
        """Deliver in turns, so that every receiver gets its share."""
        consumers = self._consumers[queue]
        idle = 0
        while idle < len(consumers):
            consumer = consumers[0]
            consumers.rotate(-1)
            if not consumer.can_take():
                idle += 1
                continue
            message = consumer.next_message()
            if message is None:
                break
            consumer.deliver(message)
            idle = 0
        for consumer in consumers:
            consumer.end_drain()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = None if self._namespace is None else self._namespace.next_deadline()
        if deadline is not None:
            self._timer = self._loop.call_later(self._seconds_until(deadline), self.touch)

    def _seconds_until(self, deadline: datetime) -> float:
        return max(0.0, (deadline - self._clock()).total_seconds())
