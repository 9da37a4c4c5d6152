"""Unit: the page of a release with thousands of circuits can be read, and nothing is out of reach."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest

from shared.application.views import ReleaseView
from shared.domain.model import CircuitPhase, CircuitRun, HistoryEntry, ReleasePhase, Round
from shared.pages import render_release, render_rollback
from tests.support.outline import text_of
from tests.support.release_samples import NOW, a_release
from tests.support.sample_pages import many_runs

STEPS = tuple(CircuitPhase)[:14]
HISTORY = tuple(HistoryEntry(at=NOW, source=before, target=step) for before, step in pairwise(STEPS))
LAST = "PLANT499/CIRCUIT09"


def page_of(runs: Sequence[CircuitRun], *, everything: bool = False) -> str:
    view = ReleaseView(
        release=a_release(phase=ReleasePhase.TESTING),
        runs=runs,
        gates=(),
        summary="",
        now=NOW,
        paused=everything,
        everything=everything,
        view_token="the-token",
    )
    return render_release(view)


def five_thousand() -> list[CircuitRun]:
    """All through Test but one that is at work and one that failed, which come last by name."""
    runs = [replace(run, hist=HISTORY) for run in many_runs(5_000, 0)]
    runs[-2] = replace(runs[-2], phase=CircuitPhase.SMOKE_TESTING, todo=Round.TEST)
    runs[-1] = replace(runs[-1], phase=CircuitPhase.FAILED, error="the model says no")
    return runs


def listed(page: str) -> list[str]:
    """The circuits of its table, in order."""
    table = page.partition("Circuits by stage")[2].partition("</table>")[0]
    return [text_of(row.partition("</th>")[0]).replace(" ", "") for row in table.split('<tr><th scope="row">')[1:]]


def test_five_thousand_circuits_are_a_page_that_loads_every_fifteen_seconds() -> None:
    """Issue 5: below 500 KB; how many stand where, then what failed, then what is at work, two hundred in all."""
    page = page_of(five_thousand())
    assert len(page.encode()) < 500_000
    assert "5000 circuits: 4998 inspected, 1 smoke testing, 1 failed." in text_of(page)
    assert listed(page)[:3] == [LAST, "PLANT499/CIRCUIT08", "PLANT000/CIRCUIT00"]
    assert len(listed(page)) == 200
    assert "the model says no" in page
    assert page.count("<time datetime=") < 600


def test_a_rollback_of_five_thousand_circuits_is_cut_likewise() -> None:
    """Its page comes anew every five seconds."""
    runs = [replace(run, phase=CircuitPhase.RESTORED) for run in five_thousand()]
    runs[-1] = replace(runs[-1], phase=CircuitPhase.FAILED)
    release = a_release(phase=ReleasePhase.ROLLING_BACK)
    view = ReleaseView(release=release, runs=runs, gates=(), summary="", now=NOW, view_token="the-token")
    page = render_rollback(view)
    assert len(page.encode()) < 500_000
    assert page.index("CIRCUIT09") < page.index("CIRCUIT00")
    assert "5000 circuits: 4999 restored, 1 failed." in text_of(page)
    assert page.count('href="?view=the-token&amp;all=1"') == 2
    assert page.count('<p class="muted">deployment') == 200


def test_the_rest_is_one_click_away_and_then_the_page_stays_as_it_is() -> None:
    """Also by the link of a mail, which carries its token on."""
    runs = five_thousand()
    assert page_of(runs).count('href="?view=the-token&amp;all=1"') == 2
    everything = page_of(runs, everything=True)
    assert len(listed(everything)) == 5_000
    assert listed(everything) == sorted(listed(everything))
    assert 'http-equiv="refresh"' not in everything
    assert "all=1" not in everything


@pytest.mark.parametrize("circuits", [3, 200])
def test_a_release_of_up_to_two_hundred_is_listed_whole_by_name(circuits: int) -> None:
    """Nothing moves about while somebody watches it."""
    runs = list(many_runs(circuits))
    runs[-1] = replace(runs[-1], phase=CircuitPhase.FAILED)
    page = page_of(runs)
    assert listed(page) == sorted(str(run.circuit) for run in runs)
    assert "all=1" not in page


def test_a_long_history_shows_its_newest_lines() -> None:
    """The older ones are told by number."""
    runs = [replace(run, hist=HISTORY) for run in many_runs(60)]
    lines = 60 * len(HISTORY) + len(a_release().hist)
    assert f"show the {lines - 500} before them" in text_of(page_of(runs))
