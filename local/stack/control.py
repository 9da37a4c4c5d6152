"""Starts and stops the supervisor from a terminal or a test, and says what it is doing meanwhile."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psutil

from local.stack.approvals import Approvals, keep
from local.stack.description import Stack, read_description
from local.stack.files import read_json
from local.stack.places import ROOT, Places
from local.stack.ports import Ports, is_locked, taken, taken_ports_message
from local.stack.processes import family, group_lives, living

Say = Callable[[str], None]

LOOK_EVERY_SECONDS = 0.1
STOPS_WITHIN = timedelta(seconds=45)
LAST_LOG_LINES = 15


class StackError(Exception):
    """The stack could not be started or stopped; the message says why and where to look."""


def running_stack(places: Places) -> Stack | None:
    """The stack's addresses if it is up and complete."""
    return read_description(places) if is_locked(places.lock) else None


def at_running_ports(places: Places) -> Places:
    """The same stack; if it is up, with the ports that it has, whatever STACK_PORT_BASE says now."""
    base = (read_json(places.status) or {}).get("base") if is_locked(places.lock) else None
    return replace(places, ports=Ports(base=base)) if base else places


def up(places: Places, say: Say, *, tethered: bool = False, approvals: Approvals | None = None) -> Stack:
    """Start the stack unless it is up, and return when every part is ready.

    A tethered stack stops when the calling process ends, however it ends.

    Raises:
        StackError: a port is taken, a part did not start, or it is up with other approvals than asked for.
    """
    if stack := running_stack(places):
        if approvals not in {None, stack.approvals}:
            raise StackError(f"The stack is up with APPROVALS={stack.approvals}: make down stops it.")
        return stack
    if is_locked(places.lock):
        raise StackError(f"The stack in {places.dir} is just starting or stopping: try again in a moment.")
    if problem := taken_ports_message(places.ports.base):
        raise StackError(problem)
    places.status.unlink(missing_ok=True)
    keep(places, approvals or Approvals.LINK)
    supervisor = _start_supervisor(places, tethered=tethered)
    try:
        return _follow(places, supervisor, say)
    except BaseException:
        # Interrupted while it starts: what nobody waits for must not come up.
        _end(supervisor)
        raise


def _end(supervisor: subprocess.Popen[bytes]) -> None:
    supervisor.terminate()
    try:
        supervisor.wait(STOPS_WITHIN.total_seconds())
    except subprocess.TimeoutExpired:
        supervisor.kill()


def _start_supervisor(places: Places, *, tethered: bool) -> subprocess.Popen[bytes]:
    places.logs.mkdir(parents=True, exist_ok=True)
    for log in places.logs.glob("*.log"):
        log.unlink()
    command = [sys.executable, "-m", "local.stack.supervisor"]
    with places.log("supervisor").open("ab") as output:
        supervisor = subprocess.Popen(
            [*command, "--stop-with-stdin"] if tethered else command,
            stdin=subprocess.PIPE if tethered else subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=ROOT,
            env=os.environ | {"STACK_DIR": str(places.dir), "STACK_PORT_BASE": str(places.ports.base)},
            start_new_session=True,
        )
    # The thread holds the supervisor's standard input open: it ends with this process, not before.
    threading.Thread(target=_reap, args=(supervisor,), daemon=True).start()
    return supervisor


def _reap(supervisor: subprocess.Popen[bytes]) -> None:
    supervisor.wait()
    if supervisor.stdin:
        supervisor.stdin.close()


def _follow(places: Places, supervisor: subprocess.Popen[bytes], say: Say) -> Stack:
    """Repeat the supervisor's progress until the stack is up or has failed."""
    begun = time.monotonic()
    seen: set[str] = set()
    while supervisor.poll() is None:
        status = read_json(places.status) or {}
        for name, part in status.get("parts", {}).items():
            if part["state"] == "ready" and name not in seen:
                seen.add(name)
                say(f"  {name:<12} ready after {time.monotonic() - begun:4.1f} s")
        if status.get("state") == "up" and (stack := running_stack(places)):
            return stack
        time.sleep(LOOK_EVERY_SECONDS)
    raise StackError(_failure(places))


def _failure(places: Places) -> str:
    why = (read_json(places.status) or {}).get("why") or "the supervisor ended before the stack was up"
    culprit = next((log for log in places.logs.glob("*.log") if why.startswith(log.stem)), places.log("supervisor"))
    tail = culprit.read_text(encoding="utf-8", errors="replace").splitlines()[-LAST_LOG_LINES:]
    return "\n".join([f"The stack did not start: {why}.", *(f"  | {line}" for line in tail), f"Logs: {places.logs}"])


def down(places: Places) -> bool:
    """Stop the stack and see that no process and no port of it is left; False if it was not up.

    Raises:
        StackError: something is left.
    """
    was_up = is_locked(places.lock)
    if was_up:
        # A supervisor that has just taken the lock says in a moment which process it is.
        _until(lambda: read_json(places.status) is not None or not is_locked(places.lock))
        _stop(at_running_ports(places), read_json(places.status) or {})
    places.stack_json.unlink(missing_ok=True)
    places.status.unlink(missing_ok=True)
    return was_up


def _stop(places: Places, status: Mapping[str, Any]) -> None:
    """A stack that was not up can leave nothing: its ports may belong to another one by now."""
    supervisor = status.get("supervisor")
    groups = [part["pid"] for part in status.get("parts", {}).values()]
    processes = family(supervisor)
    _signal(supervisor, signal.SIGTERM)
    if not _until(lambda: not is_locked(places.lock)):
        _signal(supervisor, signal.SIGKILL)
    if not _until(lambda: not _left(places, processes, groups)):
        raise StackError(f"Not all of the stack stopped: {_left(places, processes, groups)} left.")


def _left(places: Places, processes: Sequence[psutil.Process], groups: Sequence[int | None]) -> str:
    """The ports and processes that a stack still has; empty: none."""
    found = {
        "ports": taken(places.ports.base),
        "processes": living(processes),
        "process groups": [group for group in groups if group_lives(group)],
    }
    return ", ".join(f"{what} {numbers}" for what, numbers in found.items() if numbers)


def _until(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + STOPS_WITHIN.total_seconds()
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK_EVERY_SECONDS)
    return True


def _signal(pid: int | None, number: signal.Signals) -> None:
    if pid:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
