"""Unit: HTML, templates, Markdown and headers in whatever a build, a model, a log or a person wrote stay text."""

import json
import re
from collections.abc import Iterator

import pytest

from shared.adapters.email.message import mime_message
from shared.adapters.teams_card import SPECIAL, card_message
from shared.application.release_evidence import read_bundle
from shared.domain.model import Channel, GateName, Moment
from shared.pages import render_mail
from tests.support.circuit_world import ESTATE
from tests.support.hostile import EVILS, RELEASE_ID, HostileRelease
from tests.support.outline import Outline

HEADERS = {
    "Auto-Submitted", "Content-Type", "Date", "From", "In-Reply-To", "MIME-Version", "Message-ID", "References",
    "Subject", "To",
}  # fmt: skip
OURS = re.compile(r"/(?!/)|#|\?|https://(releases\.example\.com|ml\.azure\.com)/|$")
PAGES = {
    "approval-registry-approval", "approval-production-approval", "decided-registry-approval",
    "decided-production-approval", "rollback-form", "rollback", "circuit", "release", "list",
}  # fmt: skip


@pytest.fixture(scope="module", params=sorted(EVILS))
def released(request: pytest.FixtureRequest) -> HostileRelease:
    """Live, and rolled back."""
    return HostileRelease(EVILS[request.param])


@pytest.fixture(scope="module", params=sorted(EVILS))
def failed(request: pytest.FixtureRequest) -> HostileRelease:
    """Ended by a smoke test whose log is hostile as well."""
    return HostileRelease(EVILS[request.param], failing=True)


def complaints(html: str) -> list[str]:
    """What of a page is neither text nor ours."""
    page = Outline(html)
    tags = [f"<{tag}>" for tag in page.tags if tag in {"script", "img", "iframe", "object", "base"}]
    handlers = [name for _, attrs in page.elements for name in attrs if name.startswith("on")]
    targets = [target for target in page.targets() if not OURS.match(target)]
    results = [number for number in ("7006652", "jinja2.utils") if number in page.text]
    return [*tags, *handlers, *targets, *results]


def said(html: str) -> str:
    """Visible text without white space, in which a long field may have been cut."""
    return "".join(Outline(html).text.split())


def html_of(release: HostileRelease) -> Iterator[tuple[str, str]]:
    yield from release.pages.items()
    for letter in release.letters:
        yield f"{letter.notice.moment} to {letter.notice.recipient}", render_mail(letter, ESTATE).html


def test_every_page_and_mail_shows_what_was_written_and_runs_none_of_it(released: HostileRelease) -> None:
    """Gates open and decided, release, list, circuit, rollback, its form, and all mails."""
    assert set(released.pages) == PAGES
    start = "".join(released.evil.split())[:20]
    for name, html in html_of(released):
        assert complaints(html) == [], name
        assert start in said(html) or "rollback" in name, f"{name} does not show the field, so it shows nothing"


def test_a_failures_page_and_mails_show_the_jobs_log_as_text(failed: HostileRelease) -> None:
    """The log of a job is written by the model's code."""
    assert {letter.notice.moment for letter in failed.letters} == {
        Moment.GATE_OPENED,
        Moment.GATE_DECIDED,
        Moment.RELEASE_FAILED,
    }
    for name, html in html_of(failed):
        assert complaints(html) == [], name
    assert "ERROR" in said(failed.pages["release"])


def test_no_mail_gets_another_header_or_recipient(released: HostileRelease) -> None:
    """Subject and all other headers, as they are on the wire."""
    for letter in released.letters:
        if letter.notice.channel is not Channel.EMAIL:
            continue
        message = mime_message(letter, sender="releases@example.com", estate=ESTATE)
        head = message.as_bytes().partition(b"\r\n\r\n")[0].decode()
        names = {line.partition(":")[0] for line in head.split("\r\n") if not line.startswith((" ", "\t"))}
        assert names <= HEADERS
        assert message["To"] == letter.notice.recipient
        assert "\n" not in message["Subject"]


def test_a_card_has_no_link_of_somebody_else_and_no_date_that_was_asked_for(released: HostileRelease) -> None:
    """Cards read Markdown and `{{DATE()}}`; the browser tests show the same in the official renderer."""
    for letter in released.letters:
        (attachment,) = card_message(letter)["attachments"]  # type: ignore[misc]  # JSON
        card = attachment["content"]
        texts = [item["text"] for item in card["body"] if item["type"] == "TextBlock"]
        texts += [fact["value"] for item in card["body"] if item["type"] == "FactSet" for fact in item["facts"]]
        assert [text for text in texts if SPECIAL.search(text)] == []
        assert all(action["url"].startswith("https://releases.example.com/") for action in card["actions"])


def test_the_evidence_keeps_every_character(released: HostileRelease) -> None:
    """An auditor reads what was written, as JSON; nothing is escaped twice, nothing is lost."""
    bundle = json.loads(read_bundle(RELEASE_ID, "", released.world.ports)[0])
    assert bundle["release"]["build_id"] == released.evil
    for gate in GateName:
        shown = json.loads(read_bundle(RELEASE_ID, gate, released.world.ports)[0])
        assert (shown["build_id"], shown["requested_by"], shown["commit_sha"]) == (released.evil,) * 3
        assert shown["circuits"][0]["training_warnings"] == [released.evil]
    manifest = json.loads(read_bundle(RELEASE_ID, "manifest", released.world.ports)[0])
    assert manifest["circuits"][0][released.evil] == released.evil
