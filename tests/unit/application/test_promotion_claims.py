"""Unit: promotion blocks for minutes; meanwhile nobody begins it a second time, and a death is still healed."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from shared.application.ports import Ports
from shared.application.work import Work
from shared.application.worker import Worker
from shared.domain.commands import RunStep, StepKind
from shared.domain.errors import TransientError
from shared.domain.events import CircuitEvent, ModelPromoted, StillRunning
from shared.domain.model import CircuitPhase, ReleasePhase, Round
from shared.domain.process import LONGEST_CALL, run_step
from tests.support.builders import NOW, a_release, a_run
from tests.support.pipeline_world import PipelineWorld

HOST = Path(__file__).parents[3] / "host.json"
OVERDUE = timedelta(seconds=90)
PROMOTED = ModelPromoted(at=NOW, source_hash="h", registry_tags={})


@pytest.fixture
def promoting(world: PipelineWorld) -> PipelineWorld:
    """One circuit whose promotion waits in the queue."""
    world.put(
        a_release(phase=ReleasePhase.PROMOTING, total=1, due_at=NOW + timedelta(days=1)),
        a_run(phase=CircuitPhase.PROMOTING, todo=Round.PROMOTION, due_at=NOW + OVERDUE),
    )
    return world


def message(world: PipelineWorld) -> RunStep:
    return run_step(world.circuit(), StepKind.PROMOTE)


def worker(world: PipelineWorld, step: Callable[[], CircuitEvent | StillRunning]) -> Worker:
    def promote(_work: Work, _ports: Ports) -> CircuitEvent | StillRunning:
        return step()

    return Worker(world.ports, steps={StepKind.PROMOTE: promote})


def never() -> CircuitEvent:
    raise AssertionError("the promotion must not run")


def test_a_promotion_of_twenty_five_minutes_is_not_driven_again(promoting: PipelineWorld) -> None:
    """I2, rule 6: the sweeper's minutes come and go; a second copy would double the load, and get in the way."""
    drives: list[RunStep] = []

    def slow() -> CircuitEvent:
        for _ in range(25):
            promoting.clock.forward(timedelta(minutes=1))
            promoting.sweep()
            drives.extend(command for command in promoting.bus.take() if isinstance(command, RunStep))
        return PROMOTED

    worker(promoting, slow).handle(message(promoting))

    assert drives == []
    assert promoting.circuit().phase is CircuitPhase.PROMOTED


def test_what_the_sweeper_sent_while_the_message_waited_does_not_run_beside_it(promoting: PipelineWorld) -> None:
    """With hundreds of circuits a message waits for hours and is driven every quarter of an hour: one of them works."""
    first = message(promoting)
    promoting.clock.forward(OVERDUE)
    promoting.sweep()
    [driven] = promoting.bus.take()

    def slow() -> CircuitEvent:
        worker(promoting, never).handle(replace(first, redrive=1))
        return PROMOTED

    worker(promoting, slow).handle(first)

    assert isinstance(driven, RunStep)
    assert (driven.n, driven.redrive) == (first.n, 1)
    assert promoting.circuit().phase is CircuitPhase.PROMOTED


def test_two_messages_at_the_same_moment_claim_it_once(promoting: PipelineWorld) -> None:
    """Both have read the row before either wrote: If-Match decides, and the loser sees the claim."""
    command = message(promoting)
    commit = promoting.releases.commit
    began: list[str] = []

    def second() -> CircuitEvent:
        began.append("second")
        return PROMOTED

    def quicker(*changes):  # noqa: ANN002, ANN202  # the port's own signature
        promoting.releases.commit = commit  # type: ignore[method-assign]  # only the first time
        worker(promoting, second).handle(replace(command, redrive=1))
        return commit(*changes)

    promoting.releases.commit = quicker  # type: ignore[method-assign]  # somebody is quicker
    worker(promoting, never).handle(command)

    assert began == ["second"]


def test_the_message_of_a_worker_that_died_takes_over(promoting: PipelineWorld) -> None:
    """Rule 2: delivered again, it does not wait for the sweeper."""
    command = message(promoting)

    def killed() -> CircuitEvent:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        worker(promoting, killed).handle(command)
    worker(promoting, lambda: PROMOTED).handle(command, redelivered=True)

    assert promoting.circuit().phase is CircuitPhase.PROMOTED


def test_whoever_lost_its_message_and_lives_may_still_say_that_it_is_done(promoting: PipelineWorld) -> None:
    """Its lock ran out, another took over and broke off; what is finished counts all the same."""
    command = message(promoting)

    def slow() -> CircuitEvent:
        with pytest.raises(KeyboardInterrupt):
            worker(promoting, broken_off).handle(command, redelivered=True)
        return PROMOTED

    def broken_off() -> CircuitEvent:
        raise KeyboardInterrupt

    worker(promoting, slow).handle(command)

    assert promoting.circuit().phase is CircuitPhase.PROMOTED


def test_a_claim_whose_host_must_have_ended_is_driven_again_as_a_new_look(promoting: PipelineWorld) -> None:
    """I7, with every message lost: half an hour and ninety seconds after it began."""
    command = message(promoting)

    def killed() -> CircuitEvent:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        worker(promoting, killed).handle(command)
    promoting.clock.set(NOW + LONGEST_CALL + OVERDUE - timedelta(seconds=1))
    promoting.sweep()
    assert promoting.bus.sent == []
    promoting.clock.set(NOW + LONGEST_CALL + OVERDUE)
    promoting.sweep()

    [again] = promoting.bus.take()
    assert isinstance(again, RunStep)
    assert (again.n, again.redrive) == (1, 1)
    worker(promoting, lambda: PROMOTED).handle(again)
    assert promoting.circuit().phase is CircuitPhase.PROMOTED


def test_the_deadline_of_a_promotion_counts_from_its_first_claim(promoting: PipelineWorld) -> None:
    """Rule 8: what waited in the queue for two hours has its sixty minutes; a second try goes on counting."""

    def broken() -> CircuitEvent:
        raise TransientError("503")

    promoting.clock.forward(timedelta(hours=2))
    worker(promoting, broken).handle(message(promoting))
    assert promoting.circuit().phase is CircuitPhase.PROMOTING

    promoting.clock.forward(timedelta(minutes=60))
    worker(promoting, broken).handle(message(promoting))
    assert "did not end within 1:00:00" in promoting.circuit().error


def test_a_promotion_costs_one_write_more_than_other_steps(promoting: PipelineWorld) -> None:
    """Load, claim, write, scan."""
    command = message(promoting)
    promoting.releases.requests.clear()

    worker(promoting, StillRunning).handle(command)

    assert dict(promoting.releases.requests) == {"release_and_run": 1, "commit": 2}


def test_a_claim_lasts_as_long_as_the_host_lets_a_function_run() -> None:
    """Shorter, and work that goes on would be begun again; the number stands in host.json."""
    hours, minutes, seconds = map(int, json.loads(HOST.read_text())["functionTimeout"].split(":"))

    assert timedelta(hours=hours, minutes=minutes, seconds=seconds) == LONGEST_CALL
