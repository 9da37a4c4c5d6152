"""Programs that decide at a gate: what an answer is told that comes too late, comes twice, or lacks something."""

import pytest

from shared.domain.model import Circuit, CircuitPhase, GateName, GateState
from shared.domain.policy import Policy
from tests.support.app_host import ADA, GRACE, AppHost, GateAt
from tests.support.builders import a_lock, a_run
from tests.support.person import Person
from tests.support.wire import WireReply


def read(gate: GateAt, recipient: str = ADA) -> dict[str, str]:
    """What a program takes from the GET and from its mail."""
    link = gate.link(recipient)
    data = Person(site=gate.host.url).get(link.url, accept="application/json").json()
    return {"digest": data["digest"], "csrf": data["csrf"], "code": link.code, "comment": "Looked at."}


def answer(gate: GateAt, recipient: str, decision: str, **changes: str) -> WireReply:
    body = {**read(gate, recipient), "decision": decision, **changes}
    return Person(site=gate.host.url).post_json(gate.link(recipient).url, body)


def problem(reply: WireReply) -> tuple[int, str, str]:
    assert reply.media_type == "application/problem+json", reply.text[:300]
    told = reply.json()
    return reply.status, told["title"], told["detail"]


def test_the_same_answer_once_more_is_no_problem(by_link: AppHost) -> None:
    """A lost reply may be asked for again; nothing is written a second time."""
    gate = by_link.at_gate()
    assert answer(gate, ADA, "reject").status == 200
    decided = gate.now()
    again = answer(gate, ADA, "reject")
    assert (again.status, again.json()["state"]) == (200, "rejected")
    assert gate.now() == decided


@pytest.mark.parametrize(("person", "decision"), [(ADA, "approve"), (GRACE, "reject"), (GRACE, "approve")])
def test_another_answer_to_a_decided_gate_is_told_who_decided_what_and_when(
    by_link: AppHost, person: str, decision: str
) -> None:
    """409, whether the same person changes their mind or somebody else comes too late."""
    gate = by_link.at_gate()
    answer(gate, ADA, "reject")
    decided = gate.now()
    status, title, detail = problem(answer(gate, person, decision))
    at = f"{decided.decisions[0].at:%Y-%m-%dT%H:%M:%S}Z"
    assert (status, title) == (409, "The gate is decided")
    assert detail == f"Already rejected by {ADA} at {at}. Nothing was changed."
    assert gate.now() == decided


def test_a_vote_that_was_cast_is_not_turned_round(by_link: AppHost) -> None:
    """With four eyes: the same vote again is 200, the opposite 409; the other person decides."""
    gate = by_link.at_gate(policy=Policy(min_approvers=2))
    assert answer(gate, ADA, "approve").status == 202
    assert answer(gate, ADA, "approve").status == 200
    status, title, detail = problem(answer(gate, ADA, "reject"))
    assert (status, title) == (409, "You have voted otherwise")
    assert "You have already approved this gate, " in detail
    assert gate.now().state is GateState.OPEN
    assert answer(gate, GRACE, "approve").status == 200


@pytest.mark.parametrize(
    ("missing", "status", "title"),
    [
        ("csrf", 403, "csrf is missing or not the one of this link"),
        ("code", 422, "The answer is incomplete"),
        ("digest", 409, "The evidence has changed since you saw it"),
    ],
)
def test_a_program_that_did_not_read_first_is_told_how(by_link: AppHost, missing: str, status: int, title: str) -> None:
    """Which address to GET, with which header, and what of the reply to send back."""
    gate = by_link.at_gate()
    told = problem(answer(gate, ADA, "approve", **{missing: ""}))
    assert told[:2] == (status, title)
    assert "GET this address with `Accept: application/json` first: the reply has `csrf` and `digest`." in told[2]
    assert gate.now() == gate.gate


def test_a_wrong_code_says_how_many_tries_are_left(by_link: AppHost) -> None:
    gate = by_link.at_gate()
    right = gate.link().code
    wrong = f"{(int(right) + 1) % 1_000_000:06d}"
    assert problem(answer(gate, ADA, "approve", code=wrong)) == (
        403,
        "The code is wrong",
        "4 tries left. Nothing was changed.",
    )


def test_a_program_is_told_what_the_evidence_does_not_know_yet(by_link: AppHost) -> None:
    """Known failure 10: GET says it, and the answer on that digest is refused with it."""
    circuit = Circuit(plant_id="PLANT077", circuit_id="HELD")
    gate = by_link.at_gate(GateName.REGISTRY, a_run(circuit, phase=CircuitPhase.INSPECTED))
    since, until = gate.gate.opened_at, gate.gate.expires_at
    lock = a_lock(circuit, owner_seq=0, hold_since=since, hold_until=until, hold_by="ops", hold_why="noise")
    by_link.ports.endpoints.write_lock(lock, etag=None)
    shown = Person(site=gate.host.url).get(gate.link(ADA).url, accept="application/json").json()
    assert [line.partition(", is held since")[0] for line in shown["outdated"]] == [f"{circuit} hold: was absent"]
    status, title, detail = problem(answer(gate, ADA, "approve"))
    assert (status, title) == (409, "The evidence has changed since you saw it")
    assert "by ops, because noise" in detail
    assert gate.now() == gate.gate
