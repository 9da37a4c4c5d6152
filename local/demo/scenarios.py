"""The stories that the demo can tell, and how each must end."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from local.demo.conditions import Conditions
from local.demo.options import Scenario
from local.demo.releases import PRODUCTION_GATE, Release
from local.samples.dev_build import Trait
from local.stack.azure_names import TEST


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What a scenario prepares, decides and expects."""

    phase: str
    traits: Mapping[tuple[str, str], Trait]
    rejected_gate: str | None = None
    comment: str = ""
    reason_names: tuple[str, ...] = ()
    unseen_cutoff: bool = False
    plants: str = ""
    """The first digit of plants that no other story has; empty: the example's."""
    conditions: Conditions = field(default_factory=Conditions)
    made_by_hand: bool = False
    """The first circuit's endpoints are from before the pipeline."""
    leaves_one_of_each: bool = False
    """Afterwards the Registry, Test and Production are counted through."""
    evidence: tuple[tuple[str, str], ...] = ()
    """Key and text: the first circuit's evidence must say this."""


_REASON = "PLANT001/CIRCUIT02: calibrate the flow sensor first"

_CIRCUIT = ("PLANT001", "CIRCUIT01")
# Each fault is asked in turn; together they hit a tenth of all calls, sign-in included.
ONE_CALL_IN_TEN = (
    {"action": "status", "status": 429, "retry_after": 0.5, "count": None, "probability": 0.03},
    {"action": "status", "status": 500, "count": None, "probability": 0.03},
    {"action": "drop", "count": None, "probability": 0.02},
    {"action": "after_effect", "count": None, "probability": 0.02},
)

STORIES: Mapping[Scenario, Story] = {
    Scenario.SUCCESS: Story(phase="succeeded", traits={}),
    Scenario.SMOKE_FAILURE: Story(
        phase="failed",
        traits={("PLANT002", "CIRCUIT01"): Trait.RAISES_ON_ITS_DATA},
        reason_names=("PLANT002", "CIRCUIT01"),
    ),
    Scenario.NO_VALIDATED_MODEL: Story(
        phase="failed",
        traits={("PLANT001", "CIRCUIT02"): Trait.NEVER_VALIDATED},
        reason_names=("PLANT001", "CIRCUIT02"),
        unseen_cutoff=True,
    ),
    Scenario.REJECTED: Story(
        phase="rejected",
        traits={},
        rejected_gate=PRODUCTION_GATE,
        comment=_REASON,
        reason_names=(_REASON,),
    ),
    Scenario.ROLLBACK: Story(phase="succeeded", traits={}),
    Scenario.TIMEOUT: Story(
        phase="failed",
        traits={_CIRCUIT: Trait.NEVER_ENDS},
        conditions=Conditions(app_settings={"SMOKE_LIMIT_SECONDS": "45"}),
        reason_names=("PLANT001/CIRCUIT01", "did not end within 0:00:45"),
    ),
    Scenario.LOG_ERRORS: Story(
        phase="failed",
        traits={_CIRCUIT: Trait.LOGS_ERRORS},
        reason_names=("PLANT001/CIRCUIT01", "stdout.txt:1: ", "ERROR calibration of the flow sensor is missing"),
    ),
    Scenario.EMPTY_OUTPUT: Story(
        phase="failed",
        traits={_CIRCUIT: Trait.WRITES_NOTHING},
        reason_names=("PLANT001/CIRCUIT01", "predictions.csv holds no rows"),
    ),
    Scenario.SCHEMA_WARNING: Story(
        phase="succeeded",
        traits={_CIRCUIT: Trait.WRITES_WORDS},
        evidence=(("schema", "float64 expected, string found"),),
    ),
    Scenario.REGION_COLLISION: Story(
        phase="failed",
        traits={},
        plants="7",
        conditions=Conditions(azure_ml={"workspaces": [{"name": TEST.name, "region": "westeurope"}]}, fresh_app=True),
        reason_names=("PLANT701/CIRCUIT01", "both lie in westeurope", "TEST_ENDPOINT_TEMPLATE"),
    ),
    Scenario.QUOTA: Story(
        phase="failed",
        traits={},
        plants="6",
        conditions=Conditions(
            app_settings={"ENDPOINT_QUOTA": "2"}, azure_ml={"quotas": {"endpoints_per_region": 2}}, fresh_app=True
        ),
        reason_names=("PLANT601/CIRCUIT01", "need 3, have ", "of at most 2, missing "),
    ),
    Scenario.BROWNFIELD: Story(
        phase="succeeded",
        traits={},
        plants="8",
        made_by_hand=True,
        evidence=(("adopted", "true"), ("live", "made-by-hand"), ("side_by_side", "was not tested by this pipeline")),
    ),
    Scenario.FLAKY_SERVICE: Story(
        phase="succeeded",
        traits={},
        conditions=Conditions(faults=ONE_CALL_IN_TEN),
        leaves_one_of_each=True,
    ),
}


def decision_for(story: Story, gate: str) -> tuple[str, str]:
    """What the demo's own approver decides at a gate, and its comment."""
    if gate == story.rejected_gate:
        return "reject", story.comment
    return "approve", "Reviewed the evidence page."


def complaints(story: Story, release: Release) -> list[str]:
    """How the release's end differs from what the story expects; empty if it does not."""
    found = []
    if release["phase"] != story.phase:
        found.append(f"the release ended {release['phase']}, expected was {story.phase}")
    told = " ".join(reasons(release))
    found += [f"no reason names {name!r}" for name in story.reason_names if name not in told]
    first = release["circuits"][0] if story.evidence else {}
    for key, text in story.evidence:
        said = json.dumps(first.get("evidence", {}).get(key))
        if text not in said:
            found.append(f"the evidence {key!r} of the first circuit does not say {text!r}: {said}")
    return found


def doubles(counts: Mapping[str, Mapping[str, int]]) -> list[str]:
    """What a release has left other than one of each."""
    return [
        f"{circuit} has {count} {what} of this release, not one"
        for circuit, left in counts.items()
        for what, count in left.items()
        if count != 1
    ]


def reasons(release: Release) -> list[str]:
    """Every reason the release gives for how it ended; those of circuits name them."""
    told = [release["reason"], *(circuit["error"] for circuit in release["circuits"])]
    told += [
        f"{gate['gate']}: {decision['decision']} by {decision['by']}: {decision['comment']}"
        for gate in release["gates"]
        for decision in gate["decisions"]
        if decision["decision"] == "reject"
    ]
    return [reason for reason in dict.fromkeys(told) if reason]
