"""Unit: what happens between a look and the write that rests on it. Each test writes in that very moment."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.application.convergence import Converged, note_seen_live
from shared.application.locks import LockLost, LockTaken, take_lock
from shared.application.steps.deploy import deploy
from shared.application.wants import MovedOn, NeverSwitched, want_live, want_previous
from shared.application.work import Work
from shared.domain.events import CircuitHeld
from shared.domain.model import CircuitPhase, ReleasePhase, Round
from shared.domain.naming import release_seq, smoke_job_name
from tests.support.builders import CIRCUIT, NOW, RELEASE_ID, a_release, a_run
from tests.support.circuit_world import DEPLOYMENT, ENDPOINT, OLD, OLD_RELEASE, PLACE, World
from tests.support.pipeline_world import PipelineWorld


def before(world: World | PipelineWorld, request: str, act: Callable[[], None]) -> None:
    """Once, in the moment before the endpoints' table is asked for this."""
    nothing = world.endpoints.on_request

    def now(asked: str) -> None:
        if asked == request:
            world.endpoints.on_request = nothing
            act()

    world.endpoints.on_request = now


def test_an_activation_that_was_given_up_between_look_and_write_is_not_wanted_any_more(world: World) -> None:
    """The way back raises the fence before it relies on anything, so the write that is on its way loses."""
    world.activating()
    world.put_lock(fence=3, want=OLD)
    late, back = world.work(), list[object]()

    def given_up() -> None:
        world.change(phase=CircuitPhase.RESTORING, todo=Round.REVERSION, error_round=Round.ACTIVATION)
        back.append(want_previous(world.work(), world.ports))

    before(world, "write_lock", given_up)
    assert isinstance(want_live(late, world.ports), MovedOn)
    assert isinstance(back[0], NeverSwitched)
    lock = world.lock()
    assert lock is not None
    assert (lock.want, lock.fence) == (OLD, 4)
    assert [row.deployment for row in world.ledger()] == [OLD]


def test_an_older_release_that_is_retried_while_a_newer_one_takes_its_lock_is_superseded(world: World) -> None:
    """The newer one has read that it had ended. Nobody serves what the older one was about to make live."""
    world.promoted(CircuitPhase.LOCKING)
    older = a_release(OLD_RELEASE, phase=ReleasePhase.FAILED)
    world.put_release(older)
    world.put_lock(owner=OLD_RELEASE, owner_seq=release_seq(OLD_RELEASE), fence=1, want=OLD)
    retried = replace(older, phase=ReleasePhase.AWAITING_PRODUCTION_APPROVAL, gen=2)
    before(world, "write_lock", lambda: world.put_release(retried))

    assert isinstance(take_lock(world.work(), world.ports), LockTaken)
    run = a_run(phase=CircuitPhase.LOCKING, release_id=OLD_RELEASE, deployment=OLD)
    assert take_lock(Work(release=retried, run=run), world.ports) == LockLost(owner=RELEASE_ID)


def test_what_is_imported_rests_on_the_lock_that_was_taken(world: World) -> None:
    """Somebody holds the circuit after its default was read: no row is written, and it is decided anew."""
    job = smoke_job_name(RELEASE_ID, 1, CIRCUIT)
    world.smoke_testing()
    world.models.start_smoke_job(endpoint=ENDPOINT, deployment=DEPLOYMENT, circuit=CIRCUIT, job_name=job)
    for _ in range(3):
        world.models.job(job)
    world.change(phase=CircuitPhase.LOCKING, live_deployment=OLD, job_name=job)
    world.with_live()

    def held() -> None:
        lock = world.lock()
        assert lock is not None
        world.put_lock(fence=lock.fence, hold_since=NOW, hold_until=NOW.replace(year=2099), hold_by="ops")

    before(world, "ledger", held)
    assert isinstance(world.until_decided(deploy), CircuitHeld)
    assert world.ledger() == []
    assert world.endpoints.locks[PLACE].row.want == ""


@pytest.fixture
def pipeline() -> PipelineWorld:
    """Two releases of a circuit, one after the other."""
    world = PipelineWorld()
    for number, release_id in enumerate((OLD_RELEASE, RELEASE_ID)):
        world.release_all(release_id, CIRCUIT, build=str(number))
    return world


def test_a_rollback_given_up_between_look_and_write_is_gone_on_with_by_the_next(pipeline: PipelineWorld) -> None:
    """Its late want is what was asked for, and nobody else had the endpoint since: the next one brings it to its end."""
    started = pipeline.roll_back(CIRCUIT)
    pipeline.run(lambda: bool(pipeline.runs(started.rollback_id)))

    def given_up() -> None:
        run = pipeline.circuit(CIRCUIT, started.rollback_id)
        pipeline.change(run, phase=CircuitPhase.ERRORED, todo=Round.NONE, error="deadline", error_round=Round.ROLLBACK)

    before(pipeline, "write_lock", given_up)
    pipeline.run()
    pipeline.sweep_for(timedelta(minutes=5))
    assert pipeline.phase(started.rollback_id) is ReleasePhase.FAILED
    assert (pipeline.lock().want, pipeline.lock().is_held(pipeline.clock.now())) == (OLD, True)
    again = pipeline.roll_back(CIRCUIT)
    assert again.notes == (f"{CIRCUIT}: {started.rollback_id} has not brought {OLD} back, this one goes on",)
    pipeline.run()
    assert pipeline.circuit(CIRCUIT, again.rollback_id).phase is CircuitPhase.RESTORED
    assert pipeline.circuit(CIRCUIT, RELEASE_ID).phase is CircuitPhase.ROLLED_BACK
    assert pipeline.live_default() == OLD


def test_a_rollback_that_was_given_up_before_it_looked_takes_nothing(pipeline: PipelineWorld) -> None:
    """I4: whoever stood still until its run was over looks at its row before it writes, and lets go."""
    started = pipeline.roll_back(CIRCUIT)
    pipeline.run(lambda: bool(pipeline.runs(started.rollback_id)))
    owner, wanted = pipeline.lock().owner, pipeline.lock().want

    def given_up() -> None:
        run = pipeline.circuit(CIRCUIT, started.rollback_id)
        pipeline.change(run, phase=CircuitPhase.ERRORED, todo=Round.NONE, error="deadline", error_round=Round.ROLLBACK)

    before(pipeline, "lock", given_up)
    pipeline.run()
    pipeline.sweep_for(timedelta(minutes=5))
    assert pipeline.phase(started.rollback_id) is ReleasePhase.FAILED
    assert (pipeline.lock().owner, pipeline.lock().want) == (owner, wanted)
    assert not pipeline.lock().is_held(pipeline.clock.now())


@pytest.mark.parametrize(("fence", "leaves"), [(3, ""), (4, DEPLOYMENT)])
def test_what_was_seen_live_ends_only_the_way_back_that_was_looked_at(world: World, fence: int, leaves: str) -> None:
    """D11: somebody has taken the lock since, so what leaves now may be live all the same."""
    world.promoted(CircuitPhase.RESTORING)
    world.put_lock(fence=3, want=OLD, leaves=DEPLOYMENT)
    seen = Converged(default=OLD, lock=world.lock())
    world.put_lock(fence=fence, want=OLD, leaves=DEPLOYMENT)
    note_seen_live(seen, world.ports)
    lock = world.lock()
    assert lock is not None
    assert lock.leaves == leaves
