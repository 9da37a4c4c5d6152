"""Time that only moves when a test moves it."""

from datetime import UTC, datetime, timedelta

START = datetime(2025, 12, 10, 9, 0, tzinfo=UTC)


class ManualClock:
    """The Clock port; a pause moves it on instead of waiting."""

    def __init__(self, start: datetime = START) -> None:
        self._now = start
        self.pauses: list[timedelta] = []

    def now(self) -> datetime:
        return self._now

    def pause(self, duration: timedelta) -> None:
        self.pauses.append(duration)
        self._now += duration

    def forward(self, by: timedelta) -> datetime:
        """Let time pass."""
        self._now += by
        return self._now

    def set(self, to: datetime) -> datetime:
        """Go to a moment."""
        self._now = to
        return self._now
