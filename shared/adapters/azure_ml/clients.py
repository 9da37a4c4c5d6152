"""Adapter: SDK clients, made when first needed and kept, one per workspace and one for the Registry.

`bootstrap` makes one gateway, hence one `Clients`, per process.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from threading import Lock
from time import monotonic
from types import MappingProxyType
from typing import TYPE_CHECKING

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import ContainerClient

from shared.adapters.azure_ml.blobs import BlobFolder, datastore_path, open_container, open_signed, path_in_container
from shared.adapters.azure_ml.errors import service_errors
from shared.adapters.sign_in import SignIn
from shared.config import Settings
from shared.domain.errors import ConfigurationError, PermanentError
from shared.domain.model import Environment

if TYPE_CHECKING:
    from types import ModuleType

    from azure.ai.ml import MLClient
    from azure.ai.ml.entities import Model


class Workspace(StrEnum):
    """The three workspaces; Dev is only ever read."""

    DEV = "dev"
    TEST = "test"
    PRODUCTION = "production"


WORKSPACE_OF: Mapping[Environment, Workspace] = MappingProxyType(
    {Environment.TEST: Workspace.TEST, Environment.PRODUCTION: Workspace.PRODUCTION}
)


DATASTORE_SECONDS = 60
"""How long an opened datastore is used: every look at a file would else ask for its place and its secret again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """A workspace's place under the resource manager."""

    subscription_id: str
    resource_group: str
    workspace: str

    @property
    def wsid(self) -> str:
        """How links to the studio name the workspace."""
        group = f"/subscriptions/{self.subscription_id}/resourceGroups/{self.resource_group}"
        return f"{group}/providers/Microsoft.MachineLearningServices/workspaces/{self.workspace}"


def sdk() -> "ModuleType":
    """The module that imports azure.ai.ml; loaded by the first call that needs it, not by importing the app."""
    from shared.adapters.azure_ml import sdk as loaded  # noqa: PLC0415 - an approval click must not wait for this

    return loaded


class _Kept[Key, Made]:
    """A dictionary that makes what it lacks, once, however many threads ask; what it has had too long is made anew."""

    def __init__(self, seconds: float = math.inf) -> None:
        self._seconds = seconds
        self._lock = Lock()
        self._made: dict[Key, tuple[float, Made]] = {}

    def get(self, key: Key, make: Callable[[], Made]) -> Made:
        with self._lock:
            if key not in self._made or monotonic() - self._made[key][0] > self._seconds:
                self._made[key] = (monotonic(), make())
            return self._made[key][1]


class Clients:
    """Clients and folders by the names of this app's settings."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._credentials: _Kept[str, SignIn] = _Kept()
        self._made: _Kept[str, MLClient] = _Kept()
        self._containers: _Kept[tuple[Workspace, str], ContainerClient] = _Kept(DATASTORE_SECONDS)

    def scope(self, workspace: Workspace) -> Scope:
        """Where a workspace is."""
        s = self.settings
        own, group, name = {
            Workspace.DEV: (s.dev_subscription_id, s.dev_resource_group, s.dev_workspace),
            Workspace.TEST: (s.test_subscription_id, s.test_resource_group, s.test_workspace),
            Workspace.PRODUCTION: (s.prod_subscription_id, s.prod_resource_group, s.prod_workspace),
        }[workspace]
        subscription = own or s.azure_subscription_id
        if not subscription:
            raise ConfigurationError(
                f"set AZURE_SUBSCRIPTION_ID, or {workspace.name[:4]}_SUBSCRIPTION_ID: the subscription of {name} is unknown"
            )
        return Scope(subscription_id=subscription, resource_group=group, workspace=name)

    def workspace(self, workspace: Workspace) -> "MLClient":
        """The shared client of a workspace."""
        scope = self.scope(workspace)
        return self._made.get(workspace, lambda: self._workspace_client(scope))

    def environment(self, environment: Environment) -> "MLClient":
        """The shared client of an environment's workspace."""
        return self.workspace(WORKSPACE_OF[environment])

    def own_dev(self) -> "MLClient":
        """A Dev client of the caller's own: `models.share` redirects its client to the registry while it runs."""
        return self._workspace_client(self.scope(Workspace.DEV))

    def registry(self) -> "MLClient":
        """The shared client of the Registry.

        Raises:
            ConfigurationError: the discovery service knows no registry of this name.
        """
        name = self.settings.registry_name
        with service_errors(f"looking for the registry {name}"):
            try:
                return self._made.get("registry", self._registry_client)
            except ResourceNotFoundError as error:
                raise ConfigurationError(f"there is no registry {name} (setting REGISTRY_NAME)") from error

    def datastore(self, workspace: Workspace, datastore: str, path: str) -> BlobFolder:
        """A folder of a workspace's datastore, with the datastore's credentials or, if it has none, our identity."""
        with service_errors(f"opening the datastore {datastore} of {self.scope(workspace).workspace}"):
            client = self._containers.get((workspace, datastore), lambda: self._open_datastore(workspace, datastore))
        return BlobFolder(client, path)

    def _open_datastore(self, workspace: Workspace, datastore: str) -> ContainerClient:
        store = self.workspace(workspace).datastores.get(datastore, include_secrets=True)
        account, endpoint = getattr(store, "account_name", ""), getattr(store, "endpoint", "core.windows.net")
        container = getattr(store, "container_name", "") or getattr(store, "filesystem", "")
        secret = getattr(store.credentials, "sas_token", None) or getattr(store.credentials, "account_key", None)
        return open_container(f"https://{account}.blob.{endpoint}", container, secret or self.credential())

    def model_folder(self, workspace: Workspace, model: "Model") -> BlobFolder:
        """The files of a workspace's model."""
        place = datastore_path(str(model.path))
        if place is None:
            raise PermanentError(
                f"the files of {model.name} version {model.version} are at {model.path!r}: not a datastore"
            )
        return self.datastore(workspace, *place)

    def registry_folder(self, model: "Model") -> BlobFolder:
        """The files of a Registry model, by a signature that the Registry gives out for them."""
        with service_errors(f"opening {model.name} version {model.version} in {self.settings.registry_name}"):
            url, signed = sdk().registry_files(self.registry(), model)
            if signed:
                container = open_signed(url)
            else:
                account, _, rest = url.removeprefix("https://").partition("/")
                container = open_container(f"https://{account}", rest.partition("/")[0], self.credential())
        return BlobFolder(container, path_in_container(str(model.path)))

    def credential(self) -> SignIn:
        """The one credential, with its one token cache."""
        return self._credentials.get("default", SignIn)

    def _workspace_client(self, scope: Scope) -> "MLClient":
        client: MLClient = sdk().workspace_client(
            self.credential(),
            subscription_id=scope.subscription_id,
            resource_group=scope.resource_group,
            workspace=scope.workspace,
            poll_seconds=self.settings.ml_poll_seconds,
        )
        return client

    def _registry_client(self) -> "MLClient":
        client: MLClient = sdk().registry_client(
            self.credential(), registry=self.settings.registry_name, poll_seconds=self.settings.ml_poll_seconds
        )
        return client
