"""What exists before the first request: workspaces, registries, identities, how long things take, and limits.

`defaults.json` holds the whole of it; a settings file and the admin route give only what differs.
"""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, Self

DEFAULTS = Path(__file__).with_name("defaults.json")
KEPT_AT = ("settings", "asked")
NAMESPACE = uuid.UUID("7e1f4f0e-7d7e-4c57-9a5f-5d2c6d1c0a10")


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

    name: str
    min_nodes: int = 0
    max_nodes: int = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What a workspace and a registry have in common: a place under ARM and a storage account."""

    name: str
    resource_group: str
    subscription_id: str
    region: str
    storage_account: str
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

    name: str
    client_id: str
    client_secret: str
    object_id: str
    rights: Mapping[str, Right] = field(default_factory=dict)
    blob_roles: Mapping[str, Right] = field(default_factory=dict)

    def right_in(self, scope: str) -> Right:
        return Right(self.rights.get(scope, Right.NONE))

    def blob_role_in(self, scope: str) -> Right:
        """READ is the role Storage Blob Data Reader, WRITE is Storage Blob Data Contributor."""
        return Right(self.blob_roles.get(scope, Right.NONE))


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be set. Durations are in seconds."""

    tenant_id: str
    token_seconds: int
    honour_job_names: bool
    page_size: int
    workspaces: tuple[Workspace, ...]
    registries: tuple[Registry, ...]
    identities: tuple[Identity, ...]
    durations: Mapping[str, float]
    quotas: Mapping[str, int]

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Build from the shape of `defaults.json`.

        Raises:
            KeyError, TypeError, ValueError: a value that makes no sense.
        """
        made = cls(
            tenant_id=data["tenant_id"],
            token_seconds=data["token_seconds"],
            honour_job_names=data["honour_job_names"],
            page_size=data["page_size"],
            workspaces=tuple(_workspace(one) for one in data["workspaces"]),
            registries=tuple(Registry(**one) for one in data["registries"]),
            identities=tuple(Identity(**one) for one in data["identities"]),
            durations=dict(data["durations"]),
            quotas=dict(data["quotas"]),
        )
        names = [one.name for one in made.scopes]
        if len(set(names)) < len(names):
            raise ValueError("two workspaces or registries have one name; here names are unique over subscriptions")
        return made

    @property
    def scopes(self) -> tuple[Scope, ...]:
        return (*self.workspaces, *self.registries)

    def scope_of_account(self, account: str) -> Scope | None:
        """The first workspace or registry whose files lie in a storage account."""
        return next((one for one in self.scopes if one.storage_account == account), None)


def _workspace(data: Mapping[str, Any]) -> Workspace:
    computes = tuple(Compute(**one) for one in data.get("computes", ()))
    access = DatastoreAccess(data.get("datastore_access", DatastoreAccess.KEY))
    return Workspace(**{**data, "computes": computes, "datastore_access": access})


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
    return all(isinstance(value, Mapping) and "name" in value for value in values)


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
        self._start = merged(json.loads(DEFAULTS.read_text(encoding="utf-8")), changes)
        self._shelf = shelf
        self._asked: dict[str, Any] = (shelf.get(*KEPT_AT) if shelf else None) or {}
        self._data = merged(self._start, self._asked)
        self.current = Settings.from_json(self._data)

    def reset(self) -> Settings:
        """Forget what was asked for over the admin route, of this process and of earlier ones."""
        if self._shelf:
            self._shelf.delete(*KEPT_AT)
        self._asked, self._data = {}, self._start
        self.current = Settings.from_json(self._data)
        return self.current

    def patch(self, changes: Mapping[str, Any]) -> Settings:
        """Apply changes of the shape of `defaults.json`; nothing changes when they make no sense.

        Raises:
            KeyError, TypeError, ValueError: a key or a value that the settings do not know.
        """
        unknown = set(changes) - set(self._data)
        if unknown:
            raise KeyError(f"unknown settings: {', '.join(sorted(unknown))}")
        for group in ("durations", "quotas"):
            strange = set(changes.get(group, {})) - set(self._data[group])
            if strange:
                raise KeyError(f"unknown {group}: {', '.join(sorted(strange))}")
        data = merged(self._data, changes)
        self.current = Settings.from_json(data)
        self._data, self._asked = data, merged(self._asked, changes)
        if self._shelf:
            self._shelf.put(*KEPT_AT, self._asked)
        return self.current
