"""Adapter: what a workspace is and has: region, cluster, test data."""

import math
from collections.abc import Sequence
from pathlib import PurePosixPath
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING

from shared.adapters.azure_ml.clients import WORKSPACE_OF, Clients, Workspace, sdk
from shared.adapters.azure_ml.errors import service_errors, unless_missing
from shared.application.ports import RegionUse
from shared.domain.errors import ConfigurationError
from shared.domain.model import Circuit, Environment
from shared.domain.naming import test_data_path

if TYPE_CHECKING:
    from azure.ai.ml.entities import BatchEndpoint

BLOB_STORE = "workspaceblobstore"
USE_SECONDS = 60
"""A release of many circuits asks for each of them; the answer is the same."""


class Workspaces:
    """Reading workspaces."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._regions: dict[Environment, str] = {}
        self._uses: dict[tuple[str, str, int], tuple[float, RegionUse]] = {}
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

    def test_file(self, path: str, *, limit: int) -> tuple[bytes, int] | None:
        """The beginning of a file of the Test workspace's blob store, and its size."""
        place = PurePosixPath(path)
        folder = self._clients.datastore(Workspace.TEST, BLOB_STORE, str(place.parent))
        with service_errors(f"reading {path} in Test"):
            return folder.head(place.name, limit)

    def region_use(self, environment: Environment, *, count_from: int) -> RegionUse:
        """Batch endpoints of Test and Production in this region; the list is read at most once a minute."""
        region, subscription = self.region(environment), self._clients.scope(WORKSPACE_OF[environment]).subscription_id
        key = (region, subscription, count_from)
        with self._lock:
            read_at, use = self._uses.get(key, (-math.inf, None))
        if use is None or monotonic() - read_at > USE_SECONDS:
            use = self._region_use(region, subscription, count_from)
            with self._lock:
                self._uses[key] = (monotonic(), use)
        return use

    def _region_use(self, region: str, subscription: str, count_from: int) -> RegionUse:
        places = [
            (environment, str(endpoint.name))
            for environment in Environment
            if self.region(environment) == region
            and self._clients.scope(WORKSPACE_OF[environment]).subscription_id == subscription
            for endpoint in self._endpoints_of(environment)
        ]
        counted = len(places) >= count_from
        return RegionUse(
            region=region,
            subscription=subscription,
            endpoints=frozenset(name for _, name in places),
            deployments=sum(self._deployments_on(*place) for place in places) if counted else None,
        )

    def _endpoints_of(self, environment: Environment) -> "list[BatchEndpoint]":
        endpoints = self._clients.environment(environment).batch_endpoints
        with service_errors(f"listing the endpoints in {environment}"):
            return list(endpoints.list())

    def _deployments_on(self, environment: Environment, endpoint: str) -> int:
        deployments = self._clients.environment(environment).batch_deployments
        with service_errors(f"counting the deployments of {endpoint} in {environment}"):
            return sum(1 for _ in deployments.list(endpoint))

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
