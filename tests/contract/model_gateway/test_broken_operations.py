"""Whole releases over the real SDK whose long operations fail or never end: how each ends, and what people are told.

The pipeline's own state is in memory and its clock is moved by hand, so that an hour of waiting takes seconds; Azure ML
is the stand-in, with the fault as the service would show it.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import cast

import pytest
from azure_ml_process import QUICK, AzureMl
from estates import RealEstate, settings_for, some_circuit

from shared.adapters.azure_ml.gateway import AzureMlGateway
from shared.application.next_action import diagnosis
from shared.application.ports import ModelGateway
from shared.application.summary import failure_report
from shared.domain.model import Circuit, CircuitPhase, Environment, GateName, ReleasePhase
from shared.domain.naming import model_name
from shared.domain.policy import Policy
from tests.support.builders import RELEASE_ID
from tests.support.pipeline_world import PipelineWorld, dev_tags

pytestmark = pytest.mark.stack

POLICY = Policy(deploy_limit=timedelta(minutes=5), promote_limit=timedelta(minutes=5))

type Ended = Callable[[str, str], tuple[PipelineWorld, Circuit]]


@pytest.fixture
def no_time(azure_ml: AzureMl) -> Iterator[None]:
    """What does not stick is over at once: a second of the service would be hours of the pipeline's clock."""
    azure_ml.change(durations=dict.fromkeys(QUICK, 0.0))
    yield
    azure_ml.change(durations=QUICK)


@pytest.fixture
def ended_under(azure_ml: AzureMl, real_estate: RealEstate, no_time: None) -> Ended:
    """A release of one circuit, whose first operation of a kind fails or sticks, at its end."""

    def release(operation: str, action: str) -> tuple[PipelineWorld, Circuit]:
        circuit = some_circuit().circuit
        real_estate.add_dev_model(model_name(circuit), "3", dev_tags(circuit))
        real_estate.add_test_data(circuit, {"test_input.csv": b"x\n1\n"})
        world = PipelineWorld(policy=POLICY)
        gateway = AzureMlGateway(settings_for(azure_ml), patience=timedelta(seconds=2))
        world.ports = replace(world.ports, models=cast("ModelGateway", gateway))
        world.start(RELEASE_ID, circuit)
        world.to_phase(ReleasePhase.AWAITING_REGISTRY_APPROVAL)
        azure_ml.fault(match={"operation": operation}, action=action)
        world.answer(GateName.REGISTRY)
        before = azure_ml.last_entry()
        world.run()
        assert world.phase() is ReleasePhase.FAILED
        assert [one for one in azure_ml.journal(before) if one["scope"] == "mlw-prod" and one["kind"] == "write"] == []
        return world, circuit

    return release


def told(world: PipelineWorld, circuit: Circuit) -> str:
    """What the diagnosis found, with general names for the circuit's own."""
    lines = " | ".join(diagnosis(world.circuit(circuit)))
    return lines.replace(f"be-{model_name(circuit)}", "ENDPOINT").replace(model_name(circuit), "MODEL")


def test_a_deployment_whose_operation_fails_ends_the_release_with_the_services_reason(ended_under: Ended) -> None:
    """R22, R51: failed, because the service said no; endpoint, compute and Registry were looked at."""
    world, circuit = ended_under("deployments.put", "fail_lro")

    run = world.circuit(circuit)
    assert run.phase is CircuitPhase.FAILED
    assert run.error.startswith("deployment in test failed: deployment-20251210-1 on be-")
    assert "is Failed: " in run.error
    assert (
        "endpoint ENDPOINT in test is Succeeded, default (none) | deployment deployment-20251210-1 is Failed | "
        "compute in test: Succeeded"
    ) in told(world, circuit)
    assert "the Registry has MODEL version 20251210-1 | next: look at ENDPOINT in the test workspace" in told(
        world, circuit
    )


def test_an_endpoint_whose_operation_fails_ends_the_release(ended_under: Ended) -> None:
    """R22, R38: it is there, it is of no use, and what to do with it is said."""
    world, circuit = ended_under("endpoints.put", "fail_lro")

    run = world.circuit(circuit)
    assert run.phase is CircuitPhase.FAILED
    assert "is Failed; delete it if it never served, then retry" in run.error
    assert "endpoint ENDPOINT in test is Failed, default (none)" in told(world, circuit)


@pytest.mark.parametrize(
    ("operation", "seen"),
    [
        ("deployments.put", "endpoint ENDPOINT in test is Succeeded, default (none)"),
        ("endpoints.put", "endpoint ENDPOINT in test is Running, default (none)"),
    ],
)
def test_what_sticks_in_creating_ends_at_the_deadline(ended_under: Ended, operation: str, seen: str) -> None:
    """Errored, not failed: nothing was refused. It is said where it stands, and that a retry may do."""
    world, circuit = ended_under(operation, "stick")

    run = world.circuit(circuit)
    assert run.phase is CircuitPhase.ERRORED
    assert run.error == "deploying_test did not end within 0:05:00; remove the cause, then retry the release"
    assert seen in told(world, circuit)
    report = failure_report(world.release(), world.runs())
    assert f"Next: POST /api/releases/{RELEASE_ID}/retry, once the cause that each circuit names is gone." in report


def test_a_registry_operation_that_fails_ends_the_release_with_devs_candidates(ended_under: Ended) -> None:
    """R49: the version is not there; what Dev offers is."""
    world, circuit = ended_under("registry.models.put", "fail_lro")

    run = world.circuit(circuit)
    assert run.phase is CircuitPhase.FAILED
    assert "asked for by a fault of the stand-in" in run.error
    assert "the Registry does not have MODEL version 20251210-1 | Dev's candidates: version 3" in told(world, circuit)


def test_a_registry_operation_that_never_ends_blocks_nobody_for_ever(ended_under: Ended) -> None:
    """The SDK waits for it without an end: the app gives up waiting, looks again, and errs at the step's deadline."""
    world, circuit = ended_under("registry.models.put", "stick")

    run = world.circuit(circuit)
    assert run.phase is CircuitPhase.ERRORED
    assert run.error.startswith(
        "promoting did not end within 0:05:00; remove the cause, then retry the release (last: "
    )
    assert "the Registry does not have MODEL version 20251210-1" in told(world, circuit)


def test_a_failed_deployment_is_made_again_by_a_retry(ended_under: Ended, azure_ml: AzureMl) -> None:
    """The failed one is deleted first; the endpoint, which stands, is not written to."""
    world, circuit = ended_under("deployments.put", "fail_lro")
    before = azure_ml.last_entry()
    world.clock.forward(timedelta(minutes=1))

    world.operations().retry(RELEASE_ID, reason="the quota was raised", by="ops", exclude={})
    world.run(lambda: world.circuit(circuit).phase in {CircuitPhase.QUEUED, CircuitPhase.SMOKE_TESTING})

    operations = [one["operation"] for one in azure_ml.journal(before) if one["kind"] == "write"]
    assert operations == ["deployments.delete", "deployments.put"]
    found = world.ports.models.deployment(
        Environment.TEST, world.circuit(circuit).test_endpoint, "deployment-20251210-1"
    )
    assert found
    assert found.failure == ""
