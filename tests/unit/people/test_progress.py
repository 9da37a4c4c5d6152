"""How far a circuit has come, stage by stage."""

from datetime import timedelta

import pytest

from shared.application.progress import PLACES, STAGES, Mark, progress
from shared.domain.model import CircuitPhase, HistoryEntry, Round
from tests.support.release_samples import NOW, a_run


def marks(phase: CircuitPhase, hist: tuple[HistoryEntry, ...] = ()) -> str:
    """One letter per stage: d(one), r(unning), w(aiting), f(ailed), n(eutral)."""
    return "".join(cell.mark[0] for cell in progress(a_run(phase=phase, hist=hist)))


@pytest.mark.parametrize(
    ("phase", "expected"),
    [
        (CircuitPhase.INSPECTING, "rwwww"),
        (CircuitPhase.INSPECTED, "dwwww"),
        (CircuitPhase.PROMOTING, "drwww"),
        (CircuitPhase.SMOKE_TESTING, "ddrww"),
        (CircuitPhase.STAGED, "ddddw"),
        (CircuitPhase.ACTIVATING, "ddddr"),
        (CircuitPhase.LIVE, "ddddd"),
        (CircuitPhase.RESTORED, "ddddn"),
    ],
)
def test_a_phase_shows_which_stages_are_behind_and_ahead(phase: CircuitPhase, expected: str) -> None:
    """Stages before are done, those after are to come."""
    assert marks(phase=phase) == expected


def test_a_failed_circuit_shows_where_it_failed() -> None:
    """And what it no longer reaches."""
    cells = progress(a_run(phase=CircuitPhase.FAILED, error_round=Round.TEST))
    assert [cell.mark for cell in cells] == [Mark.DONE, Mark.DONE, Mark.FAILED, Mark.WAITING, Mark.WAITING]
    assert cells[3].word == "not reached"


def test_a_superseded_circuit_shows_how_far_it_came() -> None:
    """Its history says where it was."""
    came = (
        HistoryEntry(at=NOW, source="tested", target="locking"),
        HistoryEntry(at=NOW, source="locking", target="superseded"),
    )
    assert marks(phase=CircuitPhase.SUPERSEDED, hist=came) == "dddnw"
    assert (
        marks(phase=CircuitPhase.EXCLUDED, hist=(HistoryEntry(at=NOW, source="tested", target="excluded"),)) == "dddnw"
    )


def test_what_is_learnt_at_a_gate_makes_no_stage_longer() -> None:
    """Evidence that was looked at again stands in the history, hours after the stage had passed."""
    hist = (
        HistoryEntry(at=NOW, source="", target="inspecting"),
        HistoryEntry(at=NOW + timedelta(minutes=2), source="inspecting", target="inspected"),
        HistoryEntry(at=NOW + timedelta(hours=5), source="inspected", target="inspected", why="nothing is live now"),
    )
    assert progress(a_run(phase=CircuitPhase.INSPECTED, hist=hist))[0].took == timedelta(minutes=2)


@pytest.mark.parametrize("phase", list(CircuitPhase))
def test_every_phase_has_a_place(phase: CircuitPhase) -> None:
    """A phase added later must not break the page."""
    cells = progress(a_run(phase=phase))
    assert len(cells) == len(STAGES)
    assert phase in PLACES or cells[0].mark in {Mark.FAILED, Mark.NEUTRAL, Mark.DONE}
