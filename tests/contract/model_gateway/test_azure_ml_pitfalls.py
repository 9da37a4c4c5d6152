"""What only the real SDK gets wrong, and how the adapter keeps it from happening.

Each pitfall of azure-ai-ml 1.35.2 has a test that fails without the remedy; `promotion` is test_promotion_survives,
`contract` is test_gateway_contract, `errors` is tests/unit/azure_ml_adapter/test_azure_ml_errors:

| pitfall | remedy | test |
|---|---|---|
| an upload error hangs with show_progress=False | always True | promotion: temporary files are gone after ... failure |
| invoke keeps its headers in a global | name the deployment, one invoke at a time | each job runs the deployment it names |
| share() redirects its client to the registry | a client of its own | a client that shares is not used for anything else |
| create on an existing version is a ValueError | read again, then judge | promotion: two promotions of one version at once |
| a failed operation is an error with status 200 | its own row in the table | errors: each error becomes the one the table says |
| share() cannot set tags | a second write, and all read back | promotion: a model that does not fit is shared with exactly the tags |
| create and share wait inside, for ever if need be | an end to our waiting | test_broken_operations: a registry operation that never ends |
| a registry list without a name is broken | none without | contract: promotion carries content and exactly the tags |
| a POST is repeated after a 503, invoke five times | one name, look before and after | a lost answer of invoke makes no second job |
| str() of a status is `JobStatus.COMPLETED` | the value | contract: a smoke job runs the named deployment |
| a PUT of an endpoint clears its default | start from what is there | creating an existing endpoint sends no put |
| ... and looks up the workspace, and polls | the PUT alone | a switch of a default is a read and a put on the wire |
| ... and its tags | the same | contract: the default can be set and cleared and tags survive |
| models.download holds each file in memory | chunks | a large file is fetched in pieces |
| the registry's answer is lost | the content decides | promotion: a lost answer of the registry |
| jobs.download of a running job | only when ended | contract: the output of a running job is not read |
| jobs.download of a failed job brings nothing | its logs, file by file | a model that raises leaves error lines |
| a sign-in service that breaks is "authentication failed" | its last answer | a sign-in service that breaks is transient |
"""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from uuid import uuid4

import pytest
from azure_ml_process import AzureMl
from estates import (
    RealEstate,
    ended_job,
    model_files,
    settings_for,
    settled_deployment,
    settled_endpoint,
    some_circuit,
)
from subjects import DEPLOYMENT, VERSION, a_spec, deployed, in_dev, tags_of, with_endpoint

from shared.adapters.azure_ml.gateway import AzureMlGateway
from shared.adapters.azure_ml.promotion import TemporarySpace
from shared.application.ports import ModelVersion, ProvisioningState
from shared.domain.errors import ConfigurationError, PermanentError, TransientError
from shared.domain.model import Circuit, Environment
from shared.domain.policy import AllowedLine
from shared.domain.predictions import RowScan
from tests.support.waiting import wait_until

pytestmark = pytest.mark.stack

TEST = Environment.TEST
PRODUCTION = Environment.PRODUCTION


def smoke_name() -> str:
    return f"smoke-{uuid4().hex}"


def test_creating_an_existing_endpoint_sends_no_put(azure_ml: AzureMl, real_estate: RealEstate) -> None:
    """A PUT without defaults would clear the live default: none is sent, and the default stays."""
    subject = deployed(real_estate, PRODUCTION)
    real_estate.gateway.set_default(PRODUCTION, subject.endpoint, DEPLOYMENT)
    settled_endpoint(real_estate, PRODUCTION, subject.endpoint)
    before = azure_ml.last_entry()
    real_estate.gateway.create_endpoint(PRODUCTION, subject.endpoint, {"anything": "else"})
    assert [entry for entry in azure_ml.journal(before) if entry["kind"] == "write"] == []
    assert settled_endpoint(real_estate, PRODUCTION, subject.endpoint).default == DEPLOYMENT


def test_a_switch_of_a_default_is_a_read_and_a_put_on_the_wire(azure_ml: AzureMl, real_estate: RealEstate) -> None:
    """R44: no workspace is looked up for a location that the endpoint knows, and no poller asks beside our own looks."""
    others = pollers()
    subject = deployed(real_estate, PRODUCTION)
    wait_until(lambda: pollers() <= others, "nobody asks how the deployment goes")
    before = azure_ml.last_entry()
    assert real_estate.gateway.endpoint(PRODUCTION, subject.endpoint)
    real_estate.gateway.set_default(PRODUCTION, subject.endpoint, DEPLOYMENT)

    assert pollers() <= others
    seen = [e for e in azure_ml.journal(before) if e["operation"] == "workspaces.get" or subject.endpoint in e["path"]]
    assert [entry["operation"] for entry in seen] == ["endpoints.get", "endpoints.put"]
    assert settled_endpoint(real_estate, PRODUCTION, subject.endpoint).default == DEPLOYMENT


def pollers() -> set[str]:
    """Threads of the SDK that ask how operations go."""
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("LROPoller")}


@pytest.fixture
def one_region(azure_ml: AzureMl) -> Iterator[None]:
    """Test and Production in one region, for the length of a test."""
    azure_ml.change(workspaces=[{"name": "mlw-test", "region": "westeurope"}])
    yield
    azure_ml.change(workspaces=[{"name": "mlw-test", "region": "northeurope"}])


@pytest.mark.usefixtures("one_region")
def test_a_name_that_the_region_has_is_refused_for_good(real_estate: RealEstate) -> None:
    """The service answers 409, which elsewhere means try again: here another name is needed (D2)."""
    subject = some_circuit()
    real_estate.gateway.create_endpoint(TEST, subject.endpoint, {})
    with pytest.raises(PermanentError, match="already in use"):
        real_estate.gateway.create_endpoint(PRODUCTION, subject.endpoint, {})


def test_settings_of_a_deployment_stand_on_the_wire(real_estate: RealEstate) -> None:
    """R35 and D3: two instances of four in production, one of two in Test, which stops at the first failed file."""
    subject = with_endpoint(real_estate, PRODUCTION)
    real_estate.gateway.create_deployment(PRODUCTION, a_spec(subject, instance_count=2, max_concurrency_per_instance=4))
    clients = real_estate.gateway._clients
    live = clients.environment(PRODUCTION).batch_deployments.get(DEPLOYMENT, subject.endpoint)
    assert (live.resources.instance_count, live.max_concurrency_per_instance, live.mini_batch_size) == (2, 4, 10)
    assert (live.output_action, live.output_file_name, live.error_threshold) == ("append_row", "predictions.csv", -1)
    assert live.retry_settings.timeout == 300
    assert str(live.compute).endswith("/computes/batch-cluster")
    tested = deployed(real_estate)
    trial = clients.environment(TEST).batch_deployments.get(DEPLOYMENT, tested.endpoint)
    assert (trial.resources.instance_count, trial.max_concurrency_per_instance, trial.error_threshold) == (1, 2, 0)


def test_a_failed_deployment_says_why(azure_ml: AzureMl, real_estate: RealEstate) -> None:
    """The reason stands in the operation only: the process that started it can tell."""
    subject = with_endpoint(real_estate)
    azure_ml.fault(match={"operation": "deployments.put"}, action="fail_lro")
    real_estate.gateway.create_deployment(TEST, a_spec(subject))
    assert settled_deployment(real_estate, TEST, a_spec(subject)) is ProvisioningState.FAILED
    found = real_estate.gateway.deployment(TEST, subject.endpoint, DEPLOYMENT)
    assert found
    assert "asked for by a fault" in found.failure or subject.endpoint in found.failure
    elsewhere = AzureMlGateway(settings_for(azure_ml)).deployment(TEST, subject.endpoint, DEPLOYMENT)
    assert elsewhere
    assert subject.endpoint in elsewhere.failure


def test_each_job_runs_the_deployment_it_names(azure_ml: AzureMl, real_estate: RealEstate) -> None:
    """Not the endpoint's default, and not what another thread invokes at the same moment, also when a call is repeated."""
    subject = deployed(real_estate)
    real_estate.add_test_data(subject.circuit, {"test_input.csv": b"x\n1\n"})
    real_estate.gateway.set_default(TEST, subject.endpoint, DEPLOYMENT)
    settled_endpoint(real_estate, TEST, subject.endpoint)
    names = [DEPLOYMENT, *(f"deployment-20251210-{n}" for n in range(2, 4))]
    for name in names[1:]:
        real_estate.gateway.create_deployment(TEST, a_spec(subject, name=name))
    for name in names[1:]:
        settled_deployment(real_estate, TEST, a_spec(subject, name=name))

    def start(deployment: str) -> str:
        return real_estate.gateway.start_smoke_job(
            endpoint=subject.endpoint, deployment=deployment, circuit=subject.circuit, job_name=smoke_name()
        ).name

    azure_ml.fault(match={"operation": "jobs.invoke"}, action="drop", count=len(names))
    with ThreadPoolExecutor(len(names)) as pool:
        jobs = list(pool.map(start, names))
    for name, job in zip(names, jobs, strict=True):
        found = real_estate.gateway.smoke_jobs(endpoint=subject.endpoint, deployment=name)
        assert [one.name for one in found] == [job]
    for job in jobs:
        ended_job(real_estate, job)


@pytest.mark.parametrize("count", [1, None], ids=["once", "always"])
@pytest.mark.parametrize("status", [503, None], ids=["503", "dropped"])
def test_a_lost_answer_of_invoke_makes_no_second_job(
    azure_ml: AzureMl, real_estate: RealEstate, status: int | None, count: int | None
) -> None:
    """The job was started, the answers were errors or nothing at all: there is one job, and it is found (D14).

    Lost once, the SDK's own repetition finds it by its name; lost always, the look afterwards does.
    """
    subject = deployed(real_estate)
    real_estate.add_test_data(subject.circuit, {"test_input.csv": b"x\n1\n"})
    azure_ml.fault(match={"operation": "jobs.invoke"}, action="after_effect", status=status, count=count)
    name = smoke_name()
    started = real_estate.gateway.start_smoke_job(
        endpoint=subject.endpoint, deployment=DEPLOYMENT, circuit=subject.circuit, job_name=name
    )
    assert started.name == name
    ended_job(real_estate, name)
    assert len(real_estate.gateway.smoke_jobs(endpoint=subject.endpoint, deployment=DEPLOYMENT)) == 1


@pytest.fixture
def ignored_names(azure_ml: AzureMl) -> Iterator[None]:
    """A service that names jobs itself, for the length of a test."""
    azure_ml.change(honour_job_names=False)
    yield
    azure_ml.change(honour_job_names=True)


@pytest.mark.usefixtures("ignored_names")
def test_jobs_that_the_service_named_itself_are_found_by_deployment(real_estate: RealEstate) -> None:
    """Two invocations made two jobs: both are listed, the oldest first, so that one can be kept (D14)."""
    subject = deployed(real_estate)
    real_estate.add_test_data(subject.circuit, {"test_input.csv": b"x\n1\n"})
    asked = smoke_name()
    started = [
        real_estate.gateway.start_smoke_job(
            endpoint=subject.endpoint, deployment=DEPLOYMENT, circuit=subject.circuit, job_name=asked
        ).name
        for _ in range(2)
    ]
    assert asked not in started
    found = real_estate.gateway.smoke_jobs(endpoint=subject.endpoint, deployment=DEPLOYMENT)
    assert [job.name for job in found] == started
    for name in started:
        ended_job(real_estate, name)


def test_a_model_that_raises_leaves_error_lines_with_file_and_number(real_estate: RealEstate) -> None:
    """Failed, no predictions, and the model's own words quoted from the documented file (R27)."""
    subject = deployed(real_estate, body='raise ValueError("the flushing step is unknown")')
    real_estate.add_test_data(subject.circuit, {"test_input.csv": b"x\n1\n"})
    name = smoke_name()
    real_estate.gateway.start_smoke_job(
        endpoint=subject.endpoint, deployment=DEPLOYMENT, circuit=subject.circuit, job_name=name
    )
    assert ended_job(real_estate, name).status == "Failed"
    output = real_estate.gateway.job_output(name)
    assert (output.predictions, output.predictions_size) == (None, 0)
    quoted = [line for line in output.logs.errors if "the flushing step is unknown" in line.text]
    assert any(line.file == "logs/user/error.txt" and line.line > 1 for line in quoted)
    assert not any('File "' in line.text or "Traceback" in line.text for line in output.logs.errors)


def test_an_error_that_a_completed_job_only_printed_is_found(real_estate: RealEstate) -> None:
    """Completed is not enough: the log of the model's process says ERROR, and where (R27)."""
    subject = deployed(real_estate, body='print("2025-12-10 ERROR sensor 7 has no calibration")')
    real_estate.add_test_data(subject.circuit, {"test_input.csv": b"x\n1\n"})
    name = smoke_name()
    real_estate.gateway.start_smoke_job(
        endpoint=subject.endpoint, deployment=DEPLOYMENT, circuit=subject.circuit, job_name=name
    )
    assert ended_job(real_estate, name).status == "Completed"
    lines = real_estate.gateway.job_output(name).logs.errors
    assert [line.text for line in lines] == ["2025-12-10 ERROR sensor 7 has no calibration"]
    assert lines[0].file.startswith("logs/user/stdout/")


def finished(estate: RealEstate, body: str) -> str:
    """A job of a model that does this, ended as Completed; its name."""
    subject = deployed(estate, body=body)
    estate.add_test_data(subject.circuit, {"test_input.csv": b"x\n1\n"})
    name = smoke_name()
    estate.gateway.start_smoke_job(
        endpoint=subject.endpoint, deployment=DEPLOYMENT, circuit=subject.circuit, job_name=name
    )
    assert ended_job(estate, name).status == "Completed"
    return name


TELEMETRY = AllowedLine(text="telemetry is switched off", reason="no internet on the nodes")


def test_allowed_lines_hide_no_error_however_many_they_are(azure_ml: AzureMl, real_estate: RealEstate) -> None:
    """D9, R27: 300 harmless lines in 300 files, and one error in the last line of the last file."""
    name = finished(real_estate, 'print("2025-12-10 ERROR telemetry is switched off")')
    with azure_ml.container("mlw-test", "workspaceartifactstore") as container:
        for node in range(1, 300):
            path = f"ExperimentRun/dcid.{name}/logs/user/stdout/node{node:03d}/process000.stdout.txt"
            error = b"ERROR disk is full\n" if node == 299 else b""
            container.upload_blob(path, b"ERROR telemetry is switched off (%d)\n" % node + error)
    logs = real_estate.gateway.job_output(name, allowed=[TELEMETRY]).logs
    assert (logs.error_count, logs.allowed_count) == (1, 300)
    assert str(logs.errors[0]) == "logs/user/stdout/node299/process000.stdout.txt:2: ERROR disk is full"


def test_a_row_that_failed_beyond_the_first_mebibyte_is_found(real_estate: RealEstate) -> None:
    """R28, known failure 8: the last of 40,001 rows, two MiB into the file of which the first one is kept."""
    name = finished(real_estate, 'return ["." * 40] * 40_000 + ["status=failed"]')
    output = real_estate.gateway.job_output(name)
    assert output.predictions_size > 2 * 1024 * 1024
    assert len(output.predictions or b"") == 1024 * 1024
    assert output.rows == RowScan(total=40_001, failed=1, first_failed=(40_001,))
    assert output.unread == ()


SECOND_TRY = """
        seen = Path(__file__).with_name("seen")
        if not seen.exists():
            seen.touch()
            raise ValueError("not at the first try")"""


def test_a_mini_batch_that_succeeds_when_it_is_repeated_leaves_an_error(real_estate: RealEstate) -> None:
    """R27, D9: Completed and whole, yet its logs tell of an error, twice; who knows both lines to be harmless lists them."""
    name = finished(real_estate, SECOND_TRY.strip())
    output = real_estate.gateway.job_output(name)
    assert (output.rows.total, output.rows.failed) == (1, 0)
    driver, model = output.logs.errors
    assert "attempt 1 of 4, failed" in driver.text
    assert (model.text, "stderr" in model.file) == ("ValueError: not at the first try", True)
    said = ("attempt 1 of 4, failed", "ValueError: not at the first try")
    remedy = [AllowedLine(text=text, reason="the node's disk wakes up slowly") for text in said]
    assert real_estate.gateway.job_output(name, allowed=remedy[:1]).logs.error_count == 1
    assert real_estate.gateway.job_output(name, allowed=remedy).logs.error_count == 0


def test_warnings_come_from_the_training_jobs_log(azure_ml: AzureMl, real_estate: RealEstate) -> None:
    """Lines that warn, in order; a job without logs, or no job at all, is "not available" (R10)."""
    job = f"train-{uuid4().hex[:8]}"
    with azure_ml.container("mlw-dev", "workspaceartifactstore") as container:
        log = b"INFO start\nWARNING 3 rows dropped\nUserWarning: few samples\nINFO warned nobody\n"
        container.upload_blob(f"ExperimentRun/dcid.{job}/user_logs/std_log.txt", log)
    model = ModelVersion(name="any", version="1", tags={}, job_name=job)
    assert real_estate.gateway.training_warnings(model) == ("WARNING 3 rows dropped", "UserWarning: few samples")
    with azure_ml.container("mlw-dev", "workspaceartifactstore") as container:
        more = b"".join(b"WARNING row %d\n" % number for number in range(60))
        container.upload_blob(f"ExperimentRun/dcid.{job}/user_logs/std_log_1.txt", more)
    told = real_estate.gateway.training_warnings(model) or ()
    assert (len(told), told[-1]) == (51, "and 12 more lines that warn")
    unknown = ModelVersion(name="any", version="1", tags={}, job_name=f"{job}-other")
    assert real_estate.gateway.training_warnings(unknown) is None
    assert real_estate.gateway.training_warnings(ModelVersion(name="any", version="1", tags={})) is None


def test_a_throttled_call_says_how_long_to_wait(azure_ml: AzureMl, real_estate: RealEstate) -> None:
    """After three repeats of the SDK it is transient, with the service's own wish."""
    azure_ml.fault(match={"operation": "endpoints.get"}, action="status", status=429, retry_after=0.2, count=None)
    before = azure_ml.last_entry()
    with pytest.raises(TransientError) as caught:
        real_estate.gateway.endpoint(TEST, some_circuit().endpoint)
    assert caught.value.retry_after == timedelta(seconds=0.2)
    asked = [one["operation"] for one in azure_ml.journal(before)]
    assert [operation for operation in asked if not operation.startswith("tokens.")] == ["endpoints.get"] * 4


def test_a_dropped_connection_is_transient(azure_ml: AzureMl, real_estate: RealEstate) -> None:
    """The network is not the model's fault."""
    azure_ml.fault(match={"operation": "models.versions"}, action="drop", count=None)
    with pytest.raises(TransientError):
        real_estate.gateway.dev_models(some_circuit().model)


@pytest.mark.parametrize(
    ("fault", "said"),
    [({"action": "status", "status": 503}, "answered 503"), ({"action": "drop"}, "gave no answer")],
    ids=["503", "dropped"],
)
def test_a_sign_in_service_that_breaks_is_transient(azure_ml: AzureMl, fault: dict[str, object], said: str) -> None:
    """The SDK says "authentication failed" all the same, at once and when it repeats a 503 for a minute from memory."""
    fresh = AzureMlGateway(settings_for(azure_ml))
    azure_ml.fault(match={"operation": "tokens.post"}, count=None, **fault)
    for _ in range(2):
        with pytest.raises(TransientError, match=f"the sign-in service {said}"):
            fresh.endpoint(TEST, some_circuit().endpoint)


def test_a_wrong_secret_is_a_matter_of_configuration(azure_ml: AzureMl, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sign-in service answered, and said no."""
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "an old one")
    with pytest.raises(ConfigurationError, match="AADSTS7000215"):
        AzureMlGateway(settings_for(azure_ml)).endpoint(TEST, some_circuit().endpoint)


def test_a_write_that_the_identity_may_not_make_is_a_matter_of_configuration(azure_ml: AzureMl) -> None:
    """Test set to the Dev workspace by mistake: refused with 403, and nothing is tried again."""
    astray = AzureMlGateway(settings_for(azure_ml, test_workspace="mlw-dev", test_resource_group="rg-mlops-dev"))
    with pytest.raises(ConfigurationError):
        astray.create_endpoint(TEST, some_circuit().endpoint, {})


def test_endpoints_of_dev_count_too(azure_ml: AzureMl, real_estate: RealEstate) -> None:
    """D4: Dev in the region and the subscription of Production shares its quotas; here the same workspace is both."""
    production = next(one for one in azure_ml.settings.workspaces if one.name == "mlw-prod")
    subject = some_circuit()
    real_estate.gateway.create_endpoint(PRODUCTION, subject.endpoint, {})
    both = settings_for(
        azure_ml,
        dev_workspace=production.name,
        dev_resource_group=production.resource_group,
        dev_subscription_id=production.subscription_id,
    )
    use = AzureMlGateway(both).region_use(PRODUCTION, count_from=999)
    assert use.others[subject.endpoint] == f"the batch endpoint {subject.endpoint} in mlw-prod"
    assert use.endpoint_count == len(use.endpoints) + len(use.others)


@pytest.fixture
def hidden_dev(azure_ml: AzureMl) -> Iterator[str]:
    """Dev in Production's subscription, where the app may not read it, for the length of a test; which one that is."""
    dev, _, production = azure_ml.settings.workspaces
    for where, rights in ((production, "none"), (dev, "read")):
        azure_ml.change(
            workspaces=[{"name": dev.name, "subscription_id": where.subscription_id}],
            identities=[{"name": "app", "rights": {dev.name: rights}}],
        )
        if rights == "none":
            yield where.subscription_id


def test_endpoints_of_dev_that_may_not_be_seen_are_not_counted(azure_ml: AzureMl, hidden_dev: str) -> None:
    """Models are all that the app needs of Dev: that it sees no endpoints there stops no release (D4)."""
    before = azure_ml.last_entry()
    gateway = AzureMlGateway(settings_for(azure_ml, dev_subscription_id=hidden_dev))
    assert gateway.region_use(PRODUCTION, count_from=998).region == "westeurope"
    assert [one["status"] for one in azure_ml.journal(before) if one["scope"] == "mlw-dev"] == [403]


def test_a_workspace_or_registry_that_does_not_exist_is_a_matter_of_configuration(azure_ml: AzureMl) -> None:
    """Not "no models" and not "no endpoint": the setting is wrong, and its name is said."""
    with pytest.raises(ConfigurationError, match="mlw-nowhere"):
        AzureMlGateway(settings_for(azure_ml, test_workspace="mlw-nowhere")).region(TEST)
    with pytest.raises(ConfigurationError):
        AzureMlGateway(settings_for(azure_ml, dev_workspace="mlw-nowhere")).dev_models("any-model")
    with pytest.raises(ConfigurationError, match="REGISTRY_NAME"):
        AzureMlGateway(settings_for(azure_ml, registry_name="mlr-nowhere")).registry_model("any-model", "1")


def test_a_missing_cluster_is_said_in_words(azure_ml: AzureMl) -> None:
    """Inspection asks before gate 1, diagnosis prints it."""
    astray = AzureMlGateway(settings_for(azure_ml, compute_name="no-such-cluster"))
    assert not astray.compute_exists(TEST)
    assert astray.compute_state(TEST) == "mlw-test has no compute no-such-cluster"


def test_a_circuit_id_as_written_is_part_of_the_path(real_estate: RealEstate) -> None:
    """Upper case stays upper case in the test data's path (R23)."""
    circuit = Circuit(plant_id=f"Plant{uuid4().hex[:6]}", circuit_id="cIrCuIt01")
    real_estate.add_test_data(circuit, {"test_input.csv": model_files()["data.txt"]})
    assert list(real_estate.gateway.smoke_input(circuit)) == ["test_input.csv"]


def test_a_datastore_is_asked_for_its_secret_once_a_minute_not_once_a_file(
    azure_ml: AzureMl, real_estate: RealEstate
) -> None:
    """Else a fifth of all requests of a release were these two, which say nothing new."""
    gateway, subjects = AzureMlGateway(settings_for(azure_ml)), [some_circuit() for _ in range(3)]
    for subject in subjects:
        real_estate.add_test_data(subject.circuit, {"test_input.csv": b"x\n1\n"})
    before = azure_ml.last_entry()
    assert [list(gateway.smoke_input(subject.circuit)) for subject in subjects] == [["test_input.csv"]] * 3
    opened = [entry["operation"] for entry in azure_ml.journal(before) if entry["operation"].startswith("datastores.")]
    assert opened == ["datastores.get", "datastores.secrets"]


def test_a_client_that_shares_is_not_used_for_anything_else(azure_ml: AzureMl, real_estate: RealEstate) -> None:
    """While `share` runs, its client asks the registry whatever it is asked: Dev must answer for Dev all the same."""
    subject, other = in_dev(real_estate), in_dev(real_estate)
    cramped = AzureMlGateway(settings_for(azure_ml), space=TemporarySpace(lambda: 0))
    cramped.dev_models(other.model)
    promote = partial(
        cramped.promote, name=subject.model, source_version="3", version=VERSION, tags=tags_of(subject), mode="share"
    )
    with ThreadPoolExecutor(1) as pool:
        sharing = pool.submit(promote)
        seen = []
        while not sharing.done() or not seen:
            seen.append([model.version for model in cramped.dev_models(other.model)])
        assert sharing.result().mode == "share"
    assert seen == [["3"]] * len(seen)


def test_a_large_file_is_fetched_in_pieces(azure_ml: AzureMl, real_estate: RealEstate) -> None:
    """Nine MiB in three requests of at most four: the process never holds the whole of it."""
    subject = some_circuit()
    files = model_files() | {"weights.bin": bytes(9 * 1024 * 1024)}
    real_estate.add_dev_model(subject.model, "3", {"validated": "true"}, files)
    before = azure_ml.last_entry()
    real_estate.gateway.promote(
        name=subject.model, source_version="3", version=VERSION, tags=tags_of(subject), mode="copy"
    )
    fetched = [
        entry
        for entry in azure_ml.journal(before)
        if entry["method"] == "GET" and entry["scope"] == "mlw-dev" and entry["path"].endswith("weights.bin")
    ]
    assert len(fetched) >= 3
