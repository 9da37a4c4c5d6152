"""What a ModelGateway lets one look at before, during and after a release; the fake and the real one alike."""

from uuid import uuid4

from estates import Estate, SomeCircuit, ended_job, model_files, some_circuit
from subjects import DEPLOYMENT, deployed, in_dev

from shared.domain.model import Environment

TEST = Environment.TEST
PRODUCTION = Environment.PRODUCTION


def test_the_dev_models_signature_is_its_mlmodel_file(estate: Estate) -> None:
    """R32: what the model was trained on is known before it is promoted."""
    subject = in_dev(estate)
    assert estate.gateway.dev_signature(subject.model, "3") == model_files()["MLmodel"]


def test_a_model_without_an_mlmodel_file_has_no_signature(estate: Estate) -> None:
    """Absence is an answer."""
    subject = some_circuit()
    estate.add_dev_model(subject.model, "1", {}, {"data.txt": b"2.0"})
    assert estate.gateway.dev_signature(subject.model, "1") is None


def test_a_test_file_is_read_up_to_a_limit_with_its_whole_size(estate: Estate) -> None:
    """R32: a huge file is not read to find out that it is huge; a missing one is None, an empty one is empty."""
    subject = some_circuit()
    estate.add_test_data(subject.circuit, {"test_input.csv": b"x\n1\n22\n", "empty.csv": b""})
    folder = f"test-data/{subject.circuit.plant_id}/{subject.circuit.circuit_id}"
    assert estate.gateway.test_file(f"{folder}/test_input.csv", limit=4) == (b"x\n1\n", 7)
    assert estate.gateway.test_file(f"{folder}/test_input.csv", limit=1000) == (b"x\n1\n22\n", 7)
    assert estate.gateway.test_file(f"{folder}/empty.csv", limit=1000) == (b"", 0)
    assert estate.gateway.test_file(f"{folder}/nothing.csv", limit=1000) is None


def test_the_regions_endpoints_and_deployments_are_counted(estate: Estate, untouched: SomeCircuit) -> None:
    """D4: Test's endpoints are in Test's region, Production's are not; deployments are counted when asked for."""
    use = estate.gateway.region_use(TEST, count_from=1)
    assert use.region == estate.gateway.region(TEST)
    assert untouched.endpoint in use.endpoints
    assert use.deployments
    assert estate.gateway.region_use(TEST, count_from=1000).deployments is None
    assert untouched.endpoint not in estate.gateway.region_use(PRODUCTION, count_from=1000).endpoints


def test_online_endpoints_count_too(estate: Estate) -> None:
    """D4: all endpoint types; D2: their names are taken, and it is said by what."""
    subject = some_circuit()
    estate.add_online_endpoint(PRODUCTION, f"on-{subject.model}")
    before = estate.gateway.region_use(PRODUCTION, count_from=997)
    assert f"on-{subject.model}" in before.others
    assert before.endpoint_count == len(before.endpoints) + len(before.others)
    assert "online endpoint" in before.others[f"on-{subject.model}"]
    assert "mlw-prod" in before.others[f"on-{subject.model}"]
    assert f"on-{subject.model}" not in before.endpoints
    assert f"on-{subject.model}" not in estate.gateway.region_use(TEST, count_from=997).others


def test_a_deployment_is_busy_while_a_job_of_it_runs(estate: Estate) -> None:
    """D4: pruning must not take away what still scores; an unknown deployment is not busy."""
    subject = deployed(estate)
    estate.add_test_data(subject.circuit, {"test_input.csv": b"x\n1\n"})
    assert not estate.gateway.has_running_jobs(TEST, subject.endpoint, DEPLOYMENT)
    name = f"smoke-{uuid4().hex}"
    estate.gateway.start_smoke_job(
        endpoint=subject.endpoint, deployment=DEPLOYMENT, circuit=subject.circuit, job_name=name
    )
    assert estate.gateway.has_running_jobs(TEST, subject.endpoint, DEPLOYMENT)
    ended_job(estate, name)
    assert not estate.gateway.has_running_jobs(TEST, subject.endpoint, DEPLOYMENT)
    assert not estate.gateway.has_running_jobs(PRODUCTION, subject.endpoint, DEPLOYMENT)
