"""Pages and mails as a browser shows them: to everyone, on every screen, with nothing that needs a script."""

from itertools import product

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, ViewportSize

from tests.support.sample_pages import sample_cards, sample_mails, sample_pages

pytestmark = pytest.mark.browser

PAGES = sorted(sample_pages())
MAILS = sorted(sample_mails())
CARDS = sorted(sample_cards())
REFRESHING = {"release-testing", "rollback-running"}
LONG_AGAIN = ("approval-many", "dark")
"""Nothing on it has a colour that the page of three circuits has not; axe takes seconds for two hundred."""
PHONE: ViewportSize = {"width": 360, "height": 640}
DESK: ViewportSize = {"width": 1280, "height": 800}


@pytest.mark.parametrize(
    ("name", "scheme"),
    [
        *(pair for pair in product([*PAGES, "sign-in"], ("light", "dark")) if pair != LONG_AGAIN),
        *((mail, "light") for mail in MAILS),  # mails have one set of colours
    ],
)
def test_axe_finds_nothing_to_complain_about(browser: Browser, site: str, name: str, scheme: str) -> None:
    """Contrast, names, roles, order of headings: zero violations, folded parts opened."""
    # The policy that forbids scripts binds the page, not the test's own tools.
    context = browser.new_context(color_scheme=scheme, viewport=PHONE, bypass_csp=True)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(f"{site}/{name}")
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    # A status page that refreshes itself is meant; it carries a link that stops it, and that page is checked in full.
    rules = {"meta-refresh": {"enabled": name not in REFRESHING}}
    results = Axe().run(page, options={"resultTypes": ["violations"], "rules": rules})
    context.close()
    assert results.violations_count == 0, results.generate_report()


@pytest.mark.parametrize("viewport", [PHONE, DESK], ids=["phone", "desk"])
def test_nothing_is_wider_than_the_screen(browser: Browser, site: str, viewport: ViewportSize) -> None:
    """Long names wrap, wide tables scroll in themselves."""
    tab = browser.new_page(viewport=viewport)
    wide = []
    for name in (*PAGES, *MAILS, *CARDS, "sign-in"):
        tab.goto(f"{site}/{name}")
        if tab.evaluate("document.documentElement.scrollWidth") > viewport["width"]:
            wide.append(name)
    tab.close()
    assert wide == []


@pytest.mark.parametrize("name", ["releases", "release-testing", "release-failed"])
def test_the_lists_of_releases_and_of_stages_fit_on_a_phone(browser: Browser, site: str, name: str) -> None:
    """Issue 6.6: nothing of a row is cut off or out of sight at 360 px; each value has its label."""
    tab = browser.new_page(viewport=PHONE)
    tab.goto(f"{site}/{name}")
    tables = tab.locator("table.stack").evaluate_all("all => all.map(e => [e.scrollWidth, e.parentNode.clientWidth])")
    label = tab.locator(".stack td[data-label]").first.evaluate("e => getComputedStyle(e, '::before').content")
    tab.close()
    assert tables
    assert [sizes for sizes in tables if sizes[0] > sizes[1]] == []
    assert label in {'"Circuits"', '"Now"'}


FIRST_SCREENS = {
    "approval-registry": "1 of 3 circuits to look at",
    "approval-production": "2 of 3 circuits to look at",
    "approval-many": "3 of 200 circuits to look at",
    "approval-changed": "1 of 3 circuits to look at",
    "approval-wrong-code": "1 of 3 circuits to look at",
}


@pytest.mark.parametrize("name", FIRST_SCREENS)
def test_the_first_screen_of_a_phone_shows_problems_deadline_and_the_way_to_decide(
    browser: Browser, site: str, name: str
) -> None:
    """At both gates, even with two hundred circuits or something to say first."""
    tab = browser.new_page(viewport=PHONE)
    tab.goto(f"{site}/{name}")
    for text in (FIRST_SCREENS[name], "Answer by", "Decide"):
        box = tab.get_by_text(text, exact=text == "Decide").first.bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= PHONE["height"], text
    tab.close()


def test_the_decision_needs_no_script_and_no_mouse(browser: Browser, site: str) -> None:
    """Scripts off: the keyboard alone fills in the form, and one submit carries every field."""
    context = browser.new_context(java_script_enabled=False, viewport=DESK)
    tab = context.new_page()
    tab.goto(f"{site}/approval-registry")
    tab.get_by_label("Approve").focus()
    tab.keyboard.press("Space")
    tab.get_by_label("Comment").fill("Looks fine")
    tab.get_by_label("Code from your mail").fill("042137")
    with tab.expect_request(lambda request: request.method == "POST") as sent:
        tab.keyboard.press("Enter")
    body = sent.value.post_data or ""
    context.close()
    fields = dict(pair.split("=", 1) for pair in body.split("&"))
    assert fields["decision"] == "approve"
    assert fields["code"] == "042137"
    assert fields["comment"] == "Looks+fine"
    assert fields["digest"] == "9b1c" * 16
    assert len(fields["csrf"]) == 64


@pytest.mark.parametrize(
    ("answer", "told", "chosen"),
    [
        ("approval-wrong-code", "That was not the code from your mail.", 1),
        ("approval-changed", "The evidence has changed since you opened this page. Nothing was decided.", 0),
        ("approval-decided", "Already approved by mona@example.com", 0),
    ],
)
def test_what_became_of_an_answer_is_on_the_first_screen(
    browser: Browser, site: str, answer: str, told: str, chosen: int
) -> None:
    """Issue 6.1: sent from the form, far down on a phone, scripts off; after a 409 no decision is chosen in advance."""
    context = browser.new_context(java_script_enabled=False, viewport=PHONE)
    tab = context.new_page()
    reply = sample_pages()[answer]
    tab.route(
        f"{site}/approval-registry",
        lambda route: (
            route.fulfill(body=reply, content_type="text/html", status=409)
            if route.request.method == "POST"
            else route.continue_()
        ),
    )
    tab.goto(f"{site}/approval-registry")
    tab.get_by_role("link", name="Decide").click()
    tab.get_by_label("Approve").check()
    tab.get_by_label("Code from your mail").fill("042137")
    with tab.expect_response(lambda response: response.request.method == "POST"):
        tab.get_by_role("button", name="Send decision").click()
    tab.wait_for_load_state()
    boxes = [box for place in tab.get_by_text(told).all() if (box := place.bounding_box())]
    ticked = tab.locator("input[name=decision]:checked").count()
    context.close()
    assert any(box["y"] >= 0 and box["y"] + box["height"] <= PHONE["height"] for box in boxes), boxes
    assert ticked == chosen


def test_opening_a_page_submits_nothing_and_breaks_no_rule_of_its_policy(browser: Browser, site: str) -> None:
    """No POST without a person, no complaint in the console, no request to anybody else."""
    tab = browser.new_page()
    requests: list[tuple[str, str]] = []
    complaints: list[ConsoleMessage] = []
    tab.on("request", lambda request: requests.append((request.method, request.url)))
    tab.on("console", lambda message: complaints.append(message))  # noqa: PLW0108 - playwright marks the handler, a builtin takes no mark
    for name in PAGES:
        tab.goto(f"{site}/{name}")
    tab.close()
    assert {method for method, _ in requests} == {"GET"}
    assert [url for _, url in requests if not url.startswith(site)] == []
    assert [message.text for message in complaints if "favicon" not in message.location["url"]] == []


def test_focus_is_visible(browser: Browser, site: str) -> None:
    """Whoever moves by keyboard sees where they are."""
    tab = browser.new_page(viewport=DESK)
    tab.goto(f"{site}/approval-registry")
    tab.keyboard.press("Tab")
    outline = tab.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    tab.close()
    assert outline == "solid"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_follow_the_readers_colour_scheme(browser: Browser, site: str, scheme: str) -> None:
    """Dark paper in the dark."""
    tab = browser.new_page(color_scheme=scheme)  # type: ignore[arg-type]
    tab.goto(f"{site}/releases")
    red = int(tab.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0]"))
    tab.close()
    assert (red > 200) == (scheme == "light")
