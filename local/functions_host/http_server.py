"""Local stack, Functions host: its HTTP side; the app's routes, webhooks and administration."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from local.functions_host.admin import Administration
from local.functions_host.bindings import HttpTrigger
from local.functions_host.easy_auth import EasyAuth
from local.functions_host.errors import InvocationLostError
from local.functions_host.http_messages import request_value, response_of
from local.functions_host.invoker import Invoker
from local.functions_host.keys import Keys, presented_key
from local.functions_host.logs import HostLog, redact
from local.functions_host.routes import Router

BODY_LIMIT = 104_857_600  # documented request limit of Azure Functions
WORKER_WAIT_SECONDS = 30

type Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class HttpFrontend:
    """Routes a request to the function it is for, once its key has been checked."""

    def __init__(
        self, *, router: Router, invoker: Invoker, keys: Keys, log: HostLog, easy_auth: EasyAuth | None
    ) -> None:
        self._router = router
        self._invoker = invoker
        self._keys = keys
        self._log = log
        self._easy_auth = easy_auth

    def application(self, *, admin: Administration, blob_webhook: Handler) -> web.Application:
        app = web.Application(client_max_size=BODY_LIMIT, middlewares=[self._logged])
        admin.add_routes(app.router)
        app.router.add_route("*", "/runtime/webhooks/blobs", blob_webhook)
        if self._easy_auth:
            self._easy_auth.add_routes(app.router)
        # A decoded path may hold line breaks: `.` would leave those to the server's own 404.
        app.router.add_route("*", r"/{path:[\s\S]*}", self._call)
        return app

    async def _call(self, request: web.Request) -> web.StreamResponse:
        match = self._router.match(request.method, request.raw_path.partition("?")[0])
        if match is None:
            return web.Response(status=404)
        trigger = match.function.trigger
        assert isinstance(trigger, HttpTrigger)
        if not self._keys.allow_function(trigger.auth_level, presented_key(request.headers, request.query)):
            return web.Response(status=401)
        body = await request.read()
        try:
            async with asyncio.timeout(WORKER_WAIT_SECONDS):
                await self._invoker.until_ready()
        except TimeoutError:
            return web.Response(status=503, text="The app's worker process is not running.")
        with contextlib.suppress(InvocationLostError):
            result = await self._invoker.invoke(
                match.function,
                request_value(request, body, match.route_params, self._headers(request)),
                reason="This function was programmatically called via the host APIs.",
                parent=request.headers.get("traceparent"),
            )
            return response_of(result)
        return web.Response(status=500)

    def _headers(self, request: web.Request) -> Mapping[str, str]:
        return self._easy_auth.headers(request) if self._easy_auth else request.headers

    @web.middleware
    async def _logged(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        began = asyncio.get_running_loop().time()
        status = 500
        try:
            response = await handler(request)
            status = response.status
        except web.HTTPException as refusal:
            status = refusal.status
            raise
        else:
            return response
        finally:
            # Never the query string: it may carry a key.
            took = (asyncio.get_running_loop().time() - began) * 1000
            path = redact(request.path.replace("\n", ""))
            level = "Debug" if path.startswith("/admin/") else "Information"
            self._log.write(level, "Host.Http", f"{request.method} {path} {status} {took:.0f}ms")
