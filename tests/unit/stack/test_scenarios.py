"""What each scenario expects, and how the demo notices that it came otherwise."""

from typing import Any

import pytest

from local.demo.manifest import Artifact, of_plants
from local.demo.options import Scenario
from local.demo.scenarios import STORIES, complaints, decision_for, doubles


def a_release(phase: str, **changes: Any) -> dict[str, Any]:
    """A release as the API shows it."""
    circuits = [
        {"plant_id": "PLANT001", "circuit_id": "CIRCUIT02", "phase": "failed", "error": changes.pop("error", None)}
    ]
    return {"release_id": "20251210.1", "phase": phase, "reason": "", "circuits": circuits, "gates": [], **changes}


def test_success_is_only_success() -> None:
    """Any other phase is a complaint that names both."""
    story = STORIES[Scenario.SUCCESS]
    assert complaints(story, a_release("succeeded")) == []
    assert complaints(story, a_release("failed")) == ["the release ended failed, expected was succeeded"]


def test_a_failure_must_name_the_circuit_it_is_about() -> None:
    """The right phase without the reason is not enough."""
    story = STORIES[Scenario.NO_VALIDATED_MODEL]
    assert complaints(story, a_release("failed", error="PLANT001/CIRCUIT02: no validated model")) == []
    assert complaints(story, a_release("failed")) != []


def test_a_rejection_must_carry_the_comment() -> None:
    """What the approver wrote is the reason people look for."""
    story = STORIES[Scenario.REJECTED]
    decision = {"decision": "reject", "by": "ada@example.org", "comment": story.comment}
    gates = [{"gate": "production-approval", "state": "rejected", "decisions": [decision]}]
    assert complaints(story, a_release("rejected", gates=gates)) == []
    assert complaints(story, a_release("rejected")) != []


@pytest.mark.parametrize("scenario", list(Scenario))
def test_only_the_rejected_story_says_no_and_only_at_the_second_gate(scenario: Scenario) -> None:
    """Every other decision is an approval."""
    answers = {gate: decision_for(STORIES[scenario], gate)[0] for gate in ("registry-approval", "production-approval")}
    second = "reject" if scenario is Scenario.REJECTED else "approve"
    assert answers == {"registry-approval": "approve", "production-approval": second}


def test_a_warning_that_is_not_in_the_evidence_is_a_complaint() -> None:
    """The release succeeded, and nobody was told why it should not have: that is not the story."""
    story = STORIES[Scenario.SCHEMA_WARNING]
    silent = a_release("succeeded")
    assert complaints(story, silent) != []
    silent["circuits"][0]["evidence"] = {"schema": {"changed": ["prediction: float64 expected, string found"]}}
    assert complaints(story, silent) == []


def test_two_jobs_where_one_was_meant_are_a_complaint() -> None:
    """A flaky service must not leave doubles, nor less than was promised."""
    left = {"PLANT001/CIRCUIT01": {"model versions": 1, "kept smoke jobs": 2, "deployments in Test": 0}}
    assert doubles(left) == [
        "PLANT001/CIRCUIT01 has 2 kept smoke jobs of this release, not one",
        "PLANT001/CIRCUIT01 has 0 deployments in Test of this release, not one",
    ]


def test_a_story_may_have_plants_of_its_own() -> None:
    """Names of models follow, as the artifact demands."""
    entry = {"plant_id": "PLANT001", "circuit_id": "CIRCUIT01", "model_name": "plant001-circuit01"}
    artifact = Artifact(release_id="20251210.1", build_id="1", content={"circuits": [entry]})
    assert of_plants(artifact, "7").content["circuits"] == [
        {"plant_id": "PLANT701", "circuit_id": "CIRCUIT01", "model_name": "plant701-circuit01"}
    ]


@pytest.mark.parametrize("scenario", list(Scenario))
def test_one_call_in_ten_is_one_call_in_ten(scenario: Scenario) -> None:
    """Faults are asked in turn: what the first lets pass, the next may hit."""
    passed = 1.0
    for fault in STORIES[scenario].conditions.faults:
        passed *= 1 - fault["probability"]
    assert round(1 - passed, 2) == (0.1 if scenario is Scenario.FLAKY_SERVICE else 0)
