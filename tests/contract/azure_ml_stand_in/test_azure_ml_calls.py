"""Every call of the client that a pipeline needs, and the requests that it makes, in their order.

What stands here is what azure-ai-ml 1.35.2 does, measured: another version that asks otherwise shows up here first.
A request is an operation of the stand-in and the API version that the client asks for. Requests for tokens and files,
and for the state of a long operation, are left out. `models.share` is in test_azure_ml_registry: it takes half a minute.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from azure.ai.ml import MLClient
from azure.ai.ml.constants import AssetTypes
from azure.ai.ml.entities import BatchEndpoint, ManagedOnlineEndpoint, Model
from azure_ml_estate import (
    POLL_SECONDS,
    SDK_DOWNLOADS,
    StandIn,
    a_deployment,
    credential,
    datastore,
    deployed,
    endpoint_in,
    finished_job,
    folder_input,
    registry,
    workspace,
)

pytestmark = SDK_DOWNLOADS

ENDPOINT, DEPLOYMENT, JOB = "be-calls", "deployment-1", "a-call"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What the calls are about: a model in Dev and in the registry, a deployment in Test, a job that has ended."""

    folder: Path
    downloads: Path
    registered: str

    child: str

    @property
    def dev(self) -> MLClient:
        return workspace("mlw-dev", "builder")

    @property
    def test(self) -> MLClient:
        return workspace("mlw-test")

    def model(self, version: str) -> Model:
        return Model(name="called", version=version, path=self.folder, type=AssetTypes.MLFLOW_MODEL)


@pytest.fixture(scope="module")
def scene(stand_in: StandIn, registered: str, sklearn_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """What a client asks for once and then knows, it knows afterwards."""
    test = workspace("mlw-test")
    endpoint_in("mlw-test", ENDPOINT)
    for name in (DEPLOYMENT, "to-delete"):
        deployed("mlw-test", a_deployment(ENDPOINT, name, registered))
    test.online_endpoints.begin_create_or_update(ManagedOnlineEndpoint(name="on-calls"))
    with datastore("mlw-test", "builder") as container:
        container.upload_blob("calls/test_input.csv", b"a,b\n1,2\n")
    test.batch_endpoints.invoke(ENDPOINT, deployment_name=DEPLOYMENT, input=folder_input("calls"), job_name=JOB)
    finished_job("mlw-test", JOB)
    child = str(next(iter(test.jobs.list(parent_job_name=JOB))).name)
    downloads = tmp_path_factory.mktemp("downloads")
    made = Scene(folder=sklearn_folder, downloads=downloads, registered=registered, child=child)
    for client in (made.dev, registry()):
        client.models.create_or_update(made.model("1"))
    return made


type Call = Callable[[Scene], object]

ARM_MODELS, ARM_SCOPE, ARM_JOBS = "2023-08-01-preview", "2024-10-01-preview", "2024-01-01-preview"
REGISTRY, ENDPOINTS, DEPLOYMENTS = "2021-10-01-dataplanepreview", "2023-10-01", "2024-01-01-preview"
SECRETS = (f"datastores.get {ARM_SCOPE}", f"datastores.secrets {ARM_SCOPE}")
CHILDREN = (f"jobs.get {ARM_JOBS}", "runs.children v1.0")

CALLS: dict[str, tuple[Call, tuple[str, ...]]] = {
    "workspaces.get": (lambda s: s.test.workspaces.get("mlw-test"), (f"workspaces.get {ARM_SCOPE}",)),
    "models.list of a name": (lambda s: list(s.dev.models.list(name="called")), (f"models.versions {ARM_MODELS}",)),
    "models.list": (lambda s: list(s.dev.models.list()), (f"models.list {ARM_MODELS}",)),
    "models.get": (lambda s: s.dev.models.get("called", "1"), (f"models.get {ARM_MODELS}",)),
    "models.get latest": (lambda s: s.dev.models.get("called", label="latest"), (f"models.versions {ARM_MODELS}",)),
    "models.download": (
        lambda s: s.dev.models.download("called", "1", str(s.downloads / "dev")),
        (f"models.get {ARM_MODELS}", *SECRETS),
    ),
    "models.create_or_update": (
        lambda s: s.dev.models.create_or_update(s.model("2")),
        (f"models.versions {ARM_MODELS}", *SECRETS, f"models.put {ARM_MODELS}"),
    ),
    "MLClient of a registry": (
        lambda _: MLClient(credential(), registry_name="mlr-shared", polling_interval=POLL_SECONDS),
        ("registry.discover v1.0",),
    ),
    "registry models.create_or_update": (
        lambda s: registry().models.create_or_update(s.model("2")),
        (
            f"registry.models.versions {REGISTRY}",
            f"registry.uploads.put {REGISTRY}",
            f"registry.models.put {REGISTRY}",
            "registry.operations -",
            f"registry.models.get {REGISTRY}",
        ),
    ),
    "registry models.get": (lambda _: registry().models.get("called", "1"), (f"registry.models.get {REGISTRY}",)),
    "registry models.list of a name": (
        lambda _: list(registry().models.list(name="called")),
        (f"registry.models.versions {REGISTRY}",),
    ),
    "registry models.download": (
        lambda s: registry().models.download("called", "1", str(s.downloads / "shared")),
        (f"registry.models.get {REGISTRY}", f"registry.downloads.post {REGISTRY}"),
    ),
    "batch_endpoints.begin_create_or_update": (
        lambda s: s.test.batch_endpoints.begin_create_or_update(BatchEndpoint(name="be-called")).result(),
        (
            f"workspaces.get {ARM_SCOPE}",
            f"endpoints.put {ENDPOINTS}",
            f"endpoints.get {ENDPOINTS}",
        ),
    ),
    "batch_endpoints.get": (lambda s: s.test.batch_endpoints.get(ENDPOINT), (f"endpoints.get {ENDPOINTS}",)),
    "batch_endpoints.list": (lambda s: list(s.test.batch_endpoints.list()), (f"endpoints.list {ENDPOINTS}",)),
    "batch_deployments.begin_create_or_update": (
        lambda s: s.test.batch_deployments.begin_create_or_update(
            a_deployment(ENDPOINT, "deployment-2", s.registered)
        ).result(),
        (
            f"endpoints.get {DEPLOYMENTS}",
            "registry.discover v1.0",
            f"registry.models.get {REGISTRY}",
            f"workspaces.get {ARM_SCOPE}",
            f"deployments.put {DEPLOYMENTS}",
            f"deployments.get {DEPLOYMENTS}",
        ),
    ),
    "batch_deployments.get": (
        lambda s: s.test.batch_deployments.get(DEPLOYMENT, ENDPOINT),
        (f"deployments.get {DEPLOYMENTS}",),
    ),
    "batch_deployments.list": (
        lambda s: list(s.test.batch_deployments.list(ENDPOINT)),
        (f"deployments.list {DEPLOYMENTS}",),
    ),
    "batch_deployments.begin_delete": (
        lambda s: s.test.batch_deployments.begin_delete("to-delete", ENDPOINT),
        (f"deployments.delete {DEPLOYMENTS}",),
    ),
    "batch_deployments.list_jobs": (
        lambda s: list(s.test.batch_deployments.list_jobs(ENDPOINT, name=DEPLOYMENT)),
        (f"workspaces.get {ARM_SCOPE}", "workspaces.discover -", "deployments.jobs 2020-09-01-dataplanepreview"),
    ),
    "batch_endpoints.invoke": (
        lambda s: s.test.batch_endpoints.invoke(ENDPOINT, deployment_name=DEPLOYMENT, input=folder_input("nothing")),
        (f"deployments.list {ENDPOINTS}", f"endpoints.get {ENDPOINTS}", "jobs.invoke -"),
    ),
    "jobs.get": (lambda s: s.test.jobs.get(JOB), (f"jobs.get {ARM_JOBS}",)),
    "jobs.get of a child": (lambda s: s.test.jobs.get(s.child), (f"jobs.get {ARM_JOBS}", "runs.get v1.0")),
    "jobs.list of children": (lambda s: list(s.test.jobs.list(parent_job_name=JOB)), CHILDREN),
    "jobs.download": (
        lambda s: s.test.jobs.download(JOB, download_path=s.downloads / "job"),
        (*CHILDREN, "runs.data v1.0", f"datastores.list {ARM_SCOPE}", *SECRETS, *SECRETS),
    ),
    "jobs.download of a child": (
        lambda s: s.test.jobs.download(s.child, download_path=s.downloads / "child"),
        (
            f"jobs.get {ARM_JOBS}",
            "runs.get v1.0",
            "runs.data v1.0",
            f"jobs.get {ARM_JOBS}",
            "runs.get v1.0",
            f"datastores.list {ARM_SCOPE}",
            *SECRETS,
        ),
    ),
    "jobs.begin_cancel": (lambda s: s.test.jobs.begin_cancel(JOB), ("jobs.cancel 2023-04-01-preview",)),
    "online_endpoints.list": (
        lambda s: list(s.test.online_endpoints.list()),
        ("online.list 2022-02-01-preview",),
    ),
    "online_deployments.list": (
        lambda s: list(s.test.online_deployments.list("on-calls")),
        ("online.deployments.list 2023-04-01-preview",),
    ),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_call_makes_these_requests(scene: Scene, stand_in: StandIn, call: str) -> None:
    """Nothing is replaced in the client: what it asks is what the service would be asked."""
    make, requests = CALLS[call]
    before = stand_in.last_entry()
    make(scene)
    assert _requests(stand_in.journal(before)) == requests


def _requests(entries: list[dict[str, Any]]) -> tuple[str, ...]:
    left_out = ("blob.", "tokens.", "operations.")
    asked = [one for one in entries if not one["operation"].startswith(left_out)]
    return tuple(f"{one['operation']} {one['query'].get('api-version', '-')}" for one in asked)
