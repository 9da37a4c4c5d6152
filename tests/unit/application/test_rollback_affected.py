"""Unit: the page tells the truth while a newer release is at work, leads to the way back, and names what else is touched."""

from datetime import timedelta

import pytest

from shared.application.rollback_affected import newer_on
from shared.application.rollback_preview import Previews, RollbackPreview
from shared.application.rollbacks import RollbackRequest
from shared.domain.errors import RequestRefused
from shared.domain.model import Circuit, CircuitPhase, Environment, ReleasePhase
from shared.domain.naming import deployment_name
from tests.support.builders import CIRCUIT, OTHER_CIRCUIT, RELEASE_ID
from tests.support.pipeline_world import PipelineWorld

SECOND, THIRD = "20251210.2", "20251210.3"


@pytest.fixture
def world() -> PipelineWorld:
    """Two releases of two circuits are live one after the other."""
    world = PipelineWorld()
    for number, release_id in enumerate((RELEASE_ID, SECOND)):
        world.release_all(release_id, CIRCUIT, OTHER_CIRCUIT, build=str(number))
    return world


def preview(world: PipelineWorld, release_id: str, **columns: object) -> RollbackPreview:
    asked = RollbackRequest(requested_by="", reason="", release_id=release_id, **columns)  # type: ignore[arg-type]
    return Previews(world.ports).of(asked)


def activating(world: PipelineWorld) -> None:
    """A third release has begun to switch its circuits, and gets no further: Azure ML takes its time."""
    world.start(THIRD, CIRCUIT, OTHER_CIRCUIT, build="3")
    world.to_phase(ReleasePhase.ACTIVATING, THIRD)
    world.models.operation_time = timedelta(minutes=2)
    world.run(lambda: all(world.lock(one).want == deployment_name(THIRD) for one in (CIRCUIT, OTHER_CIRCUIT)))
    assert world.phase(THIRD) is ReleasePhase.ACTIVATING


def test_while_a_newer_release_is_activated_the_page_says_so_and_leads_to_it(world: PipelineWorld) -> None:
    """Issue 4.4: the only mail at hand is that of the release before; the rollback wins over the one at work (D11)."""
    activating(world)
    (newer,) = preview(world, SECOND).newer
    assert newer.told == f"release {THIRD} is newer and is being activated on {CIRCUIT}, {OTHER_CIRCUIT}"
    assert newer.is_at_work
    assert f"release {THIRD} has been activating it since" in preview(world, SECOND).refused
    way = preview(world, THIRD)
    assert [(one.name, one.target.to) for one in way.circuits] == [
        (str(CIRCUIT), deployment_name(SECOND)),
        (str(OTHER_CIRCUIT), deployment_name(SECOND)),
    ]
    (line,) = way.affected
    assert line.startswith(f"release {THIRD} is activating with {CIRCUIT}, {OTHER_CIRCUIT}: the rollback wins")


def test_that_way_back_is_the_one_that_the_call_offers(world: PipelineWorld) -> None:
    """D13: what was live before the release that is at work, which ends without these circuits."""
    activating(world)
    world.roll_back(release_id=THIRD, only=(CIRCUIT,))
    world.sweep_for(timedelta(minutes=20))
    assert world.lock().want == deployment_name(SECOND)
    assert world.circuit(CIRCUIT, THIRD).phase in {CircuitPhase.SUPERSEDED, CircuitPhase.ROLLED_BACK}


def test_a_newer_release_that_is_live_can_be_taken_back_instead(world: PipelineWorld) -> None:
    (newer,) = preview(world, RELEASE_ID).newer
    assert (newer.release_id, newer.is_at_work) == (SECOND, False)
    assert newer.told.startswith(f"release {SECOND} is newer and has been activated since on")


def test_a_personal_link_leads_to_newer_releases_of_its_circuits_only(world: PipelineWorld) -> None:
    """Also after the first click has taken the lock; never to an older one, another circuit's, or a rollback."""
    world.release_all("20251210.5", Circuit(plant_id="PLANT009", circuit_id="C1"), build="5")
    rollback_id = world.roll_back(release_id=SECOND).rollback_id
    world.run()
    newer = newer_on(RELEASE_ID, SECOND, world.ports)
    assert newer is not None
    assert newer.circuits == sorted((CIRCUIT, OTHER_CIRCUIT))
    assert newer_on(SECOND, RELEASE_ID, world.ports) is None
    assert newer_on(SECOND, "20251210.5", world.ports) is None
    assert newer_on(RELEASE_ID, rollback_id, world.ports) is None
    assert newer_on(RELEASE_ID, "20300101.1", world.ports) is None


def test_what_a_caller_may_not_ask_for_is_no_part_of_the_release_for_them(world: PipelineWorld) -> None:
    """Neither shown, nor taken along where nothing is chosen."""
    (shown,) = preview(world, SECOND, within=(CIRCUIT,)).circuits
    assert shown.name == str(CIRCUIT)
    world.roll_back(release_id=SECOND, within=(CIRCUIT,))
    world.run()
    assert (world.lock().want, world.lock(OTHER_CIRCUIT).want) == (deployment_name(RELEASE_ID), deployment_name(SECOND))


def test_a_release_that_waits_at_a_gate_is_named(world: PipelineWorld) -> None:
    """It will find the hold."""
    world.start(THIRD, CIRCUIT, build="3")
    world.to_phase(ReleasePhase.AWAITING_PRODUCTION_APPROVAL, THIRD)
    (line,) = preview(world, SECOND).affected
    assert line == (
        f"release {THIRD} is awaiting production approval with {CIRCUIT}: it will leave them out as long as they are held"
    )
    assert preview(world, SECOND, environment=Environment.TEST).affected == ()


def test_what_was_rolled_back_says_when_by_whom_and_why(world: PipelineWorld) -> None:
    """Issue 4: "-1 is live, not -2" alone sends people looking."""
    world.roll_back(CIRCUIT)
    world.run()
    (note,) = preview(world, SECOND).notes
    assert note.startswith(f"left out: {CIRCUIT}: {deployment_name(RELEASE_ID)} should be live, not")
    assert "(rolled back at 2025-12-10T" in note
    assert "by ops, because bad predictions (rollback-" in note
    world.clock.forward(timedelta(minutes=11))
    with pytest.raises(RequestRefused, match="because bad predictions"):
        world.roll_back(release_id=SECOND, only=(CIRCUIT,), reason="once more")
