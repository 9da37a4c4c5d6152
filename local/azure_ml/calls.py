"""One request as a handler sees it, one reply as a handler gives it, and the world both live in."""

import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from local.azure_ml.errors import ArmError, invalid
from local.azure_ml.settings import Identity, Registry, Right, Scope, Settings, SettingsBook, Workspace
from local.azure_ml.store import Store

if TYPE_CHECKING:
    from local.azure_ml.faults import Fault
    from local.azure_ml.identity import TokenOffice
    from local.azure_ml.jobs import JobRunner
    from local.azure_ml.storage import Blobs


class Kind(StrEnum):
    """What a request does to the estate; the journal counts by it."""

    READ = "read"
    WRITE = "write"
    BLOB_READ = "blob-read"
    BLOB_WRITE = "blob-write"


class Audience(StrEnum):
    """For whom a token must have been issued."""

    ARM = "https://management.azure.com"
    ML = "https://ml.azure.com"
    STORAGE = "https://storage.azure.com"


@dataclass(slots=True, kw_only=True)
class World:
    """All that outlives a request."""

    book: SettingsBook
    store: Store
    blobs: "Blobs"
    tokens: "TokenOffice"
    jobs: "JobRunner"
    now: Callable[[], float] = time.time

    @property
    def settings(self) -> Settings:
        return self.book.current

    def duration(self, name: str) -> float:
        """Seconds that the named long operation takes."""
        return self.settings.durations[name]

    def workspace(self, name: str) -> Workspace | None:
        return next((one for one in self.settings.workspaces if one.name == name), None)

    def registry(self, name: str) -> Registry | None:
        return next((one for one in self.settings.registries if one.name == name), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One kind of request: who may send it, where it leads, and what the journal calls it."""

    operation: str
    method: str
    host: re.Pattern[str]
    path: re.Pattern[str]
    kind: Kind
    handler: "Handler"
    needs: Right
    audiences: tuple[Audience, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request that has passed the door: its route, its sender, and the scope it is about."""

    route: Route
    host: str
    path: str
    params: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any
    identity: Identity | None
    scope: Scope | None
    fault: "Fault | None" = None

    @property
    def workspace(self) -> Workspace:
        assert isinstance(self.scope, Workspace)
        return self.scope

    @property
    def registry(self) -> Registry:
        assert isinstance(self.scope, Registry)
        return self.scope

    @property
    def caller(self) -> Identity:
        assert self.identity
        return self.identity

    @property
    def properties(self) -> dict[str, Any]:
        """The `properties` object of the body.

        Raises:
            ServiceError: the body has none.
        """
        found = self.body.get("properties") if isinstance(self.body, dict) else None
        if not isinstance(found, dict):
            raise invalid("The request body must be a JSON object with 'properties'.")
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """Status, headers and a JSON body; `body=None` sends none at all, unless `null` says to write that word."""

    status: int = 200
    body: Any = None
    null: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)


type Handler = Callable[[World, Call], Awaitable[Reply]]


def require_right(identity: Identity, scope: Scope, needed: Right, action: str) -> None:
    """Refuse with 403 what the identity may not do in this workspace or registry."""
    if identity.right_in(scope.name).covers(needed):
        return
    kind = "registries" if isinstance(scope, Registry) else "workspaces"
    raise ArmError(
        403,
        "AuthorizationFailed",
        f"The client '{identity.client_id}' ({identity.name}) with object id '{identity.object_id}' does not have "
        f"authorization to perform action '{action}' over scope '/subscriptions/{scope.subscription_id}/resourceGroups/"
        f"{scope.resource_group}/providers/Microsoft.MachineLearningServices/{kind}/{scope.name}' or the scope is "
        "invalid. If access was recently granted, please refresh your credentials.",
    )


def timestamp(moment: float) -> str:
    """A moment as the service writes it."""
    return datetime.fromtimestamp(moment, UTC).isoformat()


def system_data(world: World, call: Call, old: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Who made a resource, when it was made and when last changed: all that endpoints and deployments tell."""
    now = timestamp(world.now())
    created = {"createdAt": now, "createdBy": call.caller.object_id}
    return {**({key: old[key] for key in created} if old else created), "lastModifiedAt": now}


def page_of(world: World, call: Call, items: list[Any]) -> Reply:
    """One page of a list; `nextLink` leads to the next."""
    start = _number(call, "$skip", 0)
    size = min(_number(call, "$top", world.settings.page_size), world.settings.page_size)
    body: dict[str, Any] = {"value": items[start : start + size]}
    if start + size < len(items) and "$top" not in call.query:
        query = "&".join(f"{key}={value}" for key, value in {**call.query, "$skip": start + size}.items())
        body["nextLink"] = f"https://{call.host}{call.path}?{query}"
    return Reply(body=body)


def _number(call: Call, name: str, default: int) -> int:
    given = call.query.get(name) or str(default)
    if not given.isdecimal():
        raise invalid(f"The query parameter '{name}' must be a whole number from 0 on (given: '{given}').")
    return int(given)
