"""Duplicate detection: the message ids a queue has taken within its window."""

from datetime import datetime, timedelta

from local.service_bus.engine.store import Store


class Duplicates:
    """The window counts from the first message with an id; dropped ones do not prolong it."""

    def __init__(self, queue: str, window: timedelta | None, store: Store) -> None:
        self._queue, self._window, self._store = queue, window, store
        self._until: dict[str, datetime] = store.seen(queue)  # oldest first, so pruning stops early

    def is_known(self, message_id: str | None, now: datetime) -> bool:
        """Whether the id was taken within the window; if not, it is from now on."""
        if self._window is None or message_id is None:
            return False
        self._prune(now)
        if message_id in self._until:
            return True
        self._until[message_id] = now + self._window
        self._store.remember_seen(self._queue, message_id, now + self._window)
        return False

    def _prune(self, now: datetime) -> None:
        while self._until and self._until[first := next(iter(self._until))] <= now:
            del self._until[first]
            self._store.remember_seen(self._queue, first, None)
