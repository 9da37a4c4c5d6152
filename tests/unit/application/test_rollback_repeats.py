"""Unit: what of a request an earlier rollback has answered already (D13) - repeats, second people, explicit knowledge."""

from datetime import timedelta

import pytest

from shared.application.drift import Drift
from shared.application.rollback_preview import Previews
from shared.application.rollbacks import RollbackRequest
from shared.domain.errors import RequestRefused, TransientError
from shared.domain.model import CircuitPhase, ReleasePhase
from shared.domain.naming import deployment_name
from tests.support.builders import CIRCUIT, OTHER_CIRCUIT, THIRD_CIRCUIT
from tests.support.pipeline_world import PipelineWorld
from tests.support.rolled import FIRST, IDS, MINUTE, SECOND, THIRD, released

TEN_MINUTES = timedelta(minutes=10)
BY_PAGE = {"release_id": IDS[2], "only": (CIRCUIT,)}
BY_CALL = {"circuits": (CIRCUIT,)}
BY_PLANT = {"plant_id": "PLANT001", "only": (CIRCUIT,)}
BY_DEPLOYMENT = {"circuits": (CIRCUIT,), "to": SECOND}


@pytest.fixture
def thrice(world: PipelineWorld) -> PipelineWorld:
    return released(world, 3)


# -------------------------------------------------------------------------------------- a second person, another way


@pytest.mark.parametrize("first", [BY_PAGE, BY_CALL, BY_PLANT, BY_DEPLOYMENT])
@pytest.mark.parametrize("second", [BY_PAGE, BY_CALL, BY_PLANT, BY_DEPLOYMENT])
@pytest.mark.parametrize("is_over", [False, True])
def test_two_people_by_two_ways_take_a_circuit_one_back(
    thrice: PipelineWorld, first: dict[str, object], second: dict[str, object], *, is_over: bool
) -> None:
    """D13: by what was put back, not by how it was spelled; while the first runs, and when it is done."""
    started = thrice.roll_back(**first)  # type: ignore[arg-type]  # columns of the request
    thrice.run(lambda: not is_over and thrice.lock().owner == started.rollback_id)
    thrice.clock.forward(MINUTE)

    again = thrice.roll_back(**second)  # type: ignore[arg-type]  # columns of the request
    thrice.run()

    assert (again.is_new, again.rollback_id) == (False, started.rollback_id)
    assert thrice.live_default() == SECOND


def test_a_second_person_who_asks_for_more_gets_the_rest(thrice: PipelineWorld) -> None:
    """D13: each circuit by itself, with a note on the one that is left out."""
    first = thrice.roll_back(CIRCUIT)
    thrice.run()
    thrice.clock.forward(MINUTE)

    again = thrice.roll_back(plant_id="PLANT001")
    thrice.run()

    assert [run.circuit for run in thrice.runs(again.rollback_id)] == [OTHER_CIRCUIT]
    (note,) = again.notes
    assert note.startswith(f"left out: {CIRCUIT}: {first.rollback_id}, asked for at ")
    assert note.endswith(f"puts it back to {SECOND}; name `from` or `to` to go further")
    assert [thrice.live_default(c) for c in (CIRCUIT, OTHER_CIRCUIT, THIRD_CIRCUIT)] == [SECOND, SECOND, THIRD]


def test_circuits_that_two_rollbacks_have_put_back_lead_to_the_newer_one(thrice: PipelineWorld) -> None:
    """D13: nothing is left to do."""
    thrice.roll_back(CIRCUIT)
    thrice.clock.forward(MINUTE)
    newer = thrice.roll_back(OTHER_CIRCUIT)
    thrice.run()

    again = thrice.roll_back(CIRCUIT, OTHER_CIRCUIT)

    assert (again.is_new, again.rollback_id) == (False, newer.rollback_id)


def test_the_same_request_is_the_same_while_some_of_its_circuits_wait_for_their_turn(thrice: PipelineWorld) -> None:
    """D13: one is switched, the others' messages are still on the way."""
    first = thrice.roll_back(plant_id="PLANT001")
    thrice.run(lambda: thrice.lock().owner == first.rollback_id)
    assert thrice.lock(OTHER_CIRCUIT).owner == IDS[2]

    again = thrice.roll_back(plant_id="PLANT001", reason="I press again")

    assert (again.is_new, again.rollback_id) == (False, first.rollback_id)


def test_a_repeated_client_request_gets_no_circuit_further_than_somebody_else_took_it(thrice: PipelineWorld) -> None:
    """D13: a correction came between."""
    thrice.roll_back(CIRCUIT)
    thrice.run()
    thrice.clock.forward(MINUTE)
    correction = thrice.roll_back(CIRCUIT, to=FIRST)
    thrice.run()

    again = thrice.roll_back(CIRCUIT)

    assert (again.is_new, again.rollback_id) == (False, correction.rollback_id)


# ------------------------------------------------------------------------------------------- explicit knowledge


def test_an_explicit_from_that_is_live_goes_one_further_at_once(thrice: PipelineWorld) -> None:
    """D13: the second one is bad, too; its page shows that, and the caller confirms what it shows."""
    thrice.roll_back(CIRCUIT, seen={CIRCUIT: THIRD})
    thrice.run()
    thrice.clock.forward(2 * MINUTE)
    asked = RollbackRequest(requested_by="", reason="", circuits=(CIRCUIT,))
    (shown,) = Previews(thrice.ports).of(asked).circuits
    assert (shown.target.live, shown.target.to) == (SECOND, FIRST)

    further = thrice.roll_back(CIRCUIT, seen={CIRCUIT: shown.live})
    thrice.run()

    assert further.is_new
    assert "one further back" in further.notes[0]
    assert thrice.live_default() == FIRST


def test_the_release_that_made_it_live_may_be_named_at_once(thrice: PipelineWorld) -> None:
    """D13: who names the second release knows that its deployment is live."""
    thrice.roll_back(release_id=IDS[2])
    thrice.run()
    thrice.clock.forward(MINUTE)

    further = thrice.roll_back(release_id=IDS[1])
    thrice.run()

    assert further.is_new
    assert thrice.live_default() == FIRST


def test_an_explicit_from_while_the_switch_is_under_way_is_the_same_request(thrice: PipelineWorld) -> None:
    """D13: it is on its way to be live, and was not seen yet."""
    thrice.models.operation_time = timedelta(seconds=20)
    first = thrice.roll_back(CIRCUIT)
    thrice.run(lambda: thrice.lock().owner == first.rollback_id)

    again = thrice.roll_back(CIRCUIT, seen={CIRCUIT: SECOND})

    assert (again.is_new, again.rollback_id) == (False, first.rollback_id)


def test_an_explicit_from_is_explained_by_the_rollback_that_took_it_away(thrice: PipelineWorld) -> None:
    """D13: hours later, and although another rollback came after it."""
    first = thrice.roll_back(CIRCUIT)
    thrice.run()
    thrice.roll_back(CIRCUIT, seen={CIRCUIT: SECOND})
    thrice.run()
    thrice.clock.forward(timedelta(hours=5))

    late = thrice.roll_back(CIRCUIT, seen={CIRCUIT: THIRD})

    assert (late.is_new, late.rollback_id) == (False, first.rollback_id)
    assert thrice.live_default() == FIRST


def test_a_from_that_a_rollback_took_away_long_before_a_release_is_refused(thrice: PipelineWorld) -> None:
    """409: what is live now came from a release, and the caller has never seen it."""
    thrice.roll_back(CIRCUIT)
    thrice.run()
    thrice.holds().lift(CIRCUIT, by="ops", why="mended")
    thrice.release_all("20251213.1", build="4")

    with pytest.raises(RequestRefused, match=f"{deployment_name('20251213.1')} should be live, not {THIRD}"):
        thrice.roll_back(CIRCUIT, seen={CIRCUIT: THIRD})


def test_a_from_that_nobody_has_taken_away_is_refused(thrice: PipelineWorld) -> None:
    """409: no rollback explains it, so somebody is mistaken."""
    thrice.roll_back(CIRCUIT)
    thrice.run()

    with pytest.raises(RequestRefused, match=f"{SECOND} should be live, not deployment-nobody") as refused:
        thrice.roll_back(CIRCUIT, seen={CIRCUIT: "deployment-nobody"})
    assert refused.value.title == "Outdated"


def test_of_an_outdated_page_the_circuits_that_are_still_as_shown_go_back(thrice: PipelineWorld) -> None:
    """D13: somebody has put one of two back meanwhile."""
    thrice.roll_back(CIRCUIT)
    thrice.run()

    both = {CIRCUIT: THIRD, OTHER_CIRCUIT: THIRD}
    again = thrice.roll_back(release_id=IDS[2], only=tuple(both), seen=both)
    thrice.run()

    assert [run.circuit for run in thrice.runs(again.rollback_id)] == [OTHER_CIRCUIT]
    assert [thrice.live_default(c) for c in both] == [SECOND, SECOND]


def test_a_circuit_that_a_rollback_only_kept_is_not_taken_further_by_a_second_click(world: PipelineWorld) -> None:
    """Staged and not switched: what the caller saw is also what the rollback wants."""
    released(world, 2)
    world.start(IDS[2], build="3")
    world.to_phase(ReleasePhase.ACTIVATING, IDS[2])
    click = {"release_id": IDS[2], "only": (CIRCUIT,), "seen": {CIRCUIT: SECOND}}
    first = world.roll_back(**click)  # type: ignore[arg-type]  # columns of the request
    world.run()
    again = world.roll_back(**click)  # type: ignore[arg-type]  # as above
    world.run()

    assert (again.is_new, again.rollback_id) == (False, first.rollback_id)
    assert world.live_default() == SECOND
    assert world.circuit(CIRCUIT, IDS[2]).phase is CircuitPhase.SUPERSEDED


# ---------------------------------------------------------------------------------- what does not stand any more


def test_a_rollback_is_not_found_again_once_something_else_was_accepted(thrice: PipelineWorld) -> None:
    """D13: its target is not what is wanted any more."""
    thrice.roll_back(CIRCUIT)
    thrice.run()
    thrice.models.change_default(thrice.lock().environment, "be-plant001-circuit01", THIRD)
    Drift(thrice.ports).accept(CIRCUIT, by="ops", why="it works after all")

    again = thrice.roll_back(CIRCUIT)
    thrice.run()

    assert again.is_new
    assert thrice.live_default() == SECOND


def test_a_rollback_that_ended_without_getting_there_is_gone_on_with_at_once(thrice: PipelineWorld) -> None:
    """Nobody waits ten minutes at night to try again."""
    thrice.models.fail_next("set_default", TransientError("503"), times=500)
    first = thrice.roll_back(CIRCUIT)
    thrice.run()
    thrice.models._failures.clear()
    thrice.change(thrice.release(first.rollback_id), created_at=thrice.clock.now())

    again = thrice.roll_back(CIRCUIT)
    thrice.run()

    assert again.is_new
    assert thrice.live_default() == SECOND


def test_a_named_deployment_that_was_brought_back_is_the_same_for_ten_minutes(thrice: PipelineWorld) -> None:
    """D13: after that there is nothing to do, and what to do if it is not live."""
    first = thrice.roll_back(CIRCUIT, to=FIRST)
    thrice.run()
    assert thrice.roll_back(CIRCUIT, to=FIRST).rollback_id == first.rollback_id
    thrice.clock.forward(TEN_MINUTES)

    with pytest.raises(RequestRefused, match=f"{FIRST} should be live already"):
        thrice.roll_back(CIRCUIT, to=FIRST)
