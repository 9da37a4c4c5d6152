"""Unit: who asked for a release, how that is known, and that the rule against deciding alone never vanishes."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.adapters.teams_card import card_message
from shared.application.gates import Answer, Gates, Outcome, Verdict
from shared.application.intake import Arrival, Intake
from shared.application.queries import Queries
from shared.application.release_evidence import read_bundle
from shared.application.views import ApprovalState, ApprovalView
from shared.domain.model import GateName, GateState, Release, ReleasePhase
from shared.domain.people import person_key
from shared.domain.policy import Policy
from shared.domain.requester import approvals_needed
from shared.pages import render_approval, render_mail, render_release
from tests.support.builders import RELEASE_ID, a_release
from tests.support.outline import Outline, text_of
from tests.support.pipeline_world import ALL_CIRCUITS, APPROVERS, CUTOFF, ESTATE, PipelineWorld

ANN, BOB = APPROVERS
GRACE = "grace@example.org"
REGISTRY = GateName.REGISTRY
NOT_ALONE = Policy(requester_may_approve=False)
RULE = (
    "2 different people must approve: it is not known who asked for this release, and they must not decide alone "
    "(REQUESTER_MAY_APPROVE is off)."
)
CLAIMED = "(the artifact's claim, not checked)"


def body(requested_by: str = "") -> bytes:
    entries = [{"plant_id": c.plant_id, "circuit_id": c.circuit_id, "cutoff_date": CUTOFF} for c in ALL_CIRCUITS]
    return json.dumps(
        {"release_id": RELEASE_ID, "build_id": "12345", "requested_by": requested_by, "circuits": entries}
    ).encode()


def started(claim: str = "", *, signed_in: str = "", upload: bool = False, policy: Policy = NOT_ALONE) -> PipelineWorld:
    """A release that waits at gate 1, started by a request or by an upload."""
    world = PipelineWorld(policy=policy)
    world.build()
    if upload:
        taken = Intake(world.ports).from_artifact("drop/changed_circuits.json", body(claim))
    else:
        taken = Intake(world.ports).from_request(body(claim), signed_in=signed_in)
    assert taken.arrival is Arrival.STARTED
    world.to_phase(ReleasePhase.AWAITING_REGISTRY_APPROVAL)
    world.run()
    return world


def page(world: PipelineWorld, person: str = BOB) -> str:
    gates, claim = Gates(world.ports), world.claim(REGISTRY, person)
    view = gates.view(claim)
    assert view.release is not None
    assert view.gate is not None
    return render_approval(
        ApprovalView(
            state=ApprovalState.OPEN,
            release=view.release,
            gate=view.gate,
            evidence=json.loads(view.document),
            now=world.clock.now(),
            recipient=person,
            barred=gates.barred(view, person),
        )
    )


def vote(world: PipelineWorld, person: str, decision: str = "approve") -> Outcome:
    """Signed in, as the name stands in the token of whoever it is."""
    answer = Answer(decision=decision, comment="x", digest=world.gate(REGISTRY).digest, code="")
    return Gates(world.ports).decide(world.claim(REGISTRY), answer, by=person, how="signed in", needs_code=False)


# ------------------------------------------------------------------------------------------- who asked


def test_a_signed_in_caller_is_the_requester_and_the_bodys_word_stays_a_claim() -> None:
    """Issue 6, point 2: nobody passes the rule by writing another name into the body."""
    world = started(ANN, signed_in=GRACE)
    release = world.release()
    assert (release.requested_by, release.requester_signed_in, release.requester_claim) == (GRACE, True, ANN)
    assert release.hist[0].by == f"{GRACE}, claims to be {ANN}"
    told = f"Requested by {GRACE}, signed in (the artifact claims {ANN})"
    assert told in text_of(page(world))
    assert told in text_of(render_release(Queries(world.ports).release_view(RELEASE_ID)))
    assert [vote(world, person).verdict for person in (GRACE, ANN)] == [Verdict.IS_REQUESTER] * 2
    assert vote(world, BOB).verdict is Verdict.APPROVED


def test_a_claim_that_is_the_caller_is_no_second_person() -> None:
    """However it is written."""
    release = started(f" MailTo:{GRACE.upper()}", signed_in=GRACE).release()
    assert (release.requested_by, release.requester_claim, release.hist[0].by) == (GRACE, "", GRACE)


@pytest.mark.parametrize(("upload", "who"), [(True, "artifact"), (False, "function key")])
def test_without_sign_in_the_artifacts_word_is_shown_as_its_claim(upload: bool, who: str) -> None:
    """On the page, in the mail, on the card, in the history: never as a fact."""
    world = started(ANN, upload=upload)
    assert world.release().hist[0].by == f"{who}, claims to be {ANN}"
    assert f"Requested by {ANN} {CLAIMED}" in text_of(page(world))
    mail = render_mail(next(one for one in world.mail.letters), ESTATE)
    assert f"Requested by: {ANN} {CLAIMED}" in mail.text
    assert f"Requested by: {ANN} {CLAIMED}" in text_of(mail.html)
    assert f"{ANN} {CLAIMED}" in json.dumps(card_message(world.teams.letters[0]))


def test_who_must_not_decide_is_told_of_the_gate_and_not_asked() -> None:
    """Issue 6: no button, code or reminder for what would be refused."""
    world = started(ANN)
    mails = {letter.notice.recipient: render_mail(letter, ESTATE) for letter in world.mail.letters}
    assert mails[BOB].subject.startswith("Please decide: Registry-Approval")
    assert mails[ANN].subject.startswith("Others decide: Registry-Approval")
    for part in (mails[ANN].text, mails[ANN].html):
        assert f"{ANN} asked for this release, so somebody else must decide" in part
        assert "/approvals/" not in part
        assert "Code:" not in part
    world.mail.letters.clear()
    world.sweep_for(timedelta(hours=21))
    assert [letter.notice.recipient for letter in world.mail.letters] == [BOB]


def test_an_interrupted_start_is_completed_in_the_name_of_who_asked() -> None:
    """The process dies between the list of active releases and the release's row."""
    world = PipelineWorld(policy=NOT_ALONE)
    world.build()
    Intake(world.ports).from_request(body(ANN), signed_in=GRACE)
    world.lose_messages()
    world.releases.rows.clear()
    world.sweep()
    release = world.release()
    assert (release.requested_by, release.requester_signed_in, release.requester_claim) == (GRACE, True, ANN)


def test_the_evidence_and_the_bundle_keep_who_asked_and_how_that_is_known() -> None:
    """An auditor reads it a year later."""
    world = started(ANN, signed_in=GRACE)
    evidence = json.loads(world.evidence.blobs[world.gate(REGISTRY).evidence_blob])
    assert evidence["requester"] == f"{GRACE}, signed in (the artifact claims {ANN})"
    vote(world, BOB, "reject")
    world.run()
    bundle = json.loads(read_bundle(RELEASE_ID, "", world.ports)[0])["release"]
    assert (bundle["requested_by"], bundle["requester_signed_in"], bundle["requester_claim"]) == (GRACE, True, ANN)


# ------------------------------------------------------------------------------------ nobody knows who


@pytest.mark.parametrize("claim", ["", "build pipeline"])
def test_where_nobody_knows_who_asked_two_people_must_approve(claim: str) -> None:
    """REQUESTER_MAY_APPROVE=false does not vanish: of two at least one is not the requester."""
    world = started(claim)
    first = vote(world, ANN)
    assert (first.verdict, first.message) == (Verdict.COUNTED, "1 of 2 approvals")
    assert vote(world, f" {ANN.upper()} ").verdict is Verdict.ALREADY_VOTED
    assert world.phase() is ReleasePhase.AWAITING_REGISTRY_APPROVAL
    assert vote(world, BOB).verdict is Verdict.APPROVED


def test_page_mail_history_and_evidence_say_that_two_must_approve_and_why() -> None:
    """Before anybody has decided."""
    world = started("build pipeline")
    assert RULE in text_of(page(world))
    mail = render_mail(world.mail.letters[0], ESTATE)
    assert RULE in mail.text
    assert RULE in text_of(mail.html)
    gate = world.gate(REGISTRY)
    assert gate.hist[0].why == f"evidence {gate.digest}. {RULE}"
    assert json.loads(world.evidence.blobs[gate.evidence_blob])["who_must_approve"] == RULE
    assert RULE in text_of(render_release(Queries(world.ports).release_view(RELEASE_ID)))


def test_one_rejection_is_still_enough() -> None:
    """The rule is about approving."""
    assert vote(started(), ANN, "reject").verdict is Verdict.REJECTED


@pytest.mark.parametrize(
    ("release", "needed"),
    [
        (a_release(policy=Policy()), 1),
        (a_release(policy=Policy(min_approvers=3)), 3),
        (a_release(policy=NOT_ALONE, requested_by=ANN), 1),
        (a_release(policy=NOT_ALONE, requested_by="a service", requester_signed_in=True), 1),
        (a_release(policy=NOT_ALONE, requested_by="\u200b"), 2),
        (a_release(policy=replace(NOT_ALONE, min_approvers=3)), 3),
    ],
)
def test_how_many_must_approve(release: Release, needed: int) -> None:
    """The setting, and two where the rule would otherwise have nobody to apply to."""
    assert approvals_needed(release) == needed


# ------------------------------------------------------------------------------------ said beforehand


def test_the_requester_is_told_before_they_fill_in_a_form() -> None:
    """With the evidence, the deadline and no form."""
    world = started(signed_in=ANN)
    html = page(world, ANN)
    assert f"{ANN} asked for this release, so somebody else must decide" in text_of(html)
    assert "Answer by" in text_of(html)
    assert "form" not in Outline(html).tags
    assert "form" in Outline(page(world, BOB)).tags


def test_who_has_voted_is_told_so_instead_of_being_asked_again() -> None:
    """Until the evidence is replaced: then the vote no longer counts, and the form is back."""
    world = started()
    vote(world, ANN)
    assert "Your approval is recorded" in text_of(page(world, ANN))
    assert "form" not in Outline(page(world, ANN)).tags
    gate = world.gate(REGISTRY)
    world.change(gate, digest="newer", earlier_digests=(gate.digest,))
    assert "form" in Outline(page(world, ANN)).tags


def test_a_gate_that_the_approvers_cannot_approve_says_so_from_the_start() -> None:
    """Ann has signed in, the artifact names Bob: both asked for it, and nobody is left."""
    world = started(BOB, signed_in=ANN)
    told = (
        f"its gates can't be approved by the people in APPROVERS: 1 must, and only 0 may ({ANN}, {BOB} asked for it). "
        "An operator can add an approver, or cancel it so that somebody else asks for it"
    )
    assert told in world.release().warnings
    assert told in text_of(page(world, GRACE))
    assert not any("APPROVERS" in said for said in started(GRACE).release().warnings)


# ------------------------------------------------------------------------------------------- in general

PEOPLE = st.sampled_from((ANN, BOB, GRACE))
SPELLED = st.builds(
    lambda name, how: how(name), PEOPLE, st.sampled_from((str, str.upper, "mailto:{}".format, " {} ".format))
)


@settings(max_examples=60, deadline=None)
@given(
    claim=st.one_of(st.just(""), st.just("build pipeline"), SPELLED),
    signed_in=st.one_of(st.just(""), PEOPLE),
    quorum=st.integers(1, 3),
    votes=st.lists(SPELLED, max_size=6),
)
def test_whoever_asked_never_decides_alone(claim: str, signed_in: str, quorum: int, votes: list[str]) -> None:
    """Whatever is claimed and whoever votes how often: enough different people, and one of them is not the requester."""
    world = started(claim, signed_in=signed_in, policy=replace(NOT_ALONE, min_approvers=quorum))
    for person in votes:
        vote(world, person)
    gate = world.gate(REGISTRY)
    people = {person_key(one.by) for one in gate.decisions}
    known = {person_key(name) for name in (claim, signed_in) if "@" in name}
    assert len(people) == len(gate.decisions)
    assert not people & known
    if gate.state is GateState.APPROVED:
        assert len(people) >= max(quorum, 1 if known else 2)
    else:
        allowed = {person_key(person) for person in votes} - known
        assert len(allowed) < max(quorum, 1 if known else 2)
