"""What is past its time is removed by the timer of the running app; what is kept for the auditor can still be fetched."""

import pytest
from azure.core import MatchConditions
from azure.data.tables import TableServiceClient

from tests.support.pipeline import Pipeline
from tests.support.stories import WITHIN_SECONDS
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.stack, pytest.mark.timeout(WITHIN_SECONDS)]

OLD, YOUNG = "20240101.1", "20240101.2"
LONG_OVER = "2024-01-01T09:00:00.000000Z"


def listed(pipeline: Pipeline) -> dict[str, bool]:
    """The releases of that day, and whether their rows have been removed."""
    reply = pipeline.call("GET", "/api/releases?since=2024-01-01&until=2024-01-01").json()
    return {release["release_id"]: release["rows_removed"] for release in reply["releases"]}


def let_it_be_over_for_long(pipeline: Pipeline, release_id: str) -> None:
    """As if it had ended years ago: the clock of a running app can't be moved, so its row is."""
    with TableServiceClient.from_connection_string(pipeline.stack.table_connection_string) as tables:
        index = tables.get_table_client("index")
        (row,) = index.query_entities(f"release_id eq '{release_id}'")
        row["ended_at"] = LONG_OVER
        index.update_entity(row, match_condition=MatchConditions.IfNotModified, etag=row.metadata["etag"])


def test_the_timer_removes_rows_that_are_past_their_time_and_no_others(pipeline: Pipeline) -> None:
    """RETENTION_ROWS_DAYS from its end, however old its id; the list remembers it, and a second run finds nothing."""
    for release_id in (OLD, YOUNG):
        assert pipeline.call("POST", "/api/releases", {"release_id": release_id, "circuits": []}).status == 202
    wait_until(lambda: listed(pipeline) == {OLD: False, YOUNG: False}, "both are listed")
    let_it_be_over_for_long(pipeline, OLD)
    pipeline.run_timer("remove_expired")
    assert listed(pipeline) == {OLD: True, YOUNG: False}
    assert pipeline.rows(OLD) == {}
    assert pipeline.call("GET", f"/api/releases/{OLD}").status == 404
    assert pipeline.call("GET", f"/api/releases/{YOUNG}").status == 200
    said = [
        line
        for line in pipeline.places.log("app").read_text(encoding="utf-8").splitlines()
        if "action=retention" in line
    ]
    assert "releases=1 rows=1" in said[-1]
    pipeline.run_timer("remove_expired")
    assert listed(pipeline) == {OLD: True, YOUNG: False}
