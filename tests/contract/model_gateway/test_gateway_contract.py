"""What every ModelGateway does, the fake and the real one alike."""

from uuid import uuid4

import pytest
from estates import (
    Estate,
    SomeCircuit,
    ended_job,
    eventually,
    model_files,
    settled_deployment,
    settled_endpoint,
    some_circuit,
)
from subjects import DEPLOYMENT, VERSION, a_spec, deployed, promoted, tags_of

from shared.application.ports import ProvisioningState
from shared.domain.errors import PermanentError, TransientError
from shared.domain.model import Environment
from shared.domain.naming import endpoint_tags

TEST = Environment.TEST
PRODUCTION = Environment.PRODUCTION


def test_dev_versions_come_newest_first_with_their_tags(estate: Estate) -> None:
    """Three builds registered three versions: the latest is the first one, and each shows its own tags."""
    subject = some_circuit()
    for version in ("1", "2", "3"):
        estate.add_dev_model(subject.model, version, {"validated": "true", "build_id": f"b{version}"})
    found = estate.gateway.dev_models(subject.model)
    assert [(model.version, model.tags["build_id"]) for model in found] == [("3", "b3"), ("2", "b2"), ("1", "b1")]
    assert all(model.created_at and model.created_at.utcoffset() is not None for model in found)
    assert subject.model in found[0].studio_url


def test_an_unknown_model_has_no_versions(estate: Estate) -> None:
    """A circuit that was never trained is an answer, not an error."""
    assert list(estate.gateway.dev_models(some_circuit().model)) == []


def test_the_content_hash_tells_equal_models_from_others(estate: Estate) -> None:
    """Two versions with the same files have one hash, one changed file makes another."""
    subject = some_circuit()
    estate.add_dev_model(subject.model, "1", {}, model_files(2.0))
    estate.add_dev_model(subject.model, "2", {}, model_files(2.0))
    estate.add_dev_model(subject.model, "3", {}, model_files(3.0))
    first, second, third = (estate.gateway.dev_content_hash(subject.model, version) for version in "123")
    assert first == second
    assert first != third


def test_hashing_a_model_that_dev_lacks_is_refused(estate: Estate) -> None:
    """A version that was deleted after its choice can't be promoted."""
    with pytest.raises(PermanentError, match="7"):
        estate.gateway.dev_content_hash(some_circuit().model, "7")


def test_promotion_carries_content_and_exactly_the_tags(estate: Estate) -> None:
    """R13, R15, R48, D12: the source's content, name and version, and seven tags; no setting says where the Registry is."""
    subject = some_circuit()
    estate.add_dev_model(subject.model, "3", {"validated": "true", "component_version": "1.4.0"}, model_files())
    tags = tags_of(subject)
    done = estate.gateway.promote(name=subject.model, source_version="3", version=VERSION, tags=tags, mode="auto")
    assert done.mode == "copy"
    assert done.content_hash == estate.gateway.dev_content_hash(subject.model, "3")
    found = estate.gateway.registry_model(subject.model, VERSION)
    assert found
    assert dict(found.tags) == tags
    assert found.properties["content_hash"] == done.content_hash
    assert (found.properties["source_name"], found.properties["source_version"]) == (subject.model, "3")


def test_promoting_again_changes_nothing(estate: Estate) -> None:
    """A redelivered promotion, at a later time of day, finds its own version and leaves it as it is (R17)."""
    subject = promoted(estate)
    before = estate.gateway.registry_model(subject.model, VERSION)
    later = tags_of(subject) | {"promoted_at": "2031-01-01T00:00:00Z"}
    again = estate.gateway.promote(name=subject.model, source_version="3", version=VERSION, tags=later, mode="copy")
    assert again.version == before
    assert estate.gateway.registry_model(subject.model, VERSION) == before


def test_a_version_with_other_content_is_never_overwritten(estate: Estate) -> None:
    """R17: the same version from another source is refused, and the Registry keeps what it has."""
    subject = promoted(estate)
    before = estate.gateway.registry_model(subject.model, VERSION)
    estate.add_dev_model(subject.model, "4", {"validated": "true"}, model_files(9.0))
    with pytest.raises(PermanentError, match="other content"):
        estate.gateway.promote(
            name=subject.model, source_version="4", version=VERSION, tags=tags_of(subject), mode="auto"
        )
    assert estate.gateway.registry_model(subject.model, VERSION) == before


def test_promoting_what_dev_lacks_is_refused(estate: Estate) -> None:
    """No source, no version."""
    subject = some_circuit()
    with pytest.raises(PermanentError, match=subject.model):
        estate.gateway.promote(name=subject.model, source_version="1", version=VERSION, tags={}, mode="auto")
    assert estate.gateway.registry_model(subject.model, VERSION) is None


def test_the_signature_is_the_mlmodel_file(estate: Estate) -> None:
    """The schema check reads the columns from the Registry's own copy; an unknown version has none."""
    subject = promoted(estate)
    assert estate.gateway.model_signature(subject.model, VERSION) == model_files()["MLmodel"]
    assert estate.gateway.model_signature(subject.model, "unheard-of") is None


def test_test_and_production_lie_in_different_regions(estate: Estate) -> None:
    """Regions are the workspaces' own, and differ in this estate (D2); each is in a subscription of its own (R46, R47)."""
    assert estate.gateway.region(TEST) != estate.gateway.region(PRODUCTION)
    assert estate.gateway.region(TEST) == estate.gateway.region(TEST)


def test_the_cluster_is_there(estate: Estate) -> None:
    """Both workspaces have the configured cluster, and it can be described."""
    assert all(estate.gateway.compute_exists(environment) for environment in Environment)
    assert estate.gateway.compute_state(TEST).startswith("Succeeded")


def test_test_data_is_listed_by_name(estate: Estate) -> None:
    """One file is one name, none is an empty list, and another circuit's file does not count (R31)."""
    subject, other = some_circuit(), some_circuit()
    assert list(estate.gateway.smoke_input(subject.circuit)) == []
    estate.add_test_data(subject.circuit, {"test_input.csv": b"x\n1\n"})
    estate.add_test_data(other.circuit, {"test_input.csv": b"x\n1\n", "more.csv": b"x\n2\n"})
    assert list(estate.gateway.smoke_input(subject.circuit)) == ["test_input.csv"]
    assert sorted(estate.gateway.smoke_input(other.circuit)) == ["more.csv", "test_input.csv"]


@pytest.mark.usefixtures("unhurried")
def test_an_endpoint_is_created_without_a_default(estate: Estate) -> None:
    """It is not ready at once, then Succeeded, with our tags and no default."""
    subject = some_circuit()
    assert estate.gateway.endpoint(TEST, subject.endpoint) is None
    estate.gateway.create_endpoint(TEST, subject.endpoint, endpoint_tags(subject.circuit))
    first = estate.gateway.endpoint(TEST, subject.endpoint)
    assert first
    assert first.state is ProvisioningState.RUNNING
    ready = settled_endpoint(estate, TEST, subject.endpoint)
    assert (ready.state, ready.default) == (ProvisioningState.SUCCEEDED, "")
    assert dict(ready.tags) == endpoint_tags(subject.circuit)
    assert estate.gateway.endpoint(PRODUCTION, subject.endpoint) is None


@pytest.mark.parametrize("name", ["be", "1-starts-with-a-digit", "be-two--hyphens", "be-" + "x" * 40, "be_underscore"])
def test_an_illegal_endpoint_name_is_refused(estate: Estate, name: str) -> None:
    """The service's rules for names hold wherever the call comes from (D1)."""
    with pytest.raises(PermanentError):
        estate.gateway.create_endpoint(TEST, name, {})


def test_an_illegal_deployment_name_is_refused(estate: Estate, untouched: SomeCircuit) -> None:
    """A dot in a deployment's name is what the source document has and the service refuses (D1)."""
    with pytest.raises(PermanentError):
        estate.gateway.create_deployment(TEST, a_spec(untouched, name="deployment-20251210.2"))


def test_a_new_deployment_leaves_the_default_alone(estate: Estate, untouched: SomeCircuit) -> None:
    """It is ready and tagged, names its Registry model, and the endpoint still has no default (D5)."""
    found = estate.gateway.deployment(TEST, untouched.endpoint, DEPLOYMENT)
    assert found
    assert dict(found.tags) == dict(a_spec(untouched).tags)
    assert found.model_id == f"azureml://registries/mlr-shared/models/{untouched.model}/versions/{VERSION}"
    assert settled_endpoint(estate, TEST, untouched.endpoint).default == ""
    assert list(estate.gateway.deployment_names(TEST, untouched.endpoint)) == [DEPLOYMENT]


def test_an_unknown_deployment_is_none_and_an_unknown_endpoint_has_no_deployments(estate: Estate) -> None:
    """Absence is an answer."""
    subject = some_circuit()
    assert estate.gateway.deployment(TEST, subject.endpoint, DEPLOYMENT) is None
    assert list(estate.gateway.deployment_names(TEST, subject.endpoint)) == []


def test_a_deployment_needs_an_endpoint(estate: Estate) -> None:
    """Deploying to nowhere is refused for good."""
    subject = promoted(estate)
    with pytest.raises(PermanentError):
        estate.gateway.create_deployment(TEST, a_spec(subject))


def test_the_default_can_be_set_and_cleared_and_tags_survive(estate: Estate) -> None:
    """Switching is a full PUT: what else the endpoint has must still be there afterwards."""
    subject = deployed(estate, PRODUCTION)
    estate.gateway.set_default(PRODUCTION, subject.endpoint, DEPLOYMENT)
    live = eventually(
        lambda: ((seen := settled_endpoint(estate, PRODUCTION, subject.endpoint)).default and seen) or None,
        "the default is switched",
    )
    assert live.default == DEPLOYMENT
    assert dict(live.tags) == endpoint_tags(subject.circuit)
    estate.gateway.clear_default(PRODUCTION, subject.endpoint)
    assert settled_endpoint(estate, PRODUCTION, subject.endpoint).default == ""


@pytest.mark.usefixtures("unhurried")
def test_a_write_while_another_operation_is_under_way_is_transient(estate: Estate) -> None:
    """The service takes one operation at a time on an endpoint: try again, do not fail the circuit."""
    subject = promoted(estate)
    estate.gateway.create_endpoint(TEST, subject.endpoint, {})
    with pytest.raises(TransientError):
        estate.gateway.create_deployment(TEST, a_spec(subject))
    settled_endpoint(estate, TEST, subject.endpoint)
    estate.gateway.create_deployment(TEST, a_spec(subject))
    with pytest.raises(TransientError):
        estate.gateway.set_default(TEST, subject.endpoint, DEPLOYMENT)


def test_an_unknown_deployment_cannot_become_the_default(estate: Estate, untouched: SomeCircuit) -> None:
    """The service knows its deployments."""
    with pytest.raises(PermanentError):
        estate.gateway.set_default(TEST, untouched.endpoint, "deployment-unheard-of")


def test_the_default_of_a_missing_endpoint_cannot_be_set(estate: Estate) -> None:
    """Never created by switching."""
    with pytest.raises(PermanentError):
        estate.gateway.set_default(TEST, some_circuit().endpoint, DEPLOYMENT)


def test_a_deployment_is_deleted_once_and_gone_is_fine(estate: Estate) -> None:
    """Deleting is repeatable; deleting the default is refused."""
    subject = deployed(estate)
    estate.gateway.create_deployment(TEST, a_spec(subject, name="deployment-20251210-2"))
    settled_deployment(estate, TEST, a_spec(subject, name="deployment-20251210-2"))
    estate.gateway.set_default(TEST, subject.endpoint, DEPLOYMENT)
    settled_endpoint(estate, TEST, subject.endpoint)
    estate.gateway.delete_deployment(TEST, subject.endpoint, "deployment-20251210-2")
    eventually(
        lambda: estate.gateway.deployment(TEST, subject.endpoint, "deployment-20251210-2") is None or None,
        "the deployment goes",
    )
    estate.gateway.delete_deployment(TEST, subject.endpoint, "deployment-20251210-2")
    with pytest.raises(PermanentError):
        estate.gateway.delete_deployment(TEST, subject.endpoint, DEPLOYMENT)


def test_a_smoke_job_runs_the_named_deployment_and_leaves_predictions(estate: Estate) -> None:
    """Completed, with times in order, predictions, and no error lines; asking again finds the same job (D14)."""
    subject = deployed(estate)
    estate.add_test_data(subject.circuit, {"test_input.csv": b"x\n1\n2\n"})
    name = f"smoke-{uuid4().hex}"
    assert estate.gateway.job(name) is None
    started = estate.gateway.start_smoke_job(
        endpoint=subject.endpoint, deployment=DEPLOYMENT, circuit=subject.circuit, job_name=name
    )
    assert started.name == name
    job = ended_job(estate, name)
    assert job.status == "Completed"
    assert job.created_at
    assert job.started_at
    assert job.ended_at
    assert job.created_at <= job.started_at <= job.ended_at
    output = estate.gateway.job_output(name)
    assert (output.logs.error_count, output.unread, output.rows.total) == (0, (), 2)
    assert output.predictions
    assert output.predictions_size == len(output.predictions)
    again = estate.gateway.start_smoke_job(
        endpoint=subject.endpoint, deployment=DEPLOYMENT, circuit=subject.circuit, job_name=name
    )
    assert again == job
    assert [one.name for one in estate.gateway.smoke_jobs(endpoint=subject.endpoint, deployment=DEPLOYMENT)] == [name]


def test_the_output_of_a_running_job_is_not_read(estate: Estate, untouched: SomeCircuit) -> None:
    """Half a log proves nothing."""
    estate.add_test_data(untouched.circuit, {"test_input.csv": b"x\n1\n"})
    name = f"smoke-{uuid4().hex}"
    estate.gateway.start_smoke_job(
        endpoint=untouched.endpoint, deployment=DEPLOYMENT, circuit=untouched.circuit, job_name=name
    )
    with pytest.raises(PermanentError, match="not ended"):
        estate.gateway.job_output(name)
    ended_job(estate, name)


def test_a_job_can_be_cancelled_and_cancelling_again_is_fine(estate: Estate, untouched: SomeCircuit) -> None:
    """The job ends as Canceled; a second request, and one for a job that never was, do no harm."""
    estate.add_test_data(untouched.circuit, {"test_input.csv": b"x\n1\n"})
    name = f"smoke-{uuid4().hex}"
    estate.gateway.start_smoke_job(
        endpoint=untouched.endpoint, deployment=DEPLOYMENT, circuit=untouched.circuit, job_name=name
    )
    estate.gateway.cancel_job(name)
    assert ended_job(estate, name).status == "Canceled"
    estate.gateway.cancel_job(name)
    estate.gateway.cancel_job(f"smoke-{uuid4().hex}")


def test_a_deployment_that_is_not_there_is_not_invoked(estate: Estate, untouched: SomeCircuit) -> None:
    """No silent fall-back to the endpoint's default."""
    with pytest.raises(PermanentError):
        estate.gateway.start_smoke_job(
            endpoint=untouched.endpoint,
            deployment="deployment-unheard-of",
            circuit=untouched.circuit,
            job_name=f"smoke-{uuid4().hex}",
        )
