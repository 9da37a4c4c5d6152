"""What each scenario expects, and how the demo notices that it came otherwise."""

from typing import Any

import pytest

from local.demo.scenarios import STORIES, Scenario, complaints, decision_for


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
