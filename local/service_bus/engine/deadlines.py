"""Moments at which something must be looked at again."""

import heapq
from collections.abc import Iterator
from datetime import datetime
from itertools import count


class Deadlines[Key]:
    """A heap of moments; what became stale meanwhile is for the reader to notice."""

    def __init__(self) -> None:
        self._heap: list[tuple[datetime, int, Key]] = []
        self._order = count()  # decides between equal moments, so that keys need no order

    def add(self, at: datetime, key: Key) -> None:
        heapq.heappush(self._heap, (at, next(self._order), key))

    def due(self, now: datetime) -> Iterator[Key]:
        """Hand out, and forget, every key whose moment has come."""
        while self._heap and self._heap[0][0] <= now:
            yield heapq.heappop(self._heap)[2]

    @property
    def earliest(self) -> datetime | None:
        return self._heap[0][0] if self._heap else None
