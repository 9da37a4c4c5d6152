"""The HTTP server behind the proxy: finds the route, checks who asks, lets faults strike, keeps the journal."""

import asyncio
import json
import logging
import time
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from local.azure_ml.blob_access import BlobRefusal, has_token, sender, signature_by_role
from local.azure_ml.blob_relay import BlobRelay
from local.azure_ml.calls import Call, Kind, Reply, Route, World, require_right, timestamp
from local.azure_ml.errors import ArmError, ServiceError, invalid
from local.azure_ml.faults import Action, Fault, Faults
from local.azure_ml.journal import Entry, Journal, without_secrets
from local.azure_ml.routes import all_routes
from local.azure_ml.scoring import endpoint_of_host
from local.azure_ml.settings import Scope

log = logging.getLogger(__name__)

BLOB_SUFFIX = ".blob.core.windows.net"
SCORING_SUFFIX = ".inference.ml.azure.com"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
STATUS_OF_A_FAULT = 503
ANY_REGION = "westeurope"  # answers for what lies in none


class App:
    """Answers every request of every host that the proxy lets in."""

    def __init__(self, world: World, relay: BlobRelay, faults: Faults, journal: Journal) -> None:
        self._world = world
        self._relay = relay
        self._faults = faults
        self._journal = journal
        self._routes = tuple(all_routes())

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """One request from its first byte to its entry in the journal."""
        host = (request.host or "").partition(":")[0]
        entry = Entry(
            at=timestamp(self._world.now()),
            method=request.method,
            host=host,
            path=request.path,
            query=without_secrets(request.query),
            kind=Kind.READ if request.method in SAFE_METHODS else Kind.WRITE,
        )
        began = time.perf_counter()
        try:
            answer = self._relay_blob if host.endswith(BLOB_SUFFIX) else self._answer
            response = await answer(request, host, entry)
            entry.status = 0 if response is None else response.status
            return _drop(request) if response is None else response
        finally:
            entry.milliseconds = round((time.perf_counter() - began) * 1000, 1)
            self._journal.record(entry)
            log.debug("%s %s%s %s", entry.method, host, entry.path, entry.status)

    async def _relay_blob(self, request: web.BaseRequest, host: str, entry: Entry) -> web.StreamResponse | None:
        reads = request.method in SAFE_METHODS
        account = host.removesuffix(BLOB_SUFFIX)
        entry.kind = Kind.BLOB_READ if reads else Kind.BLOB_WRITE
        entry.operation = f"blob.{request.method.lower()}"
        scope = self._world.settings.scope_of_account(account)
        entry.scope = scope.name if scope else account
        fault = self._strike(request, host, entry)
        if fault and (stopped := await _before(fault)) is not None:
            return stopped.response
        signature = ""
        try:
            if has_token(request):
                identity = sender(self._world, request)
                entry.identity = identity.name
                signature = signature_by_role(self._world, request, identity, scope, reads=reads)
        except BlobRefusal as refusal:
            return refusal.xml()
        if fault and fault.action is Action.AFTER_EFFECT:
            await self._relay.carry(request, signature=signature, answer=False)
            return _fault_response(fault)
        return await self._relay.carry(request, signature=signature)

    async def _answer(self, request: web.BaseRequest, host: str, entry: Entry) -> web.StreamResponse | None:
        fault = None
        try:
            route, params = self._route(request, host)
            entry.operation, entry.kind = route.operation, route.kind
            fault = self._strike(request, host, entry)
            if fault and (stopped := await _before(fault)) is not None:
                return stopped.response
            call = await self._call(request, entry, route, params, fault)
            reply = await route.handler(self._world, call)
        except ServiceError as error:
            return _json(Reply(status=error.status, body=error.body(self._region(entry)), headers=error.headers))
        if fault and fault.action is Action.AFTER_EFFECT:
            return _fault_response(fault)
        return _json(reply)

    def _region(self, entry: Entry) -> str:
        """Where the workspace or registry lies that a request is about."""
        return next((one.region for one in self._world.settings.scopes if one.name == entry.scope), ANY_REGION)

    def _strike(self, request: web.BaseRequest, host: str, entry: Entry) -> Fault | None:
        fault = self._faults.take(request.method, f"{host}{request.path}", entry.operation)
        entry.fault = fault.action if fault else None
        return fault

    def _route(self, request: web.BaseRequest, host: str) -> tuple[Route, Mapping[str, str]]:
        for route in self._routes:
            if route.method != request.method or not route.host.fullmatch(host):
                continue
            if (match := route.path.fullmatch(request.path)) is not None:
                return route, match.groupdict()
        raise ArmError(
            404, "InvalidResourceType", f"The stand-in has no answer to {request.method} {host}{request.path}."
        )

    async def _call(
        self,
        request: web.BaseRequest,
        entry: Entry,
        route: Route,
        params: Mapping[str, str],
        fault: Fault | None,
    ) -> Call:
        """The request, once its sender is known and allowed."""
        identity = None
        if route.audiences:
            identity = self._world.tokens.identify(request.headers.get("Authorization", ""), route.audiences)
            entry.identity = identity.name
        scope = self._scope(entry.host, params)
        if scope and identity:
            entry.scope = scope.name
            require_right(identity, scope, route.needs, _action(route))
        return Call(
            route=route,
            host=entry.host,
            path=request.path,
            params=params,
            query=dict(request.query),
            headers=request.headers,
            body=await _body(request),
            identity=identity,
            scope=scope,
            fault=fault,
        )

    def _scope(self, host: str, params: Mapping[str, str]) -> Scope | None:
        """The workspace or registry that a request is about.

        Raises:
            ServiceError: 404 for one that does not exist where the path says.
        """
        if host.endswith(SCORING_SUFFIX):
            return endpoint_of_host(self._world, host)[0]
        kind = next((one for one in ("workspace", "registry") if one in params), None)
        if kind is None:
            return None
        find = self._world.workspace if kind == "workspace" else self._world.registry
        scope = find(params[kind])
        if scope is None or not _lies_where_asked(scope, params):
            plural = {"workspace": "workspaces", "registry": "registries"}[kind]
            name = f"Microsoft.MachineLearningServices/{plural}/{params[kind]}"
            message = f"The Resource '{name}' under resource group '{params.get('group', '-')}' was not found."
            raise ArmError(404, "ResourceNotFound", message)
        return scope


class _Stopped:
    """A fault has decided the request: with a response, or with none at all."""

    def __init__(self, response: web.Response | None) -> None:
        self.response = response


async def _before(fault: Fault) -> _Stopped | None:
    """What a fault does before the request has any effect; None: the request goes on."""
    match fault.action:
        case Action.STATUS:
            return _Stopped(_fault_response(fault))
        case Action.DROP:
            return _Stopped(None)
        case Action.DELAY:
            await asyncio.sleep(fault.seconds)
    return None


def _fault_response(fault: Fault) -> web.Response | None:
    """The answer of a fault; without a status, an effect is followed by a dropped connection."""
    if fault.status is None and fault.action is Action.AFTER_EFFECT:
        return None
    status = fault.status or STATUS_OF_A_FAULT
    body = {"error": {"code": "InjectedFault", "message": f"The stand-in was asked to answer {status}."}}
    return _json(Reply(status=status, body=body, headers=fault.headers()))


def _lies_where_asked(scope: Scope, params: Mapping[str, str]) -> bool:
    asked = (params.get("subscription", scope.subscription_id), params.get("group", scope.resource_group))
    return tuple(one.lower() for one in asked) == (scope.subscription_id.lower(), scope.resource_group.lower())


def _action(route: Route) -> str:
    resource, _, verb = route.operation.rpartition(".")
    kind = "registries" if resource.startswith("registry") else "workspaces"
    verb = "read" if route.kind is Kind.READ else "write" if verb == "put" else verb
    return f"Microsoft.MachineLearningServices/{kind}/{resource.replace('.', '/')}/{verb}"


async def _body(request: web.BaseRequest) -> Any:
    if not request.can_read_body:
        return None
    if request.content_type == "application/x-www-form-urlencoded":
        return dict(await request.post())
    text = await request.read()
    try:
        return json.loads(text) if text else None
    except ValueError as error:
        raise invalid("The request body is no JSON.") from error


def _json(reply: Reply) -> web.Response:
    text = "null" if reply.null else None if reply.body is None else json.dumps(reply.body)
    return web.Response(status=reply.status, text=text, content_type="application/json", headers=dict(reply.headers))


def _drop(request: web.BaseRequest) -> web.Response:
    """Cut the connection; what is returned then reaches nobody."""
    if request.transport:
        request.transport.abort()
    return web.Response()
