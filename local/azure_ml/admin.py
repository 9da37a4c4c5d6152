"""The admin address, plain HTTP for this machine only: health, the journal, faults, settings while running."""

import asyncio
from dataclasses import asdict
from typing import Any

from aiohttp import web
from azure.core.exceptions import AzureError
from pydantic import ValidationError

from local.azure_ml.errors import what_is_wrong
from local.azure_ml.faults import Fault, Faults
from local.azure_ml.journal import Journal
from local.azure_ml.settings import Scope, SettingsBook, Workspace
from local.azure_ml.storage import Blobs


class Admin:
    """Routes under `http://127.0.0.1:{admin-port}`; README.md describes them."""

    def __init__(self, book: SettingsBook, blobs: Blobs, faults: Faults, journal: Journal) -> None:
        self._book = book
        self._blobs = blobs
        self._faults = faults
        self._journal = journal

    def app(self) -> web.Application:
        app = web.Application()
        app.add_routes(
            [
                web.get("/health", self._health),
                web.get("/journal", self._entries),
                web.get("/journal/counts", self._counts),
                web.post("/faults", self._add_fault),
                web.delete("/faults", self._clear_faults),
                web.get("/settings", self._settings),
                web.post("/settings", self._patch_settings),
                web.delete("/settings", self._reset_settings),
            ]
        )
        return app

    async def _health(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _entries(self, request: web.Request) -> web.Response:
        return web.json_response(self._journal.after(_after(request)))

    async def _counts(self, request: web.Request) -> web.Response:
        return web.json_response(self._journal.counts(_after(request)))

    async def _add_fault(self, request: web.Request) -> web.Response:
        try:
            self._faults.add(Fault.model_validate_json(await request.text()))
        except ValidationError as error:
            return _refused(f"This fault makes no sense: {what_is_wrong(error)}")
        return web.json_response({"status": "ok"}, status=201)

    async def _clear_faults(self, _request: web.Request) -> web.Response:
        self._faults.clear()
        return web.json_response({"status": "ok"})

    async def _settings(self, _request: web.Request) -> web.Response:
        settings = self._book.current
        return web.json_response(
            {
                "durations": settings.durations,
                "quotas": settings.quotas,
                "honour_job_names": settings.honour_job_names,
                "token_seconds": settings.token_seconds,
                "page_size": settings.page_size,
                "workspaces": [_changeable(one) for one in settings.workspaces],
                "identities": [{"name": one.name, "blob_roles": one.blob_roles} for one in settings.identities],
            }
        )

    async def _patch_settings(self, request: web.Request) -> web.Response:
        try:
            changes = await request.json()
            have = {_storage_of(one) for one in self._book.current.scopes}
            new = [one for one in self._book.with_changes(changes).scopes if _storage_of(one) not in have]
            await asyncio.to_thread(self._blobs.open_accounts, new)
            self._book.patch(changes)
        except (ValueError, AzureError) as error:
            return _refused(f"These settings make no sense: {error}")
        return await self._settings(request)

    async def _reset_settings(self, request: web.Request) -> web.Response:
        self._book.reset()
        return await self._settings(request)


def _after(request: web.Request) -> int:
    given = request.query.get("after", "0")
    if not given.isdecimal():
        raise web.HTTPBadRequest(text=f"after: must be the number of an entry (given: {given!r})")
    return int(given)


def _storage_of(scope: Scope) -> tuple[str, str, str]:
    return scope.guid, scope.storage_account, scope.storage_key


def _changeable(workspace: Workspace) -> dict[str, Any]:
    """What of a workspace may change while the service runs."""
    computes = [asdict(one) for one in workspace.computes]
    access = {"datastore_access": workspace.datastore_access}
    return {"name": workspace.name, "region": workspace.region, "computes": computes, **access}


def _refused(why: str) -> web.Response:
    return web.json_response({"error": why}, status=400)
