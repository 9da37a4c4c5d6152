"""Use cases: what has happened to a release and all its rows, in the order of time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from shared.domain.model import CircuitRun, Gate, HistoryEntry, Release


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryLine:
    """One transition of a release or of one of its rows; `circuit` is empty where it concerns the whole release."""

    at: datetime
    what: str
    circuit: str
    by: str
    why: str


def merge_history(release: Release, runs: Sequence[CircuitRun], gates: Sequence[Gate]) -> tuple[HistoryLine, ...]:
    """All rows' transitions in the order of their time."""
    lines = [
        *_lines(release.hist, what="release", circuit=""),
        *(line for gate in gates for line in _lines(gate.hist, what=str(gate.gate), circuit="")),
        *(line for run in runs for line in _lines(run.hist, what="", circuit=str(run.circuit))),
    ]
    return tuple(sorted(lines, key=lambda line: line.at))


def _lines(hist: Sequence[HistoryEntry], *, what: str, circuit: str) -> Iterator[HistoryLine]:
    for entry in hist:
        moved = entry.source not in {"", entry.target}
        step = f"{entry.source} → {entry.target}" if moved else entry.target
        yield HistoryLine(
            at=entry.at.astimezone(UTC),
            what=f"{what}: {step}" if what else step,
            circuit=circuit,
            by=entry.by,
            why=entry.why,
        )
