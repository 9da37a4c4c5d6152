"""The approvers' pages over real HTTP: looking never changes anything, and only the right person's answer counts."""

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.cookies import SimpleCookie
from urllib.parse import urlencode, urljoin, urlsplit

import pytest

from local.demo.forms import post_forms
from local.demo.mailbox import Invitation
from tests.support.pipeline import AT_REGISTRY_GATE, REGISTRY_GATE, Json, Pipeline, gate_in
from tests.support.stories import VALIDATED, WITHIN_SECONDS, Stories
from tests.support.waiting import wait_until
from tests.support.wire import WireReply, exchange

pytestmark = [pytest.mark.stack, pytest.mark.timeout(WITHIN_SECONDS)]

ADA, GRACE = "ada@example.org", "grace@example.org"
HEADERS = {
    "cache-control": "no-store",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    ),
}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Accept": "application/json", "Content-Type": "application/json"}
HREF = re.compile(r"""(?:href|src|action)=["']([^"'#]+)""")


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenGate:
    """A release that waits at gate 1, and who was asked."""

    pipeline: Pipeline
    release_id: str
    invited: dict[str, Invitation]

    @property
    def origin(self) -> str:
        return self.pipeline.stack.app_url

    def rows(self) -> dict[str, tuple[str, Json]]:
        """The rows that an answer changes, with their ETags."""
        return {key: row for key, row in self.pipeline.rows(self.release_id).items() if not key.startswith("n|")}

    def gate(self) -> Json:
        release = self.pipeline.release(self.release_id)
        assert release
        return gate_in(release, REGISTRY_GATE)


def opened(pipeline: Pipeline, stories: Stories) -> OpenGate:
    """A fresh release of one circuit, at gate 1."""
    stories.built.result(WITHIN_SECONDS)
    release_id = pipeline.start(VALIDATED)
    pipeline.wait_phase(release_id, AT_REGISTRY_GATE)
    invited = pipeline.invitations(release_id, REGISTRY_GATE)
    return OpenGate(pipeline=pipeline, release_id=release_id, invited=invited)


@pytest.fixture(scope="module")
def asked(pipeline: Pipeline, stories: Stories) -> Iterator[OpenGate]:
    """A gate that these tests leave open, whatever they try."""
    gate = opened(pipeline, stories)
    yield gate
    pipeline.call("POST", f"/api/releases/{gate.release_id}/cancel", {"reason": "over", "requested_by": "tests"})


def look(invitation: Invitation, method: str = "GET", accept: str = "text/html") -> WireReply:
    return exchange(method, invitation.link, headers={"Accept": accept})


def fields_and_cookie(invitation: Invitation) -> tuple[dict[str, str], str]:
    """What a browser holds after it has opened the page."""
    page = look(invitation)
    assert page.status == 200, page.text[:300]
    (form,) = post_forms(page.text)
    cookie = SimpleCookie(page.headers["set-cookie"])["gate"]
    return form.fields, f"gate={cookie.value}"


def submit(invitation: Invitation, own_origin: str, **changes: str) -> WireReply:
    """Fill in the page's form and send it; `origin` and `cookie` may be changed like any field."""
    fields, cookie = fields_and_cookie(invitation)
    filled = {"decision": "reject", "comment": "a reason", "code": invitation.code, **fields, **changes}
    headers = FORM | {"Origin": filled.pop("origin", own_origin), "Cookie": filled.pop("cookie", cookie)}
    return exchange("POST", invitation.link, urlencode(filled).encode(), headers)


def wrong_code(invitation: Invitation) -> str:
    """A code of the right form that was not sent to this person."""
    return f"{(int(invitation.code) + 1) % 1_000_000:06d}"


# ---------------------------------------------------------------------------------------------- looking


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_every_page_goes_out_with_the_security_headers(asked: OpenGate, method: str) -> None:
    """The approval page, its refusals and the release's page alike; no CORS header anywhere."""
    pages = {
        "approval": (asked.invited[ADA].link, 200),
        "broken link": (f"{asked.origin}/approvals/no-such-token", 404),
    }
    if method == "GET":
        view = re.search(r"http\S+/releases/\S+view=[\w.~-]+", asked.invited[ADA].mail.text) or re.search(
            r'"([^"]*/releases/[^"]*view=[^"]+)"', look(asked.invited[ADA]).text
        )
        assert view, "the page or the mail links to the release's page"
        pages["release"] = (urljoin(asked.origin, view.group().strip('"')), 200)
        pages["closed list"] = (f"{asked.origin}/", 403)
    for name, (url, status) in pages.items():
        reply = exchange(method, url, headers={"Accept": "text/html"})
        assert reply.status == status, name
        assert reply.media_type == "text/html", name
        assert {header: reply.headers[header] for header in HEADERS} == HEADERS, name
        assert not [header for header in reply.headers if header.lower().startswith("access-control-")], name
        assert method == "GET" or not reply.body


def test_the_cookie_is_kept_from_scripts_and_other_sites(asked: OpenGate) -> None:
    """HttpOnly, SameSite=Strict, for the approval pages only."""
    cookie = look(asked.invited[ADA]).headers["set-cookie"]
    morsel = SimpleCookie(cookie)["gate"]
    assert (morsel["httponly"], morsel["samesite"].lower(), morsel["path"]) == (True, "strict", "/approvals")


def test_a_scanner_that_follows_every_link_changes_nothing(asked: OpenGate) -> None:
    """Known failure 9: GET and HEAD of the mail's links and of all links in the pages leave every row as it was."""
    before, history = asked.rows(), asked.pipeline.release(asked.release_id)
    todo = {url.rstrip(".,)>") for url in re.findall(r"https?://\S+", asked.invited[ADA].mail.text)}
    seen: set[str] = set()
    while todo:
        url = todo.pop()
        seen.add(url)
        if not url.startswith(asked.origin):
            continue
        for method in ("HEAD", "GET"):
            page = exchange(method, url, headers={"Accept": "text/html", "User-Agent": "link scanner"})
        if page.media_type == "text/html":
            found = {urljoin(url, href.replace("&amp;", "&")) for href in HREF.findall(page.text)}
            todo |= {link for link in found if link not in seen}
    assert {urlsplit(url).path.split("/")[1] for url in seen if url.startswith(asked.origin)} >= {"approvals", "assets"}
    assert asked.rows() == before
    assert asked.pipeline.release(asked.release_id) == history


def test_the_page_has_no_script_and_submits_nothing_by_itself(asked: OpenGate) -> None:
    """A person must act: one form, sent by a button; no script, no refresh."""
    page = look(asked.invited[ADA]).text
    assert "<script" not in page.lower()
    assert "http-equiv" not in page.lower()
    assert len(post_forms(page)) == 1
    assert asked.invited[ADA].code not in page


def test_the_link_shows_the_same_as_data(asked: OpenGate) -> None:
    """Accept: application/json gives the evidence with its digest and the csrf for the answer."""
    reply = look(asked.invited[ADA], accept="application/json")
    assert (reply.status, reply.media_type) == (200, "application/json")
    data = reply.json()
    assert (data["standing"], data["gate"], data["release_id"]) == ("open", REGISTRY_GATE, asked.release_id)
    assert data["digest"] == asked.gate()["digest"]
    assert data["csrf"]
    assert VALIDATED.partition("/")[2] in str(data["evidence"])
    assert asked.invited[ADA].code not in reply.text


# ---------------------------------------------------------------------------------- answers not taken


REFUSALS = {
    "another site's form": ({"origin": "https://evil.example"}, 403),
    "a null origin": ({"origin": "null"}, 403),
    "no cookie": ({"cookie": "other=1"}, 403),
    "another browser's cookie": ({"cookie": "gate=AAAAAAAAAAAAAAAAAAAAAA"}, 403),
    "a forged csrf": ({"csrf": "0" * 64}, 403),
    "stale evidence": ({"digest": "0" * 64}, 409),
    "no reason for a rejection": ({"comment": "  "}, 422),
    "an unknown decision": ({"decision": "maybe"}, 422),
    "a comment too long to keep": ({"comment": "x" * 501}, 422),
    "a circuit that is not in the release": ({"decision": "approve", "exclude:PLANT1/X": "why"}, 422),
    "everything left out": ({"decision": "approve", f"exclude:{VALIDATED}": "why"}, 422),
}


@pytest.mark.parametrize(("changes", "status"), REFUSALS.values(), ids=REFUSALS.keys())
def test_an_answer_that_must_not_count_changes_nothing(asked: OpenGate, changes: dict[str, str], status: int) -> None:
    """The page comes back with the reason, the gate stays as it was, and no code is used up."""
    before = asked.rows()
    reply = submit(asked.invited[ADA], asked.origin, **changes)
    assert (reply.status, reply.media_type) == (status, "text/html")
    assert asked.rows() == before


def test_a_form_of_no_known_origin_is_not_taken(asked: OpenGate) -> None:
    """Without Origin and Sec-Fetch-Site only JSON counts: browsers always send one of them with a form."""
    before, invitation = asked.rows(), asked.invited[ADA]
    fields, cookie = fields_and_cookie(invitation)
    body = urlencode({**fields, "decision": "reject", "comment": "why", "code": invitation.code}).encode()
    assert exchange("POST", invitation.link, body, FORM | {"Cookie": cookie}).status == 403
    cross = {"Cookie": cookie, "Sec-Fetch-Site": "cross-site"}
    assert exchange("POST", invitation.link, body, FORM | cross).status == 403
    text = {"Content-Type": "text/plain", "Cookie": cookie, "Origin": asked.origin}
    assert exchange("POST", invitation.link, body, text).status == 415
    assert asked.rows() == before


def test_another_persons_csrf_and_code_do_not_fit(asked: OpenGate) -> None:
    """Tokens are bound to the person and the gate's opening."""
    before = asked.rows()
    hers = look(asked.invited[GRACE], accept="application/json").json()
    body = {"decision": "reject", "comment": "why", "digest": hers["digest"], "csrf": hers["csrf"]}
    mixed = answer_json(asked.invited[ADA], {**body, "code": asked.invited[ADA].code})
    assert (mixed.status, mixed.media_type) == (403, "application/problem+json")
    assert asked.rows() == before


@pytest.mark.parametrize("kind", ["forged", "truncated", "empty signature", "a view link's", "very long"])
def test_what_is_no_link_of_ours_is_not_found(asked: OpenGate, kind: str) -> None:
    """404 for every token that we did not sign for this purpose; the reply does not repeat it."""
    url, _, token = asked.invited[ADA].link.rpartition("/")
    payload, stamp, signature = token.rsplit(".", 2)
    view = re.search(r"view=([\w.~-]+)", look(asked.invited[ADA]).text)
    assert view
    token = {
        "forged": f"{payload}.{stamp}.{signature[::-1]}",
        "truncated": token[:-1],
        "empty signature": f"{payload}.{stamp}.",
        "a view link's": view.group(1),
        "very long": token + "A" * 4000,
    }[kind]
    for method, body, headers in (("GET", None, {}), ("POST", b"{}", JSON)):
        reply = exchange(method, f"{url}/{token}", body, headers)
        assert reply.status == 404
        assert token not in reply.text


def answer_json(invitation: Invitation, body: Json) -> WireReply:
    return exchange("POST", invitation.link, json.dumps(body).encode(), JSON)


def test_wrong_codes_are_counted_and_five_void_the_link(pipeline: Pipeline, stories: Stories) -> None:
    """The fifth closes this person's link even for the right code; the other approver's link still works."""
    gate = opened(pipeline, stories)
    invitation = gate.invited[GRACE]
    for left in (4, 3, 2, 1):
        reply = submit(invitation, gate.origin, code=wrong_code(invitation), comment="typed by hand")
        assert reply.status == 403
        assert re.search(rf"\b{left}\b", reply.text), f"{left} tries are left"
        assert "typed by hand" in reply.text, "nobody types twice"
    assert submit(invitation, gate.origin, code=wrong_code(invitation)).status == 403
    assert look(invitation).status == 403
    data = look(gate.invited[ADA], accept="application/json").json()
    late = {"decision": "approve", "comment": "", "digest": data["digest"], "csrf": data["csrf"]}
    assert answer_json(invitation, {**late, "code": invitation.code}).status == 403
    assert gate.gate()["state"] == "open"
    reply = submit(gate.invited[ADA], gate.origin, comment="the other link works")
    assert reply.status == 303
    assert gate.gate()["state"] == "rejected"


# ------------------------------------------------------------------------------------- answers taken


def test_a_json_caller_decides_and_a_replay_says_who_did(pipeline: Pipeline, stories: Stories) -> None:
    """GET as JSON, POST as JSON with its csrf; every later answer is told who decided, and changes nothing."""
    gate = opened(pipeline, stories)
    data = look(gate.invited[GRACE], accept="application/json").json()
    body = {"decision": "reject", "comment": "not today", "digest": data["digest"], "csrf": data["csrf"]}
    taken = answer_json(gate.invited[GRACE], {**body, "code": gate.invited[GRACE].code})
    assert (taken.status, taken.json()["verdict"]) == (200, "rejected")
    release = pipeline.wait_phase(gate.release_id, "rejected")
    decided = gate_in(release, REGISTRY_GATE)
    assert [(d["by"], d["decision"], d["comment"]) for d in decided["decisions"]] == [(GRACE, "reject", "not today")]
    before = gate.rows()
    for person in (ADA, GRACE):
        page = look(gate.invited[person])
        assert page.status == 200
        assert GRACE in page.text
        assert not post_forms(page.text), "nothing is left to decide"
    replay = answer_json(gate.invited[GRACE], {**body, "decision": "approve", "code": gate.invited[GRACE].code})
    assert replay.status == 409
    assert f"Already rejected by {GRACE} at " in replay.json()["detail"]
    assert gate.rows() == before


def test_the_forms_answer_leads_back_to_the_page(pipeline: Pipeline, stories: Stories) -> None:
    """POST, 303, GET: a reload does not send the answer again; the code may be typed with spaces around it."""
    gate = opened(pipeline, stories)
    invitation = gate.invited[ADA]
    reply = submit(invitation, gate.origin, comment="no <b>metrics</b>", code=f" {invitation.code} ")
    assert reply.status == 303
    assert urljoin(gate.origin, reply.headers["location"]) == invitation.link
    assert {header: reply.headers[header] for header in HEADERS} == HEADERS
    page = look(invitation).text
    assert "no &lt;b&gt;metrics&lt;/b&gt;" in page
    assert "<b>metrics</b>" not in page


def test_of_two_answers_at_once_one_counts(pipeline: Pipeline, stories: Stories) -> None:
    """Both approvers press the button together: one decision is written, the other is told of it."""
    gate = opened(pipeline, stories)
    with ThreadPoolExecutor() as pool:
        replies = list(pool.map(lambda person: submit(gate.invited[person], gate.origin), (ADA, GRACE)))
    assert all(reply.status in {200, 303} for reply in replies), [reply.status for reply in replies]
    release = pipeline.wait_phase(gate.release_id, "rejected")
    assert len(gate_in(release, REGISTRY_GATE)["decisions"]) == 1


def test_a_cancelled_releases_link_says_so(pipeline: Pipeline, stories: Stories) -> None:
    """The gate is void: 409, nothing to decide."""
    gate = opened(pipeline, stories)
    body = {"reason": "wrong build", "requested_by": "carol"}
    assert pipeline.call("POST", f"/api/releases/{gate.release_id}/cancel", body).status == 202
    wait_until(lambda: gate.gate()["state"] == "void", "the gate is void")
    page = look(gate.invited[ADA])
    assert page.status == 409
    assert not post_forms(page.text)
