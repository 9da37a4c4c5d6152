"""Unit: after a rollback no release undoes it in silence (known failure 12)."""

from datetime import timedelta

import pytest

from shared.domain.errors import RequestRefused
from shared.domain.model import CircuitPhase, ReleasePhase
from shared.domain.naming import deployment_name
from tests.support.builders import CIRCUIT, OTHER_CIRCUIT, RELEASE_ID
from tests.support.pipeline_world import PipelineWorld

IDS = (RELEASE_ID, "20251211.1", "20251230.1")
FIRST, SECOND, THIRD = (deployment_name(release_id) for release_id in IDS)


@pytest.fixture
def rolled_back(world: PipelineWorld) -> PipelineWorld:
    """Two releases, then one circuit back to the first."""
    for number, release_id in enumerate(IDS[:2]):
        world.release_all(release_id, build=str(number))
        world.clock.forward(timedelta(days=1))
    world.roll_back(CIRCUIT)
    world.run()
    return world


def test_a_rollback_sets_a_hold_of_fourteen_days(rolled_back: PipelineWorld) -> None:
    """Who, why, since when and until when."""
    lock = rolled_back.lock()

    assert (lock.hold_by, lock.hold_why) == ("ops", "bad predictions")
    assert lock.hold_since is not None
    assert lock.hold_until == lock.hold_since + timedelta(days=14)


def test_the_next_release_leaves_a_held_circuit_out_and_says_so(rolled_back: PipelineWorld) -> None:
    """Known failure 12: it is not silently undone; the other circuits go live."""
    rolled_back.release_all(IDS[2], build="2")

    run = rolled_back.circuit(CIRCUIT, IDS[2])
    assert run.phase is CircuitPhase.EXCLUDED
    assert "by ops, because bad predictions" in run.hist[-1].why
    assert rolled_back.live_default() == FIRST
    assert rolled_back.live_default(OTHER_CIRCUIT) == THIRD


def test_a_lifted_hold_lets_the_next_release_activate(rolled_back: PipelineWorld) -> None:
    """By an operator, with a reason."""
    lock = rolled_back.holds().lift(CIRCUIT, by="ops", why="model was fine")
    rolled_back.release_all(IDS[2], build="2")

    assert (lock.hold_until, lock.hold_why) == (None, "model was fine")
    assert rolled_back.live_default() == THIRD


def test_a_hold_that_has_ended_holds_nothing(rolled_back: PipelineWorld) -> None:
    """At the very second."""
    until = rolled_back.lock().hold_until
    assert until is not None
    assert rolled_back.lock().is_held(until - timedelta(seconds=1))
    assert not rolled_back.lock().is_held(until)

    rolled_back.clock.set(until)
    rolled_back.release_all(IDS[2], build="2")
    assert rolled_back.live_default() == THIRD


def test_an_operator_can_hold_a_circuit_without_a_rollback(world: PipelineWorld) -> None:
    """Until a moment of their choice."""
    world.release_all(RELEASE_ID)
    until = world.clock.now() + timedelta(hours=6)

    lock = world.holds().hold(CIRCUIT, until=until, by="ops", why="maintenance")

    assert lock.hold_until == until
    assert lock.is_held(world.clock.now())
    assert lock.fence == world.lock().fence


def test_a_rollback_does_not_shorten_a_longer_hold_nor_forget_who_set_it(world: PipelineWorld) -> None:
    """Who swapped the sensor until March must not find the circuit activated in two weeks."""
    world.release_all(IDS[0])
    world.release_all(IDS[1], build="1")
    until = world.clock.now() + timedelta(days=90)
    world.holds().hold(CIRCUIT, until=until, by="ann", why="sensor swapped until March")

    world.roll_back(CIRCUIT)
    world.run()

    lock = world.lock()
    assert (lock.hold_until, lock.hold_by) == (until, "ops")
    assert lock.hold_why.startswith("bad predictions; ")
    assert "by ann, because sensor swapped until March" in lock.hold_why


def test_a_second_rollback_holds_for_as_long_as_it_would_by_itself(rolled_back: PipelineWorld) -> None:
    """The first one's hold ends earlier, and its reason still stands beside the new one."""
    rolled_back.clock.forward(timedelta(days=1))
    asked_at = rolled_back.clock.now()
    rolled_back.roll_back(CIRCUIT, to=SECOND, reason="was fine after all")
    rolled_back.run()

    lock = rolled_back.lock()
    assert lock.hold_until is not None
    assert lock.hold_until >= asked_at + timedelta(days=14)
    assert lock.hold_why.startswith("was fine after all; ")
    assert "because bad predictions" in lock.hold_why


def test_a_hold_that_ends_in_the_past_is_refused(world: PipelineWorld) -> None:
    """422."""
    world.release_all(RELEASE_ID)

    with pytest.raises(RequestRefused) as refused:
        world.holds().hold(CIRCUIT, until=world.clock.now(), by="ops", why="maintenance")
    assert refused.value.status == 422


def test_a_circuit_nobody_knows_can_not_be_held(world: PipelineWorld) -> None:
    """404."""
    with pytest.raises(RequestRefused) as refused:
        world.holds().lift(CIRCUIT, by="ops", why="why")
    assert refused.value.status == 404


def test_a_release_of_held_circuits_only_has_nothing_to_do(rolled_back: PipelineWorld) -> None:
    """Nobody is left to go on with; nothing is staged for nothing."""
    rolled_back.start(IDS[2], CIRCUIT, build="2")
    rolled_back.to_phase(ReleasePhase.AWAITING_PRODUCTION_APPROVAL, IDS[2])
    rolled_back.to_phase(ReleasePhase.NOTHING_TO_DO, IDS[2])
    assert rolled_back.release(IDS[2]).reason == "every circuit was left out"

    assert rolled_back.live_default() == FIRST
