"""What outlives the process: state, certificates, tokens, unfinished jobs."""

from pathlib import Path

import pytest
import requests
from azure.ai.ml import MLClient
from azure.ai.ml.constants import AssetTypes
from azure.ai.ml.entities import BatchEndpoint, Model
from azure_ml_estate import (
    POLL_SECONDS,
    SHORT,
    SUBSCRIPTION,
    StandIn,
    a_deployment,
    credential,
    eventually,
    folder_input,
)
from sample_folders import python_model


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
