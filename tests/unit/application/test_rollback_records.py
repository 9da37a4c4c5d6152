"""Unit: releases say of their circuits whether a rollback took them back, or brought them back again (D11)."""

from datetime import timedelta

from shared.application.drift import Drift
from shared.application.ports import Ports
from shared.application.steps.restore import restore
from shared.application.work import Work
from shared.application.worker import Worker
from shared.domain.commands import RunStep, StepKind
from shared.domain.events import CircuitEvent, CircuitRestored, StillRunning
from shared.domain.model import CircuitPhase, ReleasePhase
from tests.support.builders import CIRCUIT
from tests.support.pipeline_world import PipelineWorld
from tests.support.rolled import (
    ENDPOINT,
    FIRST,
    IDS,
    PRODUCTION,
    SECOND,
    released,
    reverted,
)


def test_a_change_of_mind_leaves_the_release_live(world: PipelineWorld) -> None:
    """D11: the first rollback was under way when the second one asked for what was live all the time."""
    released(world, 2)
    world.models.operation_time = timedelta(seconds=20)
    first = world.roll_back(CIRCUIT)
    world.run(lambda: world.lock().owner == first.rollback_id)
    world.clock.forward(timedelta(seconds=1))
    second = world.roll_back(CIRCUIT, to=SECOND, reason="no, the wrong circuit")
    world.run()

    assert world.phase(second.rollback_id) is ReleasePhase.SUCCEEDED
    assert world.live_default() == SECOND == world.lock().want
    assert world.circuit(CIRCUIT, IDS[1]).phase is CircuitPhase.LIVE


def test_what_is_brought_back_after_a_rollback_is_live_again(world: PipelineWorld) -> None:
    """D11: and says by which rollback, why and by whom."""
    released(world, 2)
    world.roll_back(CIRCUIT)
    world.run()
    assert world.circuit(CIRCUIT, IDS[1]).phase is CircuitPhase.ROLLED_BACK

    back = world.roll_back(CIRCUIT, to=SECOND, reason="no, the wrong circuit")
    world.run()

    run = world.circuit(CIRCUIT, IDS[1])
    assert world.live_default() == SECOND
    assert run.phase is CircuitPhase.LIVE
    assert (run.hist[-1].why, run.hist[-1].by) == (f"{back.rollback_id}: no, the wrong circuit", "ops")


def test_a_default_that_was_rolled_back_and_is_accepted_is_live_again(world: PipelineWorld) -> None:
    """Somebody switched to it in the studio, and an operator keeps it."""
    released(world, 2)
    world.roll_back(CIRCUIT)
    world.run()
    world.models.change_default(PRODUCTION, ENDPOINT, SECOND)

    Drift(world.ports).accept(CIRCUIT, by="ada", why="it works after all")

    run = world.circuit(CIRCUIT, IDS[1])
    assert run.phase is CircuitPhase.LIVE
    assert (run.hist[-1].why, run.hist[-1].by) == ("accepted: it works after all", "ada")


def test_a_late_mark_is_put_right_by_whoever_made_it(world: PipelineWorld) -> None:
    """The worker stood still between the verified default and its mark; meanwhile another rollback came and went."""
    released(world, 2)
    started = world.roll_back(CIRCUIT)
    world.run(lambda: world.lock().owner == started.rollback_id)
    world.clock.forward(timedelta(seconds=30))
    late = [command for command in world.waiting() if isinstance(command, RunStep)][-1]
    world.lose_messages()

    def stands_still(work: Work, ports: Ports) -> CircuitEvent | StillRunning:
        outcome = restore(work, ports)
        assert isinstance(outcome, CircuitRestored)
        world.roll_back(CIRCUIT, to=SECOND)
        world.run()
        assert world.live_default() == SECOND
        return outcome

    Worker(world.ports, steps={StepKind.RESTORE: stands_still}).handle(late)

    assert world.circuit(CIRCUIT, IDS[1]).phase is CircuitPhase.LIVE


def test_a_mark_that_lands_after_another_rollback_is_put_right_too(world: PipelineWorld) -> None:
    """The lock is read again behind the mark."""
    released(world, 2)
    read, seen = world.releases.release_and_run, list[str]()

    def meanwhile(release_id: str, circuit: object) -> object:
        found = read(release_id, circuit)  # type: ignore[arg-type]  # as the port has it
        if release_id == IDS[1] and world.live_default() == FIRST and not seen:
            seen.append(world.roll_back(CIRCUIT, to=SECOND).rollback_id)
            world.run(lambda: world.release(seen[0]).is_terminal)
        return found

    world.releases.release_and_run = meanwhile  # type: ignore[method-assign,assignment]  # once, in that moment
    world.roll_back(CIRCUIT)
    world.run()

    assert seen
    assert world.live_default() == SECOND == world.lock().want
    assert world.circuit(CIRCUIT, IDS[1]).phase is CircuitPhase.LIVE


def test_a_release_that_reverts_marks_nobody(world: PipelineWorld) -> None:
    """D11: it puts back what was live before it; no rollback was asked for."""
    reverted(world)

    assert world.live_default() == SECOND
    assert world.circuit(CIRCUIT, IDS[1]).phase is CircuitPhase.LIVE
    assert world.circuit(CIRCUIT, IDS[2]).phase is CircuitPhase.RESTORED
