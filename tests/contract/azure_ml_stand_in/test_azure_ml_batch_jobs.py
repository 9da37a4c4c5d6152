"""Batch jobs: the registered model really scores the files, and says what became of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
from azure.ai.ml.constants import AssetTypes
from azure.ai.ml.entities import BatchRetrySettings, Model
from azure.ai.ml.exceptions import JobException
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure_ml_estate import (
    A_WHILE,
    SDK_DOWNLOADS,
    StandIn,
    a_deployment,
    credential,
    datastore,
    deployed,
    endpoint_in,
    eventually,
    finished_job,
    folder_input,
    registry,
    workspace,
)
from sample_folders import python_model

pytestmark = SDK_DOWNLOADS

ENDPOINT = "be-batch-jobs"
MODELS: Mapping[str, str] = {
    "warns": "import sys\nprint('ERROR said and survived', file=sys.stderr)\nreturn [1.5] * len(data)",
    "vanishes": "import os\nos._exit(0)",
    "raises": "raise ValueError('the model cannot digest this')",
    "prints": "print('words of the model')\nreturn [1.5] * len(data)",
    "sleeps": "import time\ntime.sleep(600)",
    "silent": "return []",
    "nan": "return [float('nan')] * len(data)",
    "table": "return data.assign(status=['ok', 'failed'])[['a', 'status']]",
    "flaky": """
        from pathlib import Path
        seen = Path(__file__).with_name("seen")
        if not seen.exists():
            seen.touch()
            raise ValueError('not at the first try')
        return [7] * len(data)
    """,
    "picky": "if (data['a'] > 9).any():\n    raise ValueError('too large')\nreturn data['a'] + data['b']",
}
ROWS = b"a,b\n1,2\n3,4\n"


SCORED = (
    ("sklearn", "one"),
    ("prints", "one"),
    ("warns", "one"),
    ("vanishes", "one"),
    ("raises", "one"),
    ("forgiving", "three"),
    ("picky", "three"),
    ("prints", "wrong"),
    ("sklearn", "nothing"),
    ("silent", "one"),
    ("nan", "one"),
    ("table", "one"),
    ("sleeps", "one"),
    ("flaky", "one"),
    ("flaky-twice", "one"),
    ("raises-twice", "one"),
)


@pytest.fixture(scope="module")
def scored(deployments: None) -> "Scored":
    """A job per deployment and folder, all under way: tests look at what became of them."""
    return {(deployment, folder): _invoke(deployment, folder) for deployment, folder in SCORED}


@pytest.fixture(scope="module")
def deployments(stand_in: StandIn, registered: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """One deployment per behaviour on one endpoint, and test data in Test's datastore."""
    endpoint_in("mlw-test", ENDPOINT)
    with datastore("mlw-test", "builder") as container:
        container.upload_blob("one/test_input.csv", ROWS)
        container.upload_blob("wrong/test_input.csv", b"a,c\n1,2\n")
        for number in range(3):
            container.upload_blob(f"mixed/file{number}.{'csv' if number else 'parquet'}", ROWS)
            container.upload_blob(f"three/file{number}.csv", b"a,b\n10,2\n" if number == 1 else ROWS)
    client = workspace("mlw-test")
    client.batch_deployments.begin_create_or_update(a_deployment(ENDPOINT, "sklearn", registered))
    for name, predict in MODELS.items():
        folder = python_model(tmp_path_factory.mktemp(name) / "model", predict)
        asked = Model(name=f"batch-{name}", version="1", path=folder, type=AssetTypes.MLFLOW_MODEL)
        model = registry().models.create_or_update(asked)
        retries = BatchRetrySettings(max_retries=0, timeout=1 if name == "sleeps" else 60)
        changes = {"mini_batch_size": 1, "retry_settings": retries}
        client.batch_deployments.begin_create_or_update(a_deployment(ENDPOINT, name, model.id, **changes))
    twice = {"mini_batch_size": 1, "retry_settings": BatchRetrySettings(max_retries=1, timeout=60)}
    for name, model in {"flaky-twice": "flaky", "raises-twice": "raises", "sleeps-on": "sleeps"}.items():
        client.batch_deployments.begin_create_or_update(a_deployment(ENDPOINT, name, _id_of(model), **twice))
    deployed("mlw-test", a_deployment(ENDPOINT, "forgiving", _id_of("picky"), mini_batch_size=1, error_threshold=-1))
    eventually(lambda: all(one.provisioning_state == "Succeeded" for one in client.batch_deployments.list(ENDPOINT)))


def _id_of(name: str) -> str:
    return f"azureml://registries/mlr-shared/models/batch-{name}/versions/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What is left of a job: its status, its predictions, and its logs by name."""

    status: str
    predictions: str | None
    logs: Mapping[str, str]


type Scored = Mapping[tuple[str, str], str]


def _outcome(job: str, directory: Path) -> Outcome:
    client, status = workspace("mlw-test"), finished_job("mlw-test", job).status
    client.jobs.download(job, download_path=directory / "parent")
    child = next(iter(client.jobs.list(parent_job_name=job))).name
    client.jobs.download(child, download_path=directory / "child")
    files = [path for path in (directory / "child" / "artifacts").rglob("*") if path.is_file()]
    logs = {path.relative_to(directory / "child" / "artifacts").as_posix(): path.read_text() for path in files}
    predictions = next((path.read_text() for path in (directory / "parent").rglob("predictions.csv")), None)
    return Outcome(status=status.value, predictions=predictions, logs=logs)


def _child_states(job: str) -> set[str]:
    return {str(one.status) for one in workspace("mlw-test").jobs.list(parent_job_name=job)}


def _invoke(deployment: str, folder: str = "one", **more: str) -> str:
    endpoints = workspace("mlw-test").batch_endpoints
    job = endpoints.invoke(ENDPOINT, deployment_name=deployment, input=folder_input(folder), **more)
    return str(job.name)


@pytest.mark.usefixtures("deployments")
class TestBatchJobs:
    """All on the endpoint of this module."""

    def test_a_scikit_learn_model_scores_every_row(self, scored: Scored, tmp_path: Path) -> None:
        """Row number, prediction, file name; no header; nothing in the error log."""
        seen = _outcome(scored["sklearn", "one"], tmp_path)
        assert (seen.status, seen.predictions) == ("Completed", "0,42.0,test_input.csv\n1,42.0,test_input.csv\n")
        assert not [name for name in seen.logs if "error" in name]
        assert "Processed mini batches: 1" in seen.logs["logs/job_progress_overview.txt"]

    def test_what_the_model_prints_stands_in_its_log(self, scored: Scored, tmp_path: Path) -> None:
        """Per process, as documented."""
        seen = _outcome(scored["prints", "one"], tmp_path)
        assert "words of the model" in seen.logs["logs/user/stdout/node0/process000.stdout.txt"]

    def test_what_a_successful_model_says_on_standard_error_stands_in_its_log(
        self, scored: Scored, tmp_path: Path
    ) -> None:
        """R27 looks for errors in all that was printed; what goes there is no error of the job by itself."""
        seen = _outcome(scored["warns", "one"], tmp_path)
        assert seen.status == "Completed"
        assert seen.logs["logs/user/stderr/node0/process000.stderr.txt"] == "ERROR said and survived\n"
        assert not [name for name in seen.logs if "user/error" in name]

    def test_a_process_that_ends_well_without_output_fails_the_job_and_is_told(
        self, scored: Scored, tmp_path: Path
    ) -> None:
        """A model may end its process; the log says why the job failed."""
        seen = _outcome(scored["vanishes", "one"], tmp_path)
        assert (seen.status, seen.predictions) == ("Failed", None)
        assert "exit code 0 before it had written any output" in seen.logs["logs/user/error.txt"]

    def test_a_model_that_raises_fails_the_job_with_its_traceback(self, scored: Scored, tmp_path: Path) -> None:
        """error_threshold 0 forgives nothing, and a failed job has no output."""
        seen = _outcome(scored["raises", "one"], tmp_path)
        assert (seen.status, seen.predictions) == ("Failed", None)
        assert "the model cannot digest this" in seen.logs["logs/user/error.txt"]
        assert "own_loader.py" in seen.logs["logs/user/error.txt"]

    def test_an_error_threshold_of_minus_one_hides_failures(self, scored: Scored, tmp_path: Path) -> None:
        """The job is Completed, rows are missing, and only the log tells."""
        seen = _outcome(scored["forgiving", "three"], tmp_path)
        assert seen.status == "Completed"
        assert {line.split(",")[-1] for line in (seen.predictions or "").split()} == {"file0.csv", "file2.csv"}
        assert "too large" in seen.logs["logs/user/error.txt"]

    def test_one_bad_file_of_three_fails_a_strict_job(self, scored: Scored) -> None:
        """The same model and data with error_threshold 0."""
        assert finished_job("mlw-test", scored["picky", "three"]).status == "Failed"

    def test_columns_that_the_signature_asks_for_must_be_there(self, scored: Scored, tmp_path: Path) -> None:
        """As MLflow does before it calls the model."""
        seen = _outcome(scored["prints", "wrong"], tmp_path)
        assert (seen.status, "['b']" in seen.logs["logs/user/error.txt"]) == ("Failed", True)

    def test_an_empty_folder_fails_the_job(self, scored: Scored, tmp_path: Path) -> None:
        """Nothing to score is an error, and the log says so."""
        seen = _outcome(scored["sklearn", "nothing"], tmp_path)
        assert (seen.status, "No input" in seen.logs["logs/user/error.txt"]) == ("Failed", True)

    def test_a_model_that_predicts_nothing_leaves_an_empty_file(self, scored: Scored, tmp_path: Path) -> None:
        """Completed, without an error, and useless."""
        assert _outcome(scored["silent", "one"], tmp_path).predictions == ""

    def test_nan_and_rows_with_a_status_are_written_as_they_are(self, scored: Scored, tmp_path: Path) -> None:
        """The service judges no prediction."""
        assert (
            _outcome(scored["nan", "one"], tmp_path / "nan").predictions
            == "0,nan,test_input.csv\n1,nan,test_input.csv\n"
        )
        table = _outcome(scored["table", "one"], tmp_path / "table").predictions
        assert table == "0,1,ok,test_input.csv\n1,3,failed,test_input.csv\n"

    def test_a_mini_batch_that_takes_too_long_is_ended(self, scored: Scored, tmp_path: Path) -> None:
        """After the timeout of the retry settings."""
        seen = _outcome(scored["sleeps", "one"], tmp_path)
        assert (seen.status, "did not end within 1 seconds" in seen.logs["logs/user/error.txt"]) == ("Failed", True)

    def test_a_mini_batch_that_fails_once_succeeds_at_its_second_try(self, scored: Scored, tmp_path: Path) -> None:
        """With a retry the job is Completed and its error log empty; the other logs still tell. Without, it fails."""
        seen = _outcome(scored["flaky-twice", "one"], tmp_path)
        assert (seen.status, seen.predictions) == ("Completed", "0,7,test_input.csv\n1,7,test_input.csv\n")
        assert not [name for name in seen.logs if "error" in name]
        assert "not at the first try" in seen.logs["logs/user/stderr/node0/process000.stderr.txt"]
        assert "attempt 1 of 2, failed" in seen.logs["logs/sys/master_role.txt"]
        assert finished_job("mlw-test", scored["flaky", "one"]).status == "Failed"

    def test_a_mini_batch_is_tried_as_often_as_it_may_be_and_no_more(self, scored: Scored, tmp_path: Path) -> None:
        """A model that always raises fails after all tries, and the log counts them."""
        seen = _outcome(scored["raises-twice", "one"], tmp_path)
        assert (seen.status, "failed 2 times" in seen.logs["logs/user/error.txt"]) == ("Failed", True)
        assert seen.logs["logs/sys/master_role.txt"].count("attempt") == 2

    def test_files_that_cannot_be_scored_are_refused_at_once(self) -> None:
        """A limit of the stand-in is said as one, and never looks like the model's failure."""
        with pytest.raises(HttpResponseError, match=r"CSV files only; the input holds file0\.parquet") as refusal:
            _invoke("prints", "mixed")
        assert (refusal.value.status_code, refusal.value.error.code) == (400, "UserError")
        strange = a_deployment(ENDPOINT, "strange", _id_of("prints"), output_file_name="predictions.parquet")
        with pytest.raises(HttpResponseError, match="predictions as CSV only"):
            workspace("mlw-test").batch_deployments.begin_create_or_update(strange)

    def test_outputs_elsewhere_and_inputs_of_other_types_are_refused(self) -> None:
        """In the service's own error shape."""
        token = credential().get_token("https://ml.azure.com/.default").token
        headers = {"Authorization": f"Bearer {token}", "azureml-model-deployment": "prints"}
        url = workspace("mlw-test").batch_endpoints.get(ENDPOINT).scoring_uri
        folder = {"jobInputType": "UriFolder", "uri": "azureml://datastores/workspaceblobstore/paths/one/"}
        for asked in (
            {"inputData": {"x": folder}, "outputData": {"y": {"jobOutputType": "UriFolder"}}},
            {"inputData": {"x": {"jobInputType": "Literal", "value": "1"}}},
            {"inputData": {"x": folder, "y": folder}},
            {"inputData": {"x": {**folder, "uri": "azureml://datastores/nobody/paths/one/"}}},
        ):
            reply = requests.post(url, json={"properties": asked}, headers=headers, timeout=10)
            error = reply.json()["error"]
            assert (reply.status_code, error["code"], error["additionalInfo"][0]["type"]) == (
                400,
                "UserError",
                "ComponentName",
            )

    def test_the_same_job_name_makes_no_second_job(self) -> None:
        """An invocation that is repeated under its name finds its job."""
        first = _invoke("sklearn", "nothing", job_name="smoke-one")
        again = _invoke("sklearn", "nothing", job_name="smoke-one")
        assert first == again == "smoke-one"
        listed = workspace("mlw-test").batch_deployments.list_jobs(ENDPOINT, name="sklearn")
        assert [one.name for one in listed].count("smoke-one") == 1

    def test_a_service_that_ignores_names_makes_another_job(self, stand_in: StandIn) -> None:
        """The assumption can be switched off, to see what follows from that."""
        with stand_in.settings(honour_job_names=False):
            first, second = (_invoke("sklearn", "nothing", job_name="ignored-name") for _ in range(2))
        assert len({first, second, "ignored-name"}) == 3

    def test_the_child_of_a_running_job_waits_for_the_cluster(self, stand_in: StandIn) -> None:
        """The parent is Running while its child is Queued; files cannot be downloaded yet."""
        client = workspace("mlw-prod")
        endpoint_in("mlw-prod", "be-queue")
        deployed("mlw-prod", a_deployment("be-queue", "deployment-1", _id_of("prints"), instance_count=2))
        with datastore("mlw-prod") as container:
            container.upload_blob("one/test_input.csv", ROWS)
        with stand_in.settings(durations={"cluster_scale_up": A_WHILE}):
            job = client.batch_endpoints.invoke(
                "be-queue", deployment_name="deployment-1", input=folder_input("one")
            ).name
            states = {"Queued"}
            eventually(lambda: {one.status for one in client.jobs.list(parent_job_name=job)} == states)
        assert client.jobs.get(job).status == "Running"
        with pytest.raises(JobException, match="RUNNING"):
            client.jobs.download(job)
        ended = finished_job("mlw-prod", job)
        assert ended.status == "Completed"
        assert ended.properties["StartTimeUtc"] < ended.properties["EndTimeUtc"]

    def test_a_job_waits_until_the_cluster_has_a_free_node(self, stand_in: StandIn) -> None:
        """One node, two jobs: the second is Queued while the first runs, and runs when the first is gone."""
        one_node = [{"name": "mlw-test", "computes": [{"name": "batch-cluster", "max_nodes": 1}]}]
        client = workspace("mlw-test")
        for earlier in client.jobs.list():
            finished_job("mlw-test", earlier.name)
        with stand_in.settings(workspaces=one_node):
            first, second = _invoke("sleeps-on"), _invoke("sleeps-on")
            eventually(lambda: _child_states(first) == {"Running"}, "the first job on the one node")
            eventually(lambda: _child_states(second) == {"Queued"}, "the second job in the queue")
            client.jobs.begin_cancel(first)
            eventually(lambda: _child_states(second) == {"Running"}, "the second job on the node of the first")
            client.jobs.begin_cancel(second)
        assert {finished_job("mlw-test", job).status for job in (first, second)} == {"Canceled"}

    def test_a_cancelled_job_ends_as_canceled(self, stand_in: StandIn) -> None:
        """Even while its model sleeps."""
        job = _invoke("sleeps", job_name="to-cancel")
        workspace("mlw-test").jobs.begin_cancel(job)
        assert finished_job("mlw-test", job).status == "Canceled"

    def test_an_invocation_without_a_deployment_and_without_a_default_is_refused(self) -> None:
        """Nothing is guessed; the client cannot send it, as it repeats the deployment of the call before."""
        token = credential().get_token("https://ml.azure.com/.default").token
        url = workspace("mlw-test").batch_endpoints.get(ENDPOINT).scoring_uri
        headers = {"Authorization": f"Bearer {token}"}
        reply = requests.post(url, json={"properties": {}}, headers=headers, timeout=10)
        assert (reply.status_code, "no default deployment" in reply.text) == (400, True)

    def test_the_client_repeats_the_deployment_of_the_call_before(self) -> None:
        """A pitfall of the SDK, kept in sight: always name the deployment."""
        _invoke("silent", "nothing")
        job = workspace("mlw-test").batch_endpoints.invoke(ENDPOINT, input=folder_input("nothing"))
        assert "/deployments/silent/" in job.id

    def test_an_unknown_job_is_not_found(self) -> None:
        """What a claim looks for before it invokes."""
        with pytest.raises(ResourceNotFoundError):
            workspace("mlw-test").jobs.get("no-such-job")
