"""How people see that something long is still at work, and how far: a line to stderr now and then."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Thread

TOLD_EVERY_SECONDS = 20.0


@dataclass(slots=True)
class NowAndThen:
    """For whoever comes by often: is it time for a line again?"""

    every_seconds: float = TOLD_EVERY_SECONDS
    clock: Callable[[], float] = time.monotonic
    _last: float = field(init=False)

    def __post_init__(self) -> None:
        self._last = self.clock()

    def is_due(self) -> bool:
        """True once each time so many seconds have gone by."""
        now = self.clock()
        if now - self._last < self.every_seconds:
            return False
        self._last = now
        return True


@contextmanager
def told_meanwhile(line: Callable[[], str], every_seconds: float = TOLD_EVERY_SECONDS) -> Iterator[None]:
    """For whoever waits long in one place: somebody else says how far it is."""
    over = Event()

    def tell() -> None:
        while not over.wait(every_seconds):
            to_stderr(line())

    teller = Thread(target=tell, name="progress", daemon=True)
    teller.start()
    try:
        yield
    finally:
        over.set()
        teller.join()


def to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
