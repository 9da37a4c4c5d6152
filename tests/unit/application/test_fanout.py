"""Unit: work is handed out in pages, and a page that is repeated hands out nothing twice."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from shared.application.fanout import FanOutPage
from shared.application.messages import message_id
from shared.application.ports import Change, Insert
from shared.domain.commands import FanOut, RunStep
from shared.domain.errors import ConflictError, TransientError
from shared.domain.model import FANOUT_END, FANOUT_START, Circuit, CircuitPhase, ReleasePhase, Round
from tests.support.builders import NOW, OTHER_CIRCUIT, RELEASE_ID, a_release, a_run
from tests.support.pipeline_world import ALL_CIRCUITS, PipelineWorld


def many(count: int) -> list[Circuit]:
    return [Circuit(plant_id=f"P{n // 100:02d}", circuit_id=f"C{n:03d}") for n in range(count)]


def command(cursor: str = FANOUT_START, round_: Round = Round.INSPECTION, gen: int = 1) -> FanOut:
    return FanOut(release_id=RELEASE_ID, gen=gen, round=round_, cursor=cursor)


def steps(world: PipelineWorld) -> list[RunStep]:
    return [sent for sent in world.bus.sent if isinstance(sent, RunStep)]


def test_three_circuits_get_three_messages(world: PipelineWorld) -> None:
    """R3, R52: one Service Bus message per circuit."""
    world.start()

    FanOutPage(world.ports).handle(command())

    assert [step.circuit for step in steps(world)] == sorted(ALL_CIRCUITS)
    assert world.phases() == [CircuitPhase.INSPECTING] * 3
    assert world.release().fanout_cursor == FANOUT_END


@pytest.mark.parametrize(("count", "pages"), [(1, 1), (98, 1), (99, 2), (100, 2), (250, 3)])
def test_every_circuit_is_handed_its_work_once_whatever_the_number(
    world: PipelineWorld, count: int, pages: int
) -> None:
    """Rule 4: pages of 99, a cursor on the release, no limit on circuits."""
    world.start(RELEASE_ID, *many(count))

    while fan_outs := [sent for sent in world.bus.take() if isinstance(sent, FanOut)]:
        FanOutPage(world.ports).handle(fan_outs[0])

    assert len({step.circuit for step in steps(world)}) == len(steps(world)) == len(world.runs()) == count
    assert len([sent for sent in world.bus.sent if isinstance(sent, FanOut)]) == pages


def test_a_page_that_crashed_before_its_cursor_is_repeated_harmlessly(world: PipelineWorld) -> None:
    """Rule 4: rows that have their work only get their message again, under the same id."""
    world.start()
    page = FanOutPage(world.ports)
    before = world.release()
    page.handle(command())
    first = [message_id(step) for step in steps(world)]
    world.change(world.release(), fanout_cursor=before.fanout_cursor)

    page.handle(command(), redelivered=True)

    assert [message_id(step) for step in steps(world)] == first * 2
    assert world.phases() == [CircuitPhase.INSPECTING] * 3


def test_a_fan_out_of_another_generation_is_dropped(world: PipelineWorld) -> None:
    """`gen` grows with every retry."""
    world.start()

    FanOutPage(world.ports).handle(command(gen=2))

    assert world.runs() == []


def test_a_page_already_handed_out_is_dropped(world: PipelineWorld) -> None:
    """The cursor is beyond it."""
    world.start()
    page = FanOutPage(world.ports)
    page.handle(command())
    sent = len(world.bus.sent)

    page.handle(command())

    assert len(world.bus.sent) == sent


def test_a_redelivered_page_sends_the_next_one_that_was_lost(world: PipelineWorld) -> None:
    """It died between writing the cursor and sending."""
    world.start(RELEASE_ID, *many(150))
    page = FanOutPage(world.ports)
    page.handle(command())
    world.bus.sent.clear()

    page.handle(command(), redelivered=True)

    [again] = [sent for sent in world.bus.sent if isinstance(sent, FanOut)]
    assert again.cursor == world.release().fanout_cursor


def test_a_redelivered_last_page_runs_the_fan_in(world: PipelineWorld) -> None:
    """All circuits had ended before the cursor came to its end."""
    world.put(a_release(total=2), *(a_run(c, phase=CircuitPhase.INSPECTED) for c in ALL_CIRCUITS[:2]))

    FanOutPage(world.ports).handle(command(), redelivered=True)

    assert world.phase() is ReleasePhase.AWAITING_REGISTRY_APPROVAL


def test_a_later_round_moves_only_those_who_come_from_its_predecessor(world: PipelineWorld) -> None:
    """Superseded and excluded circuits are left alone."""
    world.put(
        a_release(phase=ReleasePhase.PROMOTING, fanout_cursor=FANOUT_START),
        a_run(phase=CircuitPhase.INSPECTED),
        a_run(OTHER_CIRCUIT, phase=CircuitPhase.SUPERSEDED),
    )

    FanOutPage(world.ports).handle(command(round_=Round.PROMOTION))

    assert world.phases() == [CircuitPhase.PROMOTING, CircuitPhase.SUPERSEDED]


def test_a_circuit_left_out_at_the_gate_is_excluded_with_its_reason(world: PipelineWorld) -> None:
    """R58: green results are reused, what was left out is shown."""
    world.put(
        a_release(
            phase=ReleasePhase.PROMOTING,
            fanout_cursor=FANOUT_START,
            exclusions={str(OTHER_CIRCUIT): "sensor is being replaced"},
        ),
        a_run(phase=CircuitPhase.INSPECTED),
        a_run(OTHER_CIRCUIT, phase=CircuitPhase.INSPECTED),
    )

    FanOutPage(world.ports).handle(command(round_=Round.PROMOTION))

    assert world.phases() == [CircuitPhase.PROMOTING, CircuitPhase.EXCLUDED]
    assert world.circuit(OTHER_CIRCUIT).hist[-1].why == "sensor is being replaced"
    assert [step.circuit for step in steps(world)] == [ALL_CIRCUITS[0]]


def test_a_round_nobody_has_work_in_ends_at_once(world: PipelineWorld) -> None:
    """The write that sets the cursor to its end runs the same check as a circuit that ends."""
    world.put(a_release(phase=ReleasePhase.PROMOTING, fanout_cursor=FANOUT_START), a_run(phase=CircuitPhase.SUPERSEDED))

    FanOutPage(world.ports).handle(command(round_=Round.PROMOTION))

    assert world.phase() is ReleasePhase.SUPERSEDED


def test_a_retry_hands_work_only_to_circuits_that_failed(world: PipelineWorld) -> None:
    """Green results of the failed generation are reused."""
    world.put(
        a_release(phase=ReleasePhase.PROMOTING, gen=2, fanout_cursor=FANOUT_START),
        a_run(phase=CircuitPhase.PROMOTED, gen=1),
        a_run(OTHER_CIRCUIT, phase=CircuitPhase.ERRORED, gen=1, error="503"),
    )

    FanOutPage(world.ports).handle(command(round_=Round.PROMOTION, gen=2))

    assert world.phases() == [CircuitPhase.PROMOTED, CircuitPhase.PROMOTING]
    assert world.circuit(OTHER_CIRCUIT).error == ""


def test_a_page_written_by_two_hands_out_every_circuit_once(world: PipelineWorld) -> None:
    """On a lost write the page is read again."""
    world.start()
    page = FanOutPage(world.ports)
    rival = [replace(a_run(circuit), todo=Round.INSPECTION, due_at=NOW) for circuit in ALL_CIRCUITS[:1]]

    def be_quicker(request: str) -> None:
        if request == "commit" and rival:
            row = rival.pop()
            world.releases.commit(Insert(row=row))

    world.releases.on_request = be_quicker
    page.handle(command())

    assert [step.circuit for step in steps(world)] == sorted(ALL_CIRCUITS)
    assert world.releases.requests["commit"] == 3


def test_a_bus_that_is_down_loses_no_message(world: PipelineWorld) -> None:
    """The page was written; the message comes again and sends what is missing."""
    world.start()

    def down(_request: str) -> None:
        raise TransientError("bus is down")

    world.bus.on_request = down
    with pytest.raises(TransientError):
        FanOutPage(world.ports).handle(command())
    assert world.release().fanout_cursor == FANOUT_END

    world.bus.on_request = lambda _request: None
    FanOutPage(world.ports).handle(command(), redelivered=True)
    assert len(steps(world)) == 3


def test_a_worker_that_was_frozen_hands_out_nothing_in_a_release_that_has_moved_on(world: PipelineWorld) -> None:
    """The page stands only together with the cursor of the release as it was read."""
    world.start()
    frozen = [ReleasePhase.CANCELLED]

    def be_quicker(request: str) -> None:
        if request == "commit" and frozen:
            world.change(world.release(), phase=frozen.pop())

    world.releases.on_request = be_quicker
    FanOutPage(world.ports).handle(command())

    assert world.runs() == []
    assert steps(world) == []


def test_a_page_whose_own_write_looks_like_a_conflict_sends_its_messages(world: PipelineWorld) -> None:
    """A client that repeats a write after a lost reply is told that somebody else was quicker."""
    world.start()
    commit, replies = world.releases.commit, ["lost"]

    def lose_the_reply(*changes: Change) -> Sequence[str]:
        etags = commit(*changes)
        if replies:
            raise ConflictError(replies.pop())
        return etags

    world.ports.releases.commit = lose_the_reply  # type: ignore[method-assign]  # a store that answers late
    FanOutPage(world.ports).handle(command())

    assert [step.circuit for step in steps(world)] == sorted(ALL_CIRCUITS)


def test_a_redelivered_page_hands_out_the_next_round_that_was_lost(world: PipelineWorld) -> None:
    """Its fan-in moved the release on and died before it sent that round's first page."""
    world.put(a_release(phase=ReleasePhase.TESTING, fanout_cursor=FANOUT_START))

    FanOutPage(world.ports).handle(command(round_=Round.PROMOTION), redelivered=True)

    assert [sent for sent in world.bus.sent if isinstance(sent, FanOut)] == [command(round_=Round.TEST)]


def test_a_redelivered_page_sends_no_message_of_a_circuit_that_is_under_way(world: PipelineWorld) -> None:
    """Who has polled or moved on got the message."""
    world.start()
    page = FanOutPage(world.ports)
    page.handle(command())
    world.change(world.circuit(ALL_CIRCUITS[0]), poll_n=1)
    world.bus.sent.clear()

    page.handle(command(), redelivered=True)

    assert [step.circuit for step in steps(world)] == sorted(ALL_CIRCUITS[1:])
