"""docs/state-diagram.md from the tables of shared/domain/process.py: diagrams for the way, tables for every edge."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta

from shared.domain.model import (
    NEUTRAL,
    TERMINAL_RELEASE_PHASES,
    UNSUCCESSFUL,
    CircuitPhase,
    GateState,
    Moment,
    ReleasePhase,
)
from shared.domain.policy import Policy
from shared.domain.process import (
    CIRCUIT_EDGES,
    GATE_EDGES,
    GATE_OF,
    LIMIT_OF,
    MOMENT_OF,
    RELEASE_EDGES,
    RESUME_AT,
    ROUND_EDGES,
    ROUND_ENTRIES,
    ROUND_OF,
    STEP_OF,
    WORKING_PHASES,
)
from tools.configuration import duration
from tools.markdown import code, table

type Edge = tuple[str, str, str]
"""From, to, why."""

START = "[*]"
MOST_ARROWS = 3
"""Into one end; beyond that a drawing hides more than it shows."""
AFTERWARDS = frozenset({ReleasePhase.ROLLING_BACK, ReleasePhase.CHECKING})
"""Phases of processes of their own."""
FIRST_PHASES: Mapping[ReleasePhase, str] = {
    ReleasePhase.INSPECTING: "an artifact with circuits",
    ReleasePhase.NOTHING_TO_DO: "an artifact without circuits",
    ReleasePhase.INVALID: "an unusable artifact",
}


def state_diagram() -> str:
    """The whole document."""
    return "\n".join([*_releases(), *_rollbacks(), *_gates(), *_circuit_runs()])


# ---------------------------------------------------------------------------------------------- releases


def _releases() -> Iterator[str]:
    yield from (
        "# States",
        "",
        "Generated from the tables of [`shared/domain/process.py`](../shared/domain/process.py). An event without an edge",
        "from the state it meets changes nothing. Every edge is one conditional write.",
        "",
        "## Releases",
        "",
        "*green*: every circuit that is still in has done its part. *red*: one has failed or errored. *neutral*: nobody",
        "is left to go on with (superseded, rolled back, excluded); *empty*: because all were excluded. A round is judged when all its circuits have ended; if",
        "handing out its work had to be given up, it is red.",
        "",
    )
    edges = [edge for edge in _release_edges() if not AFTERWARDS & {*edge}]
    starts: list[Edge] = [(START, str(phase), why) for phase, why in FIRST_PHASES.items()]
    drawn, crowded = _without_crowds(edges)
    yield from _diagram([*starts, *drawn], TERMINAL_RELEASE_PHASES)
    yield f"Not drawn, because too many arrows would cross: {'; '.join(crowded)}."
    yield ""
    yield from ("### What each phase is", "")
    rows = [
        (
            code(phase),
            f"round {code(ROUND_OF[phase].name.lower())}" if phase in ROUND_OF else _gate_or_end(phase),
            code(RESUME_AT[phase]) if phase in RESUME_AT else "",
            code(MOMENT_OF[phase]) if phase in MOMENT_OF else "",
        )
        for phase in ReleasePhase
        if phase not in AFTERWARDS
    ]
    yield table(("phase", "is", "a retry after failing here resumes at", "people are told"), rows)
    decided = code(Moment.GATE_DECIDED)
    yield from ("", f"Beside these, every decision at a gate is told ({decided}); a rejection has no other message.")
    yield from ("", "Only `failed` and `expired` releases can be retried; every retry raises `gen` by one.", "")
    yield from ("### Every edge", "", _edge_table(edges), "")


def _without_crowds(edges: Sequence[Edge]) -> tuple[list[Edge], list[str]]:
    """Ends that many phases lead to are told in words, but for phases that lead nowhere else."""
    sources: dict[str, list[str]] = {}
    for source, target, _ in edges:
        if target in TERMINAL_RELEASE_PHASES:
            sources.setdefault(target, []).append(source)
    crowded = {end: list(dict.fromkeys(found)) for end, found in sources.items() if len(set(found)) > MOST_ARROWS}
    only = {
        a for a, _, _ in edges if {target for source, target, _ in edges if source == a != target} <= crowded.keys()
    }
    drawn = [edge for edge in edges if edge[1] not in crowded or edge[0] in only]
    told = [
        f"{code(end)} from {', '.join(code(phase) for phase in found if phase not in only)}"
        for end, found in crowded.items()
    ]
    return drawn, told


def _gate_or_end(phase: ReleasePhase) -> str:
    return f"gate {code(GATE_OF[phase])}" if phase in GATE_OF else "an end"


def _release_edges() -> list[Edge]:
    by_round = [(str(a), str(b), str(outcome)) for (a, outcome), b in ROUND_EDGES.items()]
    by_event = [(str(a), str(b), _words(event)) for (a, event), b in RELEASE_EDGES.items()]
    return [*by_round, *by_event]


def _rollbacks() -> Iterator[str]:
    yield from (
        "## Rollbacks",
        "",
        "A rollback is a small process of the same kind, with one round and no gate. So is its smoke test, which begins",
        "when a rollback has ended that asked for one, and moves nothing of it.",
        "",
    )
    starts = {ReleasePhase.ROLLING_BACK: "a request", ReleasePhase.CHECKING: "a rollback has ended"}
    for phase, why in starts.items():
        edges = [edge for edge in _release_edges() if edge[0] == phase]
        yield from _diagram([(START, str(phase), why), *edges], TERMINAL_RELEASE_PHASES)
    every = [edge for edge in _release_edges() if edge[0] in AFTERWARDS]
    yield from ("### Every edge", "", _edge_table(every), "")


# ------------------------------------------------------------------------------------------------- gates


def _gates() -> Iterator[str]:
    yield from (
        "## Gates",
        "",
        "A gate's row and its release's row change in one transaction. Votes, wrong codes, reminders and newer evidence leave",
        "an open gate open. An answer at or after the deadline has no edge; neither has an expiry before it.",
        "",
    )
    edges = [(str(a), str(b), _words(event)) for (a, event), b in GATE_EDGES.items()]
    yield from _diagram(
        [(START, str(GateState.OPEN), "the release reaches it"), *edges], set(GateState) - {GateState.OPEN}
    )
    yield from ("### Every edge", "", _edge_table(edges), "")


# ------------------------------------------------------------------------------------------ circuit runs


def _circuit_runs() -> Iterator[str]:
    yield from (
        "## Circuit runs",
        "",
        "Arrows named after a round are drawn by the release reaching it (fan-out); the others by what a step found.",
        "",
    )
    handed = list(_handed_work())
    found = [(str(a), str(b), _words(event)) for (a, event), b in CIRCUIT_EDGES.items()]
    ends = NEUTRAL | {CircuitPhase.LIVE, CircuitPhase.RESTORED}
    yield from _diagram([*handed, *found], ends)
    working = [phase for phase in CircuitPhase if phase in WORKING_PHASES]
    yield from (
        "Not drawn: every phase with work leads to `failed` (the thing said no) and to `errored` (technology broke, or the",
        "deadline passed); a circuit that is left out becomes `excluded` when the next round is handed out.",
        "",
    )
    yield from ("### Phases with work", "")
    yield table(("phase", "step", "must end within"), [_work_row(phase) for phase in working])
    yield from ("", "### How circuits get into a round", "")
    rows = [
        (code(round_.name.lower()), code(entry.phase), _codes(entry.after), _codes(entry.again), code(entry.done))
        for round_, entry in ROUND_ENTRIES.items()
    ]
    yield table(("round", "first phase", "comes from", "on a retry also from", "has done its part in"), rows)
    yield from ("", "### Every edge", "", _edge_table(found + _failures(working)), "")


def _handed_work() -> Iterator[Edge]:
    for round_, entry in ROUND_ENTRIES.items():
        sources = [str(phase) for phase in CircuitPhase if phase in entry.after - UNSUCCESSFUL]
        for source in sources or [START]:
            yield (source, str(entry.phase), f"round {round_.name.lower()}")


def _failures(working: Iterable[CircuitPhase]) -> list[Edge]:
    ends = ((CircuitPhase.FAILED, "step failed"), (CircuitPhase.ERRORED, "step errored"))
    return [(str(phase), str(end), why) for phase in working for end, why in ends]


def _work_row(phase: CircuitPhase) -> tuple[str, str, str]:
    if phase not in STEP_OF:
        return (code(phase), "none: waits for a smoke-test slot", "no limit of its own")
    limit: timedelta = getattr(Policy(), LIMIT_OF[phase])
    told = f"{duration(limit.total_seconds())} ({code(_setting(phase))})"
    if phase is CircuitPhase.SMOKE_TESTING:
        net = duration(Policy().smoke_net.total_seconds())
        told = f"{told} by the job's own times; whatever becomes of the job, {net} after the slot was taken"
    return (code(phase), code(STEP_OF[phase]), told)


def _setting(phase: CircuitPhase) -> str:
    return f"{LIMIT_OF[phase].upper()}_SECONDS"


def _codes(phases: frozenset[CircuitPhase]) -> str:
    return ", ".join(code(phase) for phase in CircuitPhase if phase in phases) or "nowhere"


# ------------------------------------------------------------------------------------------------- forms


def _diagram(edges: Sequence[Edge], ends: Collection[str]) -> Iterator[str]:
    """Arrows between the same two states become one, with all reasons; ends are drawn where an arrow leads there."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for source, target, why in edges:
        reasons.setdefault((source, target), []).append(why)
    yield "```mermaid"
    yield "stateDiagram-v2"
    yield from (f"    {source} --> {target}: {', '.join(why)}" for (source, target), why in reasons.items())
    yield from (f"    {end} --> {START}" for end in dict.fromkeys(target for _, target in reasons) if end in ends)
    yield from ("```", "")


def _edge_table(edges: Iterable[Edge]) -> str:
    rows = [(code(source), why, code(target)) for source, target, why in edges]
    return table(("where", "what happened", "where next"), rows)


def _words(event: type) -> str:
    """`GateApproved` as `gate approved`."""
    return re.sub(r"(?<!^)(?=[A-Z])", " ", event.__name__).lower()
