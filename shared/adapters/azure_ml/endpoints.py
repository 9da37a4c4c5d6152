"""Adapter: batch endpoints and deployments. Writes start an operation and return; reads show how it went."""

from collections.abc import Mapping, Sequence
from threading import Lock, local
from time import monotonic
from typing import TYPE_CHECKING

from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

from shared.adapters.azure_ml.clients import WORKSPACE_OF, Clients, sdk
from shared.adapters.azure_ml.errors import SERVICE_ERRORS, service_errors, translated, unless_missing
from shared.application.ports import (
    TERMINAL_JOB_STATUSES,
    Deployment,
    DeploymentSpec,
    Endpoint,
    ProvisioningState,
)
from shared.domain.errors import PermanentError
from shared.domain.model import Environment

if TYPE_CHECKING:
    from azure.ai.ml.entities import BatchDeployment, BatchEndpoint
    from azure.core.polling import LROPoller

SETTLED = {state.value: state for state in ProvisioningState if state is not ProvisioningState.RUNNING}
STOP_AT_FIRST_FAILURE, IGNORE_FAILURES = 0, -1
"""D3: a smoke test must not pass over a failed file; production scores what it can, as the document has it."""
ERROR_THRESHOLD = {Environment.TEST: STOP_AT_FIRST_FAILURE, Environment.PRODUCTION: IGNORE_FAILURES}
REMEMBERED_OPERATIONS = 200
FRESH_SECONDS = 2.0


class _Operations:
    """Deployments' operations that this process started: a deployment itself does not say why it failed."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._pollers: dict[tuple[Environment, str, str], LROPoller[BatchDeployment]] = {}

    def add(self, key: tuple[Environment, str, str], poller: "LROPoller[BatchDeployment]") -> None:
        with self._lock:
            if len(self._pollers) >= REMEMBERED_OPERATIONS:
                self._pollers.pop(next(iter(self._pollers)))
            self._pollers[key] = poller

    def failure(self, key: tuple[Environment, str, str]) -> str:
        """The service's reason, if its operation was started here and has ended; empty: unknown."""
        with self._lock:
            poller = self._pollers.get(key)
        if poller is None or not poller.done():
            return ""
        try:
            poller.result()
        except SERVICE_ERRORS as error:
            return str(translated(error, "the service says"))
        return ""


class _JustRead(local):
    """The endpoint that this thread has read last: a switch that follows at once need not read it again."""

    key: tuple[Environment, str] | None = None
    found: "BatchEndpoint | None" = None
    at: float = 0.0

    def keep(self, key: tuple[Environment, str], found: "BatchEndpoint | None") -> None:
        self.key, self.found, self.at = key, found, monotonic()

    def take(self, key: tuple[Environment, str]) -> "BatchEndpoint | None":
        """Once, and only while it is fresh: the PUT is of the whole endpoint."""
        fresh = self.key == key and monotonic() - self.at < FRESH_SECONDS
        found, self.found = (self.found if fresh else None), None
        return found


class Endpoints:
    """Endpoints and deployments of Test and Production."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._operations = _Operations()
        self._just_read = _JustRead()

    def endpoint(self, environment: Environment, name: str) -> Endpoint | None:
        found = self._endpoint(environment, name)
        self._just_read.keep((environment, name), found)
        if found is None:
            return None
        return Endpoint(
            name=name, state=_state(found.provisioning_state), default=_default(found), tags=_tags(found.tags)
        )

    def deployment(self, environment: Environment, endpoint: str, name: str) -> Deployment | None:
        deployments = self._clients.environment(environment).batch_deployments
        found = unless_missing(
            lambda: deployments.get(name, endpoint), f"reading deployment {name} of {endpoint} in {environment}"
        )
        if found is None:
            return None
        state = _state(found.provisioning_state)
        failure = ""
        if state in {ProvisioningState.FAILED, ProvisioningState.CANCELED}:
            failure = self._operations.failure((environment, endpoint, name)) or (
                f"the service gives no reason; see {self._endpoint_url(environment, endpoint)}"
            )
        return Deployment(
            name=name, state=state, model_id=str(found.model or ""), tags=_tags(found.tags), failure=failure
        )

    def deployment_names(self, environment: Environment, endpoint: str) -> Sequence[str]:
        client = self._clients.environment(environment)
        found = unless_missing(
            lambda: sdk().deployment_names(client, endpoint), f"listing the deployments of {endpoint}"
        )
        return found or ()

    def has_running_jobs(self, environment: Environment, endpoint: str, deployment: str) -> bool:
        deployments = self._clients.environment(environment).batch_deployments
        found = unless_missing(
            lambda: [sdk().plain(job.status) for job in deployments.list_jobs(endpoint, name=deployment)],
            f"listing the jobs of deployment {deployment} of {endpoint} in {environment}",
        )
        return any(status not in TERMINAL_JOB_STATUSES for status in found or ())

    def create_endpoint(self, environment: Environment, name: str, tags: Mapping[str, str]) -> None:
        """Does nothing if the endpoint exists after all: a PUT would clear its default.

        Raises:
            PermanentError: among others, the name is taken in the region by another workspace (D2).
        """
        if self._endpoint(environment, name) is not None:
            return
        endpoints = self._clients.environment(environment).batch_endpoints
        with service_errors(f"creating endpoint {name} in {environment}"):
            try:
                endpoints.begin_create_or_update(sdk().new_endpoint(name, tags))
            except HttpResponseError as error:
                if error.status_code == 409 and self._endpoint(environment, name) is None:
                    raise PermanentError(
                        str(translated(error, f"creating endpoint {name} in {environment}"))
                    ) from error
                raise

    def create_deployment(self, environment: Environment, spec: DeploymentSpec) -> None:
        settings = self._clients.settings
        wanted = sdk().new_deployment(
            spec,
            registry=settings.registry_name,
            compute=settings.compute_name,
            error_threshold=ERROR_THRESHOLD[environment],
        )
        deployments = self._clients.environment(environment).batch_deployments
        with service_errors(f"creating deployment {spec.name} of {spec.endpoint} in {environment}"):
            poller = deployments.begin_create_or_update(wanted)
        self._operations.add((environment, spec.endpoint, spec.name), poller)

    def delete_deployment(self, environment: Environment, endpoint: str, name: str) -> None:
        client = self._clients.environment(environment)
        with service_errors(f"deleting deployment {name} of {endpoint} in {environment}"):
            try:
                sdk().delete_deployment(client, endpoint, name)
            except ResourceNotFoundError:
                return

    def set_default(self, environment: Environment, endpoint: str, deployment: str) -> None:
        """A full PUT of the endpoint as it was just read, so that nothing else of it is lost."""
        self._put_default(environment, endpoint, {"deployment_name": deployment})

    def clear_default(self, environment: Environment, endpoint: str) -> None:
        self._put_default(environment, endpoint, None)

    def _put_default(self, environment: Environment, name: str, defaults: Mapping[str, str] | None) -> None:
        found = self._just_read.take((environment, name)) or self._endpoint(environment, name)
        if found is None:
            raise PermanentError(f"there is no endpoint {name} in {environment}")
        found.defaults = dict(defaults) if defaults else None
        with service_errors(f"changing the default of {name} in {environment}"):
            sdk().put_endpoint(self._clients.environment(environment), found)

    def _endpoint(self, environment: Environment, name: str) -> "BatchEndpoint | None":
        endpoints = self._clients.environment(environment).batch_endpoints
        return unless_missing(lambda: endpoints.get(name), f"reading endpoint {name} in {environment}")

    def _endpoint_url(self, environment: Environment, endpoint: str) -> str:
        wsid = self._clients.scope(WORKSPACE_OF[environment]).wsid
        return f"https://ml.azure.com/endpoints/batch/{endpoint}?wsid={wsid}"


def _state(value: object) -> ProvisioningState:
    return SETTLED.get(sdk().plain(value), ProvisioningState.RUNNING)


def _default(endpoint: "BatchEndpoint") -> str:
    return str(getattr(endpoint.defaults, "deployment_name", None) or "")


def _tags(tags: Mapping[str, object] | None) -> dict[str, str]:
    return {str(key): str(value) for key, value in (tags or {}).items()}
