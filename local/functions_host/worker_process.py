"""Local stack, Functions host: the worker process, restarted when it dies."""

import asyncio
import contextlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.functions_host.channel import LENGTH, decode_frame, encode_frame
from local.functions_host.errors import IndexingError, InvocationLostError
from local.functions_host.logs import HostLog

RESTART_DELAYS_SECONDS = (0.1, 0.5, 1, 2, 5, 10)
STABLE_AFTER_SECONDS = 30
STOP_GRACE_SECONDS = 2
REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class InvocationResult:
    """What the engine answered: `returned` as plain data, or the exception's message and stack."""

    ok: bool
    returned: Mapping[str, Any] | None = None
    error_message: str = ""
    error_stack: str = ""


class WorkerProcess:
    """One child process at a time. Invocations that run when it dies are lost; a new one takes its place."""

    def __init__(
        self,
        *,
        app_dir: Path,
        environment: Mapping[str, str],
        log: HostLog,
        on_log: Callable[[Mapping[str, Any]], None],
    ) -> None:
        self._app_dir = app_dir
        self._environment = environment
        self._log = log
        self._on_log = on_log
        self._process: asyncio.subprocess.Process | None = None
        self._ready = asyncio.Event()
        self._pending: dict[str, asyncio.Future[InvocationResult]] = {}
        self._indexed: asyncio.Future[list[dict[str, Any]]] = asyncio.get_running_loop().create_future()
        self._keeper: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        return self._ready.is_set()

    async def start(self) -> list[dict[str, Any]]:
        """Start the first worker and return the functions it found. Raises: IndexingError."""
        self._keeper = asyncio.create_task(self._keep_running())
        return await self._indexed

    async def invoke(self, message: Mapping[str, Any]) -> InvocationResult:
        """Run one invocation, waiting for a worker if none is up. Raises: InvocationLostError."""
        await self.until_ready()
        process = self._process
        assert process is not None
        assert process.stdin is not None
        answer: asyncio.Future[InvocationResult] = asyncio.get_running_loop().create_future()
        self._pending[message["id"]] = answer
        try:
            process.stdin.write(encode_frame({"type": "invoke", **message}))
            with contextlib.suppress(ConnectionError):  # the reader notices the dead worker and says so
                await process.stdin.drain()
            return await answer
        finally:
            self._pending.pop(message["id"], None)

    async def until_ready(self) -> None:
        """Wait for a worker that has indexed the app."""
        while not self._ready.is_set():  # it may be cleared again before this coroutine runs
            await self._ready.wait()

    def kill(self) -> None:
        """Kill the worker with everything it runs; a fresh one follows."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    async def stop(self) -> None:
        """Let the worker end, by force if it lingers."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        await self._end(self._process)
        self._lose_pending("the host is stopping")

    async def _keep_running(self) -> None:
        loop = asyncio.get_running_loop()
        early_deaths = 0
        while True:
            began = loop.time()
            await self._run_once()
            if loop.time() - began > STABLE_AFTER_SECONDS:
                early_deaths = 0
            delay = restart_delay_seconds(early_deaths)
            early_deaths += 1
            self._log.problem("Host.Worker", f"the worker process ended; a new one starts in {delay} s")
            await asyncio.sleep(delay)

    async def _run_once(self) -> None:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "local.functions_host.worker",
            str(self._app_dir),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self._environment,
            cwd=REPOSITORY,
        )
        self._process = process
        assert process.stdout is not None
        assert process.stderr is not None
        printing = asyncio.create_task(self._copy_output(process.stderr))
        try:
            await self._read_frames(process.stdout)
        finally:
            self._ready.clear()
            await self._end(process)
            await asyncio.gather(printing, return_exceptions=True)
            self._lose_pending(f"the worker process ended with code {process.returncode}")
            if not self._indexed.done():
                self._indexed.set_exception(IndexingError("the worker process ended before it had indexed"))

    async def _read_frames(self, stream: asyncio.StreamReader) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                size = LENGTH.unpack(await stream.readexactly(LENGTH.size))[0]
                self._receive(decode_frame(await stream.readexactly(size)))

    def _receive(self, message: Mapping[str, Any]) -> None:
        match message["type"]:
            case "log":
                self._on_log(message)
            case "indexed":
                self._ready.set()
                if not self._indexed.done():
                    self._indexed.set_result(message["functions"])
            case "index-failed":
                self._index_failed(message)
            case _:
                answer = self._pending.get(message["id"])
                if answer is not None and not answer.done():
                    answer.set_result(_result(message))

    def _index_failed(self, message: Mapping[str, Any]) -> None:
        text = f"{message['message']}\n{message['stack']}"
        if self._indexed.done():
            self._log.problem("Host.Worker", f"the app can no longer be indexed: {text}")
            self.kill()
        else:
            self._indexed.set_exception(IndexingError(text))

    async def _copy_output(self, stream: asyncio.StreamReader) -> None:
        # In chunks: the app may print a line longer than any limit of a stream reader.
        rest = b""
        while chunk := await stream.read(65536):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._log.info("Host.Function.Console", line.decode(errors="replace"))
        if rest:
            self._log.info("Host.Function.Console", rest.decode(errors="replace"))

    async def _end(self, process: asyncio.subprocess.Process | None) -> None:
        if process is None or process.returncode is not None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), STOP_GRACE_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()

    def _lose_pending(self, reason: str) -> None:
        for answer in self._pending.values():
            if not answer.done():
                answer.set_exception(InvocationLostError(reason))


def restart_delay_seconds(early_deaths: int) -> float:
    """The pause before the next worker; longer for one that keeps dying soon after its start."""
    return RESTART_DELAYS_SECONDS[min(early_deaths, len(RESTART_DELAYS_SECONDS) - 1)]


def _result(message: Mapping[str, Any]) -> InvocationResult:
    if message["ok"]:
        return InvocationResult(ok=True, returned=message["returned"])
    error = message["error"]
    return InvocationResult(ok=False, error_message=error["message"], error_stack=error["stack"])
