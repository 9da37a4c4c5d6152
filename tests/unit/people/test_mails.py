"""What stands in mails and on cards, and what never can."""

import json
from dataclasses import replace
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest

from shared.adapters.email.message import mime_message
from shared.adapters.teams_card import card_message
from shared.application.ports import Letter
from shared.application.summary import production_summary
from shared.domain.errors import PermanentError
from shared.domain.model import CircuitPhase, GateName, Moment, ReleasePhase
from shared.pages.mails import render_mail
from tests.support.release_samples import ESTATE, NOW, a_gate, a_letter, a_release, a_run, failed_runs, three_tested
from tests.support.sample_pages import many_runs

SENDER = "releases@example.com"


def message_of(letter: Letter) -> EmailMessage:
    """As a mail program reads it."""
    raw = mime_message(letter, sender=SENDER, estate=ESTATE).as_bytes()
    parsed = message_from_bytes(raw, policy=policy.default)
    assert isinstance(parsed, EmailMessage)
    return parsed


def part(message: EmailMessage, kind: str) -> str:
    body = message.get_body((kind,))
    assert body is not None
    return str(body.get_content())


def test_the_gate_mail_has_code_and_link_in_both_parts() -> None:
    """The code on a line of its own, the link also as text."""
    message = message_of(a_letter())
    plain, html = part(message, "plain"), part(message, "html")
    assert "Code: 042137" in plain.splitlines()
    assert "https://releases.example.com/approvals/eyJ0.token-of-mona" in plain.splitlines()
    assert ">042137<" in html
    assert html.count("https://releases.example.com/approvals/eyJ0.token-of-mona") == 3


def test_the_gate_mail_asks_in_the_documents_words() -> None:
    """R9, R2: the mail says it as well: ids, instruction, checklist, last sentence, commands."""
    plain = part(message_of(a_letter()), "plain")
    for told in (
        "Release ID: 20251210.1",
        "Build ID: 12345",
        "Review validated models before promoting to shared registry.",
        "1. Review model metrics in Dev Workspace (tag: validated=true)",
        "2. Check training logs for any warnings",
        "3. Verify cutoff_date is correct",
        "4. Review changed_circuits.json artifact",
        "Models will be copied from Dev Workspace to Azure ML Registry.",
        "az ml model list --workspace-name mlw-dev --resource-group rg-mlops-dev --tag validated=true --output table",
        "az ml model show --name plant001-circuit01 --version 7 --workspace-name mlw-dev",
    ):
        assert told in plain


def test_the_production_gates_mail_tells_plant_circuit_version_and_test_status() -> None:
    """R33."""
    letter = a_letter(
        release=a_release(phase=ReleasePhase.AWAITING_PRODUCTION_APPROVAL),
        runs=three_tested(),
        gates=(a_gate(), a_gate(GateName.PRODUCTION, opened_at=NOW)),
    )
    plain = part(message_of(letter), "plain")
    for told in (
        "Test inference completed successfully.",
        "Plant: PLANT001, Circuit: CIRCUIT01",
        "plant001-circuit01, version 20251210-1",
        "Test status: Completed in 3 min 41 s, 168 rows",
        "Review the results in the Test workspace (mlw-test) before approving",
    ):
        assert told in plain


def test_the_failure_mail_names_circuit_error_and_next_action() -> None:
    """In the subject already."""
    letter = a_letter(Moment.RELEASE_FAILED, release=a_release(phase=ReleasePhase.FAILED), runs=failed_runs())
    message = message_of(letter)
    assert message["Subject"] == "Release 20251210.1 failed: PLANT001/CIRCUIT02"
    assert "PLANT001/CIRCUIT02: failed in Test: smoke test failed" in part(message, "plain")
    assert "Next: remove the cause" in part(message, "plain")
    assert "Input contains NaN" in part(message, "html")


def test_the_mail_about_an_invalid_artifact_shows_path_and_fields_to_use() -> None:
    """R57."""
    release = a_release(phase=ReleasePhase.INVALID, reason="circuits[0] has no cutoff_date")
    plain = part(message_of(a_letter(Moment.ARTIFACT_INVALID, release=release, runs=(), gates=())), "plain")
    assert "circuits[0] has no cutoff_date" in plain
    assert "releases/{release_id}/{build_id}/changed_circuits.json" in plain
    assert '"cutoff_date": "2025-11-01"' in plain


@pytest.mark.parametrize("moment", list(Moment))
def test_every_mail_is_a_machines_and_belongs_to_its_releases_thread(moment: Moment) -> None:
    """Out-of-office replies stay away; mail programs group by release."""
    message = message_of(a_letter(moment, summary="summary"))
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["References"] == "<release-20251210.1@example.com>"
    assert [sub.get_content_type() for sub in message.iter_parts()] == ["text/plain", "text/html"]
    assert 'width="600"' in part(message, "html")
    assert "20251210.1" in message["Subject"]


def test_a_repeated_mail_is_recognisable_and_another_one_is_not_mistaken_for_it() -> None:
    """One Message-ID per notice, however often it is tried."""
    letter = a_letter()
    again = replace(letter, notice=replace(letter.notice, attempts=3, redrive=2))
    other = replace(letter, notice=replace(letter.notice, recipient="otto@example.com"))
    assert message_of(letter)["Message-ID"] == message_of(again)["Message-ID"]
    assert message_of(letter)["Message-ID"] != message_of(other)["Message-ID"]


@pytest.mark.parametrize(("circuits", "told"), [(200, 200), (5_000, 201)])
def test_the_summary_mail_of_a_large_release_can_still_be_read(circuits: int, told: int) -> None:
    """R41, issue 5: a line per circuit up to two hundred; beyond that it says how many more there are, and where."""
    release = a_release(phase=ReleasePhase.SUCCEEDED)
    live = [replace(run, phase=CircuitPhase.LIVE) for run in many_runs(circuits)]
    summary = production_summary(release, live, ESTATE)
    mail = render_mail(a_letter(Moment.RELEASE_SUCCEEDED, release=release, runs=live, summary=summary), ESTATE)
    assert sum(line.startswith("   - ") for line in mail.text.splitlines()) == told
    assert ("   - … and 4800 more; the page has them all" in mail.text) == (circuits == 5_000)
    assert "🔗 Workspace: mlw-prod" in mail.text
    assert len(mail.text.encode()) + len(mail.html.encode()) < 40_000


@pytest.mark.parametrize("evil", ["a\r\nBcc: eve@example.com", "a\nX: y", "a\x00b", "a\u2028Bcc: eve@example.com"])
def test_no_field_of_an_artifact_starts_another_header(evil: str) -> None:
    """Line breaks in anything that reaches a header become spaces."""
    release = a_release(phase=ReleasePhase.INVALID, artifact_path=evil, release_id=evil, build_id=evil)
    message = message_of(a_letter(Moment.ARTIFACT_INVALID, release=release, runs=(), gates=()))
    assert message["Bcc"] is None
    assert message["X"] is None
    assert sorted(set(message.keys())) == [
        "Auto-Submitted", "Content-Type", "Date", "From", "In-Reply-To", "MIME-Version", "Message-ID", "References",
        "Subject", "To",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "recipient", ["", "nobody", "a@b\r\nBcc: eve@example.com", "a@b, eve@example.com", "ä@example.com"]
)
def test_a_recipient_that_is_no_address_is_refused(recipient: str) -> None:
    """Permanently: trying again changes nothing."""
    letter = a_letter()
    with pytest.raises(PermanentError, match="is no mail address"):
        message_of(replace(letter, notice=replace(letter.notice, recipient=recipient)))


def test_markup_in_an_artifact_stays_text_in_the_mail() -> None:
    """In the HTML part as in the subject."""
    evil = "<b>x</b>{{ 7 * 7 }}"
    mail = render_mail(
        a_letter(release=a_release(requested_by=evil, release_id=evil), runs=(a_run(warnings=(evil,)),)), ESTATE
    )
    assert "<b>x</b>" not in mail.html
    assert "{{ 7 * 7 }}" in mail.text


def test_a_mail_about_two_hundred_circuits_names_thirty() -> None:
    """Those to look at first; the page has them all."""
    mail = render_mail(a_letter(runs=many_runs(200)), ESTATE)
    assert "and 170 more circuits, on the page" in mail.text
    assert mail.text.count("three weeks old") == 3
    assert len(mail.html) < 100_000


@pytest.mark.parametrize("moment", list(Moment))
def test_a_card_is_an_adaptive_card_in_a_workflows_envelope(moment: Moment) -> None:
    """1.4, links only, and never a personal one."""
    message = card_message(a_letter(moment, runs=failed_runs()))
    text = json.dumps(message)
    (attachment,) = json.loads(text)["attachments"]
    card = attachment["content"]
    assert (message["type"], attachment["contentType"]) == ("message", "application/vnd.microsoft.card.adaptive")
    assert attachment["contentUrl"] is None
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
    assert {action["type"] for action in card["actions"]} == {"Action.OpenUrl"}
    assert "/approvals/" not in text
    assert "042137" not in text


def test_a_card_about_many_circuits_names_ten_and_counts_the_rest() -> None:
    """A channel is no place for two hundred lines."""
    text = json.dumps(card_message(a_letter(runs=many_runs(200))), ensure_ascii=False)
    assert "and 190 more circuits" in text
    assert text.count("PLANT") == 10


def test_a_card_stays_below_what_teams_takes() -> None:
    """24 KB, also with endless errors in many bytes."""
    runs = tuple(replace(run, error="ü😀" * 5000, phase=failed_runs()[1].phase) for run in many_runs(50))
    release = a_release(phase=ReleasePhase.FAILED, reason="ü" * 50_000)
    body = json.dumps(card_message(a_letter(Moment.RELEASE_FAILED, release=release, runs=runs)), ensure_ascii=False)
    assert len(body.encode()) < 24 * 1024


def test_a_link_in_an_artifact_does_not_become_one_in_the_channel() -> None:
    """Cards read Markdown."""
    letter = a_letter(release=a_release(requested_by="[sign in](https://evil.example)"))
    assert "](" not in json.dumps(card_message(letter))


def test_a_held_circuits_line_does_not_promise_what_will_not_be() -> None:
    """Issue 4.3: it stays what it is, unless the hold has ended or is lifted before."""
    held = a_run(phase=CircuitPhase.TESTED, evidence={"hold": "held since noon, by ops, because noise"})
    production = (a_gate(GateName.PRODUCTION),)
    text = render_mail(a_letter(runs=(held,), gates=production), ESTATE).text
    assert "would stay, for it is held" in text
    assert "unless the hold is lifted, or has ended, before" in text
    free = render_mail(a_letter(runs=(replace(held, evidence={}),), gates=production), ESTATE).text
    assert f"would be: {held.deployment}" in free


def test_a_message_counts_the_circuits_that_are_in_and_shows_none_that_is_left_out_as_in() -> None:
    """Issue 6: subject and card of gate 2 after a circuit was left out at gate 1, and of the release's end."""
    first, *others = three_tested()
    out = replace(first, phase=CircuitPhase.EXCLUDED)
    release = a_release(
        phase=ReleasePhase.AWAITING_PRODUCTION_APPROVAL, exclusions={str(out.circuit): "waits for a sensor"}
    )
    asks = a_letter(release=release, runs=(out, *others), gates=(a_gate(GateName.PRODUCTION),))
    assert render_mail(asks, ESTATE).subject.endswith("(2 of 3 circuits)")
    card = json.dumps(card_message(asks), ensure_ascii=False)
    assert "– PLANT001/CIRCUIT01: excluded, waits for a sensor" in card
    assert "✓ PLANT001/CIRCUIT01" not in card
    assert card.index("PLANT001/CIRCUIT01") > card.index("PLANT002/CIRCUIT01")
    ended = replace(asks, notice=replace(asks.notice, moment=Moment.RELEASE_SUCCEEDED))
    assert '{"title": "Circuits", "value": "2 of 3"}' in json.dumps(card_message(ended))
