"""Unit: what is decided is written with its ETag, then sent; what is lost in between is found again."""

from dataclasses import replace

import pytest

from shared.application.dispatcher import Dispatcher
from shared.domain import events as e
from shared.domain.commands import FanOut, SendNotice
from shared.domain.errors import ConflictError, IllegalTransition, TransientError
from shared.domain.model import (
    FANOUT_END,
    CircuitPhase,
    GateName,
    GateState,
    Moment,
    ReleasePhase,
    Round,
)
from tests.support.builders import CIRCUIT, NOW, OTHER_CIRCUIT, RELEASE_ID, a_release, a_run
from tests.support.pipeline_world import PipelineWorld

CHOSEN = e.ModelChosen(at=NOW, source_version="1", source_hash="h", source_tags={}, live_deployment="")


@pytest.fixture
def inspecting(world: PipelineWorld) -> PipelineWorld:
    """Two circuits under inspection, the fan-out complete."""
    world.put(a_release(total=2), a_run(CIRCUIT), a_run(OTHER_CIRCUIT))
    return world


def apply(world: PipelineWorld, event: e.CircuitEvent) -> object:
    found = world.releases.release_and_run(RELEASE_ID, CIRCUIT)
    assert found is not None
    return Dispatcher(world.ports).to_run(*found, event)


def end_the_other(world: PipelineWorld, phase: CircuitPhase = CircuitPhase.INSPECTED) -> None:
    world.change(world.circuit(OTHER_CIRCUIT), phase=phase, todo=Round.NONE)


def test_an_event_that_does_not_fit_changes_nothing(inspecting: PipelineWorld) -> None:
    """Rule 2: only whitelisted edges."""
    before = inspecting.releases.release_and_run(RELEASE_ID, CIRCUIT)

    written = apply(inspecting, e.CircuitActivated(at=NOW, fence=1))

    assert written is None
    assert inspecting.releases.release_and_run(RELEASE_ID, CIRCUIT) == before
    assert inspecting.bus.sent == []


def test_the_round_goes_on_while_one_circuit_still_works(inspecting: PipelineWorld) -> None:
    """Rule 3: fan-in asks whether anybody is pending."""
    apply(inspecting, CHOSEN)

    assert inspecting.phase() is ReleasePhase.INSPECTING


def test_the_last_circuit_to_end_ends_the_round(inspecting: PipelineWorld) -> None:
    """And the gate opens in the same transaction as the release's move."""
    end_the_other(inspecting)

    apply(inspecting, CHOSEN)

    assert inspecting.phase() is ReleasePhase.AWAITING_REGISTRY_APPROVAL
    assert inspecting.gate(GateName.REGISTRY).state is GateState.OPEN
    assert {n.moment for n in inspecting.notices()} == {Moment.GATE_OPENED}


def test_a_round_does_not_end_before_its_fan_out_has(inspecting: PipelineWorld) -> None:
    """A page of circuits that have no rows yet would be forgotten."""
    inspecting.change(inspecting.release(), fanout_cursor="c|PLANT001|CIRCUIT02")
    end_the_other(inspecting)

    apply(inspecting, CHOSEN)

    assert inspecting.phase() is ReleasePhase.INSPECTING


def test_one_failed_circuit_fails_the_release_and_names_itself(inspecting: PipelineWorld) -> None:
    """Known failures 2 and 3: no failure is lost in a loop, nobody is asked."""
    end_the_other(inspecting)

    apply(inspecting, e.StepFailed(at=NOW, error=f"{CIRCUIT}: no validated model"))

    assert inspecting.phase() is ReleasePhase.FAILED
    assert "PLANT001/CIRCUIT01: no validated model" in inspecting.release().reason
    assert inspecting.releases.gates(RELEASE_ID) == []


def test_a_round_without_anybody_left_supersedes_the_release(inspecting: PipelineWorld) -> None:
    """Neutral circuits neither fail nor succeed."""
    end_the_other(inspecting, CircuitPhase.EXCLUDED)
    inspecting.change(inspecting.circuit(), phase=CircuitPhase.SUPERSEDED, todo=Round.NONE)

    Dispatcher(inspecting.ports).fan_in(RELEASE_ID, Round.INSPECTION)

    assert inspecting.phase() is ReleasePhase.SUPERSEDED


def test_a_cancellation_takes_effect_when_the_round_has_ended(inspecting: PipelineWorld) -> None:
    """Every stage ends only after all its circuits have, also on cancel."""
    Dispatcher(inspecting.ports).to_release(RELEASE_ID, e.CancelRequested(at=NOW, by="ops", why="wrong build"))
    assert inspecting.phase() is ReleasePhase.INSPECTING
    end_the_other(inspecting)

    apply(inspecting, CHOSEN)

    assert inspecting.phase() is ReleasePhase.CANCELLED


def test_an_event_without_an_edge_raises_and_writes_nothing(inspecting: PipelineWorld) -> None:
    """A gate's answer while nobody was asked."""
    with pytest.raises(IllegalTransition):
        Dispatcher(inspecting.ports).to_release(RELEASE_ID, e.GateApproved(at=NOW, gate=GateName.PRODUCTION))

    assert inspecting.phase() is ReleasePhase.INSPECTING


def test_a_release_that_does_not_exist_is_none(world: PipelineWorld) -> None:
    """Nothing is made up for it."""
    assert (
        Dispatcher(world.ports).to_release("20251210.9", e.FanOutDied(at=NOW, gen=1, round=Round.TEST, cursor=""))
        is None
    )


def test_a_lost_write_is_decided_again_on_the_fresh_row(inspecting: PipelineWorld) -> None:
    """Rule 1: somebody else wrote a column meanwhile; both changes stand."""
    found = inspecting.releases.release_and_run(RELEASE_ID, CIRCUIT)
    assert found is not None
    inspecting.change(found[1].row, redrive=3, warnings=("kept",))

    Dispatcher(inspecting.ports).to_run(*found, CHOSEN)

    run = inspecting.circuit()
    assert (run.phase, run.source_version, run.warnings) == (CircuitPhase.INSPECTED, "1", ("kept",))


def test_a_frozen_worker_does_not_rewind_a_state_that_moved_on(inspecting: PipelineWorld) -> None:
    """Its fact was about another phase, or about another look of the same phase."""
    found = inspecting.releases.release_and_run(RELEASE_ID, CIRCUIT)
    assert found is not None
    inspecting.change(found[1].row, poll_n=1)

    assert Dispatcher(inspecting.ports).to_run(*found, CHOSEN) is None
    assert inspecting.circuit().phase is CircuitPhase.INSPECTING


def test_a_row_that_is_always_written_by_others_is_tried_again_later(inspecting: PipelineWorld) -> None:
    """Twelve lost writes in a row are a transient error, with a pause between them and no loop for ever."""

    def lose(request: str) -> None:
        if request == "commit":
            raise ConflictError("somebody was quicker")

    inspecting.releases.requests.clear()
    inspecting.releases.on_request = lose

    with pytest.raises(TransientError):
        apply(inspecting, CHOSEN)
    assert inspecting.releases.requests["commit"] == 12
    assert len(inspecting.clock.pauses) == 12


def test_two_circuits_that_end_together_move_the_release_once(inspecting: PipelineWorld) -> None:
    """Both see that nobody is pending; one write wins, the other finds the round over."""
    end_the_other(inspecting)
    inspecting.change(inspecting.circuit(), phase=CircuitPhase.INSPECTED, todo=Round.NONE)
    stored = inspecting.releases.release(RELEASE_ID)
    dispatcher = Dispatcher(inspecting.ports)

    dispatcher.fan_in(RELEASE_ID, Round.INSPECTION, stored)
    dispatcher.fan_in(RELEASE_ID, Round.INSPECTION, stored)

    assert [entry.target for entry in inspecting.release().hist].count(ReleasePhase.AWAITING_REGISTRY_APPROVAL) == 1
    assert len(inspecting.notices()) == 3


def test_messages_are_sent_after_the_commit(world: PipelineWorld) -> None:
    """A bus that is down loses no state: the rows are the truth."""
    world.put(a_release(phase=ReleasePhase.TESTING, total=1), a_run(phase=CircuitPhase.TESTED))

    def down(_request: str) -> None:
        raise TransientError("bus is down")

    world.bus.on_request = down

    with pytest.raises(TransientError):
        Dispatcher(world.ports).fan_in(RELEASE_ID, Round.TEST)
    assert world.phase() is ReleasePhase.AWAITING_PRODUCTION_APPROVAL


def test_an_approval_sends_the_fan_out_of_the_next_round(world: PipelineWorld) -> None:
    """Commands that are messages go out; those that are rows were written."""
    world.put(a_release(phase=ReleasePhase.PROMOTING, total=1), a_run(phase=CircuitPhase.PROMOTED))

    Dispatcher(world.ports).fan_in(RELEASE_ID, Round.PROMOTION)

    assert world.bus.sent == [FanOut(release_id=RELEASE_ID, gen=1, round=Round.TEST, cursor="")]
    assert world.release().fanout_cursor != FANOUT_END


def test_telling_people_writes_a_row_and_sends_a_message_each(inspecting: PipelineWorld) -> None:
    """Two approvers and the Teams channel."""
    end_the_other(inspecting)

    apply(inspecting, CHOSEN)

    sent = [command for command in inspecting.bus.sent if isinstance(command, SendNotice)]
    assert len(sent) == len(inspecting.notices()) == 3


def test_a_crash_before_the_fan_in_is_healed_by_whoever_looks_next(inspecting: PipelineWorld) -> None:
    """The circuit's own row says everything; fan-in can run again at any time."""
    end_the_other(inspecting)
    inspecting.put(replace(inspecting.circuit(), phase=CircuitPhase.INSPECTED, todo=Round.NONE))

    Dispatcher(inspecting.ports).fan_in(RELEASE_ID, Round.INSPECTION)

    assert inspecting.phase() is ReleasePhase.AWAITING_REGISTRY_APPROVAL
