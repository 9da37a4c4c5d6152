"""Mini batches as processes: the host that forks them is started with the first one, and again if it should die."""

import asyncio
import contextlib
import itertools
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KEPT_VARIABLES = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR")
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""A process with threads can't be forked safely; a small model is not faster with more."""
SHOWN_OUTPUT_BYTES = 200_000
DIED = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a mini batch ended, and the last of what it printed."""

    code: int
    stdout: bytes
    stderr: bytes


class ScoringProcesses:
    """Runs mini batches, any number at a time, from one event loop."""

    def __init__(self) -> None:
        self._starting: asyncio.Task[asyncio.subprocess.Process] | None = None
        self._reader: asyncio.Task[None] | None = None
        self._numbers = itertools.count(1)
        self._ends: dict[int, asyncio.Future[int]] = {}

    async def prepare(self) -> None:
        """Return when the host has loaded what it forks.

        Raises:
            OSError: it ended instead; its standard error says why.
        """
        await self._ready_host()

    async def run(self, spec: Path) -> Ended:
        """Score what the spec says, in a process of its own; cancelled, it is killed before this returns."""
        host = await self._ready_host()
        number = next(self._numbers)
        end = self._ends[number] = asyncio.get_running_loop().create_future()
        _order(host, {"run": number, "spec": str(spec)})
        try:
            code = await asyncio.shield(end)
        except asyncio.CancelledError:
            _order(host, {"kill": number})
            await asyncio.wait({end})
            raise
        finally:
            del self._ends[number]
        return Ended(code=code, stdout=_last(spec.with_suffix(".stdout")), stderr=_last(spec.with_suffix(".stderr")))

    async def stop(self) -> None:
        """End the host and, with it, whatever still runs."""
        if self._starting is None:
            return
        with contextlib.suppress(OSError):
            host = await self._starting
            assert host.stdin
            host.stdin.close()
        if self._reader is not None:
            await self._reader

    async def _ready_host(self) -> asyncio.subprocess.Process:
        if self._starting is None or self._has_died():
            self._starting = asyncio.create_task(self._start())
        return await asyncio.shield(self._starting)  # others wait for it too

    def _has_died(self) -> bool:
        assert self._starting
        failed = self._starting.done() and (self._starting.cancelled() or self._starting.exception() is not None)
        return failed or (self._starting.done() and self._reader is not None and self._reader.done())

    async def _start(self) -> asyncio.subprocess.Process:
        host = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "local.azure_ml.scorer_host",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=ROOT,
            env=_clean_environment(),
        )
        assert host.stdout
        if not await host.stdout.readline():
            raise OSError(f"the scoring host ended with code {await host.wait()} before it had begun")
        self._reader = asyncio.create_task(self._read_ends(host))
        return host

    async def _read_ends(self, host: asyncio.subprocess.Process) -> None:
        assert host.stdout
        while line := await host.stdout.readline():
            told = json.loads(line)
            self._settle(told["ended"], told["code"])
        await host.wait()
        for number in list(self._ends):
            self._settle(number, DIED)

    def _settle(self, number: int, code: int) -> None:
        end = self._ends.get(number)
        if end is not None and not end.done():
            end.set_result(code)


def _order(host: asyncio.subprocess.Process, order: Mapping[str, object]) -> None:
    assert host.stdin
    if not host.stdin.is_closing():
        host.stdin.write(json.dumps(order).encode() + b"\n")


def _last(file: Path) -> bytes:
    """The end of what was printed; a process that died at once has printed nothing."""
    return file.read_bytes()[-SHOWN_OUTPUT_BYTES:] if file.exists() else b""


def _clean_environment() -> dict[str, str]:
    """What a node's process sees: no proxy, no credentials of anybody."""
    return ONE_THREAD | {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
