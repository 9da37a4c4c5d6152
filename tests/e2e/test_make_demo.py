"""`make demo` as a person types it, against the running stack; and what is left when every release has ended."""

import re

import pytest

from tests.support.pipeline import Pipeline, circuit_in
from tests.support.stories import FIRST_CIRCUIT, WITHIN_SECONDS, Stories
from tests.support.summaries import MOMENT, SUMMARY

BESIDE_FIRST = "PLANT001/CIRCUIT02"
ROLLED_BACK = re.compile(
    r"^Rollback rollback-\w+ succeeded: (?P<seconds>[\d.]+) s from the request to the verified default; the goal is 120 s\n"
    r"  (?P<circuit>\S+): (?P<source>\S+) -> (?P<target>\S+), restored, [\d.]+ s$",
    re.MULTILINE,
)
pytestmark = [pytest.mark.stack, pytest.mark.timeout(WITHIN_SECONDS + 60)]


def test_the_demo_command_succeeds_and_prints_the_summary(stories: Stories) -> None:
    """A second `make demo` right after the first: the next release number, exit 0, the document's layout."""
    demo = stories.second.result(WITHIN_SECONDS)
    assert demo.code == 0, demo.output[-3000:]
    deployed_at = MOMENT.search(demo.output.partition("Deployed At: ")[2])
    assert deployed_at
    assert SUMMARY.format(release_id="20251210.2", build_id="12346", deployed_at=deployed_at.group()) in demo.output
    for counted in ("Table requests", "Service Bus sends", "Azure ML calls", "Function invocations"):
        assert counted in demo.output
    assert "Not in it, the demo's own looks (" in demo.output
    assert "get_release" not in demo.output, "who looks is not what the release costs"
    assert "\nStop         make down STACK_DIR=" in demo.output, "the stack was up before, and stays"


def test_the_demo_of_a_failure_exits_with_1_and_says_why(pipeline: Pipeline, stories: Stories) -> None:
    """`make demo AUTO=1 SCENARIO=no-validated-model`: non-zero, the circuit, the candidates, no write to production."""
    demo = stories.no_validated_model.result(WITHIN_SECONDS)
    # make turns the command's own 1 into its 2, and says which it was.
    assert demo.code == 2, demo.output[-3000:]
    assert "Error 1" in demo.output
    failed = [release for release in pipeline.releases(phase="failed") if "PLANT001/CIRCUIT02" in release["reason"]]
    assert len(failed) == 1
    assert f"Release {failed[0]['release_id']} ended failed" in demo.output
    assert "PLANT001/CIRCUIT02" in demo.output
    release = pipeline.release(failed[0]["release_id"])
    assert release
    assert release["gates"] == []
    error = circuit_in(release, "PLANT001/CIRCUIT02")["error"]
    assert "validated" in error
    assert all(f"version {version}" in error or f" {version}" in error for version in ("1", "2", "3"))


def test_the_demo_of_a_rollback_puts_one_circuit_back_and_prints_the_seconds(
    pipeline: Pipeline, stories: Stories
) -> None:
    """R42-R44, issue 4.7: two releases, one call, exit 0; what is live is asked of the service, not of the app."""
    demo = stories.there_and_back.result(WITHIN_SECONDS)
    assert demo.code == 0, demo.output[-3000:]
    told = ROLLED_BACK.search(demo.output)
    assert told, demo.output[-3000:]
    assert 0 < float(told["seconds"]) <= 120
    assert told["circuit"] == FIRST_CIRCUIT
    assert told["source"] != told["target"]
    assert demo.output.count("\nUploading ") == 2
    assert "✅ Production Deployment Complete!" in demo.output
    assert "no release activates the circuit now" in demo.output
    live = pipeline.live_defaults(FIRST_CIRCUIT, BESIDE_FIRST)
    assert live == {FIRST_CIRCUIT: told["target"], BESIDE_FIRST: told["source"]}


def test_no_message_is_left_over_and_none_is_dead(pipeline: Pipeline, stories: Stories) -> None:
    """When everything has ended the queues are empty: no chain of polls goes on, nothing was given up."""
    stories.all_told()
    for name, counts in pipeline.queues().items():
        assert counts["dead_letter"] == 0, name
    failed = {name: counts["failed"] for name, counts in pipeline.invocations().items() if counts["failed"]}
    assert failed == {}, "no function invocation failed"
