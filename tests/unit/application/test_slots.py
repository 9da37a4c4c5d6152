"""Unit: at most N smoke tests at once, and nobody who waits for a slot is forgotten."""

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.application.dispatcher import Dispatcher
from shared.domain.commands import RunStep
from shared.domain.events import SmokeTestPassed
from shared.domain.model import CircuitPhase, ReleasePhase, Round
from shared.domain.policy import Policy
from shared.domain.process import slot_owner
from tests.support.builders import CIRCUIT, NOW, OTHER_CIRCUIT, RELEASE_ID, THIRD_CIRCUIT, a_release, a_run
from tests.support.pipeline_world import ALL_CIRCUITS, PipelineWorld

OTHER_RELEASE = "20251211.1"
ONE_SLOT = Policy(smoke_slots=1)


@pytest.fixture
def queued(world: PipelineWorld) -> PipelineWorld:
    """Three circuits wait and there is one slot."""
    world.put(
        a_release(phase=ReleasePhase.TESTING, policy=ONE_SLOT),
        *(a_run(circuit, phase=CircuitPhase.QUEUED, todo=Round.TEST) for circuit in ALL_CIRCUITS),
    )
    return world


def start(world: PipelineWorld) -> bool:
    return Dispatcher(world.ports).slots.start_queued(world.release())


def test_a_free_slot_starts_one_queued_circuit(queued: PipelineWorld) -> None:
    """D8: it gets its message and remembers its slot."""
    assert start(queued)

    assert queued.phases() == [CircuitPhase.SMOKE_TESTING, CircuitPhase.QUEUED, CircuitPhase.QUEUED]
    assert queued.circuit().slot == 0
    [command] = queued.bus.sent
    assert isinstance(command, RunStep)
    assert command.circuit == CIRCUIT


def test_without_a_free_slot_the_circuit_stays_queued_without_a_message(queued: PipelineWorld) -> None:
    """Whoever frees a slot will start it."""
    start(queued)
    queued.bus.sent.clear()

    assert not start(queued)
    assert queued.bus.sent == []


def test_whoever_ends_frees_the_slot_and_starts_the_next(queued: PipelineWorld) -> None:
    """Three circuits, one slot: one after the other."""
    start(queued)
    for circuit in ALL_CIRCUITS:
        found = queued.releases.release_and_run(RELEASE_ID, circuit)
        assert found is not None
        assert found[1].row.phase is CircuitPhase.SMOKE_TESTING
        Dispatcher(queued.ports).to_run(*found, SmokeTestPassed(at=NOW))

    assert queued.phases() == [CircuitPhase.ACTIVATING_TEST] * 3
    assert queued.slots.known[0].row.owner == ""


def test_a_slot_freed_by_one_release_serves_another(queued: PipelineWorld) -> None:
    """Slots are shared by all releases."""
    start(queued)
    for circuit in (OTHER_CIRCUIT, THIRD_CIRCUIT):
        queued.change(queued.circuit(circuit), phase=CircuitPhase.FAILED, todo=Round.NONE)
    queued.put(
        a_release(OTHER_RELEASE, phase=ReleasePhase.TESTING, policy=ONE_SLOT),
        a_run(release_id=OTHER_RELEASE, phase=CircuitPhase.QUEUED, todo=Round.TEST),
    )
    found = queued.releases.release_and_run(RELEASE_ID, CIRCUIT)
    assert found is not None

    Dispatcher(queued.ports).to_run(*found, SmokeTestPassed(at=NOW))

    assert queued.circuit(CIRCUIT, OTHER_RELEASE).phase is CircuitPhase.SMOKE_TESTING


def test_an_expired_lease_can_be_taken(queued: PipelineWorld) -> None:
    """Its owner crashed between taking the slot and writing its circuit's row."""
    stored = queued.slots.slots(1)[0]
    crashed = type(stored.row)(number=0, owner="somebody", leased_until=NOW + timedelta(minutes=35))
    queued.slots.write_slot(crashed, stored.etag)
    assert not start(queued)

    queued.clock.set(NOW + timedelta(minutes=35))

    assert start(queued)


def test_the_sweeper_gives_expired_slots_back(queued: PipelineWorld) -> None:
    """So that a slot is free again even if nobody of that release waits."""
    start(queued)
    for circuit in (OTHER_CIRCUIT, THIRD_CIRCUIT):
        queued.change(queued.circuit(circuit), phase=CircuitPhase.FAILED, todo=Round.NONE)
    slots = Dispatcher(queued.ports).slots

    queued.clock.set(queued.slots.known[0].row.leased_until - timedelta(seconds=1))
    slots.free_abandoned(1)
    assert queued.slots.known[0].row.owner != ""
    queued.clock.forward(timedelta(seconds=1))
    slots.free_abandoned(1)
    assert queued.slots.known[0].row.owner == ""


def test_a_slot_whose_owner_is_done_with_it_is_given_back_long_before_its_lease_ends(queued: PipelineWorld) -> None:
    """The process died between the circuit's row and the slot's; whoever waits is started, not in half an hour."""
    start(queued)
    queued.change(queued.circuit(), phase=CircuitPhase.ACTIVATING_TEST, slot=-1, since=NOW)
    owner = queued.slots.known[0].row.owner

    queued.clock.set(NOW + timedelta(seconds=89))
    queued.sweep()
    assert queued.slots.known[0].row.owner == owner, "whoever wrote the circuit's row may be about to write the slot's"
    queued.clock.set(NOW + timedelta(seconds=90))
    queued.sweep()

    assert queued.slots.known[0].row.owner == slot_owner(queued.circuit(OTHER_CIRCUIT))
    assert queued.phases() == [CircuitPhase.ACTIVATING_TEST, CircuitPhase.SMOKE_TESTING, CircuitPhase.QUEUED]


def test_a_slot_that_was_taken_for_a_circuit_that_still_waits_is_taken_up_again(queued: PipelineWorld) -> None:
    """The process died between the slot's row and the circuit's: no other circuit gets it, this one needs no second."""
    stored = queued.slots.slots(1)[0]
    lease = NOW + timedelta(minutes=35)
    queued.slots.write_slot(replace(stored.row, owner=slot_owner(queued.circuit()), leased_until=lease), stored.etag)

    queued.sweep()
    assert queued.slots.known[0].row.owner == slot_owner(queued.circuit())
    assert start(queued)
    assert queued.phases() == [CircuitPhase.SMOKE_TESTING, CircuitPhase.QUEUED, CircuitPhase.QUEUED]
    assert queued.circuit().slot == 0


def test_a_slot_in_use_is_nobodys_business(queued: PipelineWorld) -> None:
    """However often it is swept."""
    start(queued)
    owner = queued.slots.known[0].row.owner

    queued.sweep()
    queued.sweep()

    assert queued.slots.known[0].row.owner == owner == slot_owner(queued.circuit())
    assert queued.phases().count(CircuitPhase.SMOKE_TESTING) == 1


def test_two_that_reach_for_the_last_slot_do_not_both_get_it(queued: PipelineWorld) -> None:
    """If-Match on the slot's row: the loser finds none and stays queued."""
    stored = queued.slots.slots(1)[0]

    def be_quicker(request: str) -> None:
        if request == "write_slot" and queued.slots.requests["write_slot"] == 1:
            rival = type(stored.row)(number=0, owner="rival", leased_until=NOW + timedelta(hours=1))
            queued.slots.write_slot(rival, stored.etag)

    queued.slots.on_request = be_quicker

    assert not start(queued)
    assert queued.slots.known[0].row.owner == "rival"
    assert queued.phases() == [CircuitPhase.QUEUED] * 3


def test_a_circuit_that_was_started_meanwhile_gives_its_second_slot_back(world: PipelineWorld) -> None:
    """Two that start the same circuit take a slot each; one of them is not needed."""
    world.put(a_release(phase=ReleasePhase.TESTING, total=1), a_run(phase=CircuitPhase.QUEUED, todo=Round.TEST))
    before = world.releases.release_and_run(RELEASE_ID, CIRCUIT)
    assert before is not None

    def be_quicker(request: str) -> None:
        if request == "write_slot" and world.slots.requests["write_slot"] == 1:
            world.change(before[1].row, phase=CircuitPhase.SMOKE_TESTING, slot=4)

    world.slots.on_request = be_quicker

    assert not start(world)
    assert [stored.row.owner for stored in world.slots.slots(5)] == [""] * 5


def test_a_late_owner_does_not_free_what_has_gone_to_somebody_else(queued: PipelineWorld) -> None:
    """Its lease ran out and the next circuit took the slot: N smoke tests stay N."""
    start(queued)
    late = slot_owner(queued.circuit())
    queued.clock.forward(timedelta(hours=2))
    start(queued)

    Dispatcher(queued.ports).slots.free(0, late, queued.release())

    [slot] = [stored.row for stored in queued.slots.slots(1)]
    assert slot.owner == slot_owner(queued.circuit(OTHER_CIRCUIT))
    assert queued.phases().count(CircuitPhase.QUEUED) == 1
