"""Unit: activation sets want and converges; a late or repeated message changes nothing it should not."""

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.application.ports import Insert
from shared.application.steps.activate import activate
from shared.domain import events  # a name that starts with Test, imported, would be collected
from shared.domain.errors import ConfigurationError, IllegalTransition, PermanentError, TransientError
from shared.domain.events import ActivationSkipped, CircuitActivated, CircuitSuperseded, StepFailed, StillRunning
from shared.domain.model import CircuitPhase, Environment
from shared.domain.naming import deployment_tags, release_seq
from tests.support.builders import NOW, OTHER_CIRCUIT, RELEASE_ID, a_run
from tests.support.circuit_world import CUTOFF, DEPLOYMENT, ENDPOINT, OLD, PLACE, World

TEST, PRODUCTION = Environment.TEST, Environment.PRODUCTION
NEWER = "20251211.1"


# ------------------------------------------------------------------------------------------------- Test


@pytest.fixture
def tested(world: World) -> World:
    """A circuit whose smoke test has passed."""
    world.promoted(CircuitPhase.ACTIVATING_TEST, live_deployment=OLD)
    world.with_live()
    world.models.add_endpoint(TEST, ENDPOINT, default="deployment-before", deployments=[DEPLOYMENT])
    return world


def test_the_tested_deployment_becomes_tests_default(tested: World) -> None:
    """And production is only looked at, for gate 2."""
    tested.models.operation_time = timedelta(seconds=20)

    event = tested.until_decided(activate)

    assert isinstance(event, events.TestDefaultSet)
    assert (event.live_deployment, event.why) == (OLD, "")
    assert set(event.evidence) == {"side_by_side"}
    assert tested.default(TEST) == DEPLOYMENT
    assert tested.models.production_writes() == []
    [row] = tested.ledger(TEST)
    assert (row.deployment, row.previous) == (DEPLOYMENT, "deployment-before")


def test_a_newer_release_that_has_passed_in_test_keeps_its_default(tested: World) -> None:
    """The older one is tested all the same, and says so."""
    tested.put_lock(environment=TEST, owner=NEWER, owner_seq=release_seq(NEWER), fence=4, want="deployment-before")

    event = tested.until_decided(activate)

    assert isinstance(event, events.TestDefaultSet)
    assert "newer release's deployment-before stays" in event.why
    assert tested.default(TEST) == "deployment-before"
    assert tested.models.calls("set_default") == []


def test_an_older_release_gives_way_in_test_even_while_it_is_live(tested: World) -> None:
    """Locks that wait exist for production only."""
    tested.put_lock(environment=TEST, owner="20251209.1", owner_seq=release_seq("20251209.1"), fence=4, want="x")

    tested.until_decided(activate)

    lock = tested.lock(TEST)
    assert lock is not None
    assert (lock.owner, lock.fence, lock.want) == (RELEASE_ID, 5, DEPLOYMENT)


def test_setting_tests_default_again_adds_nothing(tested: World) -> None:
    """Redelivery."""
    tested.until_decided(activate)
    again = tested.until_decided(activate)

    assert isinstance(again, events.TestDefaultSet)
    assert len(tested.ledger(TEST)) == 1
    assert len(tested.models.calls("set_default")) == 1


def test_what_went_live_meanwhile_is_shown_at_gate_2(tested: World) -> None:
    """The approver sees today's production, not that of the inspection."""
    tags = deployment_tags(cutoff_date=CUTOFF, release_id="20251209.1", deployed_at=NOW, previous_deployment=OLD)
    tested.models.add_endpoint(PRODUCTION, ENDPOINT, default="deployment-20251209-1", deployment_tags=tags)

    event = tested.until_decided(activate)

    assert isinstance(event, events.TestDefaultSet)
    assert event.live_deployment == "deployment-20251209-1"
    assert event.evidence["live"] == {
        "deployment": "deployment-20251209-1",
        "model_version": "1",
        "cutoff_date": CUTOFF,
        "release_id": "20251209.1",
        "metrics": {},
    }


# ------------------------------------------------------------------------------------------- Production


def test_activation_switches_the_default_and_reads_it_again(world: World) -> None:
    """R36-R40: lock and ledger first, then the default; the old deployment stays."""
    world.activating()
    world.models.operation_time = timedelta(seconds=20)

    event = world.until_decided(activate)

    assert isinstance(event, CircuitActivated)
    assert event.fence == 3
    assert event.evidence == {"activated": {"at": "2025-12-10T09:00:20Z"}}
    assert world.default() == DEPLOYMENT
    newest = world.ledger()[0]
    assert (newest.fence, newest.deployment, newest.previous, newest.release_id) == (3, DEPLOYMENT, OLD, RELEASE_ID)
    assert world.models.deployment(PRODUCTION, ENDPOINT, OLD) is not None
    assert [call.method for call in world.models.production_writes()] == ["set_default"]


def test_want_and_ledger_stand_before_the_default_is_touched(world: World) -> None:
    """Known failure 5, and the chain of predecessors can't break."""
    world.activating()
    seen: list[tuple[str, int]] = []

    def note(method: str) -> None:
        if method == "set_default":
            lock = world.endpoints.locks[PLACE].row
            seen.append((lock.want, len(world.endpoints.ledgers[PLACE])))

    world.models.before = note
    world.until_decided(activate)

    assert seen == [(DEPLOYMENT, 2)]


def test_activating_again_adds_no_second_ledger_row(world: World) -> None:
    """Redelivered after every effect: one row, one PUT."""
    world.activating()
    first, again = world.until_decided(activate), world.until_decided(activate)

    assert isinstance(first, CircuitActivated)
    assert isinstance(again, CircuitActivated)
    assert first.fence == again.fence
    assert len(world.ledger()) == 2
    assert len(world.models.calls("set_default")) == 1


@pytest.mark.parametrize("after_effect", [False, True])
def test_a_broken_switch_is_tried_again_and_remembers_the_fence(world: World, *, after_effect: bool) -> None:
    """A crash on either side of the PUT."""
    world.activating()
    world.models.fail_next("set_default", TransientError("503"), after_effect=after_effect)
    with pytest.raises(TransientError):
        activate(world.work(), world.ports)

    event = world.until_decided(activate)

    assert isinstance(event, CircuitActivated)
    assert world.default() == DEPLOYMENT
    assert len(world.ledger()) == 2


@pytest.mark.parametrize("error", [PermanentError("the service says no"), ConfigurationError("403")])
def test_before_its_deadline_nothing_fails_an_activation(world: World, error: PermanentError) -> None:
    """D11: what was refused is asked again; the fence is remembered for the way back."""
    world.activating()
    world.models.fail_next("set_default", error)

    outcome = world.look(activate)

    assert outcome == StillRunning(facts={"fence": 3}, transient=str(error))
    assert world.run().fence == 3
    assert isinstance(world.until_decided(activate), CircuitActivated)


def test_a_look_that_is_refused_before_anything_is_wanted_is_made_again(world: World) -> None:
    """D11: its siblings may be switched by now."""
    world.activating()
    world.models.fail_next("endpoint", ConfigurationError("403"))

    assert world.look(activate) == StillRunning(transient="403")
    assert isinstance(world.until_decided(activate), CircuitActivated)


def test_a_default_that_somebody_changed_after_it_was_frozen_is_not_overwritten(world: World) -> None:
    """R36: an emergency at the studio, say. Nothing is wanted, nothing is written, and the operator is told what to do."""
    world.activating()
    world.models.add_endpoint(PRODUCTION, ENDPOINT, default="by-hand", deployments=[DEPLOYMENT, OLD])

    event = world.look(activate)

    assert isinstance(event, StepFailed)
    assert f"changed since it was staged: {OLD} was live when it was staged, now by-hand is" in event.error
    assert "/drift/accept or /drift/repair" in str(event.evidence["diagnosis"])
    assert (len(world.ledger()), world.models.production_writes()) == (1, [])
    lock = world.lock()
    assert lock is not None
    assert (lock.fence, lock.want) == (2, OLD)


def test_an_endpoint_that_somebody_is_changing_is_looked_at_again_before_anything_is_wanted(world: World) -> None:
    """What its default will be can't be said yet."""
    world.activating()
    world.models.operation_time = timedelta(seconds=20)
    world.models.set_default(PRODUCTION, ENDPOINT, OLD)

    assert isinstance(world.look(activate), StillRunning)
    assert len(world.ledger()) == 1
    assert isinstance(world.until_decided(activate), CircuitActivated)


def test_the_look_before_the_switch_is_the_one_that_compares(world: World) -> None:
    """R44 at scale: a look, a put, and a look at what came of it."""
    world.activating()
    world.models.journal.clear()

    assert isinstance(world.until_decided(activate), CircuitActivated)
    assert [call.method for call in world.models.journal] == ["endpoint", "set_default", "endpoint"]


def test_a_rollback_that_took_the_lock_supersedes_the_activation(world: World) -> None:
    """The rollback wins; this run changes nothing any more."""
    world.activating()
    world.put_lock(owner="rollback-1", owner_seq=1, fence=9, want=OLD)

    event = world.look(activate)

    assert isinstance(event, CircuitSuperseded)
    assert "rollback-1" in event.why
    assert world.models.production_writes() == []


def test_a_rollback_in_the_middle_of_the_switch_wins(world: World) -> None:
    """The default ends as the rollback wants it, whoever converges last."""
    world.activating()
    world.models.operation_time = timedelta(seconds=20)
    world.look(activate)
    world.put_lock(owner="rollback-1", owner_seq=1, fence=9, want=OLD)

    assert isinstance(world.until_decided(activate), CircuitSuperseded)
    assert world.default() == OLD


def test_a_worker_frozen_until_its_circuit_was_restored_can_not_switch_it_again(world: World) -> None:
    """It reads the lock afresh, so only the run's row can tell it that it is late."""
    world.activating()
    late = world.work()
    world.change(phase=CircuitPhase.RESTORED)

    assert activate(late, world.ports) == StillRunning()
    assert len(world.ledger()) == 1
    assert world.models.production_writes() == []


def test_a_worker_frozen_between_reading_and_writing_the_lock_loses(world: World) -> None:
    """Whoever moves the run on raises the fence, so the ETag no longer fits."""
    world.activating()
    late = world.work()

    def everything_happens(request: str) -> None:
        if request == "write_lock":
            world.endpoints.on_request = lambda _request: None
            world.change(phase=CircuitPhase.RESTORED)
            world.put_lock(fence=5, want=OLD)

    world.endpoints.on_request = everything_happens

    assert activate(late, world.ports) == StillRunning()
    lock = world.lock()
    assert lock is not None
    assert (lock.fence, lock.want) == (5, OLD)
    assert len(world.ledger()) == 1


def test_a_message_of_an_earlier_generation_switches_nothing(world: World) -> None:
    """The same phase again after a retry is not the same work."""
    world.activating()
    late = world.work()
    world.change(gen=2)

    assert activate(late, world.ports) == StillRunning()
    assert world.models.production_writes() == []


def test_a_message_for_another_phase_does_nothing(world: World) -> None:
    """The table says which phases have something to activate."""
    world.put(a_run(phase=CircuitPhase.STAGED))

    with pytest.raises(IllegalTransition):
        activate(world.work(), world.ports)


# ------------------------------------------------------------------------------- first activations go last


@pytest.fixture
def first_timer(world: World) -> World:
    """A circuit without a predecessor, and a sibling that has one."""
    world.activating(previous="")
    world.put_release(replace(world.work().release, total=2))
    sibling = a_run(OTHER_CIRCUIT, phase=CircuitPhase.ACTIVATING, previous_deployment=OLD)
    world.releases.commit(Insert(row=sibling))
    return world


@pytest.mark.parametrize("phase", [CircuitPhase.STAGED, CircuitPhase.ACTIVATING])
def test_a_first_activation_waits_for_its_siblings_without_a_deadline(first_timer: World, phase: CircuitPhase) -> None:
    """D11: also for those the fan-out has not reached yet."""
    first_timer.put(replace(first_timer.run(a_run(OTHER_CIRCUIT)), phase=phase))

    assert first_timer.look(activate) == StillRunning(restart_clock=True)
    assert first_timer.models.production_writes() == []


def test_a_first_activation_follows_when_its_siblings_are_live(first_timer: World) -> None:
    """Superseded and excluded ones are neutral."""
    first_timer.put(replace(first_timer.run(a_run(OTHER_CIRCUIT)), phase=CircuitPhase.LIVE))

    event = first_timer.until_decided(activate)

    assert isinstance(event, CircuitActivated)
    assert first_timer.default() == DEPLOYMENT
    assert first_timer.ledger()[0].previous == ""


@pytest.mark.parametrize("phase", [CircuitPhase.FAILED, CircuitPhase.ERRORED])
def test_a_first_activation_is_skipped_when_a_sibling_has_failed(first_timer: World, phase: CircuitPhase) -> None:
    """Nothing was switched, so nothing has to be unset; and a late copy of this message loses."""
    first_timer.put(replace(first_timer.run(a_run(OTHER_CIRCUIT)), phase=phase))

    event = first_timer.look(activate)

    assert isinstance(event, ActivationSkipped)
    lock = first_timer.lock()
    assert lock is not None
    assert (lock.fence, lock.want) == (3, "")
    assert first_timer.default() == ""


def test_a_first_activation_under_way_is_not_skipped_when_a_sibling_fails(first_timer: World) -> None:
    """D11: its default may be switched already; only the way back, which looks at it again, may leave it."""
    first_timer.models.operation_time = timedelta(seconds=30)
    sibling = first_timer.run(a_run(OTHER_CIRCUIT))
    first_timer.put(replace(sibling, phase=CircuitPhase.LIVE))
    first_timer.look(activate)
    first_timer.put(replace(sibling, phase=CircuitPhase.ERRORED))

    event = first_timer.until_decided(activate)

    assert isinstance(event, CircuitActivated)
    assert first_timer.default() == DEPLOYMENT


def test_two_first_activations_do_not_wait_for_each_other(first_timer: World) -> None:
    """Only for circuits with a predecessor."""
    first_timer.put(replace(first_timer.run(a_run(OTHER_CIRCUIT)), previous_deployment=""))

    assert isinstance(first_timer.until_decided(activate), CircuitActivated)
