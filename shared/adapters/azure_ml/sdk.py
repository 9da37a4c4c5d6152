"""Adapter: the only module that imports azure.ai.ml (2 s, 105 MB): `clients.sdk()` loads it when first needed.

What the SDK 1.35.2 keeps to itself and we need all the same (run times, the place of a registry model's files, a
batch job's output) is reached here and nowhere else; the contract suite notices when another version moves it.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from azure.ai.ml import Input, MLClient
from azure.ai.ml._utils import _asset_utils as uploads
from azure.ai.ml.constants import AssetTypes, BatchDeploymentOutputAction
from azure.ai.ml.entities import (
    BatchEndpoint,
    BatchRetrySettings,
    Model,
    ModelBatchDeployment,
    ModelBatchDeploymentSettings,
    ResourceConfiguration,
)
from azure.core.credentials import TokenCredential
from azure.core.rest import HttpRequest

from shared.application.ports import DeploymentSpec

logging.getLogger("azure.ai.ml._telemetry").setLevel(logging.CRITICAL)  # it calls each answered "not found" an ERROR
_uploads: Any = uploads
_uploads.tqdm = partial(_uploads.tqdm, disable=True)  # show_progress must stay on (below); its bar is for terminals

RETRIES = 3
"""The SDK's own repeats in all; its default of 10 allows three for each kind of trouble, one kind after the other."""
REGISTRY_API = "2021-10-01-dataplanepreview"
PREDICTIONS = "predictions.csv"
MINI_BATCH_SECONDS, MINI_BATCH_RETRIES = 300, 3
"""The service's default time for a mini-batch is 30 s: too short for a cold model."""


def workspace_client(
    credential: TokenCredential, *, subscription_id: str, resource_group: str, workspace: str, poll_seconds: float
) -> MLClient:
    """A client of one workspace; makes no request."""
    return MLClient(
        credential,
        subscription_id,
        resource_group,
        workspace,
        show_progress=True,  # False hangs for ever when an upload fails
        enable_telemetry=False,
        retry_total=RETRIES,
        polling_interval=poll_seconds,
    )


def registry_client(credential: TokenCredential, *, registry: str, poll_seconds: float) -> MLClient:
    """A client of one registry; asks the discovery service where it is, and may fail with 404."""
    return MLClient(
        credential,
        registry_name=registry,
        show_progress=True,
        enable_telemetry=False,
        retry_total=RETRIES,
        polling_interval=poll_seconds,
    )


def new_model(*, name: str, version: str, path: str, tags: Mapping[str, str], properties: Mapping[str, str]) -> Model:
    """An MLflow model to be registered from local files."""
    return Model(
        name=name,
        version=version,
        path=path,
        type=AssetTypes.MLFLOW_MODEL,
        tags=dict(tags),
        properties=dict(properties),
    )


def new_endpoint(name: str, tags: Mapping[str, str]) -> BatchEndpoint:
    """An endpoint that does not exist yet: it names no default, so its PUT would clear an existing one."""
    return BatchEndpoint(name=name, tags=dict(tags))


def new_deployment(spec: DeploymentSpec, *, registry: str, compute: str, error_threshold: int) -> ModelBatchDeployment:
    """A batch deployment of a registry model, with every setting on the wire rather than left to defaults."""
    return ModelBatchDeployment(
        name=spec.name,
        endpoint_name=spec.endpoint,
        model=f"azureml://registries/{registry}/models/{spec.model_name}/versions/{spec.model_version}",
        compute=compute,
        tags=dict(spec.tags),
        resources=ResourceConfiguration(instance_count=spec.instance_count),
        settings=ModelBatchDeploymentSettings(
            mini_batch_size=spec.mini_batch_size,
            max_concurrency_per_instance=spec.max_concurrency_per_instance,
            output_action=BatchDeploymentOutputAction.APPEND_ROW,
            output_file_name=PREDICTIONS,
            error_threshold=error_threshold,
            retry_settings=BatchRetrySettings(max_retries=MINI_BATCH_RETRIES, timeout=MINI_BATCH_SECONDS),
            logging_level="info",
        ),
    )


def folder_input(uri: str) -> Input:
    """A folder of a datastore as a job's input."""
    return Input(type=AssetTypes.URI_FOLDER, path=uri)


def put_endpoint(client: MLClient, endpoint: BatchEndpoint) -> None:
    """Ask for a change of an endpoint as it was read, in one request.

    The public method reads the workspace first, for a location that the endpoint itself knows, and its poller asks how
    the operation goes beside those who look at the endpoint anyway.
    """
    endpoints = client.batch_endpoints
    endpoints._batch_operation.begin_create_or_update(  # noqa: SLF001
        endpoint_name=str(endpoint.name),
        body=endpoint._to_rest_batch_endpoint(location=str(endpoint.location)),  # noqa: SLF001
        resource_group_name=endpoints._resource_group_name,  # noqa: SLF001
        workspace_name=endpoints._workspace_name,  # noqa: SLF001
        polling=False,
    )


def delete_deployment(client: MLClient, endpoint: str, name: str) -> None:
    """Ask for a deletion; the public method's poller would print dots to standard output."""
    deployments = client.batch_deployments
    deployments._batch_deployment.begin_delete(  # noqa: SLF001
        endpoint_name=endpoint,
        deployment_name=name,
        resource_group_name=deployments._resource_group_name,  # noqa: SLF001
        workspace_name=deployments._workspace_name,  # noqa: SLF001
        polling=False,
    )


def endpoint_names(client: MLClient, *, online: bool) -> tuple[str, ...]:
    """All endpoints of one type in a workspace."""
    operations: Any = client.online_endpoints if online else client.batch_endpoints
    return _names(operations, operations._online_operation if online else operations._batch_operation)  # noqa: SLF001


def deployment_names(client: MLClient, endpoint: str, *, online: bool = False) -> tuple[str, ...]:
    """All deployments of an endpoint."""
    operations: Any = client.online_deployments if online else client.batch_deployments
    listing = operations._online_deployment if online else operations._batch_deployment  # noqa: SLF001
    return _names(operations, listing, endpoint_name=endpoint)


def _names(operations: Any, listing: Any, **below: str) -> tuple[str, ...]:
    """The public methods read each thing whole, and fail at one of somebody else's with a setting they don't know."""
    place = {"resource_group_name": operations._resource_group_name, "workspace_name": operations._workspace_name}  # noqa: SLF001
    return tuple(str(one.name) for one in listing.list(**place, **below))


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What the run history knows of a job or of one of its children."""

    id: str
    status: str
    started_at: datetime | None
    ended_at: datetime | None


def run(client: MLClient, run_id: str) -> Run:
    """One run of the history."""
    return _as_run(client.jobs._runs_operations.get_run(run_id))  # noqa: SLF001 - jobs.get shows no times


def children(client: MLClient, run_id: str) -> Sequence[Run]:
    """The child runs of a pipeline job; a batch job has one."""
    runs = client.jobs._runs_operations  # noqa: SLF001 - jobs.list shows no times
    scope = (runs._subscription_id, runs._resource_group_name, runs._workspace_name)  # noqa: SLF001
    return [_as_run(child) for child in runs._operation.get_child(*scope, run_id)]  # noqa: SLF001


def scoring_output(client: MLClient, job_name: str) -> str | None:
    """Where a batch job wrote its predictions, found as jobs.download does; None: it wrote none."""
    uri = client.jobs._get_batch_job_scoring_output_uri(job_name)  # noqa: SLF001 - download would write it all to disk
    return str(uri) if uri else None


def registry_files(client: MLClient, model: Model) -> tuple[str, bool]:
    """URL of the container that holds a registry model's files, and whether it carries its own signature."""
    models: Any = client.models
    service = models._registry_service_client  # noqa: SLF001 - models.download reads each file whole into memory
    registry, group = models._registry_name, models._resource_group_name  # noqa: SLF001
    request = HttpRequest(
        "POST",
        f"/subscriptions/{service._config.subscription_id}/resourceGroups/{group}"  # noqa: SLF001
        f"/providers/Microsoft.MachineLearningServices/registries/{registry}"
        f"/datarefs/{model.name}/versions/{model.version}",
        params={"api-version": REGISTRY_API},
        headers={"Accept": "application/json"},
        json={
            "assetId": f"azureml://registries/{registry}/models/{model.name}/versions/{model.version}",
            "blobUri": model.path,
        },
    )
    response = service.send_request(request)
    response.raise_for_status()
    reference = response.json()["blobReferenceForConsumption"]
    signed = (reference.get("credential") or {}).get("sasUri")
    return (signed, True) if signed else (str(reference["blobUri"]), False)


def _as_run(found: Any) -> Run:
    return Run(
        id=str(found.run_id),
        status=plain(found.status),
        started_at=moment(found.start_time_utc),
        ended_at=moment(found.end_time_utc),
    )


def plain(value: object) -> str:
    """The service's word: str() of the SDK's enums would be `JobStatus.COMPLETED`."""
    return str(getattr(value, "value", value) or "")


def moment(value: object) -> datetime | None:
    """A time of the service, aware; the SDK gives some as text."""
    if isinstance(value, str) and value:
        value = datetime.fromisoformat(value)
    if not isinstance(value, datetime):
        return None
    return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
