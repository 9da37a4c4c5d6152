"""Unit: whoever decides second sees who has decided, and which circuits they leave out and why."""

import json
from datetime import timedelta

import pytest

from shared.adapters.teams_card import card_message
from shared.application.gates import Gates
from shared.application.queries import Queries
from shared.application.views import ApprovalState, ApprovalView
from shared.domain.model import GateName, Moment, ReleasePhase
from shared.domain.policy import Policy
from shared.pages import render_approval, render_mail, render_release
from tests.support.builders import CIRCUIT, OTHER_CIRCUIT, RELEASE_ID
from tests.support.circuit_world import ESTATE
from tests.support.outline import text_of
from tests.support.pipeline_world import APPROVERS, OPERATORS, PipelineWorld

ANN, BOB = APPROVERS
REGISTRY = GateName.REGISTRY
WHY = "sensor is being <replaced>"


@pytest.fixture
def voted() -> PipelineWorld:
    """Two must approve; Ann has, without one circuit."""
    world = PipelineWorld(policy=Policy(min_approvers=2))
    world.start()
    world.to_phase(ReleasePhase.AWAITING_REGISTRY_APPROVAL)
    world.run()
    world.answer(REGISTRY, recipient=ANN, comment="The others look right.", exclude={str(OTHER_CIRCUIT): WHY})
    return world


def voted_afresh(world: PipelineWorld) -> PipelineWorld:
    """The gate again as it was when Ann voted."""
    gate = world.gate(REGISTRY)
    world.change(gate, digest=gate.decisions[0].digest, earlier_digests=())
    return world


def page(world: PipelineWorld, person: str = BOB) -> str:
    view = Gates(world.ports).view(world.claim(REGISTRY, person))
    assert view.release is not None
    assert view.gate is not None
    evidence = json.loads(view.document)
    return render_approval(
        ApprovalView(
            state=ApprovalState.OPEN,
            release=view.release,
            gate=view.gate,
            evidence=evidence,
            now=world.clock.now(),
            recipient=person,
        )
    )


def test_the_form_says_what_is_left_out_already(voted: PipelineWorld) -> None:
    """Beside the decision, not only in the list of votes: approving approves that as well."""
    form = text_of(page(voted).partition('<form method="post"')[2].partition("</form>")[0])
    assert f"{ANN} approves without {OTHER_CIRCUIT}: {WHY}" in form
    assert str(CIRCUIT) in form


def test_the_list_of_votes_names_circuit_and_reason(voted: PipelineWorld) -> None:
    """As text, whatever was typed."""
    html = page(voted)
    votes = text_of(html.partition("Who has decided")[2])
    assert f"{ANN} approved" in votes
    assert f"leaves out: {OTHER_CIRCUIT}: {WHY}" in votes
    assert "<replaced>" not in html


def test_a_vote_on_evidence_that_was_replaced_is_listed_and_leaves_nothing_out(voted: PipelineWorld) -> None:
    """It does not count: who gave it is asked again."""
    gate = voted.gate(REGISTRY)
    voted.change(gate, digest="newer", earlier_digests=(gate.digest,))
    html = page(voted)
    assert "approves without" not in text_of(html)
    assert "no longer counts , for it was given on earlier evidence" in text_of(html)
    assert "no longer counts" not in text_of(page(voted_afresh(voted)))
    assert f"leaves out: {OTHER_CIRCUIT}" in text_of(html.partition("Who has decided")[2])


def told_of_the_end(world: PipelineWorld) -> tuple[str, ...]:
    """The page and the mail and card after the deadline."""
    world.sweep_for(timedelta(hours=25))
    view = Gates(world.ports).view(world.claim(REGISTRY, BOB))
    assert view.release
    assert view.gate
    shown = ApprovalView(
        state=ApprovalState.EXPIRED, release=view.release, gate=view.gate, evidence={}, now=world.clock.now()
    )
    letters = [letter for letter in world.mail.letters if letter.notice.moment is Moment.GATE_EXPIRED]
    mail = render_mail(letters[0], ESTATE)
    card = json.dumps(card_message(world.teams.letters[-1]))
    return text_of(render_approval(shown)), mail.text, text_of(mail.html), card


def test_a_gate_that_expires_after_some_have_approved_says_so(voted: PipelineWorld) -> None:
    """Issue 6: not that nobody decided; who did is listed, and to whom to turn is said."""
    page, *messages = told_of_the_end(voted)
    assert "only 1 of 2 approvals came before" in page
    for told in messages[:2]:
        assert "Only 1 of 2 approvals came before" in told
        assert f"It takes an operator: {OPERATORS[0]}" in told
    assert all(f"Registry-Approval approved by {ANN}" in told for told in messages)
    assert all(
        "Next: ask an operator to open the gate again" in told.replace('", "value": "', ": ") for told in messages
    )


def test_messages_mark_a_vote_that_no_longer_counts(voted: PipelineWorld) -> None:
    """Issue 6: as the page does."""
    gate = voted.gate(REGISTRY)
    voted.change(gate, digest="newer", earlier_digests=(gate.digest,))
    page, *messages = told_of_the_end(voted)
    assert "no approval that still counts came before" in page
    assert all(f"approved by {ANN} (no longer counts, for it was given on earlier evidence)" in m for m in messages)


def test_page_and_api_of_the_release_tell_it_too(voted: PipelineWorld) -> None:
    """The record of each vote has what it leaves out."""
    (gate,) = Queries(voted.ports).release(RELEASE_ID)["gates"]  # type: ignore[misc]  # JSON
    (vote,) = gate["decisions"]
    assert (vote["by"], vote["exclude"]) == (ANN, {str(OTHER_CIRCUIT): WHY})
    shown = text_of(render_release(Queries(voted.ports).release_view(RELEASE_ID)))
    assert f"leaves out: {OTHER_CIRCUIT}: {WHY}" in shown


def test_who_left_nothing_out_is_not_said_to(voted: PipelineWorld) -> None:
    """Bob approves all that is left."""
    voted.answer(REGISTRY, recipient=BOB)
    assert text_of(page(voted)).count("leaves out") == 1
