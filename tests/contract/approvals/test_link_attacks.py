"""Links that nobody sent, that are too old, or that are for something else; forms from elsewhere; far too much of anything."""

import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from urllib.parse import quote, urlencode, urlsplit
from uuid import uuid4

import pytest
from itsdangerous import TimestampSigner, URLSafeTimedSerializer

from local.demo.forms import post_forms
from shared.adapters.gate_tokens import SignedGateTokens
from shared.bootstrap import LINK_AGE
from shared.domain.model import GateState
from tests.support.app_host import ADA, GRACE, KEY, RETIRED_KEY, AppHost, GateAt
from tests.support.hostile import MARKUP
from tests.support.outline import Outline
from tests.support.person import FORM, Person
from tests.support.wire import WireReply, exchange


@pytest.fixture(scope="module")
def gate(by_link: AppHost) -> GateAt:
    """A gate that stays open, whatever these tests try."""
    return by_link.at_gate()


def browser(gate: GateAt) -> Person:
    return Person(site=gate.host.url)


def token_of(url: str) -> str:
    """What identifies a link, in its path or its query."""
    return url.rpartition("/")[2].rpartition("=")[2]


def tokens(gate: GateAt, *keys: str) -> SignedGateTokens:
    """As an app with these keys signs."""
    return SignedGateTokens(keys=keys, public_url=gate.host.url, max_age=LINK_AGE)


def signed_long_ago(gate: GateAt) -> str:
    """The right text with the right key, and a signature older than any counts."""

    class Then(TimestampSigner):
        def get_timestamp(self) -> int:
            return super().get_timestamp() - int(LINK_AGE.total_seconds()) - 60

    claim = gate.host.ports.tokens.read(token_of(gate.link().url))
    assert claim is not None
    by_sha256 = {"digest_method": hashlib.sha256, "key_derivation": "hmac"}
    serializer = URLSafeTimedSerializer([KEY], salt="approval", signer=Then, signer_kwargs=by_sha256)
    return str(serializer.dumps([claim.release_id, claim.gate, claim.nonce, claim.recipient, claim.key_id]))


FOREIGN: dict[str, Callable[[GateAt], str]] = {
    "signed with another key": lambda gate: token_of(tokens(gate, "a key that this app never had, not once").link(gate.gate, ADA).url),
    "signed too long ago": signed_long_ago,
    "cut short": lambda gate: token_of(gate.link().url)[:-1],
    "without its signature": lambda gate: token_of(gate.link().url).rpartition(".")[0],
    "with something behind it": lambda gate: f"{token_of(gate.link().url)}A",
    "one letter other": lambda gate: f"X{token_of(gate.link().url)[1:]}",
    "of a page to read": lambda gate: token_of(gate.host.ports.tokens.view_url(gate.release.release_id)),
    "of a rollback": lambda gate: token_of(gate.host.ports.tokens.rollback_link(gate.release.release_id, ADA).url),
    "as long as a novel": lambda _: "A" * 6_000,
    "a path upwards": lambda _: "../../api/releases",
    "nothing but a dot": lambda _: ".",
}  # fmt: skip


@pytest.mark.parametrize("kind", sorted(FOREIGN))
def test_a_token_that_is_none_of_this_gates_is_not_found(gate: GateAt, kind: str) -> None:
    """Looked at or answered, as a form or as JSON: 404, and the reply does not repeat it."""
    token = FOREIGN[kind](gate)
    address = f"{gate.host.url}/approvals/{quote(token, safe='')}"
    ours = {"Origin": gate.host.url}
    for method, body, headers in (
        ("GET", None, {}),
        ("HEAD", None, {}),
        ("POST", urlencode({"decision": "approve"}).encode(), {"Content-Type": FORM, **ours}),
        ("POST", b'{"decision": "approve"}', {"Content-Type": "application/json"}),
    ):
        reply = exchange(method, address, body, headers)
        assert reply.status == 404, f"{method}: {reply.text[:200]}"
        assert len(token) < 5 or token not in reply.text
    assert gate.now() == gate.gate


def test_links_and_codes_outlive_the_rotation_of_their_key_until_it_is_removed(by_link: AppHost) -> None:
    """The app knows two keys: a mail of before the rotation decides, its code included; the newest key signs."""
    gate = by_link.at_gate()
    before = tokens(gate, RETIRED_KEY).link(gate.gate, ADA)
    assert before.url != gate.link().url
    assert before.code != gate.link().code
    ada = browser(gate)
    assert ada.answer(before.url, "reject", code=gate.link().code).status == 403, "a code belongs to its key"
    assert ada.answer(before.url, "reject", code=before.code).status == 303
    assert gate.now().state is GateState.REJECTED
    assert tokens(gate, KEY).read(token_of(before.url)) is None, "once the old key is gone, so are its links"


def test_five_wrong_codes_close_a_link_and_no_other(by_link: AppHost) -> None:
    """Even the right code is late then; the other approver decides."""
    gate = by_link.at_gate()
    ada, link = browser(gate), gate.link()
    wrong = f"{(int(link.code) + 1) % 1_000_000:06d}"
    statuses = [ada.answer(link.url, code=wrong).status for _ in range(5)]
    assert statuses == [403] * 5
    closed = ada.get(link.url)
    assert (closed.status, "This link is void" in closed.text) == (403, True)
    assert not post_forms(closed.text)
    data = browser(gate).get(gate.link(GRACE).url, accept="application/json").json()
    late = {"decision": "approve", "digest": data["digest"], "csrf": data["csrf"], "code": link.code}
    assert ada.post_json(link.url, late).status == 403
    assert gate.now().decisions == ()
    assert browser(gate).answer(gate.link(GRACE).url, "reject", code=gate.link(GRACE).code).status == 303


ELSEWHERE = {
    "another site": {"Origin": "https://evil.example"},
    "a site of a like name": {"Origin": "http://127.0.0.1.evil.example"},
    "the same host by another port": {"Origin": "http://127.0.0.1:1"},
    "a sandboxed frame": {"Origin": "null"},
    "a browser that says cross-site": {"Sec-Fetch-Site": "cross-site"},
    "a browser that says same-site": {"Sec-Fetch-Site": "same-site"},
    "our origin, but cross-site": {"Origin": "ours", "Sec-Fetch-Site": "cross-site"},
    "nowhere": {},
}


@pytest.mark.parametrize("place", sorted(ELSEWHERE))
def test_a_form_from_elsewhere_is_refused_although_all_its_fields_are_right(gate: GateAt, place: str) -> None:
    """With the cookie, the form's token and the code; a rollback's form as well."""
    headers = {name: gate.host.url if value == "ours" else value for name, value in ELSEWHERE[place].items()}
    ada, link = browser(gate), gate.link()
    (form,) = post_forms(ada.get(link.url).text)
    cookie = "; ".join(f"{name}={value}" for name, value in ada.cookies.items())
    sent = {"Content-Type": FORM, "Cookie": cookie, **headers}
    fields = {**form.fields, "decision": "approve", "code": link.code}
    assert exchange("POST", link.url, urlencode(fields).encode(), sent).status == 403
    rollback = gate.host.ports.tokens.rollback_link(gate.release.release_id, ADA)
    confirmed = urlencode({"circuit": "PLANT001/CIRCUIT01", "reason": "x", "code": rollback.code}).encode()
    assert exchange("POST", rollback.url, confirmed, sent).status == 403
    assert gate.now() == gate.gate


def test_json_that_a_browser_could_send_by_itself_is_refused(gate: GateAt) -> None:
    """Without asking first, a page elsewhere can only send text/plain or forms; and no reply invites it to ask."""
    data = browser(gate).get(gate.link().url, accept="application/json").json()
    body = {"decision": "approve", "digest": data["digest"], "csrf": data["csrf"], "code": gate.link().code}
    content = json.dumps(body).encode()
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/jsonp"):
        reply = exchange("POST", gate.link().url, content, {"Content-Type": kind, "Origin": gate.host.url})
        assert reply.status in {403, 415}, kind
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    preflight = exchange("OPTIONS", gate.link().url, None, asked)
    assert preflight.status in {404, 405}
    assert not [name for name in preflight.headers if name.lower().startswith("access-control-")]
    assert gate.now() == gate.gate


def test_a_link_to_read_opens_its_own_release_and_nothing_else(by_link: AppHost) -> None:
    """Purpose `view`: the release's page, its artifact, its circuits; no other release, no list, no API, no form."""
    mine, other = by_link.at_gate(), by_link.at_gate()
    view = f"?{urlsplit(by_link.ports.tokens.view_url(mine.release.release_id)).query}"
    reader = browser(mine)
    own = reader.get(f"/releases/{mine.release.release_id}{view}")
    assert own.status == 200
    assert not post_forms(own.text)
    (shown,) = [link for link in Outline(own.text).targets() if "evidence.json" in link]
    evidence = reader.get(shown)
    assert (evidence.status, evidence.media_type) == (200, "application/json")
    assert hashlib.sha256(evidence.body).hexdigest() == mine.gate.digest
    whole = reader.get(f"/releases/{mine.release.release_id}{view}&all=1")
    assert ('http-equiv="refresh"' in own.text, 'http-equiv="refresh"' in whole.text) == (True, False)
    closed = (
        f"/releases/{other.release.release_id}{view}",
        f"/releases/{other.release.release_id}/artifact{view}",
        f"/releases/{other.release.release_id}/evidence.json{view}&part=registry-approval",
        f"/rollbacks/{mine.release.release_id}{view}x",
        f"/{view}",
        f"/circuits/PLANT009/CIRCUIT09{view}",
    )
    assert {address: reader.get(address).status for address in closed} == dict.fromkeys(closed, 403)
    assert reader.get(f"/api/releases/{mine.release.release_id}{view}").status == 401
    approval = token_of(mine.link().url)
    assert reader.get(f"/releases/{mine.release.release_id}?view={approval}").status == 403


def test_one_circuits_page_at_a_gate_changes_nothing_and_knows_no_other_circuit(by_link: AppHost) -> None:
    """`?circuit=`: for large releases; looked at by link, with HEAD, with names that are none."""
    gate = by_link.at_gate()
    ada, link = browser(gate), gate.link()
    page = ada.get(f"{link.url}?circuit=PLANT001%2FCIRCUIT01")
    assert (page.status, post_forms(page.text)) == (200, [])
    assert "PLANT001/CIRCUIT01" in page.text
    assert exchange("HEAD", f"{link.url}?circuit=PLANT001%2FCIRCUIT01", None, {}).status == 200
    for name in ("PLANT009%2FCIRCUIT01", quote(MARKUP, safe=""), "x" * 6_000):
        reply = ada.get(f"{link.url}?circuit={name}")
        assert reply.status in {404, 414}, reply.text[:200]
        assert MARKUP not in reply.text
    assert browser(gate).get(f"{gate.host.url}/approvals/forged?circuit=PLANT001%2FCIRCUIT01").status == 404
    assert gate.now() == gate.gate


@pytest.mark.parametrize("header", ["Host", "X-Forwarded-Host", "X-Original-URL", "Forwarded"])
def test_no_header_of_a_request_leads_people_elsewhere(gate: GateAt, header: str) -> None:
    """Addresses come from PUBLIC_URL, never from what a client says about itself."""
    for address in (gate.link().url, f"{gate.host.url}/", f"{gate.host.url}/releases/x"):
        reply = exchange("GET", address, None, {header: "evil.example"})
        assert "evil.example" not in reply.text + str(reply.headers)


def test_what_a_build_wrote_reaches_the_browser_as_text(by_link: AppHost) -> None:
    """On the approvers' page and the release's; the artifact itself goes out as plain text that nobody guesses at."""
    blob = f"attack/{uuid4().hex}.json"
    by_link.ports.evidence.put(blob, MARKUP.encode())
    gate = by_link.at_gate(build_id=MARKUP, requested_by=MARKUP, commit_sha=MARKUP, manifest_blob=blob)
    view = by_link.ports.tokens.view_url(gate.release.release_id)
    for address in (gate.link().url, view):
        page = Outline(browser(gate).get(address).text)
        assert MARKUP in " ".join(page.texts)
        assert not {"script", "img"} & set(page.tags)
    artifact = browser(gate).get(view.replace("?", "/artifact?"))
    assert (artifact.status, artifact.media_type, artifact.text) == (200, "text/plain", MARKUP)
    assert artifact.headers["X-Content-Type-Options"] == "nosniff"
    assert artifact.headers["Content-Security-Policy"].startswith("default-src 'none'")


def far_too_much() -> dict[str, Callable[[GateAt], WireReply]]:
    """Inputs beyond every limit, in each place where there is input."""
    long = "x" * 6_000
    return {
        "comment": lambda g: browser(g).answer(g.link().url, code=g.link().code, comment="x" * 50_000),
        "code": lambda g: browser(g).answer(g.link().url, code="1" * 5_000),
        "digest": lambda g: browser(g).answer(g.link().url, code=g.link().code, digest="a" * 5_000),
        "csrf": lambda g: browser(g).answer(g.link().url, code=g.link().code, csrf="a" * 5_000),
        "form": lambda g: browser(g).post(g.link().url, {"comment": "x" * 200_000}),
        "fields": lambda g: browser(g).post(g.link().url, {f"exclude:{n}": "y" for n in range(5_000)}),
        "JSON": lambda g: browser(g).post_json(g.link().url, {"comment": "x" * 2_000_000}),
        "cookie": lambda g: exchange("GET", g.link().url, None, {"Cookie": f"gate={long}"}),
        "principal": lambda g: exchange("GET", g.host.url, None, {"X-MS-CLIENT-PRINCIPAL": long}),
        "view": lambda g: browser(g).get(f"/releases/{g.release.release_id}?view={long}"),
        "moment": lambda g: browser(g).get(f"/circuits/PLANT001/CIRCUIT01?at={long}&view={view_of(g)}"),
        "cursor": lambda g: keyed(g, f"/api/releases?cursor={long}"),
        "circuit": lambda g: keyed(g, f"/api/releases?circuit={long}"),
        "release id": lambda g: keyed(g, f"/api/releases/{long}"),
        "plant": lambda g: keyed(g, f"/api/circuits/{long}/{long}"),
        "part": lambda g: keyed(g, f"/api/releases/{g.release.release_id}/evidence.json?part={long}"),
        "artifact": lambda g: keyed(g, "/api/releases", b'{"circuits": "' + b"x" * 12_000_000 + b'"}'),
    }


def keyed(gate: GateAt, address: str, body: bytes | None = None) -> WireReply:
    key = {"x-functions-key": gate.host.function_key, "Content-Type": "application/json"}
    return exchange("POST" if body else "GET", f"{gate.host.url}{address}", body, key)


def view_of(gate: GateAt) -> str:
    return token_of(gate.host.ports.tokens.view_url(gate.release.release_id))


@pytest.mark.parametrize("place", sorted(far_too_much()))
def test_far_too_much_of_anything_is_refused_in_little(gate: GateAt, place: str) -> None:
    """Never a 5xx, and what was too long does not come back."""
    reply = far_too_much()[place](gate)
    assert reply.status < 500, reply.text[:300]
    assert reply.status >= 400 or place == "cookie", reply.text[:300]
    assert len(reply.body) < 50_000
    assert gate.now() == gate.gate
    assert gate.gate.expires_at - gate.gate.opened_at == timedelta(days=1)
