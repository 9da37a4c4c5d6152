"""Teams cards in the official Adaptive Cards renderer: it finds nothing wrong, and what was written stays text."""

import pytest
from playwright.sync_api import Browser

from shared.domain.model import Channel
from tests.support.card_pages import card_page
from tests.support.hostile import EVILS, HostileRelease
from tests.support.sample_pages import page_server, sample_cards

BUTTONS = {
    "card-gate-signed-in": "Sign in and decide",
    "card-rollback": "Open the rollback",
    "card-stalled": "Open the rollback",
    "card-check-failed": "Open the rollback",
    "card-drift": "Open the report",
}
pytestmark = pytest.mark.browser

ABOUT = dict.fromkeys(sorted(sample_cards()), "20251210.1") | {
    "card-rollback": "rollback-527d",
    "card-stalled": "rollback-527d",
    "card-check-failed": "check-527d",
    "card-drift": "1 in Production",
}
FORBIDDEN = "#card :is(a, img, script, iframe, h2, li)"


def test_the_renderer_has_nothing_to_complain_about(browser: Browser, site: str) -> None:
    """Elements, properties and their values as version 1.4 has them; one button, and what it is about."""
    tab = browser.new_page()
    for name, about in ABOUT.items():
        tab.goto(f"{site}/{name}")
        assert tab.evaluate("window.findings") == [], name
        button = BUTTONS.get(name, "Open the release")
        assert tab.locator("#card button").all_inner_texts() == [button], name
        assert about in tab.locator("#card").inner_text(), name
    tab.close()


def test_a_card_that_is_not_as_the_schema_says_is_found(browser: Browser) -> None:
    """So that silence above means something."""
    broken = sample_cards()["card-gate-opened"].replace('"weight": "Bolder"', '"weight": "Heavier"')
    with page_server({"card-broken": broken}) as base:
        tab = browser.new_page()
        tab.goto(f"{base}/card-broken")
        findings = tab.evaluate("window.findings")
        tab.close()
    assert len(findings) == 1
    assert "Heavier" in findings[0]


def test_nothing_that_was_written_becomes_a_link_a_picture_or_a_date(browser: Browser) -> None:
    """Every card about a release in which everything means harm, with Markdown on."""
    letters = [
        letter
        for evil in EVILS.values()
        for failing in (False, True)
        for letter in HostileRelease(evil, failing=failing).letters
        if letter.notice.channel is Channel.TEAMS
    ]
    pages = {f"card-{number}": card_page(letter) for number, letter in enumerate(letters)}
    with page_server(pages) as base:
        tab = browser.new_page()
        for name, letter in zip(pages, letters, strict=True):
            tab.goto(f"{base}/{name}")
            assert tab.evaluate("window.findings") == []
            assert tab.locator(FORBIDDEN).count() == 0, tab.locator("#card").inner_html()
            text = tab.locator("#card").inner_text()
            assert "2030-01-01T00:00:00Z" in text or "DATE" not in letter.release.build_id
            assert "evil" in text or "1234" in text or "alert(1)" in text
        tab.close()
    assert len(pages) >= 12
