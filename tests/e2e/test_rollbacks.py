"""Two releases, and back: by the API, by the page from the mail, as a drill, with the hold and drift that follow."""

import html
import re
import subprocess
import sys
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from local.demo.forms import post_forms
from local.demo.holds import holds_of
from local.demo.mailbox import Mail
from local.stack.parts import clean_environment
from local.stack.places import ROOT
from tests.support.person import Person
from tests.support.pipeline import (
    AT_PRODUCTION_GATE,
    AT_REGISTRY_GATE,
    PRODUCTION_GATE,
    REGISTRY_GATE,
    Json,
    Pipeline,
    circuit_in,
    entry,
    writes,
)
from tests.support.stories import NEW, ONE, OTHER, Stories
from tests.support.waiting import wait_until
from tests.support.wire import WireReply

WITHIN_SECONDS = 300
pytestmark = [pytest.mark.stack, pytest.mark.timeout(WITHIN_SECONDS + 60)]

ENDPOINT = "be-plant301-circuit01"
WHY = {"reason": "predictions are off", "requested_by": "olga"}
LINK = re.compile(r"https?://\S+/rollbacks/new\?link=\S+")
CODE = re.compile(r"^Code: (\d{6})\s*$", re.MULTILINE)


@pytest.fixture(scope="module")
def releases(stories: Stories) -> list[str]:
    """Two releases of the same two circuits; the second brings a new one along. No demo runs any more."""
    stories.there_and_back.result(WITHIN_SECONDS)
    return [told.release["release_id"] for told in stories.twice.result(WITHIN_SECONDS)]


@pytest.fixture(scope="module")
def later(pipeline: Pipeline, releases: list[str]) -> Iterator[Pipeline]:
    """The stack after both; holds that tests leave are lifted again, for other tests read summaries."""
    assert len(releases) == 2
    yield pipeline
    for circuit in (ONE, OTHER):
        pipeline.call("POST", f"/api/circuits/{circuit}/hold", {"action": "lift", **WHY})


def deployment(release_id: str) -> str:
    return f"deployment-{release_id.replace('.', '-')}"


def asked(circuit: str) -> Json:
    plant_id, _, circuit_id = circuit.partition("/")
    return {"plant_id": plant_id, "circuit_id": circuit_id}


def ask(pipeline: Pipeline, body: Json) -> WireReply:
    return pipeline.call("POST", "/api/rollbacks", {**WHY, **body})


def followed(pipeline: Pipeline, rollback_id: str) -> Json:
    """The rollback, once it has ended."""

    def look() -> Json | None:
        found: Json = pipeline.call("GET", f"/api/rollbacks/{rollback_id}").json()
        return found if found["ended_at"] else None

    return wait_until(look, f"{rollback_id} has ended", 120)


def production(pipeline: Pipeline, circuit: str = ONE) -> Json:
    found: Json = pipeline.call("GET", f"/api/circuits/{circuit}").json()["production"]
    return found


def about_success(pipeline: Pipeline, release_id: str) -> Mail:
    """The mail that says a release is live."""

    def look() -> Mail | None:
        found = (m for m in pipeline.mails() if "live in Production" in m.subject and release_id in m.subject)
        return next(found, None)

    return wait_until(look, "the mail about the success")


def test_a_first_release_has_nothing_to_go_back_to(later: Pipeline) -> None:
    """D6: 409, and the reason."""
    reply = ask(later, {"circuits": [asked(NEW)]})
    assert reply.status == 409
    assert "first deployment" in reply.json()["detail"]
    assert "Nothing was changed" in reply.json()["detail"]


def test_the_release_page_leads_to_the_same_page_to_look_at(later: Pipeline, releases: list[str]) -> None:
    """Whoever has only the link to the release sees what would go back, and is sent to their own mail to confirm."""
    mail = about_success(later, releases[1])
    release_page = re.search(r"https?://\S+/releases/\S+\?view=\S+", mail.text)
    assert release_page
    person = Person(site=later.stack.app_url)
    link = re.search(r'href="(/rollbacks/new\?[^"]+)"', person.get(release_page.group()).text)
    assert link
    address = f"{later.stack.app_url}{html.unescape(link.group(1))}"
    page = person.get(address)
    assert page.status == 200
    assert "To confirm, open the link" in page.text
    assert person.post(address, {"circuit": ONE, "reason": "try", "csrf": "x"}).status == 403


def test_a_drill_measures_the_same_path_and_leaves_production_alone(later: Pipeline, releases: list[str]) -> None:
    """`environment: test`: not one write to mlw-prod, no hold; the drill of the first release's deployment."""
    began = later.azure_ml_position()
    reply = ask(later, {"circuits": [asked(ONE)], "environment": "test"})
    assert reply.status == 202, reply.text
    drill = followed(later, reply.json()["rollback_id"])

    assert (drill["phase"], drill["environment"], drill["within_goal"]) == ("succeeded", "test", True)
    assert drill["circuits"][0]["to"] == deployment(releases[0])
    entries = later.azure_ml(began)
    assert writes(entries, "mlw-prod", ENDPOINT) == []
    assert len(writes(entries, "mlw-test", ENDPOINT)) == 1
    assert (production(later)["want"], production(later)["hold"]) == (deployment(releases[1]), None)


def test_one_call_puts_a_circuit_back_within_two_minutes_by_one_write(later: Pipeline, releases: list[str]) -> None:
    """R42-R44; a double click is the same rollback, and a caller who is late is shown it."""
    began = later.azure_ml_position()
    body = {"circuits": [asked(ONE)], "from": deployment(releases[1])}
    started = ask(later, body)
    twice = ask(later, body)
    assert (started.status, twice.status) == (202, 200), twice.text
    assert twice.json()["rollback_id"] == started.json()["rollback_id"]
    rollback = followed(later, started.json()["rollback_id"])

    (circuit,) = rollback["circuits"]
    assert (rollback["phase"], circuit["phase"], circuit["error"]) == ("succeeded", "restored", "")
    assert (circuit["from"], circuit["to"]) == (deployment(releases[1]), deployment(releases[0]))
    assert 0 < circuit["seconds"] <= rollback["seconds"] <= rollback["goal_seconds"] == 120
    in_production = [e for e in later.azure_ml(began) if e["scope"] == "mlw-prod"]
    about = [e for e in in_production if ENDPOINT in e["path"] or e["operation"] == "workspaces.get"]
    assert len(about) <= 5, [(e["method"], e["path"]) for e in about]
    changed = [e for e in later.azure_ml(began) if e["kind"] == "write" and e["scope"] == "mlw-prod"]
    assert [(e["operation"], ENDPOINT in e["path"]) for e in changed if "plant301" in e["path"]] == [
        ("endpoints.put", True)
    ]
    assert later.live_defaults(ONE, OTHER) == {ONE: deployment(releases[0]), OTHER: deployment(releases[1])}
    outdated = ask(later, {**body, "reason": "I have seen it too"})
    assert (outdated.status, outdated.json()["rollback_id"]) == (200, rollback["rollback_id"])
    run = circuit_in(later.release(releases[1]) or {}, ONE)
    assert run["phase"] == "rolled_back"


def test_people_are_told_with_the_seconds_and_the_goal(later: Pipeline, releases: list[str]) -> None:
    """R44 in the mail, and the open hold with it."""
    assert releases
    rollback_id = production(later)["owner"]

    def look() -> str | None:
        found = [mail.text for mail in later.mails() if rollback_id in mail.subject]
        return found[0] if found else None

    text = wait_until(look, "the mail about the rollback")
    assert "within the goal of 120 s" in text
    assert f"{ONE}: held since" in text
    assert f"/rollbacks/{rollback_id}?view=" in text


def test_from_the_mail_to_the_confirmed_rollback_there_are_three_pages(later: Pipeline, releases: list[str]) -> None:
    """Link, form, status; a wrong code changes nothing, and looking changes nothing."""
    mail = about_success(later, releases[1])
    link, code = LINK.search(mail.text), CODE.search(mail.text)
    assert link
    assert code
    person, began = Person(site=later.stack.app_url), later.azure_ml_position()
    page = person.get(link.group())
    assert page.status == 200, page.text[:500]
    assert OTHER in page.text
    assert deployment(releases[0]) in page.text
    (form,) = post_forms(page.text)
    fields = {**form.fields, "circuit": OTHER, "reason": "forecast off since midnight", "smoke_test": "yes"}

    assert person.post(link.group(), {**fields, "code": "nope"}).status == 403
    stranger = Person(site=later.stack.app_url)
    assert stranger.post(link.group(), {**fields, "code": code.group(1)}).status == 403
    foreign = {**fields, "code": code.group(1)}
    assert person.post(link.group(), foreign, Origin="https://evil.example").status == 403
    assert writes(later.azure_ml(began), "mlw-prod", "plant301") == []

    sent = person.post(link.group(), {**fields, "code": code.group(1)})
    assert sent.status == 303, sent.text[:500]
    status = person.get(sent.headers["Location"])
    assert status.status == 200
    rollback = followed(later, urlsplit(sent.headers["Location"]).path.rpartition("/")[2])
    assert rollback["phase"] == "succeeded"
    assert f"by the link sent to {mail.to[0]}" in rollback["requested_by"]
    assert [c["circuit_id"] for c in rollback["circuits"]] == ["CIRCUIT02"]
    again = person.post(link.group(), {**fields, "code": code.group(1)})
    assert again.headers["Location"].partition("?")[0] == sent.headers["Location"].partition("?")[0]
    smoke_tested(later, rollback, began)
    assert "passed" in person.get(sent.headers["Location"]).text


def smoke_tested(pipeline: Pipeline, rollback: Json, began: int) -> None:
    """What was restored is scored in Test by its name; beyond the one switch Production is not touched (R43)."""

    def look() -> Json | None:
        found: Json = pipeline.call("GET", f"/api/rollbacks/{rollback['rollback_id']}").json()
        return found if found["smoke_test"]["phase"] not in {"waiting", "checking"} else None

    ended = wait_until(look, "the smoke test after the rollback has ended", 120)
    assert {**ended, "smoke_test": None} == {**rollback, "smoke_test": None}
    assert ended["smoke_test"]["phase"] == "succeeded", ended["smoke_test"]
    (circuit,) = ended["smoke_test"]["circuits"]
    assert (circuit["deployment"], circuit["phase"]) == (rollback["circuits"][0]["to"], "tested")
    assert circuit["rows"] > 0
    written = [e for e in pipeline.azure_ml(began) if e["kind"] == "write" and "plant301" in e["path"]]
    assert [(e["scope"], e["operation"]) for e in written] == [("mlw-prod", "endpoints.put")]


def test_held_circuits_are_left_out_of_the_next_release_until_the_hold_is_lifted(later: Pipeline) -> None:
    """Said at inspection and at gate 2, by the demo too; the others go on; the summary lists the open holds."""
    (hold,) = holds_of(later.stack, [entry(NEW), entry(ONE), entry("PLANT999/CIRCUIT01")])
    assert f"{hold}".startswith(f"{ONE}: held until ")
    assert f"{hold}".endswith(f": {WHY['reason']}")
    release_id = later.start(ONE, NEW)
    for gate, phase in ((REGISTRY_GATE, AT_REGISTRY_GATE), (PRODUCTION_GATE, AT_PRODUCTION_GATE)):
        later.wait_phase(release_id, phase, within_seconds=WITHIN_SECONDS)
        invited = next(iter(later.invitations(release_id, gate).values()))
        assert "because predictions are off" in Person(site=later.stack.app_url).get(invited.link).text
        later.answer(release_id, gate)
    release = later.wait_phase(release_id, "succeeded", within_seconds=WITHIN_SECONDS)

    assert (circuit_in(release, ONE)["phase"], circuit_in(release, NEW)["phase"]) == ("excluded", "live")
    assert f"{ONE}: held since" in release["summary"]
    lifted = later.call("POST", f"/api/circuits/{ONE}/hold", {"action": "lift", **WHY})
    assert (lifted.status, lifted.json()["held_until"]) == (200, None)
    assert production(later)["hold"] is None


def look_for_drift(pipeline: Pipeline) -> None:
    """One whole look: the timer only begins it, a message does it."""
    pipeline.run_timer("look_for_drift")

    def nothing_waits() -> bool:
        control = pipeline.queues()["control"]
        return control["active"] + control["locked"] == 0

    wait_until(nothing_waits, "the endpoints were compared")


def test_a_default_changed_outside_is_told_once_and_put_right_when_asked(later: Pipeline, releases: list[str]) -> None:
    """Drift: found by the timer, mailed to operators, in the health, repaired through the API."""
    azure_ml = later.stack.azure_ml
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.meddler", azure_ml.subscription_id, ENDPOINT, deployment(releases[1])],
        env=clean_environment() | {**azure_ml.env, "PYTHONWARNINGS": "ignore"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    for _ in range(2):
        look_for_drift(later)
    assert f"{deployment(releases[1])} is live" in production(later)["drift"]["what"]
    assert later.call("GET", "/api/health", key="").json() == {"status": "degraded"}
    details = later.call("GET", "/api/health/details").json()["details"]
    assert [line for line in details["drift"] if line.startswith(f"{ONE}: {deployment(releases[1])} is live")]

    def told() -> list[str]:
        return [mail.text for mail in later.mails() if "Changed outside the pipeline" in mail.subject]

    wait_until(told, "the mail about the drift")
    repaired = later.call("POST", f"/api/circuits/{ONE}/drift/repair", WHY)
    assert repaired.status == 202, repaired.text

    def healed() -> bool:
        later.run_timer("see_repairs_through")
        return production(later)["drift"] is None

    wait_until(healed, "the default is put right")
    assert later.live_defaults(ONE) == {ONE: deployment(releases[0])}
    assert later.call("GET", "/api/health", key="").json()["status"] == "ok"
    assert later.call("POST", f"/api/circuits/{ONE}/drift/accept", WHY).status == 409
    assert len([text for text in told() if ONE in text]) == 1
