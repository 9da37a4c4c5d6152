"""The HTTP API as builds and operators call it, each reply checked against the published OpenAPI document."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate as validate_openapi

from tests.support.pipeline import AT_REGISTRY_GATE, REGISTRY_GATE, Json, Pipeline, circuit_in, entry, gate_in
from tests.support.stories import NEVER_VALIDATED, VALIDATED, WITHIN_SECONDS, Stories
from tests.support.waiting import wait_until
from tests.support.wire import WireReply, exchange

pytestmark = [pytest.mark.stack, pytest.mark.timeout(WITHIN_SECONDS)]

UNKNOWN = "PLANT910/CIRCUIT01"
BY_CAROL = {"requested_by": "carol", "reason": "the tests ask for it"}


@pytest.fixture(scope="module")
def document(pipeline: Pipeline) -> Json:
    """The OpenAPI document as the app serves it, to anyone."""
    reply = pipeline.call("GET", "/api/openapi.json", key="")
    assert (reply.status, reply.media_type) == (200, "application/json")
    found: Json = reply.json()
    return found


def conforms(document: Json, schema: str, body: object) -> None:
    """Fails with the place where the body is not as the document says."""
    checked = {"$ref": f"#/components/schemas/{schema}", "components": document["components"]}
    Draft202012Validator(checked).validate(body)


def is_problem(document: Json, reply: WireReply, status: int) -> str:
    """An RFC 9457 reply of this status; returns what it says."""
    assert (reply.status, reply.media_type) == (status, "application/problem+json"), reply.text[:300]
    body: Json = reply.json()
    conforms(document, "Problem", body)
    assert body["status"] == status
    assert reply.headers["x-content-type-options"] == "nosniff"
    return f"{body['title']}: {body['detail']}"


def test_the_document_is_valid_openapi(document: Json) -> None:
    """Tools can read it."""
    validate_openapi(document)
    assert document["openapi"].startswith("3.1")


def test_nothing_is_open_without_the_key(pipeline: Pipeline, document: Json) -> None:
    """Every operation that asks for the key answers 401 without it and with a wrong one; the others do not."""
    asked = 0
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if method not in {"get", "post"}:
                continue
            url = path.replace("{id}", "20260101.1").replace("{plant}", "P").replace("{circuit}", "C")
            url = url.replace("{token}", "no-token")
            for key in ("", "wrong"):
                status = pipeline.call(method.upper(), url, {} if method == "post" else None, key=key).status
                assert (status == 401) == bool(operation.get("security")), f"{method} {path}: {status}"
            asked += bool(operation.get("security"))
    assert asked >= 6


def test_a_key_in_the_address_of_a_page_is_not_needed_and_opens_nothing(pipeline: Pipeline) -> None:
    """Pages are for people with a link or a sign-in."""
    assert pipeline.call("GET", f"/?code={pipeline.stack.function_key}", key="").status == 403
    assert pipeline.call("GET", "/releases/20260101.1", key=pipeline.stack.function_key).status == 403


def test_a_release_is_started_by_hand(pipeline: Pipeline, document: Json) -> None:
    """202 with the address of its status; the same again 200; other content under the id 409; the first stays."""
    release_id = pipeline.fresh_id()
    body = {"release_id": release_id, "build_id": 4711, "requested_by": "carol", "circuits": [entry(UNKNOWN)]}
    started = pipeline.call("POST", "/api/releases", body)
    assert started.status == 202, started.text
    conforms(document, "Started", started.json())
    assert started.json()["release_id"] == release_id
    assert started.json()["status_url"] == started.headers["location"]
    assert started.json()["status_url"] == f"{pipeline.stack.app_url}/api/releases/{release_id}"
    release = pipeline.wait_phase(release_id, "failed")
    assert (release["build_id"], release["requested_by"]) == ("4711", "carol")
    again = pipeline.call("POST", "/api/releases", body)
    assert (again.status, again.json()) == (200, started.json())
    other = pipeline.call("POST", "/api/releases", {**body, "build_id": "4712"})
    assert release_id in is_problem(document, other, 409)
    assert pipeline.release(release_id) == release


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"{", "no JSON"),
        (b"", "empty"),
        ({"circuits": [entry(UNKNOWN)]}, "release_id is missing"),
        ({"release_id": "tomorrow", "circuits": []}, "tomorrow"),
        ({"release_id": "20260101.1", "circuits": [{"plant_id": "P", "circuit_id": "C"}]}, "cutoff_date is missing"),
        ({"release_id": "20260101.1", "circuits": [entry(UNKNOWN), entry(UNKNOWN)]}, UNKNOWN),
    ],
    ids=["broken", "empty", "no id", "no release id", "no cutoff date", "twice"],
)
def test_a_body_that_cannot_be_used_is_refused_to_the_caller(
    pipeline: Pipeline, document: Json, body: object, says: str
) -> None:
    """422 with the reason; nothing is recorded and nobody is mailed: the caller knows."""
    before = len(pipeline.releases(phase="invalid"))
    told = is_problem(document, pipeline.call("POST", "/api/releases", body), 422)
    assert says in told
    assert "Upload it as releases/{release_id}/{build_id}/changed_circuits.json" in told
    assert len(pipeline.releases(phase="invalid")) == before


def test_releases_are_listed_and_filtered(pipeline: Pipeline, document: Json) -> None:
    """By phase and circuit, newest first, in pages whose cursor leads through all of them."""
    ids = [pipeline.fresh_id() for _ in range(3)]
    for release_id in ids:
        circuits = [entry(UNKNOWN)] if release_id == ids[1] else []
        assert pipeline.call("POST", "/api/releases", {"release_id": release_id, "circuits": circuits}).status == 202
    pipeline.wait_phase(ids[1], "failed")
    listed = pipeline.call("GET", "/api/releases?limit=200").json()
    conforms(document, "ReleaseList", listed)
    told = [release["release_id"] for release in listed["releases"]]
    assert [release_id for release_id in told if release_id in ids] == ids[::-1], "newest first"
    assert {release["phase"] for release in pipeline.releases(phase="nothing_to_do")} == {"nothing_to_do"}
    with_circuit = [release["release_id"] for release in pipeline.releases(circuit=UNKNOWN)]
    assert ids[1] in with_circuit
    assert not {ids[0], ids[2]} & set(with_circuit)
    paged: list[str] = []
    cursor = ""
    while True:
        page = pipeline.call("GET", f"/api/releases?limit=2&cursor={cursor}").json()
        assert len(page["releases"]) <= 2
        paged += [release["release_id"] for release in page["releases"]]
        if not (cursor := page["cursor"]):
            break
    assert [release_id for release_id in paged if release_id in told] == told
    assert len(paged) == len(set(paged))


@pytest.mark.parametrize(
    "query",
    [
        "phase=done",
        "since=soon",
        "until=2025-13-01",
        "plant=P&circuit=Q/C",
        "limit=0",
        "limit=201",
        "limit=ten",
        "limit=-1",
        "limit=%C2%B2",
        "circuit=PLANT001",
        "cursor=%00nonsense",
    ],
)
def test_a_filter_that_means_nothing_is_refused(pipeline: Pipeline, document: Json, query: str) -> None:
    """400, and what would have been possible."""
    is_problem(document, pipeline.call("GET", f"/api/releases?{query}"), 400)


@pytest.mark.parametrize(
    "release_id", ["20991231.1", "x", "%27", "a%20or%20b", "%2e%2e", "20251210.1%27%20or%20%271%27%20eq%20%271"]
)
def test_an_unknown_release_is_not_found(pipeline: Pipeline, document: Json, release_id: str) -> None:
    """Whatever the id looks like: it is compared, never interpreted."""
    is_problem(document, pipeline.call("GET", f"/api/releases/{release_id}"), 404)
    for operation in ("retry", "cancel"):
        is_problem(document, pipeline.call("POST", f"/api/releases/{release_id}/{operation}", BY_CAROL), 404)


def test_a_release_is_told_as_the_document_says(pipeline: Pipeline, stories: Stories, document: Json) -> None:
    """Every field of running, failed and succeeded releases is in the schema, and none is missing."""
    succeeded = stories.first.result(WITHIN_SECONDS).release
    failed = stories.smoke_failure.result(WITHIN_SECONDS).release
    for release in (succeeded, failed):
        conforms(document, "Release", release)
    assert set(succeeded) == documented(document, "Release")
    assert set(succeeded["circuits"][0]) == documented(document, "CircuitRun")
    assert set(succeeded["gates"][0]) == documented(document, "Gate")


def documented(document: Json, name: str) -> set[str]:
    """The fields of a schema and of those it is made of."""
    schema = document["components"]["schemas"][name]
    parts = [part["$ref"].rpartition("/")[2] for part in schema.get("allOf", ()) if "$ref" in part]
    own = [schema, *(part for part in schema.get("allOf", ()) if "$ref" not in part)]
    return {field for part in own for field in part.get("properties", {})}.union(
        *(documented(document, p) for p in parts)
    )


@pytest.mark.parametrize("operation", ["retry", "cancel"])
@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{", {}, {"requested_by": "carol"}, {**BY_CAROL, "reason": " "}, {**BY_CAROL, "force": True}],
    ids=["empty", "list", "broken", "no reason", "still none", "blank reason", "unknown field"],
)
def test_an_operation_needs_a_reason(pipeline: Pipeline, document: Json, operation: str, body: object) -> None:
    """422 before anything is looked at."""
    is_problem(document, pipeline.call("POST", f"/api/releases/20991231.1/{operation}", body), 422)


def test_only_what_has_failed_can_be_retried(pipeline: Pipeline, document: Json) -> None:
    """409 with the phase it is in; neither can an ended release be cancelled."""
    release_id = pipeline.fresh_id()
    pipeline.call("POST", "/api/releases", {"release_id": release_id, "circuits": []})
    before = pipeline.rows(release_id)
    for operation in ("retry", "cancel"):
        told = is_problem(document, pipeline.call("POST", f"/api/releases/{release_id}/{operation}", BY_CAROL), 409)
        assert "nothing_to_do" in told
    assert pipeline.rows(release_id) == before


def test_a_release_without_a_validated_model_goes_on_with_the_others(
    pipeline: Pipeline, stories: Stories, document: Json
) -> None:
    """R11, R58: it fails by name; a retry that excludes the circuit with a reason asks gate 1 about the rest."""
    stories.built.result(WITHIN_SECONDS)
    release_id = pipeline.start(NEVER_VALIDATED, VALIDATED)
    failed = pipeline.wait_phase(release_id, "failed")
    error = circuit_in(failed, NEVER_VALIDATED)["error"]
    assert "validated" in error
    assert failed["gates"] == []
    unknown = {**BY_CAROL, "exclude": {"PLANT1/OTHER": "why"}}
    assert "PLANT1/OTHER" in is_problem(document, retry(pipeline, release_id, unknown), 422)
    no_reason = {**BY_CAROL, "exclude": {NEVER_VALIDATED: " "}}
    is_problem(document, retry(pipeline, release_id, no_reason), 422)
    is_problem(document, retry(pipeline, release_id, {**BY_CAROL, "exclude": {"PLANT1": "why"}}), 400)
    assert pipeline.release(release_id) == failed

    taken = retry(pipeline, release_id, {**BY_CAROL, "exclude": {NEVER_VALIDATED: "no data yet"}})
    assert taken.status == 202, taken.text
    conforms(document, "Moved", taken.json())
    waiting = pipeline.wait_phase(release_id, AT_REGISTRY_GATE)
    assert waiting["exclusions"] == {NEVER_VALIDATED: "no data yet"}
    assert waiting["gen"] == failed["gen"] + 1
    assert {c["circuit_id"]: c["phase"] for c in waiting["circuits"]} == {
        "CIRCUIT01": "excluded",
        "CIRCUIT02": "inspected",
    }
    chosen = circuit_in(failed, VALIDATED)["model"]
    assert circuit_in(waiting, VALIDATED)["model"] == chosen, "green results are reused"
    assert chosen["source_version"]
    asked = pipeline.invitations(release_id, REGISTRY_GATE)
    page = exchange("GET", next(iter(asked.values())).link, headers={"Accept": "text/html"}).text
    assert "no data yet" in page, "the gate shows what was left out"
    assert any("carol" in line["by"] and "the tests ask for it" in line["why"] for line in waiting["history"])
    mails_are_sent_again(pipeline, document, release_id)
    cancel_at_the_gate(pipeline, document, release_id)


def retry(pipeline: Pipeline, release_id: str, body: Json) -> WireReply:
    return pipeline.call("POST", f"/api/releases/{release_id}/retry", body)


def mails_are_sent_again(pipeline: Pipeline, document: Json, release_id: str) -> None:
    """Everybody gets a new mail with a link of their own; the old link says so, and the history who asked for it."""
    before = pipeline.invitations(release_id, REGISTRY_GATE)
    place = f"/api/releases/{release_id}/gates"
    taken = pipeline.call("POST", f"{place}/{REGISTRY_GATE}/notices", BY_CAROL)
    assert taken.status == 202, taken.text
    conforms(document, "MailsSent", taken.json())
    assert set(taken.json()["recipients"]) == set(before)
    wait_until(
        lambda: all(
            again.link != before[person].link
            for person, again in pipeline.invitations(release_id, REGISTRY_GATE).items()
        ),
        "everybody has another link",
    )
    person, again = next(iter(pipeline.invitations(release_id, REGISTRY_GATE).items()))
    old = exchange("GET", before[person].link, headers={"Accept": "text/html"})
    assert (old.status, "This link has been replaced." in old.text) == (409, True)
    assert exchange("GET", again.link, headers={"Accept": "text/html"}).status == 200
    history = pipeline.release(release_id)["history"]
    assert any("mails sent again to" in line["why"] and "carol" in line["by"] for line in history)
    is_problem(document, pipeline.call("POST", f"{place}/production-approval/notices", BY_CAROL), 404)
    is_problem(document, pipeline.call("POST", f"{place}/side-door/notices", BY_CAROL), 404)
    is_problem(document, pipeline.call("POST", f"{place}/{REGISTRY_GATE}/notices", {"requested_by": "carol"}), 422)


def cancel_at_the_gate(pipeline: Pipeline, document: Json, release_id: str) -> None:
    """A cancelled release ends at once, its gate is void, and it cannot be cancelled again."""
    taken = pipeline.call("POST", f"/api/releases/{release_id}/cancel", BY_CAROL)
    assert taken.status == 202, taken.text
    conforms(document, "Cancelled", taken.json())
    release = pipeline.wait_phase(release_id, "cancelled")
    assert gate_in(release, REGISTRY_GATE)["state"] == "void"
    assert "the tests ask for it" in release["reason"]
    assert "no data yet" in release["summary"]
    is_problem(document, pipeline.call("POST", f"/api/releases/{release_id}/cancel", BY_CAROL), 409)
    too_late = pipeline.call("POST", f"/api/releases/{release_id}/gates/{REGISTRY_GATE}/notices", BY_CAROL)
    is_problem(document, too_late, 409)
    told = wait_until(lambda: pipeline.mails_about(release_id, "cancelled"), "the mail about the cancellation")
    assert told


def test_a_circuits_history_is_told_as_the_document_says(pipeline: Pipeline, stories: Stories, document: Json) -> None:
    """What is wanted, who owns the endpoint, and the activations."""
    stories.first.result(WITHIN_SECONDS)
    reply = pipeline.call("GET", "/api/circuits/PLANT002/CIRCUIT01")
    conforms(document, "Circuit", reply.json())
    assert reply.json()["production"]["want"].startswith("deployment-20251210-")
    newest = reply.json()["production"]["ledger"][0]
    then = pipeline.call("GET", f"/api/circuits/PLANT002/CIRCUIT01?at={newest['activated_at']}").json()
    conforms(document, "Circuit", then)
    assert "at" not in reply.json()
    assert (then["at"]["deployment"], then["at"]["since"]) == (newest["deployment"], newest["activated_at"])
    assert pipeline.call("GET", "/api/circuits/PLANT002/CIRCUIT01?at=2020-01-01").json()["at"] is None
    for wrong in ("2099-01-01", "yesterday"):
        is_problem(document, pipeline.call("GET", f"/api/circuits/PLANT002/CIRCUIT01?at={wrong}"), 400)


def test_a_circuit_that_nobody_knows_is_not_found(pipeline: Pipeline, document: Json) -> None:
    """A mistyped id must not look like a circuit that was never released."""
    told = is_problem(document, pipeline.call("GET", f"/api/circuits/{UNKNOWN}"), 404)
    assert UNKNOWN in told


def test_the_health_is_told_to_anyone(pipeline: Pipeline, document: Json) -> None:
    """`ok` or `degraded`; what is wrong needs the key."""
    reply = pipeline.call("GET", "/api/health", key="")
    body: dict[str, Any] = reply.json()
    conforms(document, "Health", body)
    assert (reply.status, body) == (200, {"status": "ok"}), json.dumps(body)
    details = pipeline.call("GET", "/api/health/details")
    conforms(document, "HealthDetails", details.json())
    assert (details.status, details.json()) == (200, {"status": "ok", "details": {}})


@pytest.mark.parametrize(("method", "path"), [("DELETE", "/api/releases"), ("PUT", "/api/releases/1"), ("GET", "/api")])
def test_what_is_not_in_the_document_is_not_there(pipeline: Pipeline, method: str, path: str) -> None:
    """The host answers 404, as in Azure, for another method too."""
    assert pipeline.call(method, path).status == 404
