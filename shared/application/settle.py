"""Conditional writes that lose are decided again on the fresh row, after a short jittered pause."""

import random
from collections.abc import Callable
from datetime import timedelta

from shared.application.ports import Clock
from shared.domain.errors import ConflictError, TransientError

MOST_ATTEMPTS = 12
FIRST_PAUSE = timedelta(milliseconds=10)
LONGEST_PAUSE = timedelta(milliseconds=500)


def settle[Result](clock: Clock, attempt: Callable[[], Result]) -> Result:
    """Run `attempt`, which loads, decides and writes, until its write stands.

    Raises:
        TransientError: others were quicker twelve times in a row.
    """
    last = ""
    for tries in range(MOST_ATTEMPTS):
        try:
            return attempt()
        except ConflictError as error:
            last = str(error)
            longest = min(FIRST_PAUSE * 2**tries, LONGEST_PAUSE)
            clock.pause(longest * random.uniform(0.5, 1.0))  # noqa: S311  # jitter, not secrecy
    raise TransientError(f"others wrote the same row first {MOST_ATTEMPTS} times in a row: {last}")
