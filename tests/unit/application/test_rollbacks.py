"""Unit: back to what was live before, in one call; D13's cases, and who wins when others are at work."""

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.domain.errors import RequestRefused
from shared.domain.model import CircuitPhase, Environment, Moment, ReleasePhase
from shared.domain.naming import deployment_name, release_seq, timestamp
from tests.support.builders import CIRCUIT, OTHER_CIRCUIT, RELEASE_ID, THIRD_CIRCUIT, a_ledger_entry
from tests.support.pipeline_world import PipelineWorld
from tests.support.rolled import FIRST, IDS, SECOND, THIRD, released

TEN_MINUTES = timedelta(minutes=10)


@pytest.fixture
def twice(world: PipelineWorld) -> PipelineWorld:
    return released(world, 2)


def test_a_rollback_makes_the_previous_deployment_the_default(twice: PipelineWorld) -> None:
    """R42, R43: nothing is created; one write to production, and it was re-read."""
    writes = len(twice.models.production_writes())
    started = twice.roll_back(CIRCUIT)
    twice.run()

    assert twice.live_default() == FIRST
    assert [call.method for call in twice.models.production_writes()[writes:]] == ["set_default"]
    assert twice.phase(started.rollback_id) is ReleasePhase.SUCCEEDED
    assert twice.live_default(OTHER_CIRCUIT) == SECOND


def test_it_records_from_to_and_seconds_and_tells_people(twice: PipelineWorld) -> None:
    """R44: request-to-verified is recorded for every rollback."""
    twice.models.operation_time = timedelta(seconds=20)
    started = twice.roll_back(CIRCUIT)
    twice.run()

    told = twice.circuit(CIRCUIT, started.rollback_id).evidence["rollback"]
    assert isinstance(told, dict)
    assert (told["from"], told["to"]) == (SECOND, FIRST)
    assert 20 <= told["seconds"] <= 120
    assert {n.moment for n in twice.notices(started.rollback_id)} == {Moment.ROLLBACK_ENDED}


def test_a_double_click_starts_one_rollback(twice: PipelineWorld) -> None:
    """D13: the same id, whether the first has switched anything yet or not."""
    first = twice.roll_back(CIRCUIT)
    again = twice.roll_back(CIRCUIT)
    twice.run()
    later = twice.roll_back(CIRCUIT)

    assert (first.is_new, again.is_new, later.is_new) == (True, False, False)
    assert first.rollback_id == again.rollback_id == later.rollback_id
    assert twice.live_default() == FIRST


def test_another_reason_for_the_same_rollback_is_not_swallowed_in_silence(twice: PipelineWorld) -> None:
    """D13: while it runs and when it is done, the answer says whose reason stands."""
    first = twice.roll_back(CIRCUIT)
    asked_at = timestamp(twice.release(first.rollback_id).created_at)
    asked = f"{first.rollback_id} was asked for at {asked_at} by ops"
    said = f"{asked}; its reason stands, this request's is not recorded: bad predictions"
    running = twice.roll_back(CIRCUIT, reason="forecasts are off by 20 %", requested_by="ada")
    twice.run()
    done = twice.roll_back(CIRCUIT, reason="and another one", seen={CIRCUIT: SECOND})

    assert twice.roll_back(CIRCUIT).notes == ()
    assert (running.is_new, running.notes) == (False, (said,))
    assert (done.is_new, done.notes) == (False, (said,))
    assert twice.release(first.rollback_id).reason_asked == "bad predictions"


def test_the_same_request_after_ten_minutes_goes_one_further_back(world: PipelineWorld) -> None:
    """D13: and says so."""
    released(world, 3)
    world.roll_back(CIRCUIT)
    world.run()
    world.clock.forward(TEN_MINUTES)

    further = world.roll_back(CIRCUIT)
    world.run()

    assert further.is_new
    assert "one further back" in further.notes[0]
    assert world.live_default() == FIRST


def test_one_second_before_ten_minutes_it_is_the_same_request(world: PipelineWorld) -> None:
    """D13."""
    released(world, 3)
    first = world.roll_back(CIRCUIT)
    asked_at = world.release(first.rollback_id).created_at
    world.run()
    world.clock.set(asked_at + TEN_MINUTES - timedelta(seconds=1))

    assert world.roll_back(CIRCUIT).rollback_id == first.rollback_id


def test_a_rollback_never_goes_forward_to_what_was_rolled_back(world: PipelineWorld) -> None:
    """D13: the row that first activated the default counts, never a rollback's."""
    released(world, 3)
    world.roll_back(CIRCUIT)
    world.run()
    world.clock.forward(TEN_MINUTES)
    world.roll_back(CIRCUIT)
    world.run()
    world.clock.forward(TEN_MINUTES)

    with pytest.raises(RequestRefused) as refused:
        world.roll_back(CIRCUIT)
    assert refused.value.status == 409
    assert world.live_default() == FIRST


def test_what_a_failed_release_went_back_to_is_still_the_deployment_of_the_release_before(
    twice: PipelineWorld,
) -> None:
    """D11, found by the simulation: the release whose deployment is taken back says so, whoever made it live again."""
    failed, lock = "20251212.1", twice.lock()
    twice.endpoints.write_lock(
        replace(lock, owner=failed, owner_seq=release_seq(failed), fence=lock.fence + 1),
        etag=twice.endpoints.locks[Environment.PRODUCTION, CIRCUIT].etag,
        ledger=a_ledger_entry(
            fence=lock.fence + 1, deployment=lock.want, previous=deployment_name(failed), release_id=failed
        ),
    )

    twice.roll_back(CIRCUIT)
    twice.run()

    assert twice.live_default() == deployment_name(RELEASE_ID)
    assert twice.circuit(release_id=IDS[1]).phase is CircuitPhase.ROLLED_BACK


def test_the_first_release_of_a_circuit_can_not_be_rolled_back(world: PipelineWorld) -> None:
    """D6: 409 with the reason, and nothing changes."""
    released(world, 1)
    lock = world.lock()

    with pytest.raises(RequestRefused) as refused:
        world.roll_back(CIRCUIT)

    assert refused.value.status == 409
    assert "D6" in refused.value.detail
    assert world.lock() == lock


def test_a_circuit_nobody_has_released_can_not_be_rolled_back(world: PipelineWorld) -> None:
    """Nothing of ours is live there: it is not found."""
    with pytest.raises(RequestRefused) as refused:
        world.roll_back(CIRCUIT)

    assert refused.value.status == 404


def test_a_request_on_outdated_knowledge_finds_the_rollback_that_made_it_outdated(twice: PipelineWorld) -> None:
    """D13: `from` is no longer live: 200 with the existing one, hours later too."""
    first = twice.roll_back(CIRCUIT, seen={CIRCUIT: SECOND})
    twice.run()
    twice.clock.forward(timedelta(hours=5))

    again = twice.roll_back(CIRCUIT, seen={CIRCUIT: SECOND})

    assert (again.is_new, again.rollback_id) == (False, first.rollback_id)


def test_a_request_outdated_by_a_release_is_refused(world: PipelineWorld) -> None:
    """Nobody has rolled back: look again, then decide."""
    released(world, 3)

    with pytest.raises(RequestRefused) as refused:
        world.roll_back(CIRCUIT, seen={CIRCUIT: SECOND})

    assert (refused.value.status, refused.value.title) == (409, "Outdated")
    assert THIRD in refused.value.detail


def test_a_whole_release_goes_back_to_what_each_circuit_had_before(twice: PipelineWorld) -> None:
    """D13: `{release_id}`."""
    started = twice.roll_back(release_id=IDS[1])
    twice.run()

    assert twice.phase(started.rollback_id) is ReleasePhase.SUCCEEDED
    assert [twice.live_default(c) for c in (CIRCUIT, OTHER_CIRCUIT, THIRD_CIRCUIT)] == [FIRST] * 3


def test_a_plant_is_its_circuits(twice: PipelineWorld) -> None:
    """PLANT002 is left alone."""
    twice.roll_back(plant_id="PLANT001")
    twice.run()

    assert [twice.live_default(c) for c in (CIRCUIT, OTHER_CIRCUIT, THIRD_CIRCUIT)] == [FIRST, FIRST, SECOND]


@pytest.mark.parametrize("columns", [{"plant_id": "PLANT999"}, {"release_id": "20240101.1"}])
def test_what_nobody_knows_is_not_found(twice: PipelineWorld, columns: dict[str, str]) -> None:
    """404."""
    with pytest.raises(RequestRefused) as refused:
        twice.roll_back(**columns)  # type: ignore[arg-type]  # names of the request
    assert refused.value.status == 404


def test_a_named_deployment_is_the_target(world: PipelineWorld) -> None:
    """`to`: any deployment that stands and can serve."""
    released(world, 3)
    world.roll_back(CIRCUIT, to=FIRST)
    world.run()

    assert world.live_default() == FIRST


def test_a_target_that_does_not_exist_is_refused_at_once(twice: PipelineWorld) -> None:
    """Whoever mistypes a deployment at night is told by the answer, not by a mail."""
    with pytest.raises(RequestRefused, match="deployment-nobody does not exist") as refused:
        twice.roll_back(CIRCUIT, to="deployment-nobody")

    assert refused.value.status == 409
    assert (twice.live_default(), twice.lock().want) == (SECOND, SECOND)


def test_a_drill_in_test_leaves_production_alone(twice: PipelineWorld) -> None:
    """The same path, measured without touching what is live."""
    writes = len(twice.models.production_writes())
    twice.roll_back(CIRCUIT, environment=Environment.TEST)
    twice.run()

    assert twice.live_default(CIRCUIT, Environment.TEST) == FIRST
    assert len(twice.models.production_writes()) == writes
    assert twice.lock().hold_until is None


def test_rolling_back_a_circuit_while_a_release_activates_it_wins(twice: PipelineWorld) -> None:
    """That run ends superseded, the others go on, and what the late worker still writes is put right."""
    twice.models.operation_time = timedelta(seconds=30)
    twice.start(IDS[2], build="9")
    twice.to_phase(ReleasePhase.ACTIVATING, IDS[2])
    twice.run(lambda: twice.lock().want == THIRD)

    twice.roll_back(CIRCUIT)
    twice.run()

    assert twice.live_default() == SECOND
    assert twice.phase(IDS[2]) is ReleasePhase.SUCCEEDED
    assert twice.phases(IDS[2]) == [CircuitPhase.SUPERSEDED, CircuitPhase.LIVE, CircuitPhase.LIVE]
    assert [twice.live_default(c) for c in (OTHER_CIRCUIT, THIRD_CIRCUIT)] == [THIRD] * 2
