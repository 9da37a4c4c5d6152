"""Use cases: how a rollback went, in words and numbers. What restored nothing has taken no time to restore it."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from shared.domain.model import CircuitPhase, CircuitRun, Environment, Release, ReleasePhase

ROLLBACK_GOAL = timedelta(minutes=2)
"""R44: from the request to the verified default."""
MOST_NAMED = 5


def is_drill(rollback: Release) -> bool:
    """In Test: the same way, measured, without touching production and without a hold."""
    return rollback.environment is Environment.TEST


def rollback_name(rollback: Release) -> str:
    """For subjects and headings: nobody shall take a drill for the real thing."""
    return "Rollback drill in Test" if is_drill(rollback) else "Rollback"


def seconds_taken(rollback: Release, runs: Sequence[CircuitRun]) -> float | None:
    """From the request to the last verified default; None: it runs, or nothing was restored."""
    back = [run for run in runs if run.phase is CircuitPhase.RESTORED]
    if rollback.ended_at is None or not back:
        return None
    told = [seconds for run in back if isinstance(seconds := _told(run).get("seconds"), int | float)]
    return float(max(told)) if told else round((rollback.ended_at - rollback.created_at).total_seconds(), 1)


def is_within_goal(rollback: Release, runs: Sequence[CircuitRun]) -> bool | None:
    """R44, for the whole of it; None: there is nothing to count."""
    seconds = seconds_taken(rollback, runs)
    if seconds is None:
        return None
    return rollback.phase is ReleasePhase.SUCCEEDED and seconds <= ROLLBACK_GOAL.total_seconds()


def took_told(rollback: Release, runs: Sequence[CircuitRun]) -> str:
    """The seconds against the goal."""
    seconds, goal = seconds_taken(rollback, runs), ROLLBACK_GOAL.total_seconds()
    if seconds is None:
        return "not counted: nothing was restored"
    took = f"{seconds:g} s from the request to the last verified default"
    if rollback.phase is not ReleasePhase.SUCCEEDED:
        return f"{took}; not every circuit was restored"
    return f"{took}, {'within' if seconds <= goal else 'beyond'} the goal of {goal:g} s"


def ended_because(rollback: Release, runs: Sequence[CircuitRun]) -> str:
    """Why it has not restored everything; empty: it runs, or it has."""
    if rollback.reason or not rollback.is_terminal or rollback.phase is ReleasePhase.SUCCEEDED:
        return rollback.reason
    whys = [f"{run.circuit}: {run.hist[-1].why}" for run in runs if run.phase is not CircuitPhase.RESTORED and run.hist]
    more = f"; and {len(whys) - MOST_NAMED} more" if len(whys) > MOST_NAMED else ""
    return "; ".join(whys[:MOST_NAMED]) + more


def after_rollback(rollback: Release) -> str:
    """The one thing to do now."""
    if rollback.phase is ReleasePhase.FAILED:
        drill = ' and "environment": "test"' if is_drill(rollback) else ""
        return f"remove the cause, then POST /api/rollbacks with the circuits that were not restored{drill}."
    if is_drill(rollback):
        return "nothing. It was a drill in Test: Production was not touched, and no circuit is on hold."
    return "nothing. A hold keeps releases from activating these circuits until it ends or is lifted."


def _told(run: CircuitRun) -> Mapping[str, object]:
    told = run.evidence.get("rollback")
    return told if isinstance(told, Mapping) else {}
