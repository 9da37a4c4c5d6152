"""Training jobs: submitted, recorded as run, and named by the models among their outputs."""

from pathlib import Path

import pytest
from azure.ai.ml.constants import AssetTypes
from azure.ai.ml.entities import Model
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure_ml_estate import SDK_DOWNLOADS, StandIn, arm, workspace

from local.samples.training_job import artifacts_of, leave, submit

pytestmark = [
    SDK_DOWNLOADS,
    pytest.mark.filterwarnings("ignore:The `context` parameter"),  # the SDK's schemas of command jobs
    pytest.mark.usefixtures("stand_in"),
]
LOG = ("INFO 1440 hours", "WARNING 18 hours left out")


@pytest.fixture
def trained(sklearn_folder: Path, unique: str) -> Model:
    """A model that a training job left, registered from there."""
    client = workspace("mlw-dev", "builder")
    job = submit(client, title="a training")
    with artifacts_of(client) as artifacts:
        address = leave(artifacts, job, sklearn_folder, LOG)
    asked = Model(name=unique, version="1", path=address, type=AssetTypes.MLFLOW_MODEL)
    return client.models.create_or_update(asked)


def test_a_model_from_a_jobs_outputs_names_the_job(trained: Model) -> None:
    """Readers find the job by it; the files stay where the job left them."""
    seen = workspace("mlw-dev").models.get(trained.name, "1")
    assert seen.job_name
    assert seen.path.endswith(f"/datastores/workspaceartifactstore/paths/ExperimentRun/dcid.{seen.job_name}/model")
    assert workspace("mlw-dev").jobs.get(seen.job_name).status == "Completed"


def test_changed_tags_leave_the_job_known(trained: Model) -> None:
    """What a model came from does not change with what it is called."""
    trained.tags = {"validated": "true"}
    assert workspace("mlw-dev", "builder").models.create_or_update(trained).job_name == trained.job_name


def test_the_jobs_log_is_among_its_artifacts(trained: Model, tmp_path: Path) -> None:
    """The client's download brings what the job printed, word for word."""
    workspace("mlw-dev").jobs.download(trained.job_name, download_path=tmp_path)
    assert (tmp_path / "artifacts/user_logs/std_log.txt").read_text().splitlines() == list(LOG)


def test_a_job_that_has_run_can_be_cancelled_in_vain(trained: Model) -> None:
    """It is over: nothing happens to it."""
    workspace("mlw-dev", "builder").jobs.begin_cancel(trained.job_name)
    assert workspace("mlw-dev").jobs.get(trained.job_name).status == "Completed"


def test_the_outputs_of_an_unknown_job_make_no_model(unique: str) -> None:
    """A made-up job name is refused."""
    asked = Model(name=unique, version="1", path="azureml://jobs/nobody/outputs/artifacts/paths/model")
    with pytest.raises(ResourceNotFoundError, match="Run nobody was not found"):
        workspace("mlw-dev", "builder").models.create_or_update(asked)


def test_jobs_of_other_types_and_taken_names_are_refused(trained: Model, stand_in: StandIn) -> None:
    """The stand-in knows command jobs; a name has one job; who only reads Dev submits none."""
    with pytest.raises(HttpResponseError, match="AuthorizationFailed"):
        submit(workspace("mlw-dev"), title="not allowed")
    body = {"properties": {"jobType": "Sweep"}}
    refused = arm("PUT", "mlw-test", "/jobs/a-sweep", body)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "UserError")
    command = {"properties": {"jobType": "Command", "command": "true"}}
    assert [arm("PUT", "mlw-test", f"/jobs/{trained.name}", command).status_code for _ in range(2)] == [201, 409]
