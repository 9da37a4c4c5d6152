"""Circuits on their way: what tests of the gateway start from."""

from datetime import UTC, datetime

from estates import Estate, SomeCircuit, model_files, settled_deployment, settled_endpoint, some_circuit

from shared.application.ports import DeploymentSpec, ProvisioningState
from shared.domain.model import Environment
from shared.domain.naming import endpoint_tags, registry_tags

VERSION = "20251210-1"
DEPLOYMENT = "deployment-20251210-1"


def tags_of(subject: SomeCircuit) -> dict[str, str]:
    """The seven tags of a promotion."""
    return registry_tags(
        subject.circuit,
        cutoff_date="2025-11-01",
        promoted_at=datetime.now(UTC),
        release_id="20251210.1",
        build_id="12345",
    )


def in_dev(estate: Estate, body: str = "") -> SomeCircuit:
    """A circuit with version 3 of its model in Dev; `body` runs at the start of each prediction."""
    subject = some_circuit()
    estate.add_dev_model(
        subject.model, "3", {"validated": "true", "component_version": "1.4.0"}, model_files(body=body)
    )
    return subject


def promoted(estate: Estate, body: str = "") -> SomeCircuit:
    """A circuit whose model is in the Registry."""
    subject = in_dev(estate, body)
    estate.gateway.promote(name=subject.model, source_version="3", version=VERSION, tags=tags_of(subject), mode="copy")
    return subject


def a_spec(subject: SomeCircuit, name: str = DEPLOYMENT, **changes: object) -> DeploymentSpec:
    """A deployment of the promoted model."""
    values: dict[str, object] = {
        "endpoint": subject.endpoint,
        "name": name,
        "model_name": subject.model,
        "model_version": VERSION,
        "instance_count": 1,
        "max_concurrency_per_instance": 2,
        "mini_batch_size": 10,
        "tags": {"cutoff_date": "2025-11-01", "previous_deployment": ""},
    }
    return DeploymentSpec(**(values | changes))  # type: ignore[arg-type]  # a builder with defaults


def with_endpoint(estate: Estate, environment: Environment = Environment.TEST, body: str = "") -> SomeCircuit:
    """A promoted circuit with a ready endpoint."""
    subject = promoted(estate, body)
    estate.gateway.create_endpoint(environment, subject.endpoint, endpoint_tags(subject.circuit))
    settled_endpoint(estate, environment, subject.endpoint)
    return subject


def deployed(estate: Estate, environment: Environment = Environment.TEST, body: str = "") -> SomeCircuit:
    """A circuit with an endpoint and one deployment that is not the default."""
    subject = with_endpoint(estate, environment, body)
    estate.gateway.create_deployment(environment, a_spec(subject))
    assert settled_deployment(estate, environment, a_spec(subject)) is ProvisioningState.SUCCEEDED
    return subject
