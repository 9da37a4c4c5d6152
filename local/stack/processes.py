"""Which processes of a stack still live. One that has ended and waits to be reaped by whoever is its parent does not."""

import contextlib
import os
from collections.abc import Iterable

import psutil


def family(pid: int | None) -> list[psutil.Process]:
    """A process and all that it has begun, and those have begun; empty: it has ended."""
    try:
        parent = psutil.Process(pid) if pid else None
        return [parent, *parent.children(recursive=True)] if parent else []
    except psutil.NoSuchProcess:
        return []


def living(processes: Iterable[psutil.Process]) -> list[int]:
    """The ids of those that have not ended."""
    return [process.pid for process in processes if _lives(process)]


def group_lives(group: int | None) -> bool:
    """Whether any process of this group has not ended."""
    if not group:
        return False
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return any(_group_of(process.pid) == group and _lives(process) for process in psutil.process_iter())


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _group_of(pid: int) -> int | None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        return os.getpgid(pid)
    return None
