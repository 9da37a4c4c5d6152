"""Adapter: what a workspace is and has: region, cluster, test data."""

from collections.abc import Sequence
from threading import Lock

from shared.adapters.azure_ml.clients import WORKSPACE_OF, Clients, Workspace, sdk
from shared.adapters.azure_ml.errors import service_errors, unless_missing
from shared.domain.errors import ConfigurationError
from shared.domain.model import Circuit, Environment
from shared.domain.naming import test_data_path

BLOB_STORE = "workspaceblobstore"


class Workspaces:
    """Reading workspaces."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._regions: dict[Environment, str] = {}
        self._lock = Lock()

    def region(self, environment: Environment) -> str:
        """Asked once per process: a workspace does not move."""
        with self._lock:
            known = self._regions.get(environment)
        if known:
            return known
        scope = self._clients.scope(WORKSPACE_OF[environment])
        client = self._clients.environment(environment)
        workspace = unless_missing(
            lambda: client.workspaces.get(scope.workspace), f"reading the workspace {scope.workspace}"
        )
        if workspace is None:
            raise ConfigurationError(f"there is no workspace {scope.workspace} in {scope.resource_group}")
        with self._lock:
            return self._regions.setdefault(environment, str(workspace.location))

    def compute_exists(self, environment: Environment) -> bool:
        return self._compute_words(environment) is not None

    def compute_state(self, environment: Environment) -> str:
        """State and size of the cluster, or that there is none."""
        name = self._clients.settings.compute_name
        workspace = self._clients.scope(WORKSPACE_OF[environment]).workspace
        return self._compute_words(environment) or f"{workspace} has no compute {name}"

    def smoke_input(self, circuit: Circuit) -> Sequence[str]:
        """Paths below the circuit's folder."""
        folder = self._clients.datastore(Workspace.TEST, BLOB_STORE, test_data_path(circuit))
        with service_errors(f"listing {test_data_path(circuit)} in Test"):
            return tuple(file.path for file in folder.files())

    def _compute_words(self, environment: Environment) -> str | None:
        name = self._clients.settings.compute_name
        computes = self._clients.environment(environment).compute
        compute = unless_missing(lambda: computes.get(name), f"reading the compute {name}")
        if compute is None:
            return None
        words = [sdk().plain(compute.provisioning_state) or "state unknown"]
        least, most = getattr(compute, "min_instances", None), getattr(compute, "max_instances", None)
        if most is not None:
            words.append(f"{least or 0} to {most} nodes of {getattr(compute, 'size', None) or 'unknown size'}")
        if compute.provisioning_errors:
            words.append(str(compute.provisioning_errors))
        return ", ".join(words)
