"""Local stack, Functions host: puts the parts together and runs one app."""

import asyncio
import contextlib
import os
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from aiohttp import web

from local.functions_host.admin import Administration
from local.functions_host.bindings import (
    BlobTrigger,
    Function,
    ServiceBusTrigger,
    TimerTrigger,
    parse_functions,
)
from local.functions_host.blob_trigger import BlobListener, PendingStore
from local.functions_host.blob_webhook import BlobWebhook
from local.functions_host.easy_auth import EasyAuth
from local.functions_host.http_server import HttpFrontend
from local.functions_host.invoker import Invoker
from local.functions_host.keys import Keys
from local.functions_host.logs import HostLog
from local.functions_host.routes import Router
from local.functions_host.service_bus_listener import ServiceBusListener
from local.functions_host.settings import HostSettings
from local.functions_host.timers import StatusStore, TimerListener
from local.functions_host.worker_process import WorkerProcess

SETTLE_SECONDS = 3.0  # to give back the messages of invocations that were ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Listeners:
    service_bus: tuple[ServiceBusListener, ...]
    timers: Mapping[str, TimerListener]
    blobs: Mapping[str, BlobListener]


class FunctionsHost:
    """One app: its worker, its listeners and its HTTP server."""

    def __init__(self, *, settings: HostSettings, keys: Keys, data_dir: Path, log: HostLog) -> None:
        self._settings = settings
        self._keys = keys
        self._data_dir = data_dir
        self._log = log
        self._worker = WorkerProcess(
            app_dir=settings.app_dir,
            environment=settings.child_environment(os.environ),
            log=log,
            on_log=self._app_log,
        )
        self._invoker = Invoker(worker=self._worker, log=log, timeout=settings.function_timeout)
        self._listeners = Listeners(service_bus=(), timers={}, blobs={})
        self._webhook = BlobWebhook(listeners={}, keys=keys)
        self._receiving: list[asyncio.Task[None]] = []
        self._timing: list[asyncio.Task[None]] = []
        self._runner: web.AppRunner | None = None

    async def start(self, address: str, port: int) -> None:
        """Index the app and open every listener. Raises: HostError, OSError if the port is taken."""
        functions = parse_functions(await self._worker.start(), self._settings)
        self._listeners = self._make_listeners(functions)
        self._webhook = BlobWebhook(listeners=self._listeners.blobs, keys=self._keys)
        await self._serve_http(functions, address, port)
        for blob in self._listeners.blobs.values():
            blob.resume()
        self._receiving = [self._spawn(each.run()) for each in self._listeners.service_bus]
        self._timing = [self._spawn(each.run()) for each in self._listeners.timers.values()]
        for function in functions:
            self._log.info("Host.Startup", f"{type(function.trigger).__name__:<17} {function.name}")
        self._log.info("Host.Startup", f"{len(functions)} functions, http://{address}:{port}")

    def drain(self) -> None:
        """Take no more work but HTTP; what runs goes on."""
        self._webhook.accepting = False
        for listener in self._listeners.service_bus:
            listener.stop()
        for task in self._timing:
            task.cancel()

    async def stop(self, grace_seconds: float) -> None:
        """Let running invocations end for a while, then end the rest: their messages are abandoned."""
        self.drain()
        if self._runner is not None:
            for site in list(self._runner.sites):
                await site.stop()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._invoker.until_idle(), grace_seconds)
        await self._worker.stop()
        for blob in self._listeners.blobs.values():
            blob.stop()
        if self._receiving:
            await asyncio.wait(self._receiving, timeout=SETTLE_SECONDS)
        for task in self._receiving:
            task.cancel()
        await asyncio.gather(*self._receiving, *self._timing, return_exceptions=True)
        if self._runner is not None:
            await self._runner.cleanup()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.stop(grace_seconds=0)

    def _spawn(self, listening: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        def told(task: asyncio.Task[None]) -> None:
            if not task.cancelled() and (error := task.exception()):
                self._log.problem("Host.Listener", f"a listener ended: {error!r}")

        task = asyncio.create_task(listening)
        task.add_done_callback(told)
        return task

    def _is_running(self) -> bool:
        return self._worker.running and all(each.connected.is_set() for each in self._listeners.service_bus)

    def _make_listeners(self, functions: tuple[Function, ...]) -> Listeners:
        pending = PendingStore(self._data_dir / "blobs")
        statuses = StatusStore(self._data_dir / "timers")
        shared: dict[str, Any] = {"invoker": self._invoker, "log": self._log}
        return Listeners(
            service_bus=tuple(
                ServiceBusListener(function=each, options=self._settings.service_bus, **shared)
                for each in functions
                if isinstance(each.trigger, ServiceBusTrigger)
            ),
            timers={
                each.name: TimerListener(function=each, store=statuses, **shared)
                for each in functions
                if isinstance(each.trigger, TimerTrigger)
            },
            blobs={
                each.name: BlobListener(
                    function=each, parallelism=self._settings.blob_parallelism, store=pending, **shared
                )
                for each in functions
                if isinstance(each.trigger, BlobTrigger)
            },
        )

    async def _serve_http(self, functions: tuple[Function, ...], address: str, port: int) -> None:
        admin = Administration(
            functions=functions,
            invoker=self._invoker,
            keys=self._keys,
            is_running=self._is_running,
            drain=self.drain,
            timers={name.lower(): each.run_by_hand for name, each in self._listeners.timers.items()},
        )
        frontend = HttpFrontend(
            router=Router(functions, self._settings.route_prefix),
            invoker=self._invoker,
            keys=self._keys,
            log=self._log,
            easy_auth=EasyAuth(self._settings.people) if self._settings.people else None,
        )
        application = frontend.application(admin=admin, blob_webhook=self._webhook.handle)
        self._runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, address, port).start()

    def _app_log(self, record: Mapping[str, Any]) -> None:
        invocation = record["invocation_id"]
        if invocation is None:
            category, scope = "Worker" if record["system"] else "Function", ""
        else:
            name = self._invoker.name_of(invocation)
            category, scope = f"Function.{name}.User", f"{name} {invocation}"
            if record["system"]:
                category = "Worker"
        self._log.write(record["level"], category, record["message"], scope=scope)
