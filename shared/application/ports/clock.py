"""Port: the time."""

from datetime import datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """Aware, UTC."""

    def pause(self, duration: timedelta) -> None:
        """Wait a moment before trying again; the only wait in the application, milliseconds to a second."""
