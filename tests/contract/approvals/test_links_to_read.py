"""Links to read: one release for whoever has the link, every page for those who get mails; never a key, never a change."""

import re
from urllib.parse import urljoin, urlsplit

import pytest

from local.demo.forms import post_forms
from shared.domain.model import CircuitPhase, GateName
from tests.contract.approvals.test_link_attacks import token_of
from tests.support.app_host import ADA, AppHost, GateAt
from tests.support.builders import CIRCUIT, OTHER_CIRCUIT, THIRD_CIRCUIT, a_lock, a_run
from tests.support.person import Person

HREF = re.compile(r'href="([^"#]+)"')


def browser(site: AppHost) -> Person:
    return Person(site=site.url)


def of_reader(gate: GateAt, reader: str = ADA) -> str:
    """`?view=…` as it stands in this person's mail."""
    return f"?{urlsplit(gate.host.ports.tokens.view_url(gate.release.release_id, reader)).query}"


def visited(site: AppHost, start: str) -> dict[str, int]:
    """Every page that can be reached by following links, and how it answered."""
    reader, found, waiting = browser(site), {}, [start]
    while waiting:
        address = waiting.pop()
        reply = reader.get(address)
        found[address] = reply.status
        if reply.media_type != "text/html":
            continue
        links = (urljoin(address, link.replace("&amp;", "&")) for link in HREF.findall(reply.text))
        ours = {link for link in links if urlsplit(link).netloc == urlsplit(site.url).netloc and "cursor=" not in link}
        waiting += [link for link in ours if link not in found and link not in waiting and "paused" not in link]
    return found


@pytest.fixture(scope="module")
def two(by_link: AppHost) -> tuple[GateAt, GateAt]:
    """Two releases of different circuits."""
    of_other = a_run(OTHER_CIRCUIT, phase=CircuitPhase.INSPECTED)
    return by_link.at_gate(), by_link.at_gate(GateName.REGISTRY, of_other)


def test_a_readers_own_link_leads_from_the_release_to_the_list_to_other_releases_and_circuits(
    by_link: AppHost, two: tuple[GateAt, GateAt]
) -> None:
    """Issue 6, point 5, in link mode: nobody signs in there, and no key stands in a URL."""
    mine, other = two
    view = of_reader(mine)
    found = visited(by_link, f"{by_link.url}/releases/{mine.release.release_id}{view}")
    assert {address: status for address, status in found.items() if status != 200} == {}
    places = {urlsplit(address).path for address in found}
    theirs = f"/releases/{other.release.release_id}"
    assert places >= {"/", theirs, f"{theirs}/artifact", f"/circuits/{CIRCUIT}", f"/circuits/{OTHER_CIRCUIT}"}
    for address in found:
        assert "key" not in urlsplit(address).query
        assert view in address or urlsplit(address).path == "/assets/pages.css"


def test_nothing_of_it_can_be_changed_from_there(by_link: AppHost, two: tuple[GateAt, GateAt]) -> None:
    """Read-only: no form that posts, no API, no gate, no rollback."""
    mine, other = two
    view, reader = of_reader(mine), browser(by_link)
    by_link.ports.endpoints.write_lock(a_lock(THIRD_CIRCUIT), etag=None)
    for address in (f"/{view}", f"/releases/{other.release.release_id}{view}", f"/circuits/{THIRD_CIRCUIT}{view}"):
        reply = reader.get(address)
        assert (reply.status, post_forms(reply.text)) == (200, []), address
    token = token_of(view)
    assert reader.get(f"/approvals/{token}").status == 404
    assert reader.get(f"/api/releases{view}").status == 401
    assert reader.get(f"/api/releases/{mine.release.release_id}/evidence.json{view}").status == 401
    fields = {"circuit": str(THIRD_CIRCUIT), "reason": "x", "code": "123456"}
    assert reader.post(f"/rollbacks/new{view}&release={mine.release.release_id}", fields).status == 403
    assert reader.get(f"/rollbacks/new?link={token}").status == 404
    assert mine.now() == mine.gate


def test_the_preview_of_a_rollback_carries_the_readers_link_on_and_shows_what_that_may_show(
    by_link: AppHost, two: tuple[GateAt, GateAt]
) -> None:
    """No fresh link that would outlive it; a link to one release shows that one, whatever the address asks for."""
    mine, other = two
    narrow = f"?{urlsplit(by_link.ports.tokens.view_url(mine.release.release_id)).query}"
    for view, shown in ((of_reader(mine), other), (narrow, mine)):
        page = browser(by_link).get(f"/rollbacks/new{view}&release={other.release.release_id}")
        assert page.status == 200
        assert HREF.findall(page.text)[1:] == [f"/releases/{shown.release.release_id}{view}"]


def test_it_ends_when_its_reader_is_on_neither_list_any_more(by_link: AppHost, two: tuple[GateAt, GateAt]) -> None:
    """R7: a mail is kept, the right to read is not; not even the release it was about."""
    mine, other = two
    for reader in ("former@example.org", ADA.replace("ada", "adam")):
        view = of_reader(mine, reader)
        for address in (
            f"/{view}",
            f"/releases/{mine.release.release_id}{view}",
            f"/releases/{other.release.release_id}{view}",
        ):
            assert browser(by_link).get(address).status == 403, address


def test_where_people_sign_in_a_link_opens_its_own_release_only(by_sign_in: AppHost) -> None:
    """APPROVAL_MODE=entra: whoever wants more signs in; a link from a time before the switch is worth no more."""
    mine, other = by_sign_in.at_gate(), by_sign_in.at_gate()
    view = of_reader(mine)
    assert browser(by_sign_in).get(f"/releases/{mine.release.release_id}{view}").status == 200
    for address in (f"/{view}", f"/releases/{other.release.release_id}{view}"):
        assert browser(by_sign_in).get(address).status == 302, address


def test_no_page_of_a_link_to_one_release_has_a_link_that_its_reader_can_not_open(
    by_link: AppHost, two: tuple[GateAt, GateAt]
) -> None:
    """Nobody is led to a refusal."""
    mine, _ = two
    found = visited(by_link, by_link.ports.tokens.view_url(mine.release.release_id))
    assert {address: status for address, status in found.items() if status != 200} == {}
    assert f"{by_link.url}/" not in {address.partition("?")[0] for address in found}
