"""What people and programs who mean no good, or do not know better, send to a gate: nothing of it decides anything."""

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from urllib.parse import quote, urljoin, urlsplit

import pytest

from local.demo.forms import post_forms
from shared.domain.model import Circuit, CircuitPhase, GateName, GateState
from shared.domain.policy import Policy
from tests.support.app_host import ADA, GRACE, AppHost, GateAt
from tests.support.builders import OTHER_CIRCUIT, a_run
from tests.support.person import Person
from tests.support.waiting import wait_until
from tests.support.wire import exchange

HREF = re.compile(r'(?:href|action)="([^"#]+)"')


@pytest.fixture(scope="module")
def gate(by_link: AppHost) -> GateAt:
    """A gate that stays open, whatever these tests try."""
    return by_link.at_gate()


def browser(gate: GateAt) -> Person:
    return Person(site=gate.host.url)


def untouched(gate: GateAt) -> bool:
    return gate.now() == gate.gate


def test_a_scanner_that_follows_links_and_submits_forms_decides_nothing_and_uses_up_no_try(gate: GateAt) -> None:
    """GET, HEAD, every link, the form with and without the cookie, with everything but the code."""
    link, scanner = gate.link().url, browser(gate)
    for _ in range(6):
        page = scanner.get(link)
        for address in {link, *(found.replace("&amp;", "&") for found in HREF.findall(page.text))}:
            exchange("HEAD", urljoin(link, address), None, {})
            scanner.get(address)
        (form,) = post_forms(page.text)
        for fields in (
            form.fields,
            {**form.fields, "decision": "approve"},
            {**form.fields, "decision": "approve", "code": ""},
        ):
            assert scanner.post(link, fields).status == 422
            assert browser(gate).post(link, fields).status == 403
    assert untouched(gate)


def test_a_thousand_wrong_tokens_are_a_thousand_times_not_found(gate: GateAt) -> None:
    """Guessing gets nowhere, quickly, and nothing of it is in the log."""
    token = gate.link().url.rpartition("/")[2]

    def guess(number: int) -> int:
        at = number % (len(token) - 1)  # the last letter of a signature carries bits that say nothing
        letter = "A" if token[at] != "A" else "B"
        wrong = f"{token[:at]}{letter}{token[at + 1 :]}" if number % 2 else f"{token[: max(at, 1)]}x{number}"
        return browser(gate).get(f"/approvals/{quote(wrong, safe='')}").status

    with ThreadPoolExecutor(8) as pool:
        statuses = set(pool.map(guess, range(1000)))
    assert statuses == {404}
    assert untouched(gate)
    assert token[:20] not in gate.host.log_text()


def test_another_releases_link_decides_its_own_gate_only(by_link: AppHost) -> None:
    """Its code, form token and digest do not fit elsewhere."""
    mine, other = by_link.at_gate(), by_link.at_gate(GateName.REGISTRY, a_run(OTHER_CIRCUIT))
    ada = browser(mine)
    assert ada.answer(mine.link().url, code=other.link().code).status == 403
    assert ada.answer(mine.link().url, code=mine.link().code, digest=other.gate.digest).status == 409
    foreign = ada.get(other.link().url)
    (form,) = post_forms(foreign.text)
    assert ada.post(mine.link().url, {**form.fields, "decision": "approve", "code": mine.link().code}).status == 403
    assert mine.now().decisions == other.now().decisions == ()


def test_the_form_of_a_release_of_many_circuits_can_be_sent(by_link: AppHost) -> None:
    """R58, issue 5: a field per circuit, as a browser sends them, most of them empty; one circuit is left out."""
    circuits = [Circuit(plant_id=f"PLANT{n // 20:03}", circuit_id=f"CIRCUIT{n % 20:02}") for n in range(1_500)]
    large = by_link.at_gate(GateName.REGISTRY, *(a_run(one, phase=CircuitPhase.INSPECTED) for one in circuits))
    reasons = {f"exclude:{one}": "" for one in circuits} | {f"exclude:{circuits[700]}": "waits for a sensor"}
    assert browser(large).answer(large.link().url, code=large.link().code, **reasons).status == 303
    (decision,) = large.now().decisions
    assert (decision.decision, decision.exclude) == ("approve", {str(circuits[700]): "waits for a sensor"})


def test_two_approvers_in_the_same_second_decide_once(by_link: AppHost) -> None:
    """One is taken, the other is told who was quicker; the history has one decision."""
    for _ in range(5):
        gate = by_link.at_gate()

        def reject(person: str, gate: GateAt = gate) -> int:
            link = gate.link(person)
            return browser(gate).answer(link.url, "reject", code=link.code).status

        with ThreadPoolExecutor(2) as pool:
            statuses = sorted(pool.map(reject, (ADA, GRACE)))
        assert statuses == [200, 303]
        assert len(gate.now().decisions) == 1
        assert gate.now().state is GateState.REJECTED


def test_a_replayed_answer_is_told_that_it_is_recorded(by_link: AppHost) -> None:
    """200, and nothing is written a second time."""
    gate = by_link.at_gate()
    link, ada = gate.link(), browser(gate)
    (form,) = post_forms(ada.get(link.url).text)
    fields = {**form.fields, "decision": "reject", "comment": "no", "code": link.code}
    assert ada.post(link.url, fields).status == 303
    decided = gate.now()
    again = ada.post(link.url, fields)
    assert again.status == 200
    assert "Your rejection is recorded" in again.text
    assert gate.now() == decided


def test_an_expired_link_is_gone_and_an_old_opening_is_superseded(by_link: AppHost) -> None:
    """410 and 409, each with words; the expired gate ends its release."""
    expired = by_link.at_gate(policy=Policy(gate_limit=timedelta(seconds=1)))
    wait_until(lambda: browser(expired).get(expired.link().url).status == 410, "the gate's second is over")
    posted = browser(expired).post_json(expired.link().url, {"decision": "approve"})
    assert (posted.status, posted.media_type) == (410, "application/problem+json")
    assert expired.now().state is GateState.EXPIRED
    current = by_link.at_gate()
    old = by_link.ports.tokens.link(replace(current.gate, nonce="of an earlier opening"), ADA)
    assert browser(current).get(old.url).status == 409
    assert untouched(current)


def test_somebody_who_is_no_longer_an_approver_decides_nothing(gate: GateAt) -> None:
    """R7: whoever was taken off APPROVERS keeps the mail, not the right."""
    link = gate.link("former@example.org")
    reply = browser(gate).get(link.url)
    assert reply.status == 403
    assert "no longer among the approvers" in reply.text
    assert untouched(gate)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"decision": 7}',
        b'{"exclude": ["x"]}',
        b'{"exclude": {"PLANT001/CIRCUIT01": null}}',
        b'{"comment": "' + b"x" * 20_000 + b'"}',
        b'{"csrf": "\\u0000\\ud800"}',
        b"{" + b'"a":' * 5_000 + b"1" + b"}" * 5_000,
        b"\xff\xfe",
        b"x" * 70_000,
    ],
)
@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_unreadable_answers_are_refused_and_never_break_anything(gate: GateAt, kind: str, body: bytes) -> None:
    """4xx for whatever is no answer."""
    reply = exchange("POST", gate.link().url, body, {"Content-Type": kind, "Origin": gate.host.url})
    assert 400 <= reply.status < 500, reply.text[:200]
    assert untouched(gate)


@pytest.mark.parametrize("back", ["https://evil.example", "//evil.example", "/\\evil.example"])
def test_no_page_of_ours_leads_to_another_site(gate: GateAt, back: str) -> None:
    """Whatever parameters come along; the way to sign-in only ever carries our own path."""
    for address in (f"/?post_login_redirect_uri={quote(back)}", f"/releases/{quote(back, safe='')}", gate.link().url):
        reply = browser(gate).get(address)
        target = reply.headers.get("Location", "")
        assert "evil.example" not in target
        assert urlsplit(target).netloc in {"", urlsplit(gate.host.url).netloc}


def test_no_token_or_code_reaches_the_log(gate: GateAt) -> None:
    """After all of the above: neither links nor codes nor form tokens, in whatever form they came."""
    link, rollback = gate.link(), gate.host.ports.tokens.rollback_link(gate.release.release_id, ADA)
    ada = browser(gate)
    page = ada.get(link.url)
    (form,) = post_forms(page.text)
    ada.answer(link.url, code="000000x")
    ada.get(rollback.url)
    ada.get(gate.host.ports.tokens.view_url(gate.release.release_id))
    log = wait_until(gate.host.log_text, "there is a log")
    token = link.url.rpartition("/")[2]
    assert "/approvals/[redacted]" in log
    for part in (
        token,
        *token.split(".")[:1],
        *token.split(".")[2:],
        gate.host.ports.tokens.view_url(gate.release.release_id).partition("=")[2],
        rollback.url.partition("=")[2],
        form.fields["csrf"],
        ada.cookies["gate"],
        gate.host.function_key,
    ):
        assert part not in log
    for code in (link.code, rollback.code):
        assert not re.search(r"(?<!\d)" + code + r"(?!\d)", log)
