"""Use cases: how far one circuit has come, as one cell per stage of the pipeline."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from shared.application.phases_told import words
from shared.domain.model import NEUTRAL, UNSUCCESSFUL, CircuitPhase, CircuitRun, Round

STAGES = (
    (Round.INSPECTION, "Inspection"),
    (Round.PROMOTION, "Registry"),
    (Round.TEST, "Test"),
    (Round.STAGING, "Staging"),
    (Round.ACTIVATION, "Production"),
)


class Mark(StrEnum):
    """How a stage stands for a circuit."""

    DONE = "done"
    RUNNING = "running"
    WAITING = "waiting"
    FAILED = "failed"
    NEUTRAL = "neutral"


@dataclass(frozen=True, slots=True, kw_only=True)
class StageCell:
    mark: Mark
    word: str
    took: timedelta | None = None
    """Of a stage it has passed."""


# phase -> (the round it belongs to, is the circuit's work in that round done?)
PLACES: dict[CircuitPhase, tuple[Round, bool]] = {
    CircuitPhase.INSPECTING: (Round.INSPECTION, False),
    CircuitPhase.INSPECTED: (Round.INSPECTION, True),
    CircuitPhase.PROMOTING: (Round.PROMOTION, False),
    CircuitPhase.PROMOTED: (Round.PROMOTION, True),
    CircuitPhase.DEPLOYING_TEST: (Round.TEST, False),
    CircuitPhase.QUEUED: (Round.TEST, False),
    CircuitPhase.SMOKE_TESTING: (Round.TEST, False),
    CircuitPhase.ACTIVATING_TEST: (Round.TEST, False),
    CircuitPhase.TESTED: (Round.TEST, True),
    CircuitPhase.LOCKING: (Round.STAGING, False),
    CircuitPhase.STAGING: (Round.STAGING, False),
    CircuitPhase.STAGED: (Round.STAGING, True),
    CircuitPhase.ACTIVATING: (Round.ACTIVATION, False),
    CircuitPhase.LIVE: (Round.ACTIVATION, True),
    CircuitPhase.RESTORING: (Round.ACTIVATION, False),
    CircuitPhase.RESTORED: (Round.ACTIVATION, False),
}


def progress(run: CircuitRun) -> tuple[StageCell, ...]:
    """One cell per entry of STAGES."""
    at, done = _place(run)
    return tuple(_cell(run, stage, at, done=done) for stage, _ in STAGES)


def _cell(run: CircuitRun, stage: Round, at: Round, *, done: bool) -> StageCell:
    if stage < at or (stage == at and done and run.phase in PLACES):
        word = words(run.phase) if stage == at else "done"
        return StageCell(mark=Mark.DONE, word=word, took=_took(run, stage))
    if stage > at:
        return StageCell(mark=Mark.WAITING, word="not reached" if _has_ended(run) else "to come")
    return StageCell(mark=_mark(run), word=words(run.phase))


def _took(run: CircuitRun, stage: Round) -> timedelta | None:
    """From the last time it entered the stage until it had passed it."""
    began = passed = None
    for entry in run.hist:
        if entry.source == entry.target:
            continue  # something was learnt while people were asked
        place = PLACES.get(CircuitPhase(entry.target)) if entry.target in CircuitPhase else None
        if place == (stage, True):
            passed = entry.at
        elif place == (stage, False) and (began is None or passed is not None):
            began, passed = entry.at, None
        elif place is None and passed is None:
            began = None  # it failed here; a retry counts anew
    return passed - began if began and passed else None


def _mark(run: CircuitRun) -> Mark:
    if run.phase in UNSUCCESSFUL:
        return Mark.FAILED
    return Mark.NEUTRAL if run.phase in NEUTRAL or run.phase is CircuitPhase.RESTORED else Mark.RUNNING


def _has_ended(run: CircuitRun) -> bool:
    return run.phase in UNSUCCESSFUL or run.phase in NEUTRAL


def _place(run: CircuitRun) -> tuple[Round, bool]:
    """Where it is; for phases that say nothing about the place, where it last was."""
    if run.phase in PLACES:
        return PLACES[run.phase]
    if run.phase in UNSUCCESSFUL and run.error_round:
        return min(run.error_round, Round.ACTIVATION), False
    passed = [PLACES[CircuitPhase(entry.source)] for entry in run.hist if entry.source in PLACES]
    furthest, done = max(passed, default=(Round.INSPECTION, False))
    return (min(Round(furthest + 1), Round.ACTIVATION), False) if done else (furthest, False)
