"""Releases that must not succeed: each ends where it should, says why, and leaves production alone."""

import pytest

from tests.support.pipeline import PRODUCTION_GATE, REGISTRY_GATE, Pipeline, circuit_in, gate_in
from tests.support.stories import BESIDE_IT, ORDINARY, RAISING, WITHIN_SECONDS, Stories, production_writes

pytestmark = [pytest.mark.stack, pytest.mark.timeout(WITHIN_SECONDS + 60)]


def test_a_model_that_raises_on_its_data_stops_production(pipeline: Pipeline, stories: Stories) -> None:
    """R25-R28, R30: the release fails in Test, names the circuit, and nobody is asked about production."""
    told = stories.smoke_failure.result(WITHIN_SECONDS)
    release = told.release
    assert release["phase"] == "failed"
    assert circuit_in(release, RAISING)["phase"] == "failed"
    assert RAISING in release["reason"]
    assert "smoke" in circuit_in(release, RAISING)["error"].lower()
    assert {gate["gate"] for gate in release["gates"]} == {REGISTRY_GATE}
    assert production_writes(pipeline, told, RAISING, BESIDE_IT) == []


def test_a_failed_circuit_does_not_stop_its_siblings_report(stories: Stories) -> None:
    """D3: the stage runs to its end, so the report tells of every circuit."""
    release = stories.smoke_failure.result(WITHIN_SECONDS).release
    assert circuit_in(release, BESIDE_IT)["phase"] == "tested"
    assert f"   - {RAISING.replace('/', ' / ')}: failed in Test" in release["summary"]
    assert f"   - {BESIDE_IT.replace('/', ' / ')}: tested" in release["summary"]
    assert f"POST /api/releases/{release['release_id']}/retry" in release["summary"]


def test_the_failure_holds_what_the_model_said(stories: Stories) -> None:
    """R27: the lines of the job's own log are part of the message, and the job can be opened from the evidence."""
    failed = circuit_in(stories.smoke_failure.result(WITHIN_SECONDS).release, RAISING)
    assert failed["job_name"]
    assert failed["job_name"] in failed["evidence"]["smoke"]["studio_url"]
    assert "flush" in failed["error"], "the exception's own words"


def test_people_hear_of_the_failure(pipeline: Pipeline, stories: Stories) -> None:
    """The operators' mail names the circuit and the reason."""
    release = stories.smoke_failure.result(WITHIN_SECONDS).release
    told = pipeline.mails_about(release["release_id"], "failed")
    assert "ops@example.org" in {mail.to[0] for mail in told}
    assert all(RAISING.replace("/", " / ") in mail.text or RAISING in mail.text for mail in told)


def test_a_rejection_at_gate_2_ends_the_release(pipeline: Pipeline, stories: Stories) -> None:
    """The decision, its author and the comment are in the history; production is untouched, Test is done."""
    told = stories.rejected.result(WITHIN_SECONDS)
    release = told.release
    assert release["phase"] == "rejected"
    assert f"{PRODUCTION_GATE} was looked at." in release["reason"]
    gate = gate_in(release, PRODUCTION_GATE)
    (decision,) = gate["decisions"]
    assert (gate["state"], decision["decision"]) == ("rejected", "reject")
    assert decision["comment"] == f"{PRODUCTION_GATE} was looked at."
    assert circuit_in(release, ORDINARY)["phase"] == "tested"
    assert production_writes(pipeline, told, ORDINARY) == []
    assert any(decision["by"] in line["by"] for line in release["history"])
