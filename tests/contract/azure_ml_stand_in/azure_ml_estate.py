"""A stand-in with an Azurite of its own in child processes, and real clients that talk to it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest
import requests
from azure.ai.ml import Input, MLClient
from azure.ai.ml.entities import (
    BatchEndpoint,
    BatchRetrySettings,
    ModelBatchDeployment,
    ModelBatchDeploymentSettings,
)
from azure.identity import ClientSecretCredential
from azure.storage.blob import ContainerClient

from tests.support.net import free_ports

ROOT = Path(__file__).parents[3]
DEFAULTS = json.loads((ROOT / "local/azure_ml/defaults.json").read_text(encoding="utf-8"))
SUBSCRIPTION = DEFAULTS["workspaces"][0]["subscription_id"]
TENANT = DEFAULTS["tenant_id"]
IDENTITIES = {one["name"]: one for one in DEFAULTS["identities"]}
SCOPES = {one["name"]: one for one in (*DEFAULTS["workspaces"], *DEFAULTS["registries"])}
PATIENCE_SECONDS = 90
ELSEWHERE = {
    "name": "mlw-elsewhere",
    "resource_group": "rg-elsewhere",
    "subscription_id": "00000000-0000-0000-0000-000000000002",
    "region": "westeurope",
    "storage_account": SCOPES["mlw-prod"]["storage_account"],
    "storage_key": SCOPES["mlw-prod"]["storage_key"],
    "computes": [{"name": "batch-cluster"}],
}
"""A workspace in another subscription, in the region of Production and Dev."""
SCOPES["mlw-elsewhere"] = ELSEWHERE
OTHER_REGISTRY = {
    "name": "mlr-other",
    "resource_group": "rg-elsewhere",
    "subscription_id": ELSEWHERE["subscription_id"],
    "region": "northeurope",
    "storage_account": SCOPES["mlr-shared"]["storage_account"],
    "storage_key": SCOPES["mlr-shared"]["storage_key"],
}
"""A registry beside the shared one, of the other subscription."""
POLL_SECONDS = 0.1
A_WHILE, FOR_EVER = 1.5, 3600.0  # long enough to be seen under way, and never ended within a test
SHORT = {
    "endpoint_create": 0.1,
    "endpoint_update": 0.1,
    "endpoint_delete": 0.1,
    "deployment_create": 0.1,
    "deployment_update": 0.1,
    "deployment_delete": 0.1,
    "registry_create": 0.0,
    "registry_import": 0.5,
    "job_prepare": 0.05,
    "job_finalize": 0.05,
    "job_cancel": 0.05,
    "cluster_scale_up": 0.1,
    "cluster_idle": 600.0,
}

SDK_DOWNLOADS = pytest.mark.filterwarnings(
    "ignore:(The use of a 'BlobProperties' instance|content_as_bytes is deprecated):DeprecationWarning"
)
"""How azure-ai-ml's own `download` calls azure-storage-blob."""


def eventually[T](look: Callable[[], T | None], what: str = "it") -> T:
    """Look again and again until there is something to see."""
    deadline = monotonic() + PATIENCE_SECONDS
    while monotonic() < deadline:
        if found := look():
            return found
        sleep(0.05)
    raise AssertionError(f"{what} did not happen within {PATIENCE_SECONDS} seconds")


@contextmanager
def running_azurite(directory: Path) -> Iterator[int]:
    """Blob storage with the accounts of all workspaces and registries; yields its port."""
    (port,) = free_ports(1)
    keys = {one["storage_account"]: one["storage_key"] for one in SCOPES.values()}
    accounts = ";".join(f"{account}:{key}" for account, key in keys.items())
    flags = ["--skipApiVersionCheck", "--disableTelemetry", "--inMemoryPersistence", "--silent"]
    command = [str(ROOT / "node_modules/.bin/azurite-blob"), "--blobPort", str(port), *flags]
    environment = {"PATH": os.environ["PATH"], "AZURITE_ACCOUNTS": accounts}
    with (directory / "azurite.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=directory)
    try:
        yield port
    finally:
        process.terminate()
        process.wait()


@dataclass(slots=True, kw_only=True)
class StandIn:
    """The stand-in's process."""

    data: Path
    blob_port: int
    proxy_port: int = field(default_factory=lambda: free_ports(1)[0])
    admin_port: int = field(default_factory=lambda: free_ports(1)[0])
    durations: Mapping[str, float] = field(default_factory=lambda: SHORT)
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        self.data.mkdir(exist_ok=True)
        settings = self.data / "settings.json"
        rights = [{"name": "app", "rights": {"mlw-elsewhere": "write", "mlr-other": "write"}}]
        few_nodes = {"name": "mlw-test", "computes": [{"name": "batch-cluster", "max_nodes": 3}]}
        scopes = {"workspaces": [ELSEWHERE, few_nodes], "registries": [OTHER_REGISTRY]}
        settings.write_text(json.dumps({"durations": dict(self.durations), "identities": rights, **scopes}))
        ports = {"--proxy-port": self.proxy_port, "--admin-port": self.admin_port, "--blob-port": self.blob_port}
        flags = [str(part) for pair in ports.items() for part in pair]
        command = [
            sys.executable,
            "-m",
            "local.azure_ml",
            *flags,
            "--data",
            str(self.data),
            "--settings",
            str(settings),
        ]
        with (self.data / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--stop-with-stdin"], stdin=subprocess.PIPE, stdout=log, stderr=log, cwd=ROOT
            )
        eventually(self._is_healthy, f"a healthy stand-in (its log is {self.data / 'log'})")

    def stop(self) -> int:
        """End its standard input; it stops by itself."""
        assert self.process
        assert self.process.stdin
        self.process.stdin.close()
        return self.process.wait(PATIENCE_SECONDS)

    def _is_healthy(self) -> bool:
        assert self.process
        assert self.process.poll() is None, (self.data / "log").read_text()[-2000:]
        try:
            return requests.get(f"{self.admin_url}/health", timeout=5).status_code == 200
        except requests.ConnectionError:
            return False

    @property
    def admin_url(self) -> str:
        return f"http://127.0.0.1:{self.admin_port}"

    @property
    def environment(self) -> dict[str, str]:
        """What a client's process needs to find the stand-in, as the app's identity."""
        return {
            "HTTPS_PROXY": f"http://127.0.0.1:{self.proxy_port}",
            "NO_PROXY": "127.0.0.1,localhost",
            "REQUESTS_CA_BUNDLE": str(self.data / "ca-bundle.pem"),
            "AZURE_TENANT_ID": TENANT,
            "AZURE_CLIENT_ID": IDENTITIES["app"]["client_id"],
            "AZURE_CLIENT_SECRET": IDENTITIES["app"]["client_secret"],
        }

    def journal(self, after: int = 0) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = requests.get(f"{self.admin_url}/journal?after={after}", timeout=10).json()
        return entries

    def last_entry(self) -> int:
        """The number of the journal's newest entry."""
        return int(requests.get(f"{self.admin_url}/journal/counts", timeout=10).json()["last"])

    @contextmanager
    def fault(self, **fault: Any) -> Iterator[None]:
        reply = requests.post(f"{self.admin_url}/faults", json=fault, timeout=10)
        assert reply.status_code == 201, reply.text
        try:
            yield
        finally:
            requests.delete(f"{self.admin_url}/faults", timeout=10)

    @contextmanager
    def settings(self, **changes: Any) -> Iterator[None]:
        """Other settings for a while."""
        before = requests.get(f"{self.admin_url}/settings", timeout=10).json()
        reply = requests.post(f"{self.admin_url}/settings", json=changes, timeout=10)
        assert reply.status_code == 200, reply.text
        try:
            yield
        finally:
            requests.post(f"{self.admin_url}/settings", json=before, timeout=10)


def credential(identity: str = "app") -> ClientSecretCredential:
    """One identity's credential, made anew."""
    known = IDENTITIES[identity]
    return ClientSecretCredential(TENANT, known["client_id"], known["client_secret"])


@cache
def workspace(name: str, identity: str = "app") -> MLClient:
    """The real client of a workspace; made once, as tests use it from one thread."""
    group = SCOPES[name]["resource_group"]
    subscription = SCOPES[name]["subscription_id"]
    return MLClient(credential(identity), subscription, group, name, polling_interval=POLL_SECONDS, retry_total=0)


@cache
def registry(identity: str = "app") -> MLClient:
    """The real client of the registry."""
    return MLClient(credential(identity), registry_name="mlr-shared", polling_interval=POLL_SECONDS, retry_total=0)


def arm(method: str, scope: str, path: str, body: Any = None, token: str | None = None) -> requests.Response:
    """A request to the resource manager past the SDK, for what the SDK would not send."""
    token = token or _app_token()
    separator = "&" if "?" in path else "?"
    url = f"https://management.azure.com{workspace_id(scope)}{path}{separator}api-version=2024-01-01-preview"
    return requests.request(method, url, json=body, headers={"Authorization": f"Bearer {token}"}, timeout=30)


def workspace_id(name: str) -> str:
    """A workspace's place under the resource manager."""
    known = SCOPES[name]
    group = f"/subscriptions/{known['subscription_id']}/resourceGroups/{known['resource_group']}"
    return f"{group}/providers/Microsoft.MachineLearningServices/workspaces/{name}"


@cache
def _app_token() -> str:
    return str(credential().get_token("https://management.azure.com/.default").token)


def datastore(name: str, identity: str = "app") -> ContainerClient:
    """A workspace's default container, with the signature that the identity is given."""
    store = workspace(name, identity).datastores.get("workspaceblobstore", include_secrets=True)
    account = f"https://{store.account_name}.blob.core.windows.net"
    return ContainerClient(account, store.container_name, credential=store.credentials.sas_token)


def endpoint_in(name: str, endpoint: str, **fields: Any) -> BatchEndpoint:
    """An endpoint that is ready."""
    client = workspace(name)
    client.batch_endpoints.begin_create_or_update(BatchEndpoint(name=endpoint, **fields))
    return settled_endpoint(name, endpoint)


def settled_endpoint(name: str, endpoint: str) -> BatchEndpoint:
    """The endpoint, once nothing is changing about it."""

    def look() -> BatchEndpoint | None:
        found = workspace(name).batch_endpoints.get(endpoint)
        return found if found.provisioning_state in ("Succeeded", "Failed") else None

    return eventually(look, f"endpoint {endpoint}")


def a_deployment(endpoint: str, name: str, model: str, **changes: Any) -> ModelBatchDeployment:
    """A deployment as the pipeline makes it in Test."""
    settings = {
        "instance_count": 1,
        "max_concurrency_per_instance": 2,
        "mini_batch_size": 10,
        "output_action": "append_row",
        "output_file_name": "predictions.csv",
        "error_threshold": 0,
        "retry_settings": BatchRetrySettings(max_retries=0, timeout=60),
        **changes,
    }
    return ModelBatchDeployment(
        name=name,
        endpoint_name=endpoint,
        model=model,
        compute="batch-cluster",
        tags={"release_id": "20251210.1"},
        settings=ModelBatchDeploymentSettings(**settings),
    )


def deployed(workspace_name: str, deployment: ModelBatchDeployment) -> ModelBatchDeployment:
    """The deployment, created and ready."""
    client = workspace(workspace_name)
    client.batch_deployments.begin_create_or_update(deployment)

    def look() -> ModelBatchDeployment | None:
        found = client.batch_deployments.get(deployment.name, deployment.endpoint_name)
        return found if found.provisioning_state in ("Succeeded", "Failed") else None

    return eventually(look, f"deployment {deployment.name}")


def folder_input(path: str) -> Input:
    """A folder of the default datastore."""
    return Input(type="uri_folder", path=f"azureml://datastores/workspaceblobstore/paths/{path}/")


def finished_job(workspace_name: str, job: str) -> Any:
    """The job, once it has ended."""

    def look() -> Any:
        found = workspace(workspace_name).jobs.get(job)
        return found if found.status in ("Completed", "Failed", "Canceled") else None

    return eventually(look, f"the end of job {job}")
