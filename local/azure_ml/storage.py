"""The service's own way to the storage accounts: containers, signatures, files of models and jobs, on Azurite."""

import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from azure.core.exceptions import AzureError, HttpResponseError, ResourceExistsError
from azure.storage.blob import ContainerClient, ContainerSasPermissions, LinearRetry, generate_container_sas

from local.azure_ml.settings import Scope, SettingsBook, UnusableSettings, Workspace

READ_ONLY, READ_WRITE = "rl", "racwl"
RETRY_SECONDS = 0.2
LONG_URI = re.compile(
    r"azureml://subscriptions/[^/]+/resource[gG]roups/[^/]+(?:/providers/Microsoft\.MachineLearningServices)?"
    r"/workspaces/(?P<workspace>[^/]+)/datastores/(?P<datastore>[^/]+)/paths/(?P<path>.*)"
)
SHORT_URI = re.compile(r"azureml://datastores/(?P<datastore>[^/]+)/paths/(?P<path>.*)")
HTTPS_URI = re.compile(
    r"https://(?P<account>[a-z0-9]+)\.blob\.core\.windows\.net(?::443)?/(?P<container>[^/]+)/?(?P<path>.*)"
)


class UnknownPlace(Exception):
    """A URI that leads to no datastore or account of this world."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A folder or file in a container of one workspace's or registry's account."""

    scope: Scope
    container: str
    path: str


class Blobs:
    """Blob storage with the accounts' keys, straight to Azurite and past the proxy."""

    def __init__(self, port: int, book: SettingsBook) -> None:
        self._port = port
        self._book = book

    def locate(self, uri: str, home: Workspace | None = None) -> Place:
        """Where a URI leads; the short form is read from the workspace `home`.

        Raises:
            UnknownPlace: it leads nowhere.
        """
        if (match := HTTPS_URI.fullmatch(uri)) is not None:
            for scope in self._book.current.scopes:
                if scope.storage_account == match["account"]:
                    return Place(scope=scope, container=match["container"], path=match["path"])
            raise UnknownPlace(f"no storage account '{match['account']}' is known here")
        workspace = home
        if (match := LONG_URI.fullmatch(uri)) is not None:
            name = match["workspace"]
            workspace = next((one for one in self._book.current.workspaces if one.name == name), None)
        elif (match := SHORT_URI.fullmatch(uri)) is None:
            raise UnknownPlace(f"'{uri}' is no URI of a datastore or of blob storage")
        if workspace is None or match["datastore"] not in workspace.datastores:
            raise UnknownPlace(f"no datastore '{match['datastore']}' exists in the workspace of '{uri}'")
        return Place(scope=workspace, container=workspace.datastores[match["datastore"]], path=match["path"])

    def container(self, scope: Scope, name: str, *, retries: int = 3) -> ContainerClient:
        return ContainerClient(
            account_url=f"http://127.0.0.1:{self._port}/{scope.storage_account}",
            container_name=name,
            credential={"account_name": scope.storage_account, "account_key": scope.storage_key},
            retry_policy=LinearRetry(backoff=1, retry_total=retries, random_jitter_range=0),
        )

    def create_container(self, scope: Scope, name: str, *, retries: int = 3) -> None:
        with self.container(scope, name, retries=retries) as container:
            try:
                container.create_container()
            except ResourceExistsError:
                return

    def create_datastores(self, patience: timedelta) -> None:
        """Make every workspace's containers; Azurite may take a moment to come up.

        Raises:
            AzureError: it did not come up within `patience`.
            UnusableSettings: it does not take an account or its key.
        """
        deadline = time.monotonic() + patience.total_seconds()
        while True:
            try:
                return self.open_accounts(self._book.current.scopes)
            except AzureError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(RETRY_SECONDS)

    def open_accounts(self, scopes: Iterable[Scope]) -> None:
        """Make the containers of workspaces, and see that registries' accounts can be used.

        Raises:
            AzureError: Azurite does not answer.
            UnusableSettings: it does not take an account or its key.
        """
        for scope in scopes:
            try:
                self._open_account(scope)
            except HttpResponseError as error:
                kind = "workspaces" if isinstance(scope, Workspace) else "registries"
                raise UnusableSettings(
                    f"{kind}.{scope.name}.storage_account: Azurite does not take '{scope.storage_account}' with its "
                    "storage_key; its accounts are those of AZURITE_ACCOUNTS, in the local stack those of defaults.json"
                ) from error

    def _open_account(self, scope: Scope) -> None:
        if isinstance(scope, Workspace):
            for name in scope.datastores.values():
                self.create_container(scope, name, retries=0)
            return
        with self.container(scope, "azureml", retries=0) as container:
            container.exists()

    def signature(self, scope: Scope, container: str, permissions: str, lifetime: timedelta) -> str:
        """A shared access signature for one container."""
        now = datetime.now(UTC)
        return generate_container_sas(
            account_name=scope.storage_account,
            container_name=container,
            account_key=scope.storage_key,
            permission=ContainerSasPermissions.from_string(permissions),
            start=now - timedelta(minutes=5),
            expiry=now + lifetime,
        )

    def names_in(self, place: Place) -> list[str]:
        """Names of all blobs that lie in the folder, or of the one blob that is meant."""
        with self.container(place.scope, place.container) as container:
            prefix = place.path.rstrip("/")
            found = container.list_blob_names(name_starts_with=prefix)
            return [name for name in found if not prefix or name == prefix or name.startswith(prefix + "/")]

    def read(self, place: Place) -> bytes:
        with self.container(place.scope, place.container) as container:
            return container.download_blob(place.path).readall()

    def write(self, place: Place, data: bytes) -> None:
        with self.container(place.scope, place.container) as container:
            container.upload_blob(place.path, data, overwrite=True)

    def download(self, place: Place, target: Path) -> list[Path]:
        """Bring a folder's files to `target`, in chunks; returns their paths in the order of their names."""
        return [self._download_one(place, name, target) for name in sorted(self.names_in(place))]

    def _download_one(self, place: Place, name: str, target: Path) -> Path:
        relative = name.removeprefix(place.path.rstrip("/")).lstrip("/") or name.rpartition("/")[2]
        path = target / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        with self.container(place.scope, place.container) as container, path.open("wb") as file:
            container.download_blob(name).readinto(file)
        return path

    def copy(self, source: Place, target: Place) -> int:
        """Copy a folder's files to another place, in chunks; returns how many."""
        names = self.names_in(source)
        with (
            self.container(source.scope, source.container) as origin,
            self.container(target.scope, target.container) as goal,
        ):
            for name in names:
                relative = name.removeprefix(source.path.rstrip("/")).lstrip("/")
                stream = origin.download_blob(name)
                goal.upload_blob(
                    _joined(target.path, relative), _chunks(stream.chunks()), length=stream.size, overwrite=True
                )
        return len(names)


def _chunks(parts: Iterator[bytes]) -> Iterator[bytes]:
    yield from parts


def _joined(folder: str, name: str) -> str:
    return f"{folder.rstrip('/')}/{name}" if folder else name
