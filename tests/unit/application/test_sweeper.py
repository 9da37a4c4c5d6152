"""Unit: the safety net drives what is overdue, expires, reminds, and forgets what is over."""

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.application.messages import message_id
from shared.domain.commands import FanOut, RunStep, SendNotice
from shared.domain.errors import ConflictError, PermanentError, PipelineError, TransientError
from shared.domain.model import FANOUT_START, CircuitPhase, GateName, Moment, ReleasePhase, Round
from tests.support.builders import NOW, OTHER_CIRCUIT, RELEASE_ID, a_release, a_run
from tests.support.pipeline_world import APPROVERS, PipelineWorld

OVERDUE = timedelta(seconds=90)


@pytest.fixture
def overdue(world: PipelineWorld) -> PipelineWorld:
    """One circuit whose message was lost."""
    world.put(a_release(total=1, due_at=NOW + timedelta(hours=1)), a_run(due_at=NOW + OVERDUE))
    world.clock.set(NOW + OVERDUE)
    return world


def test_an_overdue_circuit_is_driven_again_under_a_new_id(overdue: PipelineWorld) -> None:
    """Rule 7: first due_at and redrive, then the message; duplicate detection would drop the old id."""
    overdue.sweep()
    overdue.clock.forward(timedelta(minutes=1))
    overdue.sweep()

    ids = [message_id(command) for command in overdue.bus.sent]
    assert len(set(ids)) == 2
    assert [command.redrive for command in overdue.bus.sent] == [1, 2]


def test_what_is_not_due_is_left_alone(overdue: PipelineWorld) -> None:
    """One second before."""
    overdue.clock.set(NOW + OVERDUE - timedelta(seconds=1))

    overdue.sweep()

    assert overdue.bus.sent == []


def test_the_waits_between_drives_grow(overdue: PipelineWorld) -> None:
    """Rule 7: 1, 2, 4, 8, 15 minutes, then 15 for ever."""
    waits = []
    for _ in range(6):
        overdue.sweep()
        due = overdue.circuit().due_at
        assert due is not None
        waits.append(due - overdue.clock.now())
        overdue.clock.set(due)

    assert waits == [timedelta(minutes=m) for m in (1, 2, 4, 8, 15, 15)]


def test_an_overdue_fan_out_is_sent_again(world: PipelineWorld) -> None:
    """The cursor says where it stopped."""
    world.put(a_release(fanout_cursor=FANOUT_START, due_at=NOW))

    world.sweep()

    [command] = world.bus.sent
    assert isinstance(command, FanOut)
    assert (command.cursor, command.redrive) == (FANOUT_START, 1)


def test_an_overdue_round_whose_circuits_have_ended_is_closed(world: PipelineWorld) -> None:
    """A crash between the last circuit's row and the fan-in."""
    world.put(a_release(total=1, due_at=NOW), a_run(phase=CircuitPhase.INSPECTED))

    world.sweep()

    assert world.phase() is ReleasePhase.AWAITING_REGISTRY_APPROVAL


def test_a_queued_circuit_gets_a_slot_from_the_sweeper(world: PipelineWorld) -> None:
    """Whoever should have started it crashed."""
    world.put(
        a_release(phase=ReleasePhase.TESTING, total=1, due_at=None),
        a_run(phase=CircuitPhase.QUEUED, todo=Round.TEST, due_at=NOW),
    )

    world.sweep()

    assert world.circuit().phase is CircuitPhase.SMOKE_TESTING


def test_an_overdue_notice_is_sent_again(world: PipelineWorld) -> None:
    """R54: nobody waits for a mail that was lost on the way."""
    world.start()
    world.to_phase(ReleasePhase.AWAITING_REGISTRY_APPROVAL)
    world.lose_messages()
    world.clock.forward(OVERDUE)

    world.sweep()
    again = [command for command in world.waiting() if isinstance(command, SendNotice)]
    world.run()

    assert [command.redrive for command in again] == [1, 1, 1]
    assert len(world.mail.letters) == 2


def test_approvers_are_reminded_once_before_the_deadline(world: PipelineWorld) -> None:
    """Four hours before, and only those who have not answered."""
    world.start()
    world.to_phase(ReleasePhase.AWAITING_REGISTRY_APPROVAL)
    world.run()
    world.mail.letters.clear()

    world.sweep_for(timedelta(hours=19, minutes=59))
    assert world.mail.letters == []
    world.sweep_for(timedelta(hours=2))

    assert sorted(letter.notice.recipient for letter in world.mail.letters) == sorted(APPROVERS)
    assert {letter.notice.moment for letter in world.mail.letters} == {Moment.GATE_REMINDER}


def test_a_gate_past_its_deadline_expires(world: PipelineWorld) -> None:
    """R8, D10: within a minute."""
    world.start()
    world.to_phase(ReleasePhase.AWAITING_REGISTRY_APPROVAL)
    expires_at = world.gate(GateName.REGISTRY).expires_at

    world.clock.set(expires_at - timedelta(seconds=1))
    world.sweep()
    assert world.phase() is ReleasePhase.AWAITING_REGISTRY_APPROVAL
    world.clock.set(expires_at)
    world.sweep()
    assert world.phase() is ReleasePhase.EXPIRED


def test_a_release_leaves_the_list_only_when_everybody_has_been_told(world: PipelineWorld) -> None:
    """No circuit, message or restore may be pending."""
    world.start()
    world.to_phase(ReleasePhase.SUCCEEDED)

    world.sweep()
    assert world.releases.active_release_ids() == [RELEASE_ID]
    world.run()
    world.sweep()
    assert world.releases.active_release_ids() == []


def test_a_late_look_at_the_failed_generation_does_not_forget_a_retried_release(world: PipelineWorld) -> None:
    """Retry puts it back on the list first; a sweep that read it before must not take it off."""
    world.start()
    world.models.change_dev_model("plant001-circuit01", "12345-2025-11-01", tags={})
    world.run()
    failed = world.release()
    assert failed.phase is ReleasePhase.FAILED

    world.operations().retry(RELEASE_ID, by="ops", reason="fixed", exclude={})
    world.releases.finish(failed)

    assert world.releases.active_release_ids() == [RELEASE_ID]


def test_an_interrupted_intake_is_completed(world: PipelineWorld) -> None:
    """The `active` row was written, the release's was not."""
    world.start()
    world.lose_messages()
    world.releases.rows.clear()

    world.sweep()
    world.run()

    assert world.phase() is ReleasePhase.AWAITING_REGISTRY_APPROVAL


@pytest.mark.parametrize("trouble", [ConflictError("quicker"), TransientError("bus is down"), PermanentError("gone")])
def test_one_release_in_trouble_does_not_keep_the_others_waiting(world: PipelineWorld, trouble: PipelineError) -> None:
    """Whatever goes wrong with the first one, the next is still looked at."""
    other = "20251211.1"
    world.put(a_release(total=1, due_at=NOW), a_run(phase=CircuitPhase.INSPECTED))
    world.put(
        a_release(other, total=1, due_at=NOW + timedelta(hours=1)), a_run(OTHER_CIRCUIT, release_id=other, due_at=NOW)
    )
    commit = world.releases.commit

    def lose_the_first(*changes):  # noqa: ANN002, ANN202  # the port's own signature
        if changes[0].row.release_id == RELEASE_ID:
            raise trouble
        return commit(*changes)

    world.releases.commit = lose_the_first  # type: ignore[method-assign]  # a service in trouble
    world.sweep()

    [command] = world.bus.sent
    assert isinstance(command, RunStep)
    assert command.release_id == other


def test_a_defect_met_at_one_release_is_raised_after_the_others_were_looked_at(world: PipelineWorld) -> None:
    """I7, I8: one bad row must not stop gates from expiring and overdue rows from being driven elsewhere."""
    other = "20251211.1"
    world.put(a_release(total=1), a_run())
    world.put(
        a_release(other, total=1, due_at=NOW + timedelta(hours=1)), a_run(OTHER_CIRCUIT, release_id=other, due_at=NOW)
    )
    overdue = world.releases.overdue

    def defect(release_id, now):  # noqa: ANN001, ANN202  # the port's own signature
        if release_id == RELEASE_ID:
            raise KeyError("phase")
        return overdue(release_id, now)

    world.releases.overdue = defect  # type: ignore[method-assign]  # a defect of ours
    with pytest.raises(KeyError, match="phase"):
        world.sweep()

    [command] = world.bus.sent
    assert isinstance(command, RunStep)
    assert command.release_id == other


def test_the_sweeper_asks_nothing_of_azure_ml(world: PipelineWorld) -> None:
    """Its minute must not wait for a service that is slow; repairs of drift have a timer of their own."""
    world.start()
    for phase in (
        ReleasePhase.AWAITING_REGISTRY_APPROVAL,
        ReleasePhase.TESTING,
        ReleasePhase.AWAITING_PRODUCTION_APPROVAL,
        ReleasePhase.ACTIVATING,
        ReleasePhase.SUCCEEDED,
    ):
        world.to_phase(phase)
        before = len(world.models.journal)
        world.clock.forward(timedelta(minutes=16))
        world.sweep()
        assert len(world.models.journal) == before


@pytest.mark.parametrize("started", ["rollback-0123456789abcdef", "invalid-0123456789abcdef"])
def test_a_start_that_died_behind_its_active_row_is_given_up_after_an_hour(world: PipelineWorld, started: str) -> None:
    """Its caller was told of the error, or its blob is found again; the releases behind it must be swept."""
    died = replace(a_release(created_at=NOW), release_id=started, manifest_blob=f"{started}.json")
    world.releases.begin(died)
    world.evidence.put(died.manifest_blob, b"no manifest")
    world.releases.rows.clear()
    world.put(a_release(total=1, due_at=NOW), a_run(due_at=NOW))

    world.sweep()
    assert isinstance(world.bus.sent[0], RunStep)
    assert started in world.releases.active_release_ids()

    world.clock.forward(timedelta(hours=2))
    world.sweep()
    assert started not in world.releases.active_release_ids()
