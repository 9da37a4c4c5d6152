"""Use cases: what several circuits of a release failed for alike is told once, by the release; each row keeps all of its own.

A region that has no room has none for any circuit of the release: two hundred times the same two sentences hide the one
circuit that failed for something else.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from shared.domain.model import CircuitRun
from shared.domain.process import FINDINGS

OWN, SHARED = "own", "shared"


def numbered(findings: Sequence[str]) -> str:
    """One as it is; several with their number."""
    if len(findings) == 1:
        return findings[0]
    return f"{len(findings)} findings: " + "; ".join(f"({n}) {finding}" for n, finding in enumerate(findings, 1))


def as_evidence(own: Sequence[str], shared: Sequence[str]) -> Mapping[str, object]:
    """For the row of a circuit that fails, beside its error. Only where something may be shared."""
    return {FINDINGS: {OWN: list(own), SHARED: list(shared)}} if shared else {}


def told_once(runs: Sequence[CircuitRun]) -> tuple[str, ...]:
    """What at least two of these circuits failed for, in the order of the circuits."""
    counted = Counter(finding for run in runs for finding in _of(run, SHARED))
    return tuple(finding for finding, times in counted.items() if times > 1)


def own_error(run: CircuitRun, told: Sequence[str], *, refers: bool = True) -> str:
    """The circuit's error where `told` stands above it in full; it refers to that by its beginning, or leaves it away."""
    shared = _of(run, SHARED)
    if not set(told) & set(shared):
        return run.error
    short = [f"{finding.partition(':')[0]} (see above)" for finding in shared if finding in told and refers]
    return numbered([*_of(run, OWN), *(finding for finding in shared if finding not in told), *short])


def is_told(run: CircuitRun, told: Sequence[str]) -> bool:
    """Has the circuit failed for nothing else?"""
    return bool(_of(run, SHARED)) and not _of(run, OWN) and set(_of(run, SHARED)) <= set(told)


def _of(run: CircuitRun, which: str) -> Sequence[str]:
    found = run.evidence.get(FINDINGS) if run.error else None
    listed = found.get(which) if isinstance(found, Mapping) else None
    return [str(one) for one in listed] if isinstance(listed, list | tuple) else []
