"""Local stack, Functions host: one invocation, logged, counted and bounded in time."""

import asyncio
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from local.functions_host.bindings import Function
from local.functions_host.errors import InvocationLostError
from local.functions_host.logs import HostLog
from local.functions_host.worker_process import InvocationResult, WorkerProcess

NO_RETRY = {"retry_count": 0, "max_retry_count": 0}


@dataclass(slots=True, kw_only=True)
class Counts:
    started: int = 0
    succeeded: int = 0
    failed: int = 0


class Invoker:
    """Every trigger runs its function through here."""

    def __init__(self, *, worker: WorkerProcess, log: HostLog, timeout: timedelta | None) -> None:
        self._worker = worker
        self._log = log
        self._timeout = timeout
        self.counts: dict[str, Counts] = {}
        self._names: dict[str, str] = {}
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def running(self) -> int:
        return len(self._names)

    def name_of(self, invocation_id: str) -> str:
        """The function that a running invocation belongs to."""
        return self._names.get(invocation_id, "?")

    async def until_ready(self) -> None:
        await self._worker.until_ready()

    async def until_idle(self) -> None:
        await self._idle.wait()

    async def invoke(
        self,
        function: Function,
        value: Mapping[str, Any],
        *,
        reason: str,
        metadata: Mapping[str, Any] | None = None,
        parent: str | None = None,
        retry: Mapping[str, int] = NO_RETRY,
    ) -> InvocationResult:
        """Run the function on one trigger value.

        Returns a result that is not ok if the function raised. Raises: InvocationLostError if the
        worker died or the function's time ran out, which kills the worker and all it runs.
        """
        message = {
            "id": str(uuid.uuid4()),
            "function_id": function.id,
            "inputs": {function.argument: value},
            "metadata": metadata or {},
            "trace_parent": child_of(parent),
            "retry": dict(retry),
        }
        counts = self.counts.setdefault(function.name, Counts())
        counts.started += 1
        succeeded = False
        try:
            result = await self._run(function.name, message, reason)
            succeeded = result.ok
            return result
        finally:
            counts.succeeded += succeeded
            counts.failed += not succeeded

    async def _run(self, name: str, message: Mapping[str, Any], reason: str) -> InvocationResult:
        invocation_id = message["id"]
        self._names[invocation_id] = name
        self._idle.clear()
        began = asyncio.get_running_loop().time()
        self._log.info(f"Function.{name}", f"Executing 'Functions.{name}' (Reason='{reason}', Id={invocation_id})")
        outcome, detail = "Failed", ""
        try:
            result = await self._bounded(name, message)
            if result.ok:
                outcome = "Succeeded"
            else:
                detail = f"\n{result.error_message}\n{result.error_stack}"
        except InvocationLostError as error:
            detail = f"\n{error}"
            raise
        else:
            return result
        finally:
            took = (asyncio.get_running_loop().time() - began) * 1000
            self._log.write(
                "Information" if outcome == "Succeeded" else "Error",
                f"Function.{name}",
                f"Executed 'Functions.{name}' ({outcome}, Id={invocation_id}, Duration={took:.0f}ms){detail}",
            )
            del self._names[invocation_id]
            if not self._names:
                self._idle.set()

    async def _bounded(self, name: str, message: Mapping[str, Any]) -> InvocationResult:
        await self._worker.until_ready()
        try:
            async with asyncio.timeout(None if self._timeout is None else self._timeout.total_seconds()):
                return await self._worker.invoke(message)
        except TimeoutError as error:
            # Python cannot be interrupted: the real host ends the whole worker, too.
            self._worker.kill()
            raise InvocationLostError(
                f"Timeout value of {self._timeout} exceeded by function 'Functions.{name}'"
                f" (Id: {message['id']}). The worker is restarted with all its invocations."
            ) from error


def child_of(parent: str | None) -> str:
    """A W3C traceparent inside the caller's trace, or of a new one."""
    parts = (parent or "").split("-")
    trace_id = parts[1] if len(parts) == 4 and len(parts[1]) == 32 else secrets.token_hex(16)
    return f"00-{trace_id}-{secrets.token_hex(8)}-01"
