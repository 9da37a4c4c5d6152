"""The rollback's pages at 3 a.m. on a phone: results first, and what is tapped is big enough to be hit (issue 4.4)."""

import pytest
from playwright.sync_api import Browser, ViewportSize

pytestmark = pytest.mark.browser

PHONE: ViewportSize = {"width": 360, "height": 640}
FINGER = 44
"""Pixels; what guidelines for touch ask of a target."""
TAPPED = "main a, main button, main textarea, main label.pick, main summary, #code"


@pytest.mark.parametrize("name", ["rollback-new", "rollback", "rollback-running", "rollback-checked"])
def test_what_is_tapped_is_as_high_as_a_finger(browser: Browser, site: str, name: str) -> None:
    """Links that lead on, ticks with their labels, fields and the one button."""
    tab = browser.new_page(viewport=PHONE)
    tab.goto(f"{site}/{name}")
    boxes = tab.locator(TAPPED).evaluate_all("all => all.map(e => [e.textContent, e.getBoundingClientRect().height])")
    tab.close()
    assert boxes
    assert [(text.strip(), height) for text, height in boxes if height < FINGER] == []


def test_the_first_screen_shows_every_result_the_bad_one_first(browser: Browser, site: str) -> None:
    """Without scrolling in any direction: which circuit, what became of it, and why."""
    tab = browser.new_page(viewport=PHONE)
    tab.goto(f"{site}/rollback")
    results = tab.locator(".results > li")
    boxes = results.evaluate_all("all => all.slice(0, 2).map(e => e.getBoundingClientRect().toJSON())")
    said = results.all_inner_texts()[:2]
    tab.close()
    assert all(box["bottom"] <= PHONE["height"] and box["right"] <= PHONE["width"] for box in boxes)
    assert "✗ failed" in said[0]
    assert "does not exist" in said[0]
    assert "✓ restored" in said[1]


def test_the_confirmation_needs_no_script(browser: Browser, site: str) -> None:
    """Circuits, reason, code and the wish for a smoke test are sent by one button."""
    context = browser.new_context(java_script_enabled=False, viewport=PHONE)
    tab = context.new_page()
    tab.goto(f"{site}/rollback-new")
    tab.get_by_label("PLANT001/CIRCUIT02").check()
    tab.get_by_label("Reason").fill("bad forecasts")
    tab.get_by_label("Code from your mail").fill("042137")
    tab.get_by_label("Smoke-test it afterwards").check()
    with tab.expect_request(lambda request: request.method == "POST") as sent:
        tab.get_by_role("button", name="Roll back now").click()
    fields = [pair.split("=", 1) for pair in (sent.value.post_data or "").split("&")]
    context.close()
    assert ["circuit", "PLANT001%2FCIRCUIT02"] in fields
    assert ["smoke_test", "yes"] in fields
    assert ["code", "042137"] in fields
    assert ["reason", "bad+forecasts"] in fields
