"""Contract of the Functions host: Easy Auth, as the app and the browser see it."""

import base64
import json
from collections.abc import Iterator
from http.cookies import SimpleCookie
from urllib.parse import quote, urlencode

import pytest
from host_process import APPS, Answer, HostProcess

from local.functions_host.easy_auth import inside, parse_people
from local.functions_host.errors import ConfigurationError

ADA, BOB = "ada@example.org", "bob@example.org"
PEOPLE = {"EasyAuth": {"People": [{"Name": ADA, "Roles": ["ReleaseApprover", "ReleaseReader"]}, {"Name": BOB}]}}
FORGED = base64.b64encode(b'{"claims": [{"typ": "name", "val": "mallory"}]}').decode()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostProcess]:
    """A host where two people can sign in."""
    process = HostProcess(directory=tmp_path_factory.mktemp("host"), app=APPS / "signed_in", values={}, host=PEOPLE)
    process.start()
    yield process
    assert process.child.stop() == 0


@pytest.fixture(scope="module")
def plain_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostProcess]:
    """The same app without Easy Auth."""
    process = HostProcess(directory=tmp_path_factory.mktemp("host"), app=APPS / "signed_in", values={})
    process.start()
    yield process
    assert process.child.stop() == 0


def sign_in(site: HostProcess, person: str, back: str = "/who") -> Answer:
    """The sign-in page's form; redirects are not followed by it, the answer is the page behind."""
    body = urlencode({"person": person, "post_login_redirect_uri": back}).encode()
    return site.get(
        "/.auth/login/aad", method="POST", body=body, headers={"Content-Type": "application/x-www-form-urlencoded"},
        follow=False,
    )  # fmt: skip


def cookie(site: HostProcess, person: str) -> dict[str, str]:
    """The header that a browser sends once it is signed in."""
    jar: SimpleCookie = SimpleCookie(sign_in(site, person).headers["Set-Cookie"])
    (morsel,) = jar.values()
    assert morsel["httponly"]
    assert morsel["samesite"] == "Lax"
    return {"Cookie": f"{morsel.key}={morsel.value}"}


def test_the_sign_in_page_offers_the_people_and_goes_back_where_one_came_from(site: HostProcess) -> None:
    """One page, one button each; the address one wanted comes back percent-encoded as it was."""
    page = site.get(f"/.auth/login/aad?post_login_redirect_uri={quote('/approvals/a.b-c', safe='')}").body.decode()
    assert f'value="{ADA}"' in page
    assert "no role" in page
    assert 'value="/approvals/a.b-c"' in page
    answer = sign_in(site, ADA, "/approvals/a.b-c?x=1")
    assert (answer.status, answer.headers["Location"]) == (302, "/approvals/a.b-c?x=1")


def test_the_app_sees_the_principal_of_whoever_is_signed_in(site: HostProcess) -> None:
    """Base64 JSON with claims, the names of the claims beside it, and the setting that says it can be trusted."""
    said = site.get("/who", headers=cookie(site, ADA)).json()
    principal = json.loads(base64.b64decode(said["headers"]["x-ms-client-principal"]))
    claims = [(claim["typ"], claim["val"]) for claim in principal["claims"]]
    assert said["enabled"] == "True"
    assert (principal["auth_typ"], said["headers"]["x-ms-client-principal-name"]) == ("aad", ADA)
    assert ("preferred_username", ADA) in claims
    assert [value for kind, value in claims if kind == principal["role_typ"]] == ["ReleaseApprover", "ReleaseReader"]


def test_a_forged_principal_is_taken_away(site: HostProcess) -> None:
    """Signed in or not, in whatever case the header is written."""
    forged = {"x-Ms-CLIENT-principal": FORGED, "X-MS-CLIENT-PRINCIPAL-NAME": "mallory", "X-MS-TOKEN-AAD-ID-TOKEN": "x"}
    assert site.get("/who", headers=forged).json()["headers"] == {}
    said = site.get("/who", headers={**forged, **cookie(site, BOB)}).json()["headers"]
    assert said["x-ms-client-principal-name"] == BOB
    assert "mallory" not in base64.b64decode(said["x-ms-client-principal"]).decode()


def test_without_easy_auth_the_header_passes_and_the_app_is_told_nothing(plain_site: HostProcess) -> None:
    """As in Azure: the app must not trust it then. There is nothing to sign in to either."""
    said = plain_site.get("/who", headers={"X-MS-CLIENT-PRINCIPAL": FORGED}).json()
    assert said == {"enabled": "", "headers": {"x-ms-client-principal": FORGED}}
    assert plain_site.get("/.auth/login/aad").status == 404


def test_me_says_who_is_signed_in_and_sign_out_ends_it(site: HostProcess) -> None:
    """The old cookie is worth nothing afterwards."""
    session = cookie(site, ADA)
    assert site.get("/.auth/me", headers=session).json()[0]["user_id"] == ADA
    out = site.get("/.auth/logout?post_logout_redirect_uri=/who", headers=session, follow=False)
    assert (out.status, out.headers["Location"]) == (302, "/who")
    assert site.get("/.auth/me", headers=session).status == 401
    assert site.get("/who", headers=session).json()["headers"] == {}


def test_a_stranger_or_a_made_up_session_is_nobody(site: HostProcess) -> None:
    """Only those listed can sign in."""
    assert sign_in(site, "mallory@example.org").status == 401
    assert site.get("/.auth/me", headers={"Cookie": "AppServiceAuthSession=guess"}).status == 401
    assert site.get("/.auth/refresh").status == 404


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "javascript:alert(1)",
        "evil.example",
        "/x\r\nSet-Cookie: a=b",
        "http://[",
        "",
    ],
)
def test_no_address_leads_out_of_the_app(address: str) -> None:
    """Whatever is not plainly a path of ours becomes the root."""
    assert inside(address) == "/"


@pytest.mark.parametrize("section", [{}, {"People": []}, {"People": [{"Roles": []}]}, {"People": "ada"}, []])
def test_a_setting_nobody_could_sign_in_with_is_refused(section: object) -> None:
    """At start, with the form it should have."""
    with pytest.raises(ConfigurationError, match=r"Host\.EasyAuth"):
        parse_people(section)
