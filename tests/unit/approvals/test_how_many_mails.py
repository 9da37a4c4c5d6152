"""Unit: how many mails each person gets, of which moments, whatever becomes of a release; and who is told of a decision."""

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.adapters.teams_card import card_message
from shared.domain.model import Environment, GateName, Moment, ReleasePhase
from shared.domain.policy import Policy
from shared.pages import render_mail
from tests.support.builders import OTHER_CIRCUIT
from tests.support.circuit_world import ESTATE
from tests.support.pipeline_world import APPROVERS, OPERATORS, PipelineWorld

ANN, BOB = APPROVERS
(OPS,) = OPERATORS
OPENED, REMINDER, DECIDED = Moment.GATE_OPENED, Moment.GATE_REMINDER, Moment.GATE_DECIDED
EXPIRED, SUCCEEDED, FAILED = Moment.GATE_EXPIRED, Moment.RELEASE_SUCCEEDED, Moment.RELEASE_FAILED
GATES = (GateName.REGISTRY, GateName.PRODUCTION)
WAITING = {
    GateName.REGISTRY: ReleasePhase.AWAITING_REGISTRY_APPROVAL,
    GateName.PRODUCTION: ReleasePhase.AWAITING_PRODUCTION_APPROVAL,
}
LATE = timedelta(hours=21)
"""After the reminder, before the deadline."""
JUST_IN_TIME = timedelta(hours=19, minutes=58)


def world_at(gate: GateName, policy: Policy | None = None) -> PipelineWorld:
    world = PipelineWorld(policy=policy)
    world.start()
    world.to_phase(WAITING[gate])
    world.run()
    return world


def to_gate(world: PipelineWorld, gate: GateName) -> None:
    world.run(lambda: world.phase() is WAITING[gate])
    world.run()


def mails(world: PipelineWorld, person: str) -> list[Moment]:
    return [letter.notice.moment for letter in world.mail.letters if letter.notice.recipient == person]


def cards(world: PipelineWorld) -> list[Moment]:
    return [letter.notice.moment for letter in world.teams.letters]


def both_gates(world: PipelineWorld, *, after: timedelta) -> None:
    """Each gate is answered so long after it has opened, by Ann."""
    for gate in GATES:
        to_gate(world, gate)
        world.sweep_for(after)
        world.answer(gate)
    world.run()
    assert world.phase() is ReleasePhase.SUCCEEDED


@pytest.mark.parametrize("after", [timedelta(), timedelta(hours=3), JUST_IN_TIME])
def test_decided_in_time_is_three_mails_for_an_approver(after: timedelta) -> None:
    """In time: before the reminder is due. Operators and the channel hear of each decision at once."""
    world = PipelineWorld()
    world.start()
    both_gates(world, after=after)
    assert [mails(world, person) for person in APPROVERS] == [[OPENED, OPENED, SUCCEEDED]] * 2
    assert mails(world, OPS) == [DECIDED, DECIDED, SUCCEEDED]
    assert cards(world) == [OPENED, DECIDED, OPENED, DECIDED, SUCCEEDED]


def test_two_late_answers_cost_one_reminder_each() -> None:
    """At most one per gate: five mails."""
    world = PipelineWorld()
    world.start()
    both_gates(world, after=LATE)
    expected = [OPENED, REMINDER, OPENED, REMINDER, SUCCEEDED]
    assert [mails(world, person) for person in APPROVERS] == [expected] * 2
    assert mails(world, OPS) == [DECIDED, DECIDED, SUCCEEDED]


@pytest.mark.parametrize(
    ("gate", "approver", "operator"),
    [(GATES[0], [OPENED, DECIDED], [DECIDED]), (GATES[1], [OPENED, OPENED, DECIDED], [DECIDED, DECIDED])],
)
def test_a_rejection_is_the_last_mail_and_goes_to_approvers_as_well(
    gate: GateName, approver: list[Moment], operator: list[Moment]
) -> None:
    """Whoever opened the mail in vain reads who rejected it and why, and what the auditor needs."""
    world = world_at(gate)
    world.answer(gate, "reject", recipient=BOB, comment="Wrong cutoff date.")
    world.run()
    assert [mails(world, person) for person in APPROVERS] == [approver] * 2
    assert mails(world, OPS) == operator
    mail = render_mail(world.mail.letters[-1], ESTATE)
    assert mail.subject.startswith("Rejected: ")
    for part in (mail.text, mail.html):
        assert f"rejected by {BOB}" in part
        assert "Wrong cutoff date." in part
        assert world.release().evidence_sha256 in part


def test_leaving_circuits_out_costs_no_further_mail() -> None:
    """The mail about the decision names them with the reason."""
    world = world_at(GATES[0])
    world.answer(GATES[0], exclude={str(OTHER_CIRCUIT): "sensor is being replaced"})
    world.to_phase(ReleasePhase.SUCCEEDED)
    world.run()
    assert [mails(world, person) for person in APPROVERS] == [[OPENED, OPENED, SUCCEEDED]] * 2
    first = next(letter for letter in world.mail.letters if letter.notice.moment is DECIDED)
    for part in (render_mail(first, ESTATE).text, render_mail(first, ESTATE).html, str(card_message(first))):
        assert str(OTHER_CIRCUIT) in part
        assert "sensor is being replaced" in part
    assert "2 models are copied" in render_mail(first, ESTATE).text


def test_with_a_quorum_a_single_vote_is_no_decision_yet() -> None:
    """One mail when the second vote has come; it names both."""
    world = world_at(GATES[0], Policy(min_approvers=2))
    world.answer(GATES[0], recipient=ANN, comment="Metrics look right.")
    world.run()
    assert DECIDED not in mails(world, OPS)
    world.answer(GATES[0], recipient=BOB, comment="So do the warnings.")
    world.run()
    assert mails(world, OPS) == [DECIDED]
    letter = next(letter for letter in world.mail.letters if letter.notice.moment is DECIDED)
    for part in (render_mail(letter, ESTATE).text, str(card_message(letter))):
        for told in (ANN, BOB, "Metrics look right.", "So do the warnings."):
            assert told in part


def test_with_a_quorum_only_whoever_has_not_voted_is_reminded() -> None:
    """Ann voted at both gates before the reminder, Bob after it: three mails and five."""
    world = PipelineWorld(policy=Policy(min_approvers=2))
    world.start()
    for gate in GATES:
        to_gate(world, gate)
        world.answer(gate, recipient=ANN)
        world.sweep_for(LATE)
        world.answer(gate, recipient=BOB)
    world.run()
    assert mails(world, ANN) == [OPENED, OPENED, SUCCEEDED]
    assert mails(world, BOB) == [OPENED, REMINDER, OPENED, REMINDER, SUCCEEDED]


def test_an_expired_gate_costs_the_request_a_reminder_and_the_end() -> None:
    """Nothing was decided, so nobody reads of a decision."""
    world = world_at(GATES[0])
    world.sweep_for(timedelta(hours=25))
    assert [mails(world, person) for person in APPROVERS] == [[OPENED, REMINDER, EXPIRED]] * 2
    assert mails(world, OPS) == [EXPIRED]


def test_a_release_that_fails_in_test_costs_two_and_the_second_says_who_had_approved() -> None:
    """Gate 2 never opened."""
    world = PipelineWorld()
    world.start()
    world.models.fail_deployments_on(Environment.TEST, "be-plant001-circuit01", "out of quota")
    world.to_phase(ReleasePhase.FAILED)
    world.run()
    assert [mails(world, person) for person in APPROVERS] == [[OPENED, FAILED]] * 2
    assert mails(world, OPS) == [DECIDED, FAILED]
    assert f"Registry-Approval approved by {ANN}" in render_mail(world.mail.letters[-1], ESTATE).text


def test_the_mails_that_approvers_get_anyhow_say_who_decided_when_and_why() -> None:
    """Gate 2's request tells of gate 1, the last mail of both."""
    world = world_at(GATES[0])
    world.answer(GATES[0], comment="Metrics look right.")
    to_gate(world, GATES[1])
    world.answer(GATES[1], recipient=BOB, comment="Rows look right.")
    world.run()
    request, last = ([one for one in world.mail.letters if one.notice.recipient == BOB][place] for place in (1, 2))
    (first_at, second_at) = (world.gate(gate).decisions[0].at for gate in GATES)
    for part in (render_mail(request, ESTATE).text, render_mail(last, ESTATE).text):
        assert f"Registry-Approval approved by {ANN}, {first_at:%-d %b %Y, %H:%M} UTC: Metrics look right." in part
    assert f"Production-Approval approved by {BOB}, {second_at:%-d %b %Y, %H:%M} UTC: Rows look right." in (
        render_mail(last, ESTATE).text
    )


@pytest.mark.parametrize(
    ("claimed", "told"),
    [
        ("rita@example.com", True),
        (" Rita@Example.com ", True),
        ("rita@elsewhere.example", False),
        ("build of main", False),
        ("function key, claims to be rita@example.com", False),
        ("", False),
    ],
)
def test_whoever_asked_for_the_release_reads_of_decisions_if_one_of_us(claimed: str, told: bool) -> None:
    """An artifact may claim any address: strangers get no mail. The end, with its way to roll back, is for others."""
    world = world_at(GATES[0])
    world.change(world.release(), requested_by=claimed)
    world.answer(GATES[0])
    world.to_phase(ReleasePhase.SUCCEEDED)
    world.run()
    assert mails(world, claimed.strip()) == ([DECIDED, DECIDED] if told else [])
    assert {letter.notice.recipient.lower() for letter in world.mail.letters} <= {
        *APPROVERS, OPS, "rita@example.com"
    }  # fmt: skip


def test_whoever_is_on_no_list_gets_a_link_to_the_one_release() -> None:
    """A link that would open every page is for approvers and operators: theirs are read as their own."""
    world = world_at(GATES[0])
    world.change(world.release(), requested_by="rita@example.com")
    world.answer(GATES[0])
    world.run(lambda: DECIDED in mails(world, "rita@example.com"))
    (letter,) = [one for one in world.mail.letters if one.notice.recipient == "rita@example.com"]
    claim = world.ports.tokens.read_view(letter.view_url.partition("?view=")[2])
    assert claim is not None
    assert (claim.release_id, claim.reader) == ("20251210.1", "")


def test_an_approver_who_is_an_operator_and_has_asked_for_it_still_gets_three() -> None:
    """In whatever capitals the settings have the address."""
    world = PipelineWorld()
    audience = replace(world.ports.audience, operators=(OPS, ANN.upper()))
    world.ports = replace(world.ports, audience=audience)
    world.start()
    world.change(world.release(), requested_by=ANN)
    both_gates(world, after=timedelta())
    assert mails(world, ANN) == [OPENED, OPENED, SUCCEEDED]
    assert mails(world, ANN.upper()) == []


def test_a_decision_that_was_asked_again_meanwhile_is_not_told() -> None:
    """The mail server was down until gate 2 was open once more: its mail would tell of a decision that is over."""
    world = world_at(GATES[1])
    world.answer(GATES[1])
    world.change(world.gate(GATES[1]), gen=2)
    before = mails(world, OPS)
    world.run()
    assert mails(world, OPS) == [*before, SUCCEEDED]
    overtaken = [n for n in world.notices() if n.moment is DECIDED and n.subject == f"{GATES[1]}-1"]
    assert {notice.last_error for notice in overtaken} == {"no longer needed"}
