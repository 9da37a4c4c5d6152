"""What exists before the first request: workspaces, registries, identities, how long things take, and limits.

`defaults.json` holds the whole of it; a settings file and the admin route give only what differs.
"""

import json
import logging
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, ClassVar, Protocol, Self

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from local.azure_ml.errors import what_is_wrong

log = logging.getLogger(__name__)

DEFAULTS = Path(__file__).with_name("defaults.json")
KEPT_AT = ("settings", "asked")
NAMESPACE = uuid.UUID("7e1f4f0e-7d7e-4c57-9a5f-5d2c6d1c0a10")
type Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
type Count = Annotated[int, Field(ge=0)]
type AtLeastOne = Annotated[int, Field(ge=1)]
type Part = Annotated[str, Field(pattern=r"^[^/\s]+$")]
type ScopeName = Annotated[str, Field(pattern="^[a-zA-Z0-9][a-zA-Z0-9_-]{2,32}$")]
type Region = Annotated[str, Field(pattern="^[a-z][a-z0-9]*$")]
type Account = Annotated[str, Field(pattern="^[a-z0-9]{3,24}$")]

NOTHING_ELSE = ConfigDict(extra="forbid")


class UnusableSettings(ValueError):
    """Settings that make no sense; says which, and what they may be."""


class DatastoreAccess(StrEnum):
    """How a workspace's datastores are opened."""

    KEY = "AccountKey"  # the workspace hands out signatures to whoever may read it
    IDENTITY = "None"  # it hands out nothing: the caller's own roles at the storage account count


class Right(StrEnum):
    """What an identity may do in one workspace or registry; each includes the ones before it."""

    NONE = "none"
    READ = "read"
    UPLOAD = "upload"
    WRITE = "write"

    def covers(self, needed: "Right") -> bool:
        """Whether holding this right is enough where `needed` is asked for."""
        order = list(Right)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compute:
    """A cluster that scales between two numbers of nodes."""

    __pydantic_config__: ClassVar[ConfigDict] = NOTHING_ELSE
    name: Part
    min_nodes: Count = 0
    max_nodes: AtLeastOne = 4

    def __post_init__(self) -> None:
        if self.min_nodes > self.max_nodes:
            raise ValueError(f"min_nodes ({self.min_nodes}) is more than max_nodes ({self.max_nodes})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What a workspace and a registry have in common: a place under ARM and a storage account."""

    __pydantic_config__: ClassVar[ConfigDict] = NOTHING_ELSE
    name: ScopeName
    resource_group: Part
    subscription_id: Part
    region: Region
    storage_account: Account
    storage_key: str

    @property
    def guid(self) -> str:
        return str(uuid.uuid5(NAMESPACE, f"{self.subscription_id}/{self.name}"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace(Scope):
    computes: tuple[Compute, ...] = ()
    datastore_access: DatastoreAccess = DatastoreAccess.KEY

    @property
    def arm_id(self) -> str:
        group = f"/subscriptions/{self.subscription_id}/resourceGroups/{self.resource_group}"
        return f"{group}/providers/Microsoft.MachineLearningServices/workspaces/{self.name}"

    @property
    def datastores(self) -> Mapping[str, str]:
        """Name of each datastore and the container it stands for."""
        return {"workspaceblobstore": f"azureml-blobstore-{self.guid}", "workspaceartifactstore": "azureml"}

    def compute(self, name: str) -> Compute | None:
        return next((compute for compute in self.computes if compute.name == name), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry(Scope):
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A service principal, its rights by workspace or registry name, and its roles at their storage accounts."""

    __pydantic_config__: ClassVar[ConfigDict] = NOTHING_ELSE
    name: Part
    client_id: Part
    client_secret: str
    object_id: Part
    rights: Mapping[str, Right] = field(default_factory=dict)
    blob_roles: Mapping[str, Right] = field(default_factory=dict)

    def right_in(self, scope: str) -> Right:
        return self.rights.get(scope, Right.NONE)

    def blob_role_in(self, scope: str) -> Right:
        """READ is the role Storage Blob Data Reader, WRITE is Storage Blob Data Contributor."""
        return self.blob_roles.get(scope, Right.NONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be set. Durations are in seconds."""

    tenant_id: Part
    token_seconds: Count
    honour_job_names: bool
    page_size: AtLeastOne
    workspaces: tuple[Workspace, ...]
    registries: tuple[Registry, ...]
    identities: tuple[Identity, ...]
    durations: Mapping[str, Seconds]
    quotas: Mapping[str, Count]

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Build from the shape of `defaults.json`.

        Raises:
            UnusableSettings: a key that is unknown, or a value that makes no sense.
        """
        _check_keys(data)
        try:
            made = TypeAdapter(cls).validate_json(json.dumps(data), strict=True)
        except ValidationError as error:
            raise UnusableSettings(what_is_wrong(error, lambda place: _by_names(place, data))) from error
        names = [one.name for one in made.scopes]
        if len(set(names)) < len(names):
            raise UnusableSettings("two workspaces or registries have one name: it is unique over subscriptions here")
        return made

    @property
    def scopes(self) -> tuple[Scope, ...]:
        return (*self.workspaces, *self.registries)

    def scope_of_account(self, account: str) -> Scope | None:
        """The first workspace or registry whose files lie in a storage account."""
        return next((one for one in self.scopes if one.storage_account == account), None)


def _check_keys(data: Mapping[str, Any]) -> None:
    known = _defaults()
    groups = [("", data, known), *((f"{name}.", data.get(name), known[name]) for name in ("durations", "quotas"))]
    for where, given, allowed in groups:
        strange = sorted(set(given) - set(allowed)) if isinstance(given, Mapping) else ()
        for key in strange:
            raise UnusableSettings(f"{where}{key}: unknown; known are {', '.join(sorted(allowed))}")


def _by_names(place: tuple[int | str, ...], data: Any) -> str:
    """Where in the settings; what stands in a list goes by its name."""
    words = []
    for part in place:
        within = isinstance(data, list) or (isinstance(data, Mapping) and part in data)
        data = data[part] if within else None
        named = isinstance(part, int) and isinstance(data, Mapping) and "name" in data
        words.append(str(data["name"] if named else part))
    return ".".join(words)


def _defaults() -> dict[str, Any]:
    defaults: dict[str, Any] = json.loads(DEFAULTS.read_text(encoding="utf-8"))
    return defaults


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `changes`: objects key by key, lists of named things by name, all else replaced."""
    result = dict(base)
    for key, value in changes.items():
        old = result.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            result[key] = merged(old, value)
        elif isinstance(old, list) and isinstance(value, list) and _named(old) and _named(value):
            result[key] = _merged_by_name(old, value)
        else:
            result[key] = value
    return result


def _named(values: list[Any]) -> bool:
    return all(isinstance(value, Mapping) and isinstance(value.get("name"), str) for value in values)


def _merged_by_name(old: list[Any], new: list[Any]) -> list[Any]:
    by_name = {value["name"]: value for value in old}
    for value in new:
        by_name[value["name"]] = merged(by_name.get(value["name"], {}), value)
    return list(by_name.values())


class Shelf(Protocol):
    """Where changes are kept from one process to the next."""

    def get(self, collection: str, key: str) -> dict[str, Any] | None: ...

    def put(self, collection: str, key: str, body: Mapping[str, Any]) -> None: ...

    def delete(self, collection: str, key: str) -> None: ...


class SettingsBook:
    """The settings in force: defaults, then what a file changes, then what was asked for over the admin route."""

    def __init__(self, changes: Mapping[str, Any], shelf: Shelf | None = None) -> None:
        """What an earlier process kept is left out, and that is said, when it makes no sense any more.

        Raises:
            UnusableSettings: `changes` make no sense.
        """
        self._shelf = shelf
        self._start = merged(_defaults(), changes)
        self.current = Settings.from_json(self._start)
        self._asked: dict[str, Any] = (shelf.get(*KEPT_AT) if shelf else None) or {}
        try:
            self.current = Settings.from_json(merged(self._start, self._asked))
        except UnusableSettings as error:
            self.leave_out_asked(str(error))

    def leave_out_asked(self, why: str) -> bool:
        """Go on without what was asked for over the admin route; says whether there was anything."""
        if not self._asked:
            return False
        log.error("the settings asked for over the admin route are left out (DELETE /settings forgets them): %s", why)
        self._asked, self.current = {}, Settings.from_json(self._start)
        return True

    def reset(self) -> Settings:
        """Forget what was asked for over the admin route, of this process and of earlier ones."""
        if self._shelf:
            self._shelf.delete(*KEPT_AT)
        self._asked, self.current = {}, Settings.from_json(self._start)
        return self.current

    def with_changes(self, changes: Any) -> Settings:
        """What would be in force after `patch`.

        Raises:
            UnusableSettings: a key or a value that the settings do not know.
        """
        if not isinstance(changes, Mapping):
            raise UnusableSettings("the settings must be a JSON object")
        return Settings.from_json(merged(merged(self._start, self._asked), changes))

    def patch(self, changes: Mapping[str, Any]) -> Settings:
        """Apply changes of the shape of `defaults.json`; nothing changes when they make no sense.

        Raises:
            UnusableSettings: a key or a value that the settings do not know.
        """
        self.current = self.with_changes(changes)
        self._asked = merged(self._asked, changes)
        if self._shelf:
            self._shelf.put(*KEPT_AT, self._asked)
        return self.current
