"""All queues of a namespace, by name."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from local.service_bus.engine.model import DEAD_LETTER_SUFFIX, Clock, QueueSettings
from local.service_bus.engine.queue import Queue
from local.service_bus.engine.store import Store


class Namespace:
    """Queues and their dead-letter queues, found without regard to case."""

    def __init__(
        self,
        settings: Iterable[QueueSettings],
        *,
        store: Store,
        clock: Clock,
        on_available: Callable[[Queue], None],
    ) -> None:
        self._queues: dict[str, Queue] = {}
        for one in settings:
            buried = replace(one, name=one.name + "/$DeadLetterQueue", duplicate_window=None)
            dead = Queue(buried, store=store, clock=clock, on_available=on_available)
            queue = Queue(one, store=store, clock=clock, on_available=on_available, dead_letters=dead)
            self._queues[one.name.lower()] = queue
            self._queues[one.name.lower() + DEAD_LETTER_SUFFIX] = dead

    def find(self, name: str) -> Queue | None:
        return self._queues.get(name.lower())

    @property
    def queues(self) -> Mapping[str, Queue]:
        return {queue.name: queue for queue in self._queues.values() if queue.dead_letters is not None}

    def tick(self) -> None:
        for queue in self._queues.values():
            queue.tick()

    def next_deadline(self) -> datetime | None:
        """When `tick` has something to do next."""
        deadlines = (queue.next_deadline() for queue in self._queues.values())
        return min((moment for moment in deadlines if moment is not None), default=None)
