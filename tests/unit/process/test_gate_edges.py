"""Unit: every gate state meets every event; the deadline is the deadline (I1, I9, R8)."""

from datetime import timedelta
from itertools import product

import pytest

from shared.domain import events as e
from shared.domain.errors import IllegalTransition
from shared.domain.model import GateName, GateState
from shared.domain.process import GATE_EDGES, decide_gate
from tests.support.builders import a_gate

S = GateState
GATE = a_gate()
IN_TIME = GATE.expires_at - timedelta(seconds=1)
AT_THE_DEADLINE = GATE.expires_at

EVENTS = (e.GateOpened, e.GateApproved, e.GateRejected, e.GateExpired, e.GateVoided)
EXPECTED = {
    (S.OPEN, e.GateApproved): S.APPROVED,
    (S.OPEN, e.GateRejected): S.REJECTED,
    (S.OPEN, e.GateExpired): S.EXPIRED,
    (S.OPEN, e.GateVoided): S.VOID,
    (S.EXPIRED, e.GateOpened): S.OPEN,
    (S.APPROVED, e.GateOpened): S.OPEN,
}


def happened(kind: type[e.GateEvent]) -> e.GateEvent:
    """At the moment when such a thing can happen to an open gate."""
    at = AT_THE_DEADLINE if kind is e.GateExpired else IN_TIME
    if kind in {e.GateOpened, e.GateVoided}:
        return kind(at=at, why="asked again", by="ops")
    return kind(at=at, why="because", by="ann@example.com", gate=GateName.REGISTRY)  # type: ignore[call-arg]  # not the two


@pytest.mark.parametrize(
    ("state", "kind"), list(product(GateState, EVENTS)), ids=lambda value: str(value).rpartition(".")[2]
)
def test_every_state_meets_every_event(state: GateState, kind: type[e.GateEvent]) -> None:
    """An event moves a gate along its table's edge once, with who and why, or raises and changes nothing."""
    event, gate = happened(kind), a_gate(state=state)
    target = EXPECTED.get((state, kind))
    if target is None:
        with pytest.raises(IllegalTransition, match=f"is {state}"):
            decide_gate(gate, event)
        return
    moved = decide_gate(gate, event)
    assert moved.state is target
    assert moved.hist[:-1] == gate.hist
    entry = moved.hist[-1]
    assert (entry.source, entry.target, entry.at, entry.why, entry.by) == (state, target, event.at, event.why, event.by)
    with pytest.raises(IllegalTransition):
        decide_gate(moved, event)


def test_the_table_has_no_other_edge() -> None:
    """What is expected here is written down by hand."""
    assert dict(GATE_EDGES) == EXPECTED


@pytest.mark.parametrize("kind", [e.GateApproved, e.GateRejected])
def test_an_answer_at_the_deadline_is_too_late(kind: type[e.GateApproved | e.GateRejected]) -> None:
    """R8: 23:59:59 counts, 24:00:00 does not."""
    with pytest.raises(IllegalTransition, match="its time was over"):
        decide_gate(GATE, kind(at=AT_THE_DEADLINE, gate=GateName.REGISTRY))
    assert decide_gate(GATE, kind(at=IN_TIME, gate=GateName.REGISTRY)).state is not S.OPEN


def test_a_gate_does_not_expire_before_its_deadline() -> None:
    """A sweeper whose clock is ahead, or that stood still with an old row."""
    with pytest.raises(IllegalTransition, match="has time until"):
        decide_gate(GATE, e.GateExpired(at=IN_TIME, gate=GateName.REGISTRY))
