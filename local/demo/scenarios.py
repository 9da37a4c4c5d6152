"""The stories that the demo can tell, and how each must end."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from local.demo.releases import PRODUCTION_GATE, Release
from local.samples.dev_build import Trait


class Scenario(StrEnum):
    """Names as SCENARIO takes them."""

    SUCCESS = "success"
    SMOKE_FAILURE = "smoke-failure"
    NO_VALIDATED_MODEL = "no-validated-model"
    REJECTED = "rejected"
    ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What a scenario prepares, decides and expects."""

    phase: str
    traits: Mapping[tuple[str, str], Trait]
    rejected_gate: str | None = None
    comment: str = ""
    reason_names: tuple[str, ...] = ()
    unseen_cutoff: bool = False


_REASON = "PLANT001/CIRCUIT02: calibrate the flow sensor first"

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
    return found


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
