"""Adapter: what a workspace is and has: region, cluster, test data."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from threading import Lock
from time import monotonic

from shared.adapters.azure_ml.clients import WORKSPACE_OF, Clients, Workspace, sdk
from shared.adapters.azure_ml.errors import service_errors, unless_missing
from shared.application.ports import RegionUse
from shared.domain.errors import ConfigurationError
from shared.domain.model import Circuit, Environment
from shared.domain.naming import test_data_path

BLOB_STORE = "workspaceblobstore"
USE_SECONDS = 60
"""A release of many circuits asks for each of them; the answer is the same."""


@dataclass(frozen=True, slots=True)
class _Place:
    """An endpoint that counts, of whichever type."""

    workspace: Workspace
    workspace_name: str
    name: str
    online: bool = False

    @property
    def is_ours(self) -> bool:
        """Of the type and in a workspace in which releases make endpoints."""
        return not self.online and self.workspace is not Workspace.DEV

    def __str__(self) -> str:
        return f"the {'online' if self.online else 'batch'} endpoint {self.name} in {self.workspace_name}"


class Workspaces:
    """Reading workspaces."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._regions: dict[Workspace, str] = {}
        self._uses: dict[tuple[str, str, int], tuple[float, RegionUse]] = {}
        self._lock = Lock()

    def region(self, environment: Environment) -> str:
        """Asked once per process: a workspace does not move."""
        return self._region_of(WORKSPACE_OF[environment])

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
        """Endpoints of all types of our three workspaces in this region; the lists are read at most once a minute."""
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
        there = [
            place
            for workspace in Workspace
            if self._clients.scope(workspace).subscription_id == subscription
            for place in self._endpoints_in(region, workspace)
        ]
        counted = len(there) >= count_from
        return RegionUse(
            region=region,
            subscription=subscription,
            endpoints=frozenset(place.name for place in there if place.is_ours),
            others={place.name: str(place) for place in there if not place.is_ours},
            deployments=sum(self._deployments_on(place) for place in there) if counted else None,
        )

    def _endpoints_in(self, region: str, workspace: Workspace) -> "list[_Place]":
        try:
            return self._endpoints_of(workspace) if self._region_of(workspace) == region else []
        except ConfigurationError:
            if workspace is Workspace.DEV:
                return []  # reading models is all we need there: what may not be seen can't be counted
            raise

    def _endpoints_of(self, workspace: Workspace) -> "list[_Place]":
        client, name = self._clients.workspace(workspace), self._clients.scope(workspace).workspace
        with service_errors(f"listing the endpoints in {name}"):
            batch = [_Place(workspace, name, one) for one in sdk().endpoint_names(client, online=False)]
            online = [_Place(workspace, name, one, online=True) for one in sdk().endpoint_names(client, online=True)]
        return batch + online

    def _deployments_on(self, place: "_Place") -> int:
        client = self._clients.workspace(place.workspace)
        with service_errors(f"counting the deployments of {place}"):
            return len(sdk().deployment_names(client, place.name, online=place.online))

    def _region_of(self, workspace: Workspace) -> str:
        with self._lock:
            known = self._regions.get(workspace)
        if known:
            return known
        scope, client = self._clients.scope(workspace), self._clients.workspace(workspace)
        found = unless_missing(
            lambda: client.workspaces.get(scope.workspace), f"reading the workspace {scope.workspace}"
        )
        if found is None:
            raise ConfigurationError(f"there is no workspace {scope.workspace} in {scope.resource_group}")
        with self._lock:
            return self._regions.setdefault(workspace, str(found.location))

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
