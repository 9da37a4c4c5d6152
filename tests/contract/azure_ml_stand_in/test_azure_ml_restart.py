"""What outlives the process: state, certificates, tokens, unfinished jobs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from azure.ai.ml import MLClient
from azure.ai.ml.constants import AssetTypes
from azure.ai.ml.entities import BatchEndpoint, Model
from azure_ml_estate import (
    ELSEWHERE,
    POLL_SECONDS,
    ROOT,
    SHORT,
    SUBSCRIPTION,
    StandIn,
    a_deployment,
    credential,
    eventually,
    folder_input,
)
from sample_folders import python_model

from local.azure_ml.settings import KEPT_AT
from local.azure_ml.store import Store

NOBODYS = {"name": "mlw-added", "storage_account": "nobodysaccount"}


@pytest.fixture
def own_stand_in(blob_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """A stand-in to stop, on the Azurite of all."""
    own = StandIn(data=tmp_path / "data", blob_port=blob_port, durations={**SHORT, "cluster_scale_up": 30.0})
    own.start()
    for name, value in own.environment.items():
        monkeypatch.setenv(name, value)
    return own


def test_everything_is_still_there_after_a_restart(own_stand_in: StandIn, tmp_path: Path) -> None:
    """Endpoint, deployment and journal are kept, the old token is good, and the job that waited is run."""
    bundle = own_stand_in.data / "ca-bundle.pem"
    trusted = bundle.read_bytes()
    registry = MLClient(credential(), registry_name="mlr-shared", polling_interval=POLL_SECONDS)
    test = MLClient(credential(), SUBSCRIPTION, "rg-mlops-test", "mlw-test", polling_interval=POLL_SECONDS)
    folder = python_model(tmp_path / "model", "return [1] * len(data)")
    asked = Model(name="survivor", version="1", path=folder, type=AssetTypes.MLFLOW_MODEL)
    model = registry.models.create_or_update(asked)
    test.batch_endpoints.begin_create_or_update(BatchEndpoint(name="be-survivor")).result()
    test.batch_deployments.begin_create_or_update(a_deployment("be-survivor", "deployment-1", model.id)).result()
    store = test.datastores.get("workspaceblobstore", include_secrets=True)
    url = f"https://{store.account_name}.blob.core.windows.net/{store.container_name}/survivor/x.csv"
    headers = {"x-ms-blob-type": "BlockBlob"}
    put = requests.put(f"{url}?{store.credentials.sas_token}", data=b"a,b\n1,2\n", headers=headers, timeout=10)
    assert put.status_code == 201
    job = test.batch_endpoints.invoke(
        "be-survivor", deployment_name="deployment-1", job_name="waits", input=folder_input("survivor")
    )
    entries = own_stand_in.last_entry()

    assert own_stand_in.stop() == 0
    own_stand_in.durations = SHORT
    own_stand_in.start()

    assert bundle.read_bytes() == trusted
    assert own_stand_in.last_entry() >= entries
    assert test.batch_deployments.get("deployment-1", "be-survivor").model == model.id
    eventually(lambda: test.jobs.get(job.name).status == "Completed", "the job that had waited")
    assert own_stand_in.stop() == 0


def test_a_kept_workspace_whose_account_is_gone_does_not_hinder_the_start(blob_port: int, tmp_path: Path) -> None:
    """It is left out, and the log says which one and why."""
    own = StandIn(data=tmp_path, blob_port=blob_port)
    store = Store(tmp_path / "state.sqlite")
    store.put(*KEPT_AT, {"workspaces": [{**ELSEWHERE, **NOBODYS}]})
    store.close()
    own.start()
    names = {one["name"] for one in requests.get(f"{own.admin_url}/settings", timeout=10).json()["workspaces"]}
    assert own.stop() == 0
    assert "mlw-added" not in names
    assert "workspaces.mlw-added.storage_account: Azurite does not take 'nobodysaccount'" in (
        (tmp_path / "log").read_text()
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"page_size": 0}, "page_size: Input should be greater than or equal to 1 (given: 0)"),
        ({"workspaces": [{**ELSEWHERE, **NOBODYS}]}, "workspaces.mlw-added.storage_account: Azurite does not take"),
    ],
    ids=["page size", "account"],
)
def test_a_settings_file_that_makes_no_sense_stops_the_start_with_one_line(
    blob_port: int, tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    """Who wrote it reads the field, not a traceback."""
    file = tmp_path / "settings.json"
    file.write_text(json.dumps(changes))
    ports = ["--proxy-port", "0", "--admin-port", "0", "--blob-port", str(blob_port)]
    command = [
        sys.executable,
        "-m",
        "local.azure_ml",
        *ports,
        "--data",
        str(tmp_path / "data"),
        "--settings",
        str(file),
    ]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, cwd=ROOT)
    assert (ended.returncode, said in ended.stderr, "Traceback" in ended.stderr) == (1, True, False), ended.stderr
