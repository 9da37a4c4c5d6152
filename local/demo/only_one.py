"""One demo at a time in a stack's directory: a second one would join the first one's stack and lose it in the middle."""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import IO

from local.demo.options import Scenario
from local.stack.places import Places


class DemoRunsError(Exception):
    """Another demo runs in the same directory; the message is one line and names it."""


@contextlib.contextmanager
def the_only_demo(places: Places, scenario: Scenario) -> Iterator[None]:
    """Within this, no other demo starts in the same directory; a process that dies leaves nothing behind.

    Raises:
        DemoRunsError: one is running there.
    """
    places.dir.mkdir(parents=True, exist_ok=True)
    with places.demo_lock.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise DemoRunsError(_told(places, file)) from None
        file.truncate(0)
        json.dump({"process": os.getpid(), "scenario": scenario, "since": f"{datetime.now(UTC):%H:%M:%S} UTC"}, file)
        file.flush()
        yield


def _told(places: Places, file: IO[str]) -> str:
    file.seek(0)
    try:
        other = json.loads(file.read())
        who = f"A demo (SCENARIO={other['scenario']}, process {other['process']}, since {other['since']})"
    except (ValueError, KeyError):
        who = "Another demo"
    return (
        f"{who} runs in {places.dir}: wait for its end or stop it with Ctrl-C, or give this one a STACK_DIR and a "
        "STACK_PORT_BASE of its own."
    )
