"""The rollback page by a personal link, on the app as it runs: what it opens, what it does not, and when it is void."""

from dataclasses import replace

from shared.application.ports import Update
from shared.domain.model import Circuit, CircuitPhase, GateName
from shared.domain.naming import deployment_name, release_seq
from tests.support.app_host import ADA, AppHost, GateAt
from tests.support.builders import a_lock, a_run
from tests.support.person import Person

SHARED = Circuit(plant_id="PLANT078", circuit_id="SHARED")
OTHER = Circuit(plant_id="PLANT078", circuit_id="OTHER")


def a_release_of(app: AppHost, circuit: Circuit) -> GateAt:
    return app.at_gate(GateName.PRODUCTION, a_run(circuit, phase=CircuitPhase.TESTED))


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
