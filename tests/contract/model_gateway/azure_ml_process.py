"""Azurite and the Azure ML stand-in as processes of their own, and the environment that leads clients there."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from azure.storage.blob import ContainerClient

from local.azure_ml.settings import Identity, SettingsBook
from local.azure_ml.settings import Settings as StandInSettings
from tests.support.net import free_ports

ROOT = Path(__file__).parents[3]
START_SECONDS = 90
VISIBLE = 2.0  # seconds; long enough for a test to meet a resource on its way, also on a busy machine
QUICK = {
    "endpoint_create": 0.1,
    "endpoint_update": 0.1,
    "deployment_create": 0.1,
    "deployment_update": 0.1,
    "deployment_delete": 0.1,
    "registry_create": 0.0,
    "registry_import": 0.0,  # over when the SDK looks first: its second look comes 30 seconds later
    "job_prepare": 0.1,
    "job_finalize": 0.05,
    "job_cancel": 0.05,
    "cluster_scale_up": 0.1,
}
SUBSCRIPTIONS = {
    "workspaces": [
        {"name": "mlw-dev", "subscription_id": "00000000-0000-0000-0000-000000000001"},
        {"name": "mlw-test", "subscription_id": "00000000-0000-0000-0000-000000000002"},
        {"name": "mlw-prod", "subscription_id": "00000000-0000-0000-0000-000000000003"},
    ],
    "registries": [{"name": "mlr-shared", "subscription_id": "00000000-0000-0000-0000-000000000004"}],
}
"""R45-R48: each may lie in one of its own; the Registry is found by its name alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AzureMl:
    """A running stand-in."""

    proxy_port: int
    admin_port: int
    blob_port: int
    data: Path
    settings: StandInSettings

    def environment(self) -> dict[str, str]:
        """What the app's process needs to find it."""
        app = self.identity("app")
        return {
            "HTTPS_PROXY": f"http://127.0.0.1:{self.proxy_port}",
            "NO_PROXY": "127.0.0.1,localhost",
            "REQUESTS_CA_BUNDLE": str(self.data / "ca-bundle.pem"),
            "AZURE_TENANT_ID": self.settings.tenant_id,
            "AZURE_CLIENT_ID": app.client_id,
            "AZURE_CLIENT_SECRET": app.client_secret,
        }

    def identity(self, name: str) -> Identity:
        return next(one for one in self.settings.identities if one.name == name)

    def container(self, workspace: str, datastore: str) -> ContainerClient:
        """A datastore's container, past the stand-in: how tests put files there and look at them."""
        found = next(one for one in self.settings.workspaces if one.name == workspace)
        return ContainerClient(
            f"http://127.0.0.1:{self.blob_port}/{found.storage_account}",
            found.datastores[datastore],
            credential={"account_name": found.storage_account, "account_key": found.storage_key},
        )

    def fault(self, **what: object) -> None:
        """Let the next matching requests go wrong."""
        self._admin("POST", "/faults", what)

    def clear_faults(self) -> None:
        self._admin("DELETE", "/faults")

    def change(self, **settings: object) -> None:
        """Change the stand-in's settings while it runs."""
        self._admin("POST", "/settings", settings)

    def journal(self, after: int = 0) -> list[dict[str, Any]]:
        """Requests so far, oldest first."""
        entries: list[dict[str, Any]] = self._admin("GET", f"/journal?after={after}")
        return entries

    def last_entry(self) -> int:
        entries = self.journal()
        return int(entries[-1]["n"]) if entries else 0

    def _admin(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.admin_port}{path}",
            method=method,
            data=json.dumps(body).encode() if body is not None else None,
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as reply:
            return json.load(reply)


@contextmanager
def running_azure_ml(directory: Path) -> Iterator[AzureMl]:
    """Start both, wait until they answer, stop both at the end."""
    blob, proxy, admin = free_ports(3)
    changes = {"durations": QUICK, **SUBSCRIPTIONS}
    settings = SettingsBook(changes).current
    changes_file = directory / "settings.json"
    changes_file.write_text(json.dumps(changes))
    accounts = ";".join(f"{one.storage_account}:{one.storage_key}" for one in settings.scopes)
    azurite = [
        str(ROOT / "node_modules/.bin/azurite-blob"), "--inMemoryPersistence", "--silent", "--disableTelemetry",
        "--skipApiVersionCheck", "--blobPort", str(blob),
    ]  # fmt: skip
    stand_in = [
        sys.executable, "-m", "local.azure_ml", "--proxy-port", str(proxy), "--admin-port", str(admin),
        "--data", str(directory / "data"), "--blob-port", str(blob), "--settings", str(changes_file),
        "--stop-with-stdin",
    ]  # fmt: skip
    clean = {key: value for key, value in os.environ.items() if not key.upper().endswith("_PROXY")}
    with (
        _running(azurite, directory / "azurite.log", clean | {"AZURITE_ACCOUNTS": accounts}),
        _running(stand_in, directory / "stand-in.log", clean) as child,
    ):
        running = AzureMl(
            proxy_port=proxy, admin_port=admin, blob_port=blob, data=directory / "data", settings=settings
        )
        _wait_until_healthy(running, child, directory / "stand-in.log")
        yield running


@contextmanager
def _running(command: list[str], log: Path, env: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as out:
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=out, stderr=out, env=env, cwd=ROOT)
        try:
            yield child
        finally:
            child.terminate()
            child.wait(20)
            if child.stdin:
                child.stdin.close()


def _wait_until_healthy(running: AzureMl, child: subprocess.Popen[bytes], log: Path) -> None:
    deadline = monotonic() + START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{running.admin_port}/health", timeout=5):
                return
        except OSError:
            if child.poll() is not None or monotonic() > deadline:
                raise RuntimeError(f"the stand-in did not start: {log.read_text()[-3000:]}") from None
            sleep(0.1)
