"""A part's process is waited for by its health, comes back when it dies, and leaves nothing behind."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from local.stack.child import Child, Part, PartFailed
from local.stack.health import Probe, is_healthy
from local.stack.parts import clean_environment
from local.stack.ports import free_base, is_free

SERVE = (sys.executable, "-m", "http.server", "--bind", "127.0.0.1")


async def until(condition: Callable[[], bool], within: float = 20) -> None:
    """Wait for something that another process does."""
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110 - another process sets no event here
            await asyncio.sleep(0.05)


def a_part(port: int, *command: str, starts_within: timedelta = timedelta(seconds=30)) -> Part:
    """A part whose health is an answer on the port."""
    return Part(
        name="sample",
        command=command or (*SERVE, str(port)),
        env=clean_environment(),
        probes=(Probe(port=port, path="/"),),
        starts_within=starts_within,
    )


async def test_a_started_part_is_ready_and_a_stopped_one_holds_no_port(tmp_path: Path) -> None:
    """`start` returns when the part answers, `stop` when the port is free again."""
    port = free_base()
    child = Child(a_part(port), tmp_path / "sample.log", lambda: None)
    await child.start()
    assert child.state == "ready"
    assert await is_healthy(Probe(port=port, path="/"))
    await child.stop()
    assert is_free(port)


async def test_a_part_that_dies_comes_back(tmp_path: Path) -> None:
    """Killed without a word, it is started again and counted."""
    port = free_base()
    child = Child(a_part(port), tmp_path / "sample.log", lambda: None)
    await child.start()
    first = child.pid
    assert first
    os.kill(first, signal.SIGKILL)
    await until(lambda: child.restarts == 1 and child.state == "ready")
    assert child.pid != first
    await child.stop()
    assert is_free(port)


async def test_a_part_that_ends_while_starting_is_a_failure_with_its_code(tmp_path: Path) -> None:
    """Nothing is restarted that never worked."""
    part = a_part(free_base(), sys.executable, "-c", "raise SystemExit(3)")
    child = Child(part, tmp_path / "sample.log", lambda: None)
    with pytest.raises(PartFailed, match="sample ended with code 3"):
        await child.start()
    await child.stop()


async def test_a_part_that_never_answers_is_a_failure_at_its_deadline(tmp_path: Path) -> None:
    """A hanging part cannot hang the stack."""
    part = a_part(
        free_base(), sys.executable, "-c", "import sys; sys.stdin.read()", starts_within=timedelta(seconds=0.5)
    )
    child = Child(part, tmp_path / "sample.log", lambda: None)
    with pytest.raises(PartFailed, match="not ready within"):
        await child.start()
    await child.stop()


async def test_what_a_part_started_ends_with_it(tmp_path: Path) -> None:
    """A grandchild that ignores everything is gone when `stop` returns."""
    port = free_base()
    grandchild = (
        f"import http.server as h; h.HTTPServer(('127.0.0.1', {port}), h.BaseHTTPRequestHandler).serve_forever()"
    )
    launcher = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {grandchild!r}]); sys.stdin.read()"
    part = Part(
        name="sample",
        command=(sys.executable, "-c", launcher),
        env=clean_environment(),
        probes=(Probe(port=port),),
    )
    child = Child(part, tmp_path / "sample.log", lambda: None)
    await child.start()
    await child.stop()
    await until(lambda: is_free(port))


async def test_a_foreign_program_ends_when_the_tether_s_input_ends() -> None:
    """Azurite and maildev do not outlive a supervisor that was killed."""
    port = free_base()
    tether = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "local.stack.tether", *SERVE, str(port)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    async with asyncio.timeout(20):
        while not await is_healthy(Probe(port=port, path="/")):  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.05)
        assert tether.stdin
        tether.stdin.close()
        await tether.wait()
    assert is_free(port)


async def test_a_foreign_program_is_asked_to_end_once_and_has_time_to_save(tmp_path: Path) -> None:
    """Azurite saves on the first SIGTERM and dies of a second: what it had acknowledged would be lost."""
    ready, asked, saved = (tmp_path / name for name in ("ready", "asked", "saved"))
    program = f"""
import pathlib, signal, sys, time
def save(*_):
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    pathlib.Path({str(asked)!r}).touch()
    time.sleep(1)
    pathlib.Path({str(saved)!r}).touch()
    sys.exit(0)
signal.signal(signal.SIGTERM, save)
pathlib.Path({str(ready)!r}).touch()
signal.pause()
"""
    tether = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "local.stack.tether", sys.executable, "-c", program), stdin=asyncio.subprocess.PIPE
    )
    assert tether.stdin
    await until(ready.exists)
    tether.stdin.close()
    await until(asked.exists)
    tether.terminate()
    async with asyncio.timeout(20):
        assert await tether.wait() == 0
    assert saved.exists()


async def test_a_silent_port_is_not_healthy() -> None:
    """Whoever accepts and says nothing is not ready; nor is a port where nobody listens."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        assert not await is_healthy(Probe(port=port, path="/"))
        silent.listen()
        assert await is_healthy(Probe(port=port))
