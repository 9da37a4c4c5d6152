"""Local stack, Functions host: the `/admin` routes."""

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from aiohttp import web

from local.functions_host.bindings import Function
from local.functions_host.invoker import Invoker
from local.functions_host.keys import Keys, presented_key


class Administration:
    """What the host tells about itself, and what can be asked of it with the master key.

    Status and counts need no key here, unlike in Azure: they are the stack's health check and STATS.
    """

    def __init__(
        self,
        *,
        functions: tuple[Function, ...],
        invoker: Invoker,
        keys: Keys,
        is_running: Callable[[], bool],
        drain: Callable[[], None],
        timers: dict[str, Callable[[], None]],
    ) -> None:
        self._functions = functions
        self._invoker = invoker
        self._keys = keys
        self._is_running = is_running
        self._drain = drain
        self._timers = timers
        self._draining = False

    def add_routes(self, router: web.UrlDispatcher) -> None:
        router.add_get("/admin/host/status", self._status)
        router.add_get("/admin/host/ping", self._ping)
        router.add_get("/admin/host/invocations", self._invocations)
        router.add_post("/admin/host/drain", self._with_key(self._start_drain))
        router.add_get("/admin/host/drain/status", self._with_key(self._drain_status))
        router.add_get("/admin/functions", self._with_key(self._list))
        router.add_post("/admin/functions/{name}", self._with_key(self._run))
        router.add_route("*", "/admin/{rest:.*}", self._with_key(self._unknown))

    def _with_key(
        self, handler: Callable[[web.Request], Awaitable[web.Response]]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def checked(request: web.Request) -> web.Response:
            if not self._keys.allow_admin(presented_key(request.headers, request.query)):
                return web.Response(status=401)
            return await handler(request)

        return checked

    async def _status(self, _request: web.Request) -> web.Response:
        running = self._is_running()
        names = [function.name for function in self._functions]
        state = {"state": "Running" if running else "Initialized", "functions": names}
        return web.json_response(state, status=200 if running else 503)

    async def _ping(self, _request: web.Request) -> web.Response:
        return web.Response(status=200)

    async def _invocations(self, _request: web.Request) -> web.Response:
        return web.json_response({name: asdict(counts) for name, counts in self._invoker.counts.items()})

    async def _start_drain(self, _request: web.Request) -> web.Response:
        self._draining = True
        self._drain()
        return web.Response(status=202)

    async def _drain_status(self, _request: web.Request) -> web.Response:
        running = self._invoker.running
        state = "Disabled" if not self._draining else "InProgress" if running else "Completed"
        return web.json_response({"state": state, "outstandingInvocations": running})

    async def _list(self, _request: web.Request) -> web.Response:
        return web.json_response([_described(function) for function in self._functions])

    async def _run(self, request: web.Request) -> web.Response:
        name = request.match_info["name"].lower()
        if not any(function.name.lower() == name for function in self._functions):
            return web.Response(status=404)
        if name not in self._timers:
            return web.Response(status=400, text="only timers can be run by hand on this host")
        self._timers[name]()
        return web.Response(status=202)

    async def _unknown(self, _request: web.Request) -> web.Response:
        return web.Response(status=404)


def _described(function: Function) -> dict[str, Any]:
    return {
        "name": function.name,
        "language": "python",
        "isDisabled": False,
        "config": {
            "scriptFile": function.script_file,
            "functionDirectory": "",
            "bindings": list(function.raw_bindings),
        },
    }
