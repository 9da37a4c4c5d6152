"""The checks of an answer at a gate, on the wire: each with its own status, in their order, before one write."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from local.demo.forms import post_forms
from shared.application.ports import Update
from shared.domain.model import Gate, GateState
from shared.domain.policy import Policy
from tests.support.app_host import ADA, GRACE, AppHost, GateAt
from tests.support.person import Person

FORMER = "former@example.org"
PAIR = (ADA, GRACE)


@dataclass(slots=True, kw_only=True)
class Attempt:
    """An answer that is right in everything, until something is made wrong."""

    gate: GateAt
    person: str = ADA
    nonce: str = ""
    address: str = ""
    fields: dict[str, str]
    headers: dict[str, str]

    def send(self) -> tuple[int, str]:
        made = replace(self.gate.gate, nonce=self.nonce or self.gate.gate.nonce)
        address = self.address or self.gate.host.ports.tokens.link(made, self.person).url
        browser = Person(site=self.gate.host.url)
        browser.cookies["gate"] = "a-cookie"
        claim = self.gate.host.ports.tokens.read(address.rpartition("/")[2])
        csrf = self.gate.host.ports.tokens.csrf(claim, "a-cookie") if claim else ""
        code = self.gate.host.ports.tokens.code(claim) if claim else ""
        fields = {"decision": "approve", "comment": "", "digest": self.gate.gate.digest, "csrf": csrf, "code": code}
        reply = browser.post(address, {**fields, **self.fields}, **self.headers)
        return reply.status, reply.text


def forged(attempt: Attempt) -> None:
    attempt.address = f"{attempt.gate.host.url}/approvals/forged"


def no_approver(attempt: Attempt) -> None:
    attempt.person = FORMER


def expired(attempt: Attempt) -> None:
    change(attempt.gate, expires_at=attempt.gate.gate.opened_at)


def old_opening(attempt: Attempt) -> None:
    attempt.nonce = "of an earlier opening"


def requester(attempt: Attempt) -> None:
    attempt.person = GRACE


def second_vote(attempt: Attempt) -> None:
    assert Attempt(gate=attempt.gate, fields={}, headers={}).send()[0] == 303


def elsewhere(attempt: Attempt) -> None:
    attempt.headers["Origin"] = "https://evil.example"


def foreign_form(attempt: Attempt) -> None:
    attempt.fields["csrf"] = "of another browser"


def wrong_code(attempt: Attempt) -> None:
    attempt.fields["code"] = "nope"


def no_reason(attempt: Attempt) -> None:
    attempt.fields["decision"] = "reject"


def old_digest(attempt: Attempt) -> None:
    attempt.fields["digest"] = "0" * 64


# What is wrong, in the order in which it is looked at, and what the person is told.
WRONGS: tuple[tuple[Callable[[Attempt], None], int, str], ...] = (
    (forged, 404, "This link is broken"),
    (old_opening, 409, "This link is from an earlier opening"),
    (expired, 410, "Expired: nobody decided"),
    (no_approver, 403, "no longer among the approvers"),
    (requester, 403, "asked for this release"),
    (second_vote, 422, "You have already approved"),
    (elsewhere, 403, "did not come from the approval page"),
    (foreign_form, 403, "The form is not from this browser"),
    (wrong_code, 403, "The code is wrong."),
    (no_reason, 422, "A rejection needs a comment"),
    (old_digest, 409, "The evidence has changed"),
)


def change(gate: GateAt, **columns: object) -> None:
    """Write the gate's row as it shall be."""
    found = gate.host.ports.releases.release_and_gate(gate.release.release_id, gate.gate.gate)
    assert found is not None
    assert found[1] is not None
    row: Gate = replace(found[1].row, **columns)  # type: ignore[arg-type]  # columns of the dataclass
    gate.host.ports.releases.commit(Update(row=row, etag=found[1].etag))


def fresh(by_link: AppHost) -> GateAt:
    """Two must approve, and Grace, who asked for it, must not."""
    policy = Policy(min_approvers=2, requester_may_approve=False, gate_limit=timedelta(hours=1))
    return by_link.at_gate(policy=policy, requested_by=GRACE)


def refused(by_link: AppHost, *wrongs: Callable[[Attempt], None]) -> tuple[int, str]:
    """The reply to an answer with all of this wrong, which has changed nothing but the count of wrong codes."""
    attempt = Attempt(gate=fresh(by_link), fields={}, headers={})
    for wrong in reversed(wrongs):
        wrong(attempt)
    before = attempt.gate.now()
    status, text = attempt.send()
    after = attempt.gate.now()
    assert after.decisions == before.decisions
    writes_expiry = wrongs[0] is expired and no_approver not in wrongs
    assert after.state is (GateState.EXPIRED if writes_expiry else GateState.OPEN)
    assert bool(after.wrong_codes) == (wrongs[0] is wrong_code)
    return status, text


@pytest.mark.parametrize(("wrong", "status", "told"), WRONGS, ids=[wrong.__name__ for wrong, _, _ in WRONGS])
def test_each_check_alone_refuses(by_link: AppHost, wrong: Callable[[Attempt], None], status: int, told: str) -> None:
    """Everything else about the answer is right."""
    found, text = refused(by_link, wrong)
    assert (found, told in text) == (status, True), text[:400]


@pytest.mark.parametrize("first", range(len(WRONGS)), ids=[wrong.__name__ for wrong, _, _ in WRONGS])
def test_of_several_reasons_the_first_in_order_is_told(by_link: AppHost, first: int) -> None:
    """An answer that is wrong in this and in all that is looked at later."""
    _, status, told = WRONGS[first]
    found, text = refused(by_link, *(wrong for wrong, _, _ in WRONGS[first:]))
    assert (found, told in text) == (status, True), text[:400]


def test_after_a_refusal_the_form_is_about_the_evidence_that_was_seen(by_link: AppHost) -> None:
    """Issue 6.2: after a 409 nothing is chosen in advance; a wrong code does not swap the evidence under the choice."""
    attempt = Attempt(gate=fresh(by_link), fields={"digest": "0" * 64}, headers={})
    status, changed = attempt.send()
    assert (status, " required checked" in changed) == (409, False)
    assert f'value="{attempt.gate.gate.digest}"' in changed
    attempt.fields["code"] = "nope"
    status, mistyped = attempt.send()
    assert (status, " required checked" in mistyped) == (403, True)
    assert f'value="{"0" * 64}"' in mistyped


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"decision": "reject", "comment": "no"}, 409),
        ({"exclude:PLANT001/CIRCUIT01": "sensor"}, 409),
        ({}, 200),
    ],
)
def test_who_came_second_is_told_that_their_answer_was_not_recorded(
    by_link: AppHost, fields: dict[str, str], status: int
) -> None:
    """Issue 6.2: unless the gate was closed with just that."""
    gate = by_link.at_gate()
    assert Attempt(gate=gate, person=GRACE, fields={}, headers={}).send()[0] == 303
    found, text = Attempt(gate=gate, fields=fields, headers={}).send()
    told = f"Your {'rejection' if 'decision' in fields else 'approval'} was not recorded."
    assert (found, told in text) == (status, status == 409)
    assert f"Already approved by {GRACE}" in text


def test_a_right_answer_is_written_once_and_leads_back_to_the_page(by_link: AppHost) -> None:
    """So that the tests above refuse for the reason they name."""
    attempt = Attempt(gate=fresh(by_link), fields={}, headers={})
    assert attempt.send()[0] == 303
    (vote,) = attempt.gate.now().decisions
    assert (vote.by, vote.decision, vote.digest) == (ADA, "approve", attempt.gate.gate.digest)
    forms = {
        name: post_forms(Person(site=attempt.gate.host.url).get(attempt.gate.link(name).url).text) for name in PAIR
    }
    assert forms == {ADA: [], GRACE: []}, "one has voted, the other may not"
