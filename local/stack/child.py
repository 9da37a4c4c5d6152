"""One part's process: started, watched, started again when it dies, stopped with everything it began.

Each child leads a process group of its own and holds the read end of a pipe: if the supervisor vanishes
without a word, the pipe ends, and the part stops by itself (`--stop-with-stdin`).
"""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from local.stack.health import Probe, is_healthy
from local.stack.places import ROOT

log = logging.getLogger(__name__)

PROBE_EVERY_SECONDS = 0.1
GRACE = timedelta(seconds=10)
RESTART_AFTER_SECONDS = (0.2, 1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """How one part of the stack is started, and how one sees that it is ready."""

    name: str
    command: tuple[str, ...]
    probes: tuple[Probe, ...]
    env: Mapping[str, str]
    after: tuple[str, ...] = ()
    starts_within: timedelta = timedelta(seconds=90)


class PartFailed(Exception):
    """A part ended, or did not become ready in time, while the stack was starting."""


class Child:
    """The running process of one part."""

    def __init__(self, part: Part, log_file: Path, changed: Callable[[], None]) -> None:
        self.part = part
        self.state = "waiting"
        self.restarts = 0
        self._log_file = log_file
        self._changed = changed
        self._process: asyncio.subprocess.Process | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._stopping = False

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Start the process and return when it is ready.

        Raises:
            PartFailed: it ended, or was not ready within its time.
        """
        await self._spawn()
        self._enter("starting")
        try:
            async with asyncio.timeout(self.part.starts_within.total_seconds()):
                await self._until_ready()
        except TimeoutError:
            seconds = int(self.part.starts_within.total_seconds())
            raise PartFailed(f"{self.part.name} was not ready within {seconds} seconds") from None
        self._enter("ready")
        self._watcher = asyncio.create_task(self._keep_alive())

    async def stop(self) -> None:
        """Ask the process to end, wait, and end whatever is left of its group."""
        self._stopping = True
        if self._watcher:
            self._watcher.cancel()
        process = self._process
        if process is None:
            return
        if process.stdin:
            process.stdin.close()
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), GRACE.total_seconds())
        except TimeoutError:
            log.warning("%s did not stop within %s and is killed", self.part.name, GRACE)
        self._sweep()
        await process.wait()
        self._enter("stopped")

    async def _spawn(self) -> None:
        self._log_file.parent.mkdir(parents=True, exist_ok=True)
        with self._log_file.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                *self.part.command,
                stdin=asyncio.subprocess.PIPE,
                stdout=output,
                stderr=asyncio.subprocess.STDOUT,
                env=dict(self.part.env),
                cwd=ROOT,
                start_new_session=True,
            )
        log.info("%s started, process %s", self.part.name, self._process.pid)

    async def _until_ready(self) -> None:
        assert self._process
        while True:
            if self._process.returncode is not None:
                raise PartFailed(f"{self.part.name} ended with code {self._process.returncode} while starting")
            if all([await is_healthy(probe) for probe in self.part.probes]):
                return
            await asyncio.sleep(PROBE_EVERY_SECONDS)

    async def _keep_alive(self) -> None:
        """Restart the process whenever it dies, with growing pauses while it keeps dying."""
        deaths = 0
        while not self._stopping:
            assert self._process
            code = await self._process.wait()
            self._sweep()
            pause = RESTART_AFTER_SECONDS[min(deaths, len(RESTART_AFTER_SECONDS) - 1)]
            log.error("%s ended with code %s and is restarted in %s s", self.part.name, code, pause)
            self.restarts += 1
            self._enter("restarting")
            await asyncio.sleep(pause)
            await self._spawn()
            try:
                async with asyncio.timeout(self.part.starts_within.total_seconds()):
                    await self._until_ready()
            except (PartFailed, TimeoutError) as error:
                log.error("%s did not come back: %s", self.part.name, error)  # noqa: TRY400 - no traceback needed
                deaths += 1
                await self._end_now()
                continue
            deaths = 0
            self._enter("ready")
            log.info("%s is back", self.part.name)

    async def _end_now(self) -> None:
        if self._process and self._process.returncode is None:
            self._sweep()
            await self._process.wait()

    def _sweep(self) -> None:
        """Nothing that the process started may outlive it."""
        if self._process:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _enter(self, state: str) -> None:
        self.state = state
        self._changed()
