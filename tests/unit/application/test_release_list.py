"""Unit: lists of releases come from the index; only what has not ended is read; health remembers what was not told."""

from datetime import timedelta

import pytest

from shared.application.queries import Queries
from shared.application.views import ReleaseQuery
from shared.domain.errors import PermanentError, RequestRefused, TransientError
from shared.domain.model import GateName, ReleasePhase
from tests.support.builders import CIRCUIT, OTHER_CIRCUIT, THIRD_CIRCUIT
from tests.support.pipeline_world import PipelineWorld

RUNNING, FAILED, OLD, OLDEST = "20251213.1", "20251212.1", "20251211.1", "20251210.1"


@pytest.fixture(scope="module")
def world() -> PipelineWorld:
    """Two successes, a rejection and one that waits at gate 1."""
    world = PipelineWorld()
    world.release_all(OLDEST, CIRCUIT, OTHER_CIRCUIT)
    world.release_all(OLD, THIRD_CIRCUIT, build="2")
    for release_id, build in ((FAILED, "3"), (RUNNING, "4")):
        world.start(release_id, CIRCUIT, build=build)
        world.to_phase(ReleasePhase.AWAITING_REGISTRY_APPROVAL, release_id)
        world.run()
    world.answer(GateName.REGISTRY, "reject", release_id=FAILED, comment="no")
    world.run()
    world.sweep_for(timedelta(minutes=2))
    return world


def listed(world: PipelineWorld, limit: int = 50, **asked: str) -> list[str]:
    told = Queries(world.ports).releases(ReleaseQuery(**asked), limit=limit)
    assert isinstance(told["releases"], list)
    return [release["release_id"] for release in told["releases"]]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, [RUNNING, FAILED, OLD, OLDEST]),
        ({"phase": "succeeded"}, [OLD, OLDEST]),
        ({"phase": "awaiting_registry_approval"}, [RUNNING]),
        ({"phase": "rejected"}, [FAILED]),
        ({"plant": "PLANT001"}, [RUNNING, FAILED, OLDEST]),
        ({"plant": "PLANT002"}, [OLD]),
        ({"circuit": "PLANT001/CIRCUIT02"}, [OLDEST]),
        ({"circuit": "PLANT001/CIRCUIT01", "phase": "rejected"}, [FAILED]),
        ({"circuit": "PLANT001/CIRCUIT01", "plant": "PLANT001", "until": "2025-12-12"}, [FAILED, OLDEST]),
        ({"since": "2025-12-11", "until": "2025-12-12"}, [FAILED, OLD]),
        ({"requested_by": "nobody"}, []),
    ],
    ids=str,
)
def test_each_filter_finds_what_fits(world: PipelineWorld, asked: dict[str, str], found: list[str]) -> None:
    """Alone and together, whether a release runs or has ended."""
    assert listed(world, **asked) == found


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"phase": "done"}, "is none of"),
        ({"circuit": "PLANT001"}, "PLANT/CIRCUIT"),
        ({"since": "yesterday"}, "since must be a date"),
        ({"until": "2025-13-01"}, "until must be a date"),
        ({"plant": "PLANT002", "circuit": "PLANT001/CIRCUIT01"}, "is no circuit of"),
    ],
)
def test_a_filter_that_means_nothing_is_refused(world: PipelineWorld, asked: dict[str, str], said: str) -> None:
    """400, and what would have been possible."""
    with pytest.raises(RequestRefused, match=said) as refused:
        listed(world, **asked)
    assert refused.value.status == 400


def test_a_list_reads_one_page_and_what_has_not_ended(world: PipelineWorld) -> None:
    """Not the rows of releases that have: the index has all that a list shows of them."""
    before = world.releases.requests.copy()
    assert len(listed(world)) == 4
    assert world.releases.requests - before == {"list_releases": 1, "release": 1}


def test_a_page_goes_on_where_the_one_before_ended(world: PipelineWorld) -> None:
    """Also a page on which nothing fits."""
    seen, cursor, pages = [], "", 0
    while True:
        told = Queries(world.ports).releases(
            ReleaseQuery(circuit="PLANT001/CIRCUIT01", phase="succeeded"), limit=1, cursor=cursor
        )
        assert isinstance(told["releases"], list)
        seen += [release["release_id"] for release in told["releases"]]
        pages += 1
        cursor = str(told["cursor"])
        if not cursor:
            break
    assert (seen, pages) == ([OLDEST], 3)


def test_an_ended_release_is_listed_as_its_own_row_says(world: PipelineWorld) -> None:
    """The copy in the index and the row itself."""
    queries = Queries(world.ports)
    told = queries.releases(ReleaseQuery(phase="rejected"))["releases"]
    assert isinstance(told, list)
    full = queries.release(FAILED)
    assert {**told[0], "rows_removed": None} == {name: full.get(name) for name in told[0]}


# --------------------------------------------------------------------------------------------------- health


def test_health_tells_of_a_lost_mail_for_a_week_after_its_release_has_ended() -> None:
    """An approver who heard nothing of a success, say; then it is history, and stands on the release's page."""
    world = PipelineWorld()
    world.release_all(OLDEST)
    world.mail.failures = [TransientError("connection refused")] * 99
    world.start(OLD, build="2")
    world.to_phase(ReleasePhase.AWAITING_REGISTRY_APPROVAL, OLD)
    world.operations().cancel(OLD, by="ops", reason="withdrawn")
    world.sweep_for(timedelta(hours=2))
    assert world.releases.active_release_ids() == []
    lines = Queries(world.ports).health()["undelivered"]
    assert "20251211.1: email to ops@example.com, release ended could not be delivered" in lines
    assert len(lines) == len(set(lines)) == 3
    world.clock.forward(timedelta(days=6))
    assert Queries(world.ports).health()["undelivered"] == lines
    world.clock.forward(timedelta(days=1))
    assert Queries(world.ports).health() == {}
    undelivered = Queries(world.ports).release(OLD)["undelivered"]
    assert isinstance(undelivered, list)
    assert len(undelivered) == 3


def test_health_tells_of_a_lost_mail_while_its_release_runs() -> None:
    """Once, and not again when the release has ended."""
    world = PipelineWorld()
    world.mail.failures = [PermanentError("no such mailbox")] * 2
    world.start()
    world.to_phase(ReleasePhase.AWAITING_REGISTRY_APPROVAL)
    world.run()
    lines = Queries(world.ports).health()["undelivered"]
    assert [line.partition(":")[0] for line in lines] == ["20251210.1"] * 2
    assert all("gate opened could not be delivered" in line for line in lines)
    world.answer(GateName.REGISTRY, "reject", comment="no")
    world.run()
    world.sweep_for(timedelta(minutes=2))
    assert Queries(world.ports).health()["undelivered"] == lines


def test_health_is_well_when_everybody_was_told(world: PipelineWorld) -> None:
    """Four requests for one release under way, whatever was ever released."""
    before = world.releases.requests.copy()
    assert Queries(world.ports).health() == {}
    assert world.releases.requests - before == {
        "active_release_ids": 1,
        "notices": 1,
        "undelivered": 1,
        "release": 1,
    }
