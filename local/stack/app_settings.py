"""Other settings of the app for a while: a story's short deadline, say. The app reads its settings when it starts."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator, Mapping
from typing import Any

from local.stack.control import StackError, running_stack
from local.stack.files import read_json, write_json
from local.stack.keys import stack_secrets
from local.stack.parts import describe
from local.stack.places import Places
from local.stack.settings import write_settings

BACK_WITHIN_SECONDS = 90
LOOK_EVERY_SECONDS = 0.1


@contextlib.contextmanager
def app_settings(places: Places, values: Mapping[str, str], *, fresh: bool = False) -> Iterator[None]:
    """Within this, the app runs with `values`; a stack that is up has its app restarted before and after.

    `fresh`: restart it even without other values, because it remembers what the story changes around it.

    Raises:
        StackError: the app did not come back.
    """
    if not values and not fresh:
        yield
        return
    was_up = running_stack(places) is not None
    places.dir.mkdir(parents=True, exist_ok=True)
    write_json(places.overrides, dict(values))
    try:
        if was_up:
            restart_app(places)
        yield
    finally:
        places.overrides.unlink(missing_ok=True)
        if was_up and running_stack(places):
            restart_app(places)


def restart_app(places: Places) -> None:
    """Write the app's settings anew and have its host start again with them.

    Raises:
        StackError: it was not ready again in time.
    """
    write_settings(places, describe(places), stack_secrets(places))
    before = _app(places)
    os.kill(before["pid"], signal.SIGTERM)
    deadline = time.monotonic() + BACK_WITHIN_SECONDS
    while time.monotonic() < deadline:
        now = _app(places)
        if now["restarts"] > before["restarts"] and now["state"] == "ready":
            return
        time.sleep(LOOK_EVERY_SECONDS)
    raise StackError(f"The app was not back with other settings within {BACK_WITHIN_SECONDS} seconds.")


def _app(places: Places) -> dict[str, Any]:
    status = read_json(places.status) or {}
    part: dict[str, Any] = status["parts"]["app"]
    return part
