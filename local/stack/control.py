"""Starts and stops the supervisor from a terminal or a test, and says what it is doing meanwhile."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta

from local.stack.description import Stack, read_description
from local.stack.files import read_json
from local.stack.places import ROOT, Places
from local.stack.ports import is_locked, taken, taken_ports_message

Say = Callable[[str], None]

LOOK_EVERY_SECONDS = 0.1
STOPS_WITHIN = timedelta(seconds=45)
LAST_LOG_LINES = 15


class StackError(Exception):
    """The stack could not be started or stopped; the message says why and where to look."""


def running_stack(places: Places) -> Stack | None:
    """The stack's addresses if it is up and complete."""
    return read_description(places) if is_locked(places.lock) else None


def up(places: Places, say: Say, *, tethered: bool = False) -> Stack:
    """Start the stack unless it is up, and return when every part is ready.

    A tethered stack stops when the calling process ends, however it ends.

    Raises:
        StackError: a port is taken, or a part did not start.
    """
    if stack := running_stack(places):
        return stack
    if is_locked(places.lock):
        raise StackError(f"The stack in {places.dir} is just starting or stopping: try again in a moment.")
    if problem := taken_ports_message(places.ports.base):
        raise StackError(problem)
    places.status.unlink(missing_ok=True)
    return _follow(places, _start_supervisor(places, tethered=tethered), say)


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
    status = read_json(places.status) or {}
    was_up = is_locked(places.lock)
    if was_up:
        _signal(status.get("supervisor"), signal.SIGTERM)
        if not _until(lambda: not is_locked(places.lock)):
            _signal(status.get("supervisor"), signal.SIGKILL)
    _require_nothing_left(places, [part["pid"] for part in status.get("parts", {}).values()], was_up=was_up)
    places.stack_json.unlink(missing_ok=True)
    places.status.unlink(missing_ok=True)
    return was_up


def _require_nothing_left(places: Places, groups: list[int | None], *, was_up: bool) -> None:
    """A stack that was not up can leave nothing: its ports may belong to another one by now."""
    if not was_up:
        return
    if not _until(lambda: not taken(places.ports.base) and not any(map(_group_lives, groups))):
        ports, processes = taken(places.ports.base), [group for group in groups if _group_lives(group)]
        raise StackError(f"Not all of the stack stopped: ports {ports}, process groups {processes} are left.")


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


def _group_lives(group: int | None) -> bool:
    if not group:
        return False
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True
