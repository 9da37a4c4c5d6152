"""Unit: operators are told when those who may approve at an open gate are too few, once in an opening of it."""

import json
from dataclasses import replace

import pytest

from shared.adapters.teams_card import card_message
from shared.application.gate_mails import GateMails
from shared.application.intake import Intake
from shared.application.ports import Letter
from shared.domain.model import Channel, GateName, GateState, Moment, NoticeState, ReleasePhase
from shared.domain.policy import Policy
from shared.pages import render_mail
from tests.support.builders import RELEASE_ID
from tests.support.circuit_world import ESTATE
from tests.support.pipeline_world import ALL_CIRCUITS, APPROVERS, CUTOFF, OPERATORS, PipelineWorld

ANN, BOB = APPROVERS
(OPS,) = OPERATORS
REGISTRY, PRODUCTION = GateName.REGISTRY, GateName.PRODUCTION
NOT_ALONE = Policy(requester_may_approve=False)
WAITING = ReleasePhase.AWAITING_REGISTRY_APPROVAL


def at_gate_1(claim: str = BOB, *, signed_in: str = ANN, policy: Policy = NOT_ALONE) -> PipelineWorld:
    """A release that both approvers have asked for, one by sign-in and one by the artifact's claim."""
    world = PipelineWorld(policy=policy)
    world.build()
    entries = [{"plant_id": c.plant_id, "circuit_id": c.circuit_id, "cutoff_date": CUTOFF} for c in ALL_CIRCUITS]
    body = {"release_id": RELEASE_ID, "build_id": "12345", "requested_by": claim, "circuits": entries}
    Intake(world.ports).from_request(json.dumps(body).encode(), signed_in=signed_in)
    world.to_phase(WAITING)
    world.run()
    return world


def told(world: PipelineWorld, channel: Channel = Channel.EMAIL) -> list[Letter]:
    box = world.mail if channel is Channel.EMAIL else world.teams
    return [letter for letter in box.letters if letter.notice.moment is Moment.GATE_OUT_OF_REACH]


def void_link(world: PipelineWorld, person: str) -> None:
    for _ in range(5):
        world.answer(REGISTRY, recipient=person, code="nope")
    world.run()


def send_again(world: PipelineWorld) -> None:
    GateMails(world.ports).send_again(RELEASE_ID, REGISTRY, by="ops", reason="void links")
    world.run()


def test_operators_read_which_gate_cannot_be_approved_why_and_what_to_do() -> None:
    """One mail to them and one card, at the opening; approvers, who can do nothing about it, are asked as ever."""
    world = at_gate_1()
    (letter,), (card,) = told(world), told(world, Channel.TEAMS)
    assert letter.notice.recipient == OPS
    mail = render_mail(letter, ESTATE)
    assert mail.subject == f"Too few can approve: Registry-Approval of release {RELEASE_ID}"
    for said in (
        f"1 person must approve, and of those in APPROVERS ({ANN}, {BOB}) nobody can.",
        f"{ANN} and {BOB} asked for this release and may not decide",
        f"POST /api/releases/{RELEASE_ID}/gates/registry-approval/notices",
        f"POST /api/releases/{RELEASE_ID}/cancel",
    ):
        for part in (mail.text, mail.html, str(card_message(card))):
            assert said in part
    assert letter.link is None


def test_where_enough_may_approve_operators_hear_nothing() -> None:
    """Bob has asked, Ann can approve."""
    assert told(at_gate_1(signed_in=BOB)) == []
    assert told(at_gate_1(policy=Policy())) == []


def test_it_is_told_again_for_another_opening_and_only_then() -> None:
    """A reminder, or mails that are sent again, belong to the opening before."""
    world = at_gate_1()
    world.ports = replace(world.ports, audience=replace(world.ports.audience, approvers=(ANN, BOB, "eve@example.com")))
    send_again(world)
    world.ports = replace(world.ports, audience=replace(world.ports.audience, approvers=APPROVERS))
    world.sweep_for(world.release().policy.gate_limit)
    assert world.phase() is ReleasePhase.EXPIRED
    assert len(told(world)) == 1
    world.operations().retry(RELEASE_ID, by="ops", reason="once more", exclude={})
    world.run()
    assert [letter.notice.subject for letter in told(world)] == [f"{WAITING}-1", f"{WAITING}-2"]


def test_the_last_link_that_becomes_void_is_told_with_the_call_that_mails_new_ones() -> None:
    """Five wrong codes each: after the first of two links one approver is left, and enough."""
    world = at_gate_1(policy=Policy())
    void_link(world, ANN)
    assert told(world) == []
    void_link(world, BOB)
    (letter,) = told(world)
    text = render_mail(letter, ESTATE).text
    assert f"After 5 wrong codes the link of {ANN}, {BOB} is void." in text
    assert f"ask {ANN}, {BOB} whether they entered these codes" in text
    send_again(world)
    void_link(world, ANN)
    assert len(told(world)) == 1
    void_link(world, BOB)
    assert len(told(world)) == 2


def test_who_has_approved_needs_no_link_any_more() -> None:
    """With a quorum of two: Ann's approval counts, Bob's link is void, so one is missing."""
    world = at_gate_1(policy=Policy(min_approvers=2))
    world.answer(REGISTRY, recipient=ANN)
    world.run()
    assert told(world) == []
    void_link(world, BOB)
    (letter,) = told(world)
    assert f"of those in APPROVERS ({ANN}, {BOB}) only 1 can" in render_mail(letter, ESTATE).text


def test_a_link_that_becomes_void_twice_in_one_opening_refuses_no_answer() -> None:
    """An approver was added and taken away in between: the row of the message is there already, and stays."""
    world = at_gate_1()
    audience = world.ports.audience
    world.ports = replace(world.ports, audience=replace(audience, approvers=(ANN, BOB, "eve@example.com")))
    void_link(world, "eve@example.com")
    assert world.gate(REGISTRY).wrong_codes == {"eve@example.com": 5}
    assert len(told(world)) == 1


def test_a_link_that_becomes_void_where_too_few_were_asked_anyway_is_no_news() -> None:
    """Two must, Ann asked for it, Bob is left: told at the opening; the mails were sent again since."""
    world = at_gate_1(ANN, policy=replace(NOT_ALONE, min_approvers=2))
    assert len(told(world)) == 1
    send_again(world)
    void_link(world, BOB)
    assert world.gate(REGISTRY).wrong_codes == {BOB: 5}
    assert len(told(world)) == 1


@pytest.mark.parametrize("overtaken", ["an approver was added", "it was cancelled"])
def test_a_mail_that_comes_too_late_is_not_sent(overtaken: str) -> None:
    """The mail server was down meanwhile."""
    world = at_gate_1()
    notice = next(n for n in world.notices() if n.moment is Moment.GATE_OUT_OF_REACH and n.channel is Channel.EMAIL)
    world.put(replace(notice, state=NoticeState.PENDING, due_at=world.clock.now()))
    if overtaken == "it was cancelled":
        world.operations().cancel(RELEASE_ID, by="ops", reason="somebody else asks for it")
        assert world.gate(REGISTRY).state is GateState.VOID
    else:
        more = (*APPROVERS, "eve@example.com")
        world.ports = replace(world.ports, audience=replace(world.ports.audience, approvers=more))
    world.sweep_for(world.release().policy.overdue_after)
    assert len(told(world)) == 1
    late = next(n for n in world.notices() if n.moment is Moment.GATE_OUT_OF_REACH and n.channel is Channel.EMAIL)
    assert (late.state, late.last_error) == (NoticeState.SENT, "no longer needed")
