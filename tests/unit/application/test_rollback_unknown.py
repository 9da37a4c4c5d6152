"""Unit: a circuit nobody knows is not found, as a plant or a release is, and the right spelling is named."""

import pytest

from shared.domain.errors import RequestRefused
from shared.domain.model import Circuit, Environment
from tests.support.builders import CIRCUIT, OTHER_CIRCUIT, RELEASE_ID
from tests.support.pipeline_world import PipelineWorld


@pytest.fixture
def live(world: PipelineWorld) -> PipelineWorld:
    world.release_all(RELEASE_ID, CIRCUIT)
    return world


def refusal(world: PipelineWorld, *circuits: Circuit, **columns: object) -> RequestRefused:
    with pytest.raises(RequestRefused) as refused:
        world.roll_back(*circuits, **columns)
    return refused.value


@pytest.mark.parametrize("environment", list(Environment))
def test_an_unknown_circuit_is_not_found(live: PipelineWorld, environment: Environment) -> None:
    """404 like an unknown plant or release; 409 is for what is known and has nothing to go back to."""
    refused = refusal(live, CIRCUIT, OTHER_CIRCUIT, environment=environment)
    assert (refused.status, refused.title) == (404, "Unknown circuit")
    assert refused.detail.startswith(
        f"{OTHER_CIRCUIT}: the pipeline has never made anything live there in {environment}"
    )
    assert refusal(live, CIRCUIT, environment=environment).status == 409


def test_a_circuit_in_another_case_is_told_how_it_is_written(live: PipelineWorld) -> None:
    small = Circuit(plant_id=CIRCUIT.plant_id.lower(), circuit_id=CIRCUIT.circuit_id.lower())
    assert f"{small} (did you mean {CIRCUIT}?)" in refusal(live, small).detail


def test_five_thousand_unknown_circuits_cost_two_requests_and_name_twenty(live: PipelineWorld) -> None:
    """And no call of Azure ML."""
    circuits = [Circuit(plant_id="P", circuit_id=f"C{number}") for number in range(5_000)]
    before, calls = live.endpoints.requests.copy(), len(live.models.journal)
    refused = refusal(live, *circuits)
    assert live.endpoints.requests - before == {"locks_of": 1, "circuits": 1}
    assert len(live.models.journal) == calls
    assert "P/C19 and 4980 more: the pipeline" in refused.detail
    assert len(refused.detail) < 500
