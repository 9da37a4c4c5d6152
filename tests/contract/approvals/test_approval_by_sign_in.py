"""APPROVAL_MODE=entra on the wire: sign-in and the role ReleaseApprover decide, a forged header is nobody's."""

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from local.demo.approver import decide
from local.demo.forms import post_forms
from local.demo.mailbox import Invitation, Mail
from shared.domain.model import Circuit, GateName, GateState
from shared.domain.policy import Policy
from tests.support.app_host import ADA, BOB, GRACE, AppHost
from tests.support.builders import a_lock
from tests.support.person import Person

FORGED = base64.b64encode(
    json.dumps(
        {"claims": [{"typ": "preferred_username", "val": ADA}, {"typ": "roles", "val": "ReleaseApprover"}]}
    ).encode()
).decode()
SWAPPED = Circuit(plant_id="PLANT077", circuit_id="CIRCUIT01")
FORGED_HEADER = {"X-MS-CLIENT-PRINCIPAL": FORGED, "X-MS-CLIENT-PRINCIPAL-NAME": ADA}


def signed_in(site: AppHost, name: str) -> Person:
    person = Person(site=site.url, name=name)
    assert person.sign_in().status == 302
    return person


def test_a_link_leads_to_sign_in_and_back_to_the_gate(by_sign_in: AppHost) -> None:
    """Nobody sees the evidence before; afterwards the address is the one from the mail."""
    gate = by_sign_in.at_gate()
    visitor, link = Person(site=by_sign_in.url, name=ADA), gate.link().url
    path = urlsplit(link).path
    reply = visitor.get(link)
    assert (reply.status, reply.body) == (302, b"")
    target = urlsplit(reply.headers["Location"])
    (back,) = parse_qs(target.query)["post_login_redirect_uri"]
    assert (target.path, back) == ("/.auth/login/aad", path)
    page = visitor.get(reply.headers["Location"])
    assert f'value="{ADA}"' in page.text
    landed = visitor.post("/.auth/login/aad", {"person": ADA, "post_login_redirect_uri": back})
    assert landed.headers["Location"] == path
    assert "You answer as" in visitor.get(landed.headers["Location"]).text


@pytest.mark.parametrize("gate_name", list(GateName))
def test_the_role_release_approver_decides_without_a_code(by_sign_in: AppHost, gate_name: GateName) -> None:
    """The history names the signed-in person, not the one the link was sent to."""
    gate = by_sign_in.at_gate(gate_name)
    link = gate.link(ADA).url
    reply = signed_in(by_sign_in, GRACE).answer(link, "reject")
    assert (reply.status, reply.headers["Location"]) == (303, urlsplit(link).path)
    (vote,) = gate.now().decisions
    assert (vote.by, vote.how, vote.decision, vote.digest) == (GRACE, "signed in", "reject", gate.gate.digest)
    assert gate.now().state is GateState.REJECTED


def test_the_channels_link_is_nobodys_until_somebody_signs_in(by_sign_in: AppHost) -> None:
    """A Teams card may carry it: the form belongs to whoever is signed in, and so does the decision."""
    gate = by_sign_in.at_gate()
    link = gate.link("channel").url
    assert Person(site=by_sign_in.url).get(link).status == 302
    ada, grace = signed_in(by_sign_in, ADA), signed_in(by_sign_in, GRACE)
    (form,) = post_forms(ada.get(link).text)
    grace.get(link)
    borrowed = {**form.fields, "decision": "reject", "comment": "no"}
    assert grace.post(link, borrowed).status == 403, "ada's form is not grace's, although both have the same link"
    assert grace.answer(link, "reject").status == 303
    assert [vote.by for vote in gate.now().decisions] == [GRACE]


def test_who_lacks_the_role_is_told_how_to_become_somebody_else(by_sign_in: AppHost) -> None:
    """The page of somebody with it offers the same."""
    link = by_sign_in.at_gate().link().url
    assert "/.auth/logout" in signed_in(by_sign_in, BOB).get(link).text
    ada = signed_in(by_sign_in, ADA)
    assert 'href="/.auth/logout"' in ada.get(link).text
    assert ada.get("/.auth/logout").status == 302
    assert ada.get(link).status == 302


def test_the_demos_own_approver_signs_in_where_the_link_leads(by_sign_in: AppHost) -> None:
    """`APPROVALS=entra make demo AUTO=1` does at each gate what a person does."""
    gate = by_sign_in.at_gate()
    mail = Mail(id="1", to=(GRACE,), subject="", text="")
    decide(Invitation(mail=mail, link=gate.link(GRACE).url, code=""), "reject", "not this time")
    (vote,) = gate.now().decisions
    assert (vote.by, vote.how, vote.comment) == (GRACE, "signed in", "not this time")


def test_another_role_is_refused_and_nothing_is_written(by_sign_in: AppHost) -> None:
    """R7: a reader may read the pages, but neither sees the form nor sends it."""
    gate = by_sign_in.at_gate()
    bob = signed_in(by_sign_in, BOB)
    looked, answered = bob.get(gate.link().url), bob.post(gate.link().url, {"decision": "approve"})
    assert (looked.status, answered.status) == (403, 403)
    assert "needs the role ReleaseApprover" in looked.text
    assert gate.now() == gate.gate


def test_a_forged_principal_decides_nothing_behind_easy_auth(by_sign_in: AppHost) -> None:
    """The platform takes the header away: the forger is led to sign-in, and a program is told 401."""
    gate = by_sign_in.at_gate()
    forger = Person(site=by_sign_in.url, headers=FORGED_HEADER)
    assert forger.get(gate.link().url).status == 302
    assert forger.post(gate.link().url, {"decision": "approve", "digest": gate.gate.digest}).status == 302
    told = forger.post_json(gate.link().url, {"decision": "approve", "digest": gate.gate.digest})
    assert (told.status, told.media_type) == (401, "application/problem+json")
    assert gate.now() == gate.gate


def test_a_forged_principal_is_worth_nothing_without_easy_auth(by_link: AppHost) -> None:
    """There the header reaches the app, which must not believe it: pages stay closed."""
    forger = Person(site=by_link.url, headers=FORGED_HEADER)
    gate = by_link.at_gate()
    assert forger.get("/").status == 403
    assert forger.get(f"/releases/{gate.release.release_id}").status == 403
    answered = forger.answer(gate.link().url)
    assert answered.status == 422, "the code from the mail is still asked for"
    assert gate.now() == gate.gate


def test_pages_lead_to_sign_in_and_open_for_the_roles_that_may_read(by_sign_in: AppHost) -> None:
    """Somebody signed in without a role is told which ones there are; a link of the mails needs no sign-in."""
    release_id = by_sign_in.at_gate().release.release_id
    stranger = Person(site=by_sign_in.url)
    for address in ("/", f"/releases/{release_id}"):
        reply = stranger.get(address)
        assert reply.status == 302
        assert parse_qs(urlsplit(reply.headers["Location"]).query)["post_login_redirect_uri"] == [address]
        for name in (ADA, GRACE, BOB):
            assert signed_in(by_sign_in, name).get(address).status == 200
        visitor = signed_in(by_sign_in, "visitor@example.org").get(address)
        assert visitor.status == 403
        assert "ReleaseReader" in visitor.text
    assert stranger.get(by_sign_in.ports.tokens.view_url(release_id)).status == 200


def test_the_functions_key_alone_is_not_enough_behind_easy_auth(by_sign_in: AppHost) -> None:
    """The API wants the principal's role as well, and records the person instead of a claim."""
    release_id = by_sign_in.at_gate().release.release_id
    body = {"reason": "not wanted", "requested_by": "somebody else"}
    key = {"x-functions-key": by_sign_in.function_key}
    nobody = Person(site=by_sign_in.url, headers=key)
    assert nobody.post_json(f"/api/releases/{release_id}/cancel", body).status == 403
    for name, status in ((BOB, 403), (GRACE, 202)):
        person = signed_in(by_sign_in, name)
        person.headers = key
        assert person.post_json(f"/api/releases/{release_id}/cancel", body).status == status
    stored = by_sign_in.ports.releases.release(release_id)
    assert stored is not None
    assert stored.row.hist[-1].by == GRACE


def keyed(site: AppHost, name: str) -> Person:
    """Signed in, and with the Functions key."""
    person = signed_in(site, name)
    person.headers = {"x-functions-key": site.function_key}
    return person


def test_who_is_signed_in_is_the_requester_of_a_release_and_the_bodys_word_is_a_claim(by_sign_in: AppHost) -> None:
    """Issue 6, point 2: REQUESTER_MAY_APPROVE=false can't be passed by with another name in the body."""
    release_id = "20260106.1"
    artifact = {"release_id": release_id, "build_id": "1", "requested_by": ADA, "circuits": []}
    assert keyed(by_sign_in, BOB).post_json("/api/releases", artifact).status == 403
    assert keyed(by_sign_in, GRACE).post_json("/api/releases", artifact).status == 202
    assert keyed(by_sign_in, GRACE).post_json("/api/releases", {**artifact, "requested_by": BOB}).status == 409
    stored = by_sign_in.ports.releases.release(release_id)
    assert stored is not None
    row = stored.row
    assert (row.requested_by, row.requester_signed_in, row.requester_claim) == (GRACE, True, ADA)
    assert row.hist[0].by == f"{GRACE}, claims to be {ADA}"
    told = keyed(by_sign_in, BOB).get(f"/api/releases/{release_id}").json()
    assert (told["requested_by"], told["requester_signed_in"], told["requester_claim"]) == (GRACE, True, ADA)


def test_every_call_that_takes_requested_by_records_who_is_signed_in(by_sign_in: AppHost) -> None:
    """Retry, hold: the person by name; what the body says of somebody else stands with the reason, as a claim."""
    gate, grace = by_sign_in.at_gate(policy=Policy(gate_limit=timedelta())), keyed(by_sign_in, GRACE)
    assert signed_in(by_sign_in, ADA).post_json(gate.link().url, {"decision": "approve"}).status == 410
    said = {"reason": "back from leave", "requested_by": ADA}
    assert grace.post_json(f"/api/releases/{gate.release.release_id}/retry", said).status == 202
    stored = by_sign_in.ports.releases.release(gate.release.release_id)
    assert stored is not None
    assert (stored.row.hist[-1].by, stored.row.hist[-1].why) == (GRACE, f"(claims to be {ADA}) back from leave")
    by_sign_in.ports.endpoints.write_lock(a_lock(SWAPPED), etag=None)
    held = grace.post_json("/api/circuits/PLANT077/CIRCUIT01/hold", {"action": "hold", **said})
    assert (held.json()["by"], held.json()["reason"]) == (GRACE, f"(claims to be {ADA}) back from leave")
    lifted = grace.post_json("/api/circuits/PLANT077/CIRCUIT01/hold", {"action": "lift", **said, "requested_by": GRACE})
    assert (lifted.json()["by"], lifted.json()["reason"]) == (GRACE, "back from leave")


def test_a_requester_by_sign_in_is_shown_the_evidence_and_no_form(by_sign_in: AppHost) -> None:
    """And an answer sent all the same is refused."""
    alone = Policy(requester_may_approve=False)
    gate = by_sign_in.at_gate(policy=alone, requested_by=ADA.upper(), requester_signed_in=True)
    ada = signed_in(by_sign_in, ADA)
    page = ada.get(gate.link().url)
    assert (page.status, post_forms(page.text)) == (200, [])
    assert f"{ADA} asked for this release" in page.text
    data = ada.get(gate.link().url, accept="application/json").json()
    answer = {"decision": "approve", "digest": data["digest"], "csrf": data["csrf"]}
    assert ada.post_json(gate.link().url, answer).status == 403
    assert gate.now() == gate.gate


def test_a_link_that_is_over_says_so_before_anybody_signs_in_to_answer_by_it(by_sign_in: AppHost) -> None:
    """Nonce and deadline come before identity; whoever is not known reads nothing of the evidence and writes nothing."""
    gate = by_sign_in.at_gate()
    old = by_sign_in.ports.tokens.link(replace(gate.gate, nonce="of an earlier opening"), ADA).url
    expired = by_sign_in.at_gate(policy=Policy(gate_limit=timedelta()))
    for person in (Person(site=by_sign_in.url), signed_in(by_sign_in, BOB)):
        for address, status in ((old, 409), (expired.link().url, 410)):
            reply = person.post(address, {"decision": "approve"})
            assert (reply.status, "PLANT001" in reply.text) == (status, False)
            assert person.post_json(address, {"decision": "approve"}).status == status
    assert (gate.now(), expired.now()) == (gate.gate, expired.gate)


def test_two_approvers_in_the_same_second_are_two_votes_and_one_who_clicks_twice_is_one(by_sign_in: AppHost) -> None:
    """Quorum of two: the same person from two browsers is told that the vote stands; another person decides."""
    gate = by_sign_in.at_gate(policy=Policy(min_approvers=3))
    browsers = [signed_in(by_sign_in, name) for name in (ADA, ADA, GRACE)]
    forms = [post_forms(person.get(gate.link().url).text)[0].fields for person in browsers]

    def approve(number: int) -> int:
        return browsers[number].post(gate.link().url, {**forms[number], "decision": "approve"}).status

    with ThreadPoolExecutor(3) as pool:
        statuses = list(pool.map(approve, range(3)))
    assert sorted(statuses[:2]) == [303, 422]
    assert statuses[2] == 303
    assert sorted(vote.by for vote in gate.now().decisions) == [ADA, GRACE]
    assert gate.now().state is GateState.OPEN
    assert [entry.by for entry in gate.now().hist[1:]] == [vote.by for vote in gate.now().decisions]


def test_a_cross_site_form_decides_nothing_for_somebody_signed_in(by_sign_in: AppHost) -> None:
    """Origin, then the token of the form: an answer needs both."""
    gate, ada = by_sign_in.at_gate(), signed_in(by_sign_in, ADA)
    ada.get(gate.link().url)
    fields = {"decision": "approve", "digest": gate.gate.digest}
    assert ada.post(gate.link().url, fields, Origin="https://evil.example").status == 403
    assert ada.post(gate.link().url, fields).status == 403
    assert gate.now() == gate.gate


def test_an_approver_who_may_not_roll_back_is_told_who_can(by_sign_in: AppHost) -> None:
    """The mail about a success goes to approvers, too; the page wants an operator."""
    release_id = by_sign_in.at_gate().release.release_id
    refused = signed_in(by_sign_in, ADA).get(f"/rollbacks/new?release={release_id}")
    assert refused.status == 403
    assert "needs the role ReleaseOperator to roll back. Who can open this page with it:" in refused.text
    assert signed_in(by_sign_in, GRACE).get(f"/rollbacks/new?release={release_id}").status == 200
