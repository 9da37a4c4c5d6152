"""Unit: a rollback switches the circuit's own endpoint, and the page tells what is really live on it."""

import pytest

from shared.application.rollback_preview import CircuitPreview, Previews
from shared.application.rollbacks import RollbackRequest
from shared.domain.model import CircuitPhase
from tests.support.builders import CIRCUIT
from tests.support.pipeline_world import PipelineWorld
from tests.support.rolled import ENDPOINT, FIRST, IDS, PRODUCTION, SECOND, released

SECOND_ID = IDS[1]
ANOTHERS = {"plant_id": CIRCUIT.plant_id, "circuit_id": "OTHER"}


@pytest.fixture
def twice(world: PipelineWorld) -> PipelineWorld:
    """Two releases of the same circuit."""
    return released(world, 2, CIRCUIT)


def shown(world: PipelineWorld) -> CircuitPreview:
    (found,) = Previews(world.ports).of(RollbackRequest(requested_by="", reason="", release_id=SECOND_ID)).circuits
    return found


@pytest.mark.parametrize("columns", [{}, {"to": FIRST}])
def test_an_endpoint_that_is_tagged_for_another_circuit_is_not_switched(
    twice: PipelineWorld, columns: dict[str, object]
) -> None:
    """R42: inspection and staging refuse it as well; nothing was changed, and nothing is held."""
    twice.models.add_endpoint(PRODUCTION, ENDPOINT, default=SECOND, deployments=[FIRST], tags=ANOTHERS)
    started = twice.roll_back(CIRCUIT, **columns)
    twice.run()
    run = twice.circuit(CIRCUIT, started.rollback_id)
    assert run.phase is CircuitPhase.FAILED
    assert run.error == f"{ENDPOINT} is tagged for another circuit; nothing was changed"
    assert (twice.live_default(), twice.lock().want, twice.lock().hold_until) == (SECOND, SECOND, None)


@pytest.mark.parametrize("tags", [{}, {"plant_id": CIRCUIT.plant_id, "owner": "ops"}])
def test_an_endpoint_without_our_tags_may_be_switched(twice: PipelineWorld, tags: dict[str, str]) -> None:
    """R59: it was there before us."""
    twice.models.add_endpoint(PRODUCTION, ENDPOINT, default=SECOND, deployments=[FIRST], tags=tags)
    twice.roll_back(CIRCUIT)
    twice.run()
    assert twice.live_default() == FIRST


def test_the_page_warns_of_an_endpoint_that_is_anothers(twice: PipelineWorld) -> None:
    """Before anybody confirms what would be refused."""
    twice.models.add_endpoint(PRODUCTION, ENDPOINT, default=SECOND, deployments=[FIRST], tags=ANOTHERS)
    assert (shown(twice).healthy, shown(twice).health) == (False, f"{ENDPOINT} is tagged for another circuit")


def test_the_page_names_no_release_for_a_default_that_is_not_its(twice: PipelineWorld) -> None:
    """Issue 4: somebody has switched to what the rollback would go back to; the release that should be live is not."""
    twice.models.change_default(PRODUCTION, ENDPOINT, FIRST)
    found = shown(twice)
    assert (found.live, found.live_release) == (FIRST, "")
    assert f"{FIRST} is live already, by somebody outside this app; the rollback makes it what should be live" in (
        found.attention
    )


def test_the_page_names_the_release_of_what_is_live(twice: PipelineWorld) -> None:
    assert (shown(twice).live, shown(twice).live_release) == (SECOND, SECOND_ID)
