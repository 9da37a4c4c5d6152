"""Unit: restore puts the frozen predecessor back, shows it, and says when there is nothing to put back."""

from datetime import timedelta

import pytest

from shared.application.steps.activate import activate
from shared.application.steps.restore import restore
from shared.domain.errors import PermanentError, StateRefused, TransientError
from shared.domain.events import CircuitActivated, CircuitRestored, CircuitSuperseded, StepFailed, StillRunning
from shared.domain.model import CircuitPhase
from tests.support.builders import RELEASE_ID
from tests.support.circuit_world import DEPLOYMENT, ENDPOINT, OLD, World


def switched(world: World, *, previous: str = OLD) -> World:
    """Activated, and the release is reverting."""
    world.activating(previous=previous)
    event = world.until_decided(activate)
    assert isinstance(event, CircuitActivated)
    world.change(phase=CircuitPhase.RESTORING, fence=event.fence, since=world.clock.now())
    world.models.journal.clear()
    return world


def test_the_predecessor_is_put_back_and_shown_by_reading(world: World) -> None:
    """Fence up, want back, one ledger row, one PUT, one look."""
    switched(world).models.operation_time = timedelta(seconds=20)

    event = world.until_decided(restore)

    assert isinstance(event, CircuitRestored)
    assert world.default() == OLD
    newest = world.ledger()[0]
    assert (newest.fence, newest.deployment, newest.previous, newest.release_id) == (4, OLD, DEPLOYMENT, RELEASE_ID)
    assert [call.args["deployment"] for call in world.models.production_writes()] == [OLD]


def test_restoring_creates_and_deletes_nothing(world: World) -> None:
    """R43: only the default is switched."""
    switched(world).until_decided(restore)

    assert {call.method for call in world.models.production_writes()} == {"set_default"}
    assert world.models.registry_writes() == []


def test_restoring_again_adds_nothing_to_the_ledger(world: World) -> None:
    """Redelivered after each effect."""
    switched(world)
    world.until_decided(restore)
    again = world.until_decided(restore)

    assert isinstance(again, CircuitRestored)
    assert len(world.ledger()) == 3
    assert len(world.models.calls("set_default")) == 1


@pytest.mark.parametrize("after_effect", [False, True])
def test_a_broken_way_back_is_gone_again(world: World, *, after_effect: bool) -> None:
    """A crash on either side of the PUT."""
    switched(world).models.fail_next("set_default", TransientError("503"), after_effect=after_effect)
    with pytest.raises(TransientError):
        restore(world.work(), world.ports)

    assert isinstance(world.until_decided(restore), CircuitRestored)
    assert world.default() == OLD
    assert len(world.ledger()) == 3


def test_an_activation_that_stopped_half_way_is_put_back_too(world: World) -> None:
    """Want was set, the default not yet: the ledger tells."""
    world.activating()
    world.models.fail_next("set_default", TransientError("503"))
    with pytest.raises(TransientError):
        activate(world.work(), world.ports)
    world.change(phase=CircuitPhase.RESTORING)

    assert isinstance(world.until_decided(restore), CircuitRestored)
    assert world.default() == OLD
    lock = world.lock()
    assert lock is not None
    assert lock.want == OLD


def test_what_was_never_switched_is_restored_at_once_and_the_fence_is_raised(world: World) -> None:
    """A late activate that had read the lock before can no longer write it."""
    world.activating()
    late = world.work()

    def restored_meanwhile(request: str) -> None:
        if request == "write_lock":
            world.endpoints.on_request = lambda _request: None
            world.change(phase=CircuitPhase.RESTORING)
            event = world.look(restore)
            assert isinstance(event, CircuitRestored)
            world.change(phase=CircuitPhase.RESTORED)

    world.endpoints.on_request = restored_meanwhile

    assert activate(late, world.ports) == StillRunning()
    lock = world.lock()
    assert lock is not None
    assert (lock.fence, lock.want) == (3, OLD)
    assert world.models.production_writes() == []
    assert len(world.ledger()) == 1


def test_a_rollback_that_took_the_lock_has_the_last_word(world: World) -> None:
    """Neutral for this run, which lets go only once the default is what the rollback wants."""
    switched(world).put_lock(owner="rollback-1", owner_seq=1, fence=9, want=OLD)

    event = world.until_decided(restore)

    assert isinstance(event, CircuitSuperseded)
    assert world.default() == OLD


def test_a_late_restore_of_an_earlier_generation_undoes_nothing(world: World) -> None:
    """The retry has activated again; the old message must not take it back."""
    switched(world)
    late = world.work()
    world.change(gen=2, phase=CircuitPhase.LIVE)

    assert restore(late, world.ports) == StillRunning()
    assert world.default() == DEPLOYMENT
    assert world.models.production_writes() == []


def test_a_second_failure_after_a_retry_raises_the_fence_again(world: World) -> None:
    """The second generation's late messages lose as well as the first's."""
    switched(world).until_decided(restore)
    world.change(gen=2, phase=CircuitPhase.RESTORING)
    held = world.lock()
    assert held is not None
    world.put_lock(fence=held.fence + 1, want=OLD)

    assert isinstance(world.until_decided(restore), CircuitRestored)
    lock = world.lock()
    assert lock is not None
    assert lock.fence == held.fence + 2
    assert len(world.ledger()) == 3


def test_what_the_service_refuses_is_asked_again(world: World) -> None:
    """Until the deadline, which the worker judges."""
    switched(world).models.fail_next("set_default", PermanentError("no"))

    assert world.look(restore) == StillRunning(facts={"fence": 4}, transient="no")
    assert isinstance(world.until_decided(restore), CircuitRestored)


def test_a_row_that_can_not_be_written_does_not_end_a_way_back(world: World) -> None:
    """D11: before its deadline nothing does, or what is live would be what nobody wants."""
    switched(world)

    def refused(request: str) -> None:
        if request == "write_lock":
            raise PermanentError("400")

    world.endpoints.on_request = refused
    assert world.look(restore) == StillRunning(transient="400")

    world.endpoints.on_request = lambda _request: None
    assert isinstance(world.until_decided(restore), CircuitRestored)
    assert world.default() == OLD


def test_state_that_refuses_is_waited_for_before_an_endpoint_is_let_go(world: World) -> None:
    """A rollback has it now; what this run may still have written is not put right yet."""
    switched(world).put_lock(owner="rollback-1", owner_seq=1, fence=9, want=OLD)
    locks = 0

    def refused(request: str) -> None:
        nonlocal locks
        locks += request == "lock"
        if locks == 2:
            raise StateRefused("403")

    world.endpoints.on_request = refused
    with pytest.raises(StateRefused):
        restore(world.work(), world.ports)


# ------------------------------------------------------------------------------------ the first activation


def test_a_first_activation_is_undone_by_taking_the_default_away(world: World) -> None:
    """D11: a PUT without defaults, shown by reading again."""
    switched(world, previous="").until_decided(restore)

    assert world.default() == ""
    assert [call.method for call in world.models.production_writes()] == ["clear_default"]
    lock = world.lock()
    assert lock is not None
    assert (lock.want, lock.want_none) == ("", True)
    assert world.ledger()[0].deployment == ""


def test_a_service_that_keeps_the_default_is_named_at_the_deadline(world: World) -> None:
    """D11: new, could not be unset; with the circuit, the deployment and the endpoint."""
    switched(world, previous="")
    world.models.keeps_defaults = True

    event = world.until_decided(restore)

    assert isinstance(event, StepFailed)
    assert event.error == f"{DEPLOYMENT} on {ENDPOINT} is new, could not be unset"
    assert world.clock.now() - world.run().since >= world.work().release.policy.restore_limit


def test_a_service_that_refuses_to_take_the_default_away_is_named_too(world: World) -> None:
    """By a refusal instead of by silence, which is told."""
    switched(world, previous="").models.fail_next("clear_default", PermanentError("not supported"), times=500)

    event = world.until_decided(restore)

    assert isinstance(event, StepFailed)
    assert "could not be unset (last: not supported)" in event.error
