"""Waits for what other processes do, up to a deadline: tests never sleep for a fixed time."""

import time
from collections.abc import Callable

LOOK_EVERY_SECONDS = 0.2


def wait_until[Found](look: Callable[[], Found | None], what: str, within_seconds: float = 60) -> Found:
    """Look until there is something (anything true), and return it."""
    deadline = time.monotonic() + within_seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"not within {within_seconds:g} s: {what}"
        time.sleep(LOOK_EVERY_SECONDS)
    return found
