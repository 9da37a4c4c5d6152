"""The whole stack comes up by health checks and leaves no process and no port, however it ends."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from local.demo.http import Http
from local.demo.main import INTERRUPTED, UNEXPECTED, run_demo
from local.demo.options import Options
from local.stack.control import StackError, at_running_ports, down, running_stack, up
from local.stack.files import read_json
from local.stack.places import ROOT, Places
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


def alive(process: psutil.Process) -> bool:
    """Not ended; one whose end nobody has asked for yet has."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@pytest.mark.stack
def test_the_stack_comes_up_complete_and_goes_down_without_a_trace(places: Places) -> None:
    """R55: `up` returns when the app answers on Azurite; a second `up` finds it; after `down` the ports are free."""
    said: list[str] = []
    stack = up(places, said.append)
    try:
        assert {line.split()[0] for line in said} == PARTS
        assert Http().get(f"{stack.app_url}/api/health").status == 200
        assert places.stack_json.stat().st_mode & 0o077 == 0
        assert up(places, said.append) == running_stack(places) == stack
        supervisor = psutil.Process((read_json(places.status) or {})["supervisor"])
        family = [supervisor, *supervisor.children(recursive=True)]
        elsewhere = dict(os.environ, STACK_DIR=str(places.dir), STACK_PORT_BASE=str(free_base()))
        again = subprocess.run(
            [sys.executable, "-m", "local", "up"], env=elsewhere, cwd=ROOT, capture_output=True, text=True, check=True
        )
        first, last = places.ports.all()[0], places.ports.all()[-1]
        assert f"is up on the ports {first}-{last}, not {elsewhere['STACK_PORT_BASE']}-" in again.stdout
        assert stack.app_url in again.stdout
    finally:
        assert down(places)
    assert [process for process in family if alive(process)] == [], "not a moment later: now"
    assert taken(places.ports.base) == []
    assert running_stack(places) is None
    assert not down(places)


LINGERS = """
import fcntl, json, os, signal, sys, time
from pathlib import Path
directory, base = Path(sys.argv[1]), int(sys.argv[2])
stop = []
signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
with (directory / "supervisor.lock").open("ab") as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    print("holds the lock", flush=True)
    time.sleep(0.5)
    status = {"state": "up", "base": base, "supervisor": os.getpid(), "parts": {}}
    (directory / "status.new").write_text(json.dumps(status))
    (directory / "status.new").rename(directory / "status.json")
    while not stop:
        time.sleep(0.02)
time.sleep(1)
"""


UP = """
import signal, sys
from local.__main__ import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # tests that run in the background were told to ignore it
sys.exit(main(["up"]))
"""


@pytest.fixture
def lingering(places: Places) -> Iterator[subprocess.Popen[bytes]]:
    """A supervisor that has just taken its lock; stopped, it gives the lock back a second before it ends."""
    command = [sys.executable, "-c", LINGERS, str(places.dir), str(places.ports.base)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as supervisor:
        assert supervisor.stdout
        supervisor.stdout.readline()
        yield supervisor
        supervisor.kill()


def test_down_returns_when_the_supervisor_itself_has_ended(places: Places, lingering: subprocess.Popen[bytes]) -> None:
    """`no process is left` must be true when it is said; also of a stack that is stopped while it starts."""
    assert down(places)
    assert psutil.Process(lingering.pid).status() == psutil.STATUS_ZOMBIE, "ended; this test has not asked how yet"
    assert not places.status.exists()


def test_the_running_ports_are_known_whatever_the_variable_says_now(
    places: Places, lingering: subprocess.Popen[bytes]
) -> None:
    """`make up` with another STACK_PORT_BASE says where the stack is; `make down` looks at the ports it has."""
    until(places.status.exists)
    asked = replace(places, ports=Ports(base=1024))
    assert at_running_ports(asked) == places
    with socket.socket() as elsewhere:
        elsewhere.bind(("127.0.0.1", 0))
        elsewhere.listen()
        taken_base = min(elsewhere.getsockname()[1], 65000)
        assert down(replace(places, ports=Ports(base=taken_base))), "ports that are not its own do not matter"
    assert at_running_ports(asked) == asked


def test_a_demo_leaves_a_stack_alone_that_somebody_else_is_starting(
    places: Places, lingering: subprocess.Popen[bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    """It has nothing to do with it: it says so, and does not stop it at its own end."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        assert run_demo(places, Options()) == UNEXPECTED
    finally:
        signal.signal(signal.SIGTERM, before)
    assert "is just starting or stopping" in capsys.readouterr().err
    assert lingering.poll() is None


@pytest.mark.stack
def test_a_stack_that_is_interrupted_while_it_starts_leaves_nothing(places: Places) -> None:
    """Ctrl-C during `make up`: what nobody waits for does not come up behind one's back."""
    environment = dict(os.environ, STACK_DIR=str(places.dir), STACK_PORT_BASE=str(places.ports.base))
    command = [sys.executable, "-c", UP]
    with subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as made:
        assert made.stdout
        assert b"ready after" in made.stdout.readline()
        family = psutil.Process(made.pid).children(recursive=True)
        made.send_signal(signal.SIGINT)
        _, said = made.communicate(timeout=60)
    assert made.returncode == INTERRUPTED
    assert said.decode().strip() == "Interrupted."
    assert len(family) > 2, "the supervisor and what it had started"
    assert [process for process in family if alive(process)] == []
    assert taken(places.ports.base) == []


@pytest.mark.stack
def test_a_killed_supervisor_takes_its_parts_with_it(places: Places) -> None:
    """Nothing needs to be cleaned up by hand after `kill -9`."""
    up(places, lambda _: None)
    supervisor = (read_json(places.status) or {})["supervisor"]
    os.kill(supervisor, signal.SIGKILL)
    until(lambda: taken(places.ports.base) == [])
    assert running_stack(places) is None


def held(places: Places, holder: socket.socket) -> Places:
    """The same, on ports of which this one holds one; other stacks start beside this test and may be quicker."""
    while True:
        try:
            holder.bind(("127.0.0.1", places.ports.mail))
        except OSError:
            places = replace(places, ports=Ports(base=free_base()))
        else:
            holder.listen()
            return places


def test_a_taken_port_is_said_and_nothing_is_started(places: Places) -> None:
    """The message names the port; no supervisor, no logs, no state."""
    with socket.socket() as holder:
        places = held(places, holder)
        with pytest.raises(StackError, match=str(places.ports.mail)):
            up(places, lambda _: None)
    assert list(places.dir.iterdir()) == []
