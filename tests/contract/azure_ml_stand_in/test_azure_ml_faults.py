"""Faults on demand, as the real client meets them, and the journal of what happened."""

from time import monotonic

import pytest
import requests
from azure.ai.ml.entities import BatchEndpoint
from azure.core.exceptions import HttpResponseError, ServiceRequestError, ServiceResponseError
from azure_ml_estate import ELSEWHERE, SCOPES, StandIn, arm, datastore, endpoint_in, settled_endpoint, workspace

GET_WORKSPACE = {"operation": "endpoints.list"}


def _look() -> list[object]:
    return list(workspace("mlw-test").batch_endpoints.list())


def test_a_status_fault_strikes_as_often_as_it_says(stand_in: StandIn) -> None:
    """429 with Retry-After once, then the service is itself again."""
    with stand_in.fault(match=GET_WORKSPACE, action="status", status=429, retry_after=7, count=1):
        with pytest.raises(HttpResponseError) as refusal:
            _look()
        _look()
    assert (refusal.value.status_code, refusal.value.response.headers["Retry-After"]) == (429, "7")


ROUTES = {
    "workspaces.get": ("mlw-test", ""),
    "computes.get": ("mlw-prod", "/computes/batch-cluster"),
    "datastores.get": ("mlw-test", "/datastores/workspaceblobstore"),
    "models.versions": ("mlw-dev", "/models/any-model/versions"),
    "endpoints.list": ("mlw-test", "/batchEndpoints"),
    "jobs.list": ("mlw-test", "/jobs"),
}


@pytest.mark.parametrize(("operation", "status"), list(zip(ROUTES, [429, 500, 503] * 2, strict=True)))
def test_a_fault_strikes_one_route_and_counts(stand_in: StandIn, operation: str, status: int) -> None:
    """Twice if it says two; other routes never see it."""
    others = next(place for name, place in ROUTES.items() if name != operation)
    match = {"operation": operation, "path_regex": f"/workspaces/{ROUTES[operation][0]}"}
    with stand_in.fault(match=match, action="status", status=status, retry_after=3, count=2):
        elsewhere = arm("GET", *others).status_code
        seen = [arm("GET", *ROUTES[operation]) for _ in range(3)]
    assert elsewhere == 200
    assert [reply.status_code for reply in seen] == [status, status, 200]
    assert [reply.headers.get("Retry-After") for reply in seen] == ["3", "3", None]


@pytest.mark.parametrize("count", [1, 2])
def test_creations_get_stuck_as_often_as_the_fault_says(stand_in: StandIn, unique: str, count: int) -> None:
    """The first ones stay in Creating for ever, the next one succeeds; the stuck ones are no longer usable."""
    names = [f"be-{unique}-{number}" for number in range(count + 1)]
    with stand_in.fault(match={"operation": "endpoints.put"}, action="stick", count=count):
        for name in names:
            workspace("mlw-test").batch_endpoints.begin_create_or_update(BatchEndpoint(name=name))
    assert settled_endpoint("mlw-test", names[-1]).provisioning_state == "Succeeded"
    states = {workspace("mlw-test").batch_endpoints.get(name).provisioning_state for name in names[:-1]}
    assert states == {"Creating"}


def test_a_dropped_connection_is_one(stand_in: StandIn) -> None:
    """Nothing comes back, and the journal says so with status 0."""
    before = stand_in.last_entry()
    with (
        stand_in.fault(match={"path_regex": "management.azure.com/.*/batchEndpoints$"}, action="drop"),
        pytest.raises((ServiceRequestError, ServiceResponseError)),
    ):
        _look()
    entry = next(one for one in stand_in.journal(before) if one["operation"] == "endpoints.list")
    assert (entry["status"], entry["fault"]) == (0, "drop")


def test_an_effect_can_precede_the_error(stand_in: StandIn, unique: str) -> None:
    """The client sees 503; the endpoint is there all the same."""
    with (
        stand_in.fault(match={"operation": "endpoints.put"}, action="after_effect", status=503),
        pytest.raises(HttpResponseError) as refusal,
    ):
        workspace("mlw-test").batch_endpoints.begin_create_or_update(BatchEndpoint(name=f"be-{unique}"))
    assert refusal.value.status_code == 503
    assert workspace("mlw-test").batch_endpoints.get(f"be-{unique}").name == f"be-{unique}"


def test_a_delay_delays(stand_in: StandIn) -> None:
    """Slow, and right in the end."""
    with stand_in.fault(match=GET_WORKSPACE, action="delay", seconds=0.5):
        began = monotonic()
        _look()
    assert monotonic() - began >= 0.5


def test_blob_requests_can_be_struck_too(stand_in: StandIn) -> None:
    """The relay obeys the same faults."""
    fault = {"match": {"path_regex": "mlwteststorage", "method": "PUT"}, "action": "status", "status": 403}
    with datastore("mlw-test") as container, stand_in.fault(**fault), pytest.raises(HttpResponseError) as refusal:
        container.upload_blob("never", b"written")
    assert refusal.value.status_code == 403


SENSELESS = (
    ("faults", {"action": "explode"}, "action: Input should be 'status', 'drop'"),
    ("faults", {"action": "drop", "match": {"verb": "GET"}}, "match.verb: Extra inputs are not permitted"),
    ("faults", {"action": "drop", "match": {"path_regex": "("}}, "match.path_regex: Input should be a valid regular"),
    ("faults", {"action": "drop", "probability": 7}, "probability: Input should be less than or equal to 1 (given: 7)"),
    ("faults", {"action": "status", "status": "abc"}, "status: Input should be a valid integer (given: 'abc')"),
    ("faults", {"action": "drop", "count": "x"}, "count: Input should be a valid integer"),
    ("faults", {"action": "delay", "seconds": -1}, "seconds: Input should be greater than or equal to 0"),
    ("faults", {"action": "status"}, "action 'status' needs a status from 400 to 599"),
    ("settings", {"durations": {"endpoint_cretae": 1}}, "durations.endpoint_cretae: unknown; known are cluster_idle"),
    ("settings", {"no_such_thing": 1}, "no_such_thing: unknown; known are durations"),
    ("settings", ["page_size"], "must be a JSON object"),
    ("settings", {"page_size": 0}, "page_size: Input should be greater than or equal to 1 (given: 0)"),
    ("settings", {"token_seconds": "a"}, "token_seconds: Input should be a valid integer (given: 'a')"),
    ("settings", {"workspaces": [{"name": "mlw-test", "region": ""}]}, "workspaces.mlw-test.region: String should"),
    ("settings", {"durations": {"job_cancel": -1}}, "durations.job_cancel: Input should be greater than or equal to 0"),
    ("settings", {"quotas": {"endpoints_per_region": "x"}}, "quotas.endpoints_per_region: Input should be a valid int"),
    (
        "settings",
        {"identities": [{"name": "app", "blob_roles": {"mlw-dev": "king"}}]},
        "identities.app.blob_roles.mlw-dev: Input should be 'none', 'read', 'upload' or 'write' (given: 'king')",
    ),
    (
        "settings",
        {"workspaces": [{"name": "mlw-test", "computes": [{"name": "batch-cluster", "max_nodes": 0}]}]},
        "workspaces.mlw-test.computes.batch-cluster.max_nodes: Input should be greater than or equal to 1",
    ),
    (
        "settings",
        {"workspaces": [{**ELSEWHERE, "name": "mlw-unknown", "storage_account": "nobodysaccount"}]},
        "workspaces.mlw-unknown.storage_account: Azurite does not take 'nobodysaccount'",
    ),
)


@pytest.mark.parametrize(("path", "body", "said"), SENSELESS, ids=[said[:40] for *_, said in SENSELESS])
def test_a_senseless_fault_or_setting_is_refused(stand_in: StandIn, path: str, body: object, said: str) -> None:
    """Better than a fault that never strikes; the field is named with what it may be, and nothing is kept."""
    before = requests.get(f"{stand_in.admin_url}/settings", timeout=10).json()
    reply = requests.post(f"{stand_in.admin_url}/{path}", json=body, timeout=10)
    requests.delete(f"{stand_in.admin_url}/faults", timeout=10)
    assert (reply.status_code, said in reply.json()["error"]) == (400, True), reply.text
    assert requests.get(f"{stand_in.admin_url}/settings", timeout=10).json() == before


def test_a_workspace_that_is_added_can_be_used_at_once(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its containers are made with it, as those of all others were at the start."""
    added = {**ELSEWHERE, "name": "mlw-added"}
    monkeypatch.setitem(SCOPES, "mlw-added", added)
    rights = [{"name": "app", "rights": {"mlw-added": "write"}}]
    try:
        with stand_in.settings(workspaces=[added], identities=rights), datastore("mlw-added") as container:
            container.upload_blob("row.csv", b"a,b\n")
    finally:
        requests.delete(f"{stand_in.admin_url}/settings", timeout=10)


def test_the_journal_tells_writes_from_reads_by_scope_and_identity(stand_in: StandIn, unique: str) -> None:
    """So that 'no write to mlw-prod' is a check and not a hope."""
    before = stand_in.last_entry()
    endpoint_in("mlw-test", f"be-{unique}")
    workspace("mlw-prod").batch_endpoints.list()
    with datastore("mlw-dev", "builder") as container:
        container.upload_blob(f"{unique}.csv", b"a,b\n")
    entries = stand_in.journal(before)
    writes = {(one["scope"], one["operation"], one["identity"]) for one in entries if one["kind"] == "write"}
    assert writes == {("mlw-test", "endpoints.put", "app")}
    assert {one["scope"] for one in entries if one["kind"] == "blob-write"} == {"mlw-dev"}
    put = next(one for one in entries if one["operation"] == "endpoints.put")
    assert (put["method"], put["status"], put["query"]["api-version"]) == ("PUT", 201, "2023-10-01")


def test_the_journal_counts_and_keeps_no_signatures(stand_in: StandIn) -> None:
    """Counts by kind, operation and scope; a signed link never stands in it."""
    before = stand_in.last_entry()
    with datastore("mlw-test") as container:
        list(container.list_blob_names())
    counts = requests.get(f"{stand_in.admin_url}/journal/counts?after={before}", timeout=10).json()
    assert counts["by_kind"]["blob-read"] == 1
    assert counts["by_operation"]["datastores.secrets"] == 1
    assert counts["by_scope"]["mlw-test"]["blob-read"] == 1
    blob = next(one for one in stand_in.journal(before) if one["kind"] == "blob-read")
    assert blob["query"]["sig"] == "..."
