"""Use cases: which gate a message is about, and who has answered there, in words for mails and cards."""

from collections.abc import Sequence

from shared.application.gate_texts import GATE_TITLES
from shared.application.ports import Letter
from shared.domain.model import NEUTRAL, CircuitRun, Gate, GateDecision, GateName, Moment

ASKING = frozenset({Moment.GATE_OPENED, Moment.GATE_REMINDER})
"""What is said then asks for a decision."""
OF_OPENING = ASKING | {Moment.GATE_OUT_OF_REACH}
"""What is said then is about one opening of a gate, and about no gate that was answered meanwhile."""
SAID = {"approve": "approved", "reject": "rejected"}


def decided_about(gate: GateName, gen: int) -> str:
    """The subject of a notice about a decision: the gate may be asked again in a later generation."""
    return f"{gate}-{gen}"


def letter_gate(letter: Letter) -> Gate | None:
    """The gate a message is about: the one that was decided, else the newest.

    A release opens the second one soon after the first was answered, and a message may be late.
    """
    if letter.notice.moment is Moment.GATE_DECIDED:
        return decided_gate(letter.gates, letter.notice.subject)
    return max(letter.gates, key=lambda gate: gate.opened_at, default=None)


def decided_gate(gates: Sequence[Gate], subject: str) -> Gate | None:
    """None: it was asked again meanwhile, so that the decision no longer stands."""
    return next((gate for gate in gates if decided_about(gate.gate, gate.gen) == subject), None)


def going(letter: Letter) -> Sequence[CircuitRun]:
    """The circuits that a message is about: all but those left out, also where their rows do not say so yet."""
    left_out = letter.release.exclusions
    return [run for run in letter.runs if run.phase not in NEUTRAL and str(run.circuit) not in left_out]


def how_many(letter: Letter) -> str:
    """`3`, or `2 of 3` where some are left out; a report without circuits of its own counts what it is about."""
    some, runs = len(going(letter)), len(letter.runs)
    return str(letter.release.total if not runs else runs if some == runs else f"{some} of {runs}")


def answers(letter: Letter) -> list[tuple[Gate, GateDecision]]:
    """Every answer so far with its gate, in the order of the gates."""
    ordered = sorted(letter.gates, key=lambda gate: gate.opened_at)
    return [(gate, vote) for gate in ordered for vote in gate.decisions]


def answer_told(gate: Gate, vote: GateDecision) -> str:
    """`Registry-Approval approved by ann@example.com`; whose vote does not count any more reads that here."""
    said = f"{GATE_TITLES[gate.gate]} {SAID.get(vote.decision, vote.decision)} by {vote.by}"
    return said if vote in gate.counting else f"{said} (no longer counts, for it was given on earlier evidence)"
