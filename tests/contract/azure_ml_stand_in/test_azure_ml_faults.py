"""Faults on demand, as the real client meets them, and the journal of what happened."""

from time import monotonic

import pytest
import requests
from azure.ai.ml.entities import BatchEndpoint
from azure.core.exceptions import HttpResponseError, ServiceRequestError, ServiceResponseError
from azure_ml_estate import StandIn, arm, datastore, endpoint_in, settled_endpoint, workspace

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


def test_a_senseless_fault_or_setting_is_refused(stand_in: StandIn) -> None:
    """Better than one that never strikes."""
    for path, body in (
        ("faults", {"action": "explode"}),
        ("faults", {"action": "drop", "match": {"verb": "GET"}}),
        ("settings", {"durations": {"endpoint_cretae": 1}}),
        ("settings", {"no_such_thing": 1}),
    ):
        assert requests.post(f"{stand_in.admin_url}/{path}", json=body, timeout=10).status_code == 400, body


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
