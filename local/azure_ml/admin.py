"""The admin address, plain HTTP for this machine only: health, the journal, faults, settings while running."""

import json
import re
from dataclasses import asdict
from typing import Any

from aiohttp import web

from local.azure_ml.faults import Fault, Faults
from local.azure_ml.journal import Journal
from local.azure_ml.settings import SettingsBook, Workspace


class Admin:
    """Routes under `http://127.0.0.1:{admin-port}`; README.md describes them."""

    def __init__(self, book: SettingsBook, faults: Faults, journal: Journal) -> None:
        self._book = book
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
        return web.json_response(self._journal.after(int(request.query.get("after", "0"))))

    async def _counts(self, request: web.Request) -> web.Response:
        return web.json_response(self._journal.counts(int(request.query.get("after", "0"))))

    async def _add_fault(self, request: web.Request) -> web.Response:
        try:
            data = await request.json()
            seed = data.pop("seed", None)
            self._faults.add(Fault.from_json(data), seed)
        except (KeyError, TypeError, ValueError, AttributeError, re.error) as error:
            return _refused(f"This fault makes no sense: {error!r}")
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
            self._book.patch(await request.json())
        except (KeyError, TypeError, ValueError, json.JSONDecodeError) as error:
            return _refused(f"These settings make no sense: {error!r}")
        return await self._settings(request)

    async def _reset_settings(self, request: web.Request) -> web.Response:
        self._book.reset()
        return await self._settings(request)


def _changeable(workspace: Workspace) -> dict[str, Any]:
    """What of a workspace may change while the service runs."""
    computes = [asdict(one) for one in workspace.computes]
    access = {"datastore_access": workspace.datastore_access}
    return {"name": workspace.name, "region": workspace.region, "computes": computes, **access}


def _refused(why: str) -> web.Response:
    return web.json_response({"error": why}, status=400)
