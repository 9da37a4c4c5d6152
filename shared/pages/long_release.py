"""Pages: which circuits and which history of a long release or rollback its page shows; the rest is one click away.

Five thousand circuits in full are fourteen megabytes, which nobody reads, and the page of what still runs comes anew
every few seconds.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from shared.application.merged_history import HistoryLine, merge_history
from shared.application.phases_told import words
from shared.application.views import ReleaseView
from shared.domain.model import UNSUCCESSFUL, CircuitRun, Round

MOST_RUNS = 200
MOST_LINES = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What one page of a release lists."""

    runs: Sequence[CircuitRun]
    hidden_runs: int
    phases: str
    """How many circuits stand where: what the list does not say when it is cut."""
    history: Sequence[HistoryLine]
    hidden_lines: int


def shown(view: ReleaseView, *, trouble_first: bool = False) -> Shown:
    """Everything up to a size; beyond it trouble first, then who is at work, and the newest lines of the history."""
    runs = sorted(view.runs, key=lambda run: run.circuit)
    history = merge_history(view.release, view.runs, view.gates)
    lines = len(history)
    cut = len(runs) > MOST_RUNS and not view.everything
    if cut or trouble_first:
        runs.sort(key=_first_what_needs_a_look)
    if cut:
        runs = runs[:MOST_RUNS]
    if not view.everything:
        history = history[-MOST_LINES:]
    return Shown(
        runs=runs,
        hidden_runs=len(view.runs) - len(runs),
        phases=_phases(view.runs),
        history=history,
        hidden_lines=lines - len(history),
    )


def _first_what_needs_a_look(run: CircuitRun) -> int:
    """Sorting keeps the order of names among equals."""
    if run.phase in UNSUCCESSFUL:
        return 0
    if run.todo is not Round.NONE:
        return 1
    return 2 if run.warnings else 3


def _phases(runs: Sequence[CircuitRun]) -> str:
    counted = Counter(words(run.phase) for run in runs)
    return ", ".join(f"{count} {phase}" for phase, count in counted.most_common())
