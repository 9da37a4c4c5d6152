"""A person takes a whole release through both gates in a real browser that runs no script: mails, forms, pages."""

import pytest
from playwright.sync_api import Page, expect

from tests.support.chromium import MISSING, PROGRAM, chromium
from tests.support.pipeline import AT_PRODUCTION_GATE, AT_REGISTRY_GATE, PRODUCTION_GATE, REGISTRY_GATE, Pipeline
from tests.support.stories import VALIDATED, WITHIN_SECONDS, Stories

pytestmark = [
    pytest.mark.stack,
    pytest.mark.browser,
    pytest.mark.timeout(2 * WITHIN_SECONDS),
    pytest.mark.skipif(PROGRAM is None, reason=MISSING),
]


def approve(tab: Page, pipeline: Pipeline, release_id: str, gate: str, comment: str) -> str:
    """From the mail to the answer: one page load, one submit; gives back who answered."""
    person, invitation = min(pipeline.invitations(release_id, gate).items())
    tab.goto(invitation.link)
    expect(tab.get_by_role("heading", level=1)).to_contain_text(release_id)
    tab.get_by_label("Approve").check()
    tab.get_by_label("Comment").fill(comment)
    tab.get_by_label("Code from your mail").fill(invitation.code)
    tab.get_by_role("button", name="Send decision").click()
    expect(tab.get_by_text("Your approval is recorded")).to_be_visible()
    return person


def test_a_release_goes_through_both_gates_without_a_script(pipeline: Pipeline, stories: Stories) -> None:
    """On a phone, scripts off; in the end its page shows the summary and leads to what the circuit's history says."""
    stories.built.result(WITHIN_SECONDS)
    release_id = pipeline.start(VALIDATED)
    with chromium() as browser:
        context = browser.new_context(java_script_enabled=False, viewport={"width": 360, "height": 640})
        tab = context.new_page()
        pipeline.wait_phase(release_id, AT_REGISTRY_GATE)
        person = approve(tab, pipeline, release_id, REGISTRY_GATE, "Metrics look right.")
        pipeline.wait_phase(release_id, AT_PRODUCTION_GATE, within_seconds=WITHIN_SECONDS)
        approve(tab, pipeline, release_id, PRODUCTION_GATE, "Test rows look right.")
        tab.get_by_role("link", name=f"release {release_id}").click()
        release = pipeline.wait_phase(release_id, "succeeded", within_seconds=WITHIN_SECONDS)
        tab.reload()
        expect(tab.get_by_role("heading", level=1)).to_contain_text("succeeded")
        expect(tab.get_by_text("Production Deployment Complete!")).to_be_visible()
        tab.get_by_role("link", name=VALIDATED).first.click()
        expect(tab.get_by_text("live now")).to_be_visible()
        expect(tab.get_by_text(person).first).to_be_visible()
        expect(tab.get_by_text(f"release {release_id}").first).to_be_visible()
        context.close()
    assert [gate["state"] for gate in release["gates"]] == ["approved", "approved"]
    reply = pipeline.call("GET", f"/api/releases/{release_id}/evidence.json")
    assert reply.status == 200
    assert reply.headers["X-Evidence-SHA256"] == release["evidence_sha256"]
