"""Unit: when a release will be through, and how long each stage took."""

from datetime import timedelta

from shared.application.estimate import expected_end, phase_durations
from shared.application.progress import progress
from shared.application.queries import Queries
from shared.domain.model import CircuitPhase, HistoryEntry, ReleasePhase
from shared.pages import render_release
from tests.support.builders import CIRCUIT, NOW, a_release, a_run
from tests.support.pipeline_world import PipelineWorld

MINUTE = timedelta(minutes=1)
TAKEN = (
    (ReleasePhase.INSPECTING, 1),
    (ReleasePhase.AWAITING_REGISTRY_APPROVAL, 600),
    (ReleasePhase.PROMOTING, 2),
    (ReleasePhase.TESTING, 10),
    (ReleasePhase.AWAITING_PRODUCTION_APPROVAL, 300),
    (ReleasePhase.STAGING_PRODUCTION, 5),
    (ReleasePhase.ACTIVATING, 1),
)


def entries(*steps: tuple[str, int]) -> tuple[HistoryEntry, ...]:
    """A history: a target, and how many minutes it lasted."""
    at, found, source = NOW, [], ""
    for target, minutes in steps:
        found.append(HistoryEntry(at=at, source=source, target=target))
        at, source = at + minutes * MINUTE, target
    return tuple(found)


def test_the_api_which_does_not_tell_it_does_not_look_for_it() -> None:
    """Whoever polls a running release costs four requests, however many releases there were before."""
    world = world_after_one()
    world.release_all()
    world.change(world.release(), phase=ReleasePhase.TESTING)
    world.releases.requests.clear()
    assert Queries(world.ports).release("20251210.1")["phase"] == ReleasePhase.TESTING
    assert world.releases.requests.total() == 4


def world_after_one() -> PipelineWorld:
    world = PipelineWorld()
    done = a_release("20251209.1", phase=ReleasePhase.SUCCEEDED, hist=entries(*TAKEN, (ReleasePhase.SUCCEEDED, 0)))
    world.releases.begin(done)
    return world


def test_what_is_left_takes_as_long_as_it_took_the_last_time() -> None:
    """Of the phase it is in, what is over is taken off; the waits of people are not counted."""
    world = world_after_one()
    testing = a_release(phase=ReleasePhase.TESTING, hist=entries((ReleasePhase.TESTING, 0)))
    asked = a_release(phase=ReleasePhase.AWAITING_REGISTRY_APPROVAL, hist=entries(TAKEN[1]))
    assert expected_end(testing, NOW + 4 * MINUTE, world.ports) == NOW + 16 * MINUTE
    assert expected_end(testing, NOW + 30 * MINUTE, world.ports) == NOW + 36 * MINUTE
    assert expected_end(asked, NOW, world.ports) == NOW + 18 * MINUTE


def test_there_is_no_telling_without_an_example_nor_after_the_end() -> None:
    """The page then says nothing rather than something."""
    assert expected_end(a_release(phase=ReleasePhase.TESTING), NOW, PipelineWorld().ports) is None
    assert expected_end(a_release(phase=ReleasePhase.REVERTING), NOW, world_after_one().ports) is None


def test_a_phase_gone_through_twice_counts_together() -> None:
    """A retried release tests twice."""
    twice = a_release(hist=entries(("testing", 3), ("failed", 60), ("testing", 4), ("succeeded", 0)))
    assert phase_durations(twice)[ReleasePhase.TESTING] == 7 * MINUTE


def test_a_passed_stage_says_how_long_it_took() -> None:
    """Of a circuit that was tested twice, the second time."""
    steps = (("inspecting", 1), ("inspected", 5), ("deploying_test", 3), ("failed", 9), ("deploying_test", 2))
    run = a_run(phase=CircuitPhase.TESTED, hist=entries(*steps, ("smoke_testing", 4), ("tested", 0)))
    took = [cell.took for cell in progress(run)]
    assert took == [MINUTE, None, 6 * MINUTE, None, None]


def test_the_page_of_a_running_release_names_the_expected_end() -> None:
    """And leads from each circuit to its history."""
    world = PipelineWorld()
    world.release_all("20251210.1", CIRCUIT)
    world.clock.forward(timedelta(hours=1))
    world.start("20251210.2", CIRCUIT, build="12346")
    world.to_phase(ReleasePhase.AWAITING_REGISTRY_APPROVAL, "20251210.2")
    html = render_release(Queries(world.ports).release_view("20251210.2"))
    assert "Through by" in html
    assert 'href="/circuits/PLANT001/CIRCUIT01"' in html
