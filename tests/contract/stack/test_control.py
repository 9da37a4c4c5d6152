"""The whole stack comes up by health checks and leaves no process and no port, however it ends."""

import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from local.demo.http import Http
from local.stack.control import StackError, down, running_stack, up
from local.stack.files import read_json
from local.stack.places import Places
from local.stack.ports import Ports, free_base, taken

PARTS = {"storage", "service-bus", "mail", "teams", "azure-ml", "app", "blob-events"}


@pytest.fixture
def places(tmp_path: Path) -> Places:
    """A stack of its own."""
    return Places(dir=tmp_path, ports=Ports(base=free_base()))


def until(condition: Callable[[], bool], within_seconds: float = 30) -> None:
    """Wait for what other processes do."""
    deadline = time.monotonic() + within_seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


@pytest.mark.stack
def test_the_stack_comes_up_complete_and_goes_down_without_a_trace(places: Places) -> None:
    """`up` returns when the app answers; a second `up` finds it; after `down` the ports are free."""
    said: list[str] = []
    stack = up(places, said.append)
    try:
        assert {line.split()[0] for line in said} == PARTS
        assert Http().get(f"{stack.app_url}/api/health").status == 200
        assert places.stack_json.stat().st_mode & 0o077 == 0
        assert up(places, said.append) == running_stack(places) == stack
    finally:
        assert down(places)
    assert taken(places.ports.base) == []
    assert running_stack(places) is None
    assert not down(places)


@pytest.mark.stack
def test_a_killed_supervisor_takes_its_parts_with_it(places: Places) -> None:
    """Nothing needs to be cleaned up by hand after `kill -9`."""
    up(places, lambda _: None)
    supervisor = (read_json(places.status) or {})["supervisor"]
    os.kill(supervisor, signal.SIGKILL)
    until(lambda: taken(places.ports.base) == [])
    assert running_stack(places) is None


def test_a_taken_port_is_said_and_nothing_is_started(places: Places) -> None:
    """The message names the port; no supervisor, no logs, no state."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", places.ports.mail))
        holder.listen()
        with pytest.raises(StackError, match=str(places.ports.mail)):
            up(places, lambda _: None)
    assert list(places.dir.iterdir()) == []
