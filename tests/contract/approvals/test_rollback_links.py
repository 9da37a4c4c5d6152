"""The rollback page by a personal link, on the app as it runs: what it opens, what it does not, and when it is void."""

from dataclasses import replace

from shared.application.ports import Update
from shared.domain.model import Circuit, CircuitPhase, Environment, GateName, ReleasePhase
from shared.domain.naming import deployment_name, release_seq
from tests.support.app_host import ADA, AppHost, GateAt
from tests.support.builders import a_lock, a_run
from tests.support.person import Person

SHARED = Circuit(plant_id="PLANT078", circuit_id="SHARED")
OTHER = Circuit(plant_id="PLANT078", circuit_id="OTHER")


def a_release_of(app: AppHost, *circuits: Circuit) -> GateAt:
    return app.at_gate(GateName.PRODUCTION, *(a_run(circuit, phase=CircuitPhase.TESTED) for circuit in circuits))


def takes(app: AppHost, release_id: str, *circuits: Circuit) -> None:
    """The release is being activated on these."""
    for circuit in circuits:
        stored = app.ports.endpoints.lock(Environment.PRODUCTION, circuit)
        lock = a_lock(circuit, owner=release_id, owner_seq=release_seq(release_id), want=deployment_name(release_id))
        app.ports.endpoints.write_lock(lock, etag=stored.etag if stored else None)


def end(app: AppHost, release_id: str) -> None:
    stored = app.ports.releases.release(release_id)
    assert stored is not None
    app.ports.releases.commit(Update(row=replace(stored.row, phase=ReleasePhase.SUCCEEDED), etag=stored.etag))


def path_of(gate: GateAt, **more: str) -> str:
    url = gate.host.ports.tokens.rollback_link(gate.release.release_id, ADA).url
    return url.removeprefix(gate.host.url) + "".join(f"&{name}={value}" for name, value in more.items())


def test_the_link_of_the_release_before_leads_to_the_one_that_is_being_activated(by_link: AppHost) -> None:
    """Issue 4.4: while it is at work nobody has a mail of its own about it, and the phone has a way in."""
    before, newer, elsewhere = (a_release_of(by_link, circuit) for circuit in (SHARED, SHARED, OTHER))
    newer_id = newer.release.release_id
    lock = a_lock(SHARED, owner=newer_id, owner_seq=release_seq(newer_id), want=deployment_name(newer_id))
    by_link.ports.endpoints.write_lock(lock, etag=None)
    phone = Person(site=by_link.url)
    shown = phone.get(path_of(before))
    assert shown.status == 200
    assert f"Release {newer_id} is newer and is being activated on {SHARED}" in shown.text
    assert f"release={newer_id}" in shown.text
    assert f"release {newer_id}" in phone.get(path_of(before, release=newer_id)).text
    refused = phone.get(path_of(before, release=elsewhere.release.release_id))
    assert (refused.status, "Not what this link opens" in refused.text) == (403, True)
    older = phone.get(path_of(newer, release=before.release.release_id))
    assert older.status == 403


def test_of_a_newer_release_the_link_opens_the_circuits_that_both_have_and_no_other(by_link: AppHost) -> None:
    """Neither shown nor taken from a form; and a link is no way from release to release."""
    before, newer = a_release_of(by_link, SHARED), a_release_of(by_link, SHARED, OTHER)
    newer_id = newer.release.release_id
    takes(by_link, newer_id, SHARED, OTHER)
    phone, path = Person(site=by_link.url), path_of(before, release=newer_id)
    page = phone.get(path)
    assert (page.status, f"release {newer_id} it opens the circuits that both have" in page.text) == (200, True)
    assert (str(SHARED) in page.text, str(OTHER) in page.text) == (True, False)
    tokens, own = by_link.ports.tokens, before.release.release_id
    claim, code = (
        tokens.read_rollback(path.partition("link=")[2].partition("&")[0]),
        tokens.rollback_link(own, ADA).code,
    )
    assert claim is not None
    form = {"csrf": tokens.csrf(claim, phone.cookies["rollback"]), "reason": "wrong forecasts", "code": code}
    refused = phone.post(path, {**form, "circuit": str(OTHER), f"from:{OTHER}": deployment_name(newer_id)})
    assert (refused.status, f"{OTHER}: not what this page is about" in refused.text) == (422, True)
    latest = a_release_of(by_link, OTHER)
    assert phone.get(path_of(before, release=latest.release.release_id)).status == 403


def test_a_link_opens_nothing_of_a_newer_release_that_has_a_mail_of_its_own(by_link: AppHost) -> None:
    """Who keeps an old mail, or finds one, can't undo for 400 days whatever comes after; the page says where to go."""
    before, newer = a_release_of(by_link, SHARED), a_release_of(by_link, SHARED)
    newer_id = newer.release.release_id
    takes(by_link, newer_id, SHARED)
    end(by_link, newer_id)
    phone = Person(site=by_link.url)
    shown = phone.get(path_of(before)).text
    assert f"Release {newer_id} is newer and has been activated since on {SHARED}" in shown
    assert "Its own mail, about how it ended, has the way back." in shown
    assert f"release={newer_id}" not in shown
    for refused in (phone.get(path_of(before, release=newer_id)), phone.post(path_of(before, release=newer_id), {})):
        assert (refused.status, f"Release {newer_id} has ended" in refused.text) == (403, True)
    assert phone.get(path_of(newer)).status == 200


def test_a_drill_is_asked_for_by_its_environment_and_nothing_else_is_taken_for_one(by_link: AppHost) -> None:
    """An address that says test shows Test; one that says nonsense is refused, not taken for production."""
    gate = a_release_of(by_link, OTHER)
    phone = Person(site=by_link.url)
    assert "in Production" in phone.get(path_of(gate)).text
    assert "in Test" in phone.get(path_of(gate, environment="test")).text
    assert phone.get(path_of(gate, environment="tset")).status == 400


def test_a_link_that_is_void_shows_no_form(by_link: AppHost) -> None:
    """Nobody types a reason for nothing."""
    gate = a_release_of(by_link, OTHER)
    stored = by_link.ports.releases.release(gate.release.release_id)
    assert stored is not None
    by_link.ports.releases.commit(Update(row=replace(stored.row, wrong_codes={ADA: 5}), etag=stored.etag))
    shown = Person(site=by_link.url).get(path_of(gate))
    assert (shown.status, "wrong too often" in shown.text, "<form" in shown.text) == (403, True, False)
