"""Use cases: what became of every circuit when an activation failed - before, tried, now (D11)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from shared.domain.model import OVERTAKEN, UNSUCCESSFUL, CircuitPhase, CircuitRun, Release, ReleasePhase, Round
from shared.domain.process import LIVE_INSTEAD

NONE = "(none)"
STOOD = frozenset({CircuitPhase.LIVE, CircuitPhase.RESTORED})


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivationRow:
    """One circuit's default on its production endpoint."""

    circuit: str
    before: str
    tried: str
    now: str
    why: str = ""
    """Why it failed; empty: it did not, others did."""
    is_left: bool = False
    """It is not known to be back: production is not as it was before the release."""


def activation_rows(release: Release, runs: Sequence[CircuitRun]) -> tuple[ActivationRow, ...]:
    """Empty unless the release failed while it activated, or before that in a retry of one that could not take all back."""
    reverted = bool(release.hist) and release.hist[-1].source == ReleasePhase.REVERTING
    if release.phase is not ReleasePhase.FAILED or not (reverted or any(map(did_not_go_back, runs))):
        return ()
    ordered = sorted(runs, key=lambda run: run.circuit)
    row = _row if reverted else _row_of_an_earlier_try
    return tuple(row(run) for run in ordered if run.phase is not CircuitPhase.EXCLUDED or did_not_go_back(run))


def did_not_go_back(run: CircuitRun) -> bool:
    """Its last way back ended badly, and it has not been live or restored since: a retry that ends sooner mends nothing."""
    ways = (entry for entry in reversed(run.hist) if entry.source == CircuitPhase.RESTORING or entry.target in STOOD)
    last = next(ways, None)
    return last is not None and last.target in UNSUCCESSFUL and run.phase not in OVERTAKEN


def _row_of_an_earlier_try(run: CircuitRun) -> ActivationRow:
    """This try has switched nothing."""
    before, is_left = run.previous_deployment or NONE, did_not_go_back(run)
    now = "not known since an earlier try, look at the endpoint" if is_left else _untouched(run, before)
    return ActivationRow(
        circuit=str(run.circuit), before=before, tried=run.deployment, now=now, why=run.error, is_left=is_left
    )


def _untouched(run: CircuitRun, before: str) -> str:
    return _now(run, before) if run.phase in OVERTAKEN else before


def _row(run: CircuitRun) -> ActivationRow:
    before = run.previous_deployment or NONE
    return ActivationRow(
        circuit=str(run.circuit),
        before=before,
        tried=run.deployment,
        now=_now(run, before),
        why=run.error,
        is_left=run.phase in UNSUCCESSFUL | {CircuitPhase.LIVE} or did_not_go_back(run),
    )


def not_as_it_was(rows: Sequence[ActivationRow]) -> str:
    """The first thing to say of a release that could not take back all it had switched; empty: it could."""
    left = sum(row.is_left for row in rows)
    return f"Production is not as it was, {left} of {len(rows)} circuits did not go back" if left else ""


def _now(run: CircuitRun, before: str) -> str:
    """What the last look has shown; where none has, that is said."""
    why = run.hist[-1].why if run.hist else ""
    match run.phase:
        case CircuitPhase.RESTORED | CircuitPhase.STAGED:
            return str(run.evidence.get(LIVE_INSTEAD, before) or NONE)
        case CircuitPhase.SUPERSEDED:
            return f"another's ({why})" if why else "another's"
        case CircuitPhase.ROLLED_BACK:
            return "rolled back"
        case CircuitPhase.LIVE:
            return run.deployment
        case _:
            return "not known, see the error"


def is_half_way_back(release: Release, runs: Sequence[CircuitRun]) -> bool:
    """Did the release fail, and could not put all it had switched back? A rollback goes on from there."""
    stuck = any(run.phase in UNSUCCESSFUL and run.error_round is Round.REVERSION for run in runs)
    return release.phase is ReleasePhase.FAILED and (stuck or any(map(did_not_go_back, runs)))


def table_lines(rows: Sequence[ActivationRow]) -> Iterator[str]:
    """The rows as a table in plain text."""
    columns = [("Circuit", "Before", "Tried", "Now"), *((r.circuit, r.before, r.tried, r.now) for r in rows)]
    widths = [max(len(row[n]) for row in columns) for n in range(3)]
    for row in columns:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        yield "   " + "  ".join([*cells, row[3]]).rstrip()
