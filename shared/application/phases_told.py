"""Phases and rounds by the names that people read."""

from shared.domain.model import Round

ROUND_NAMES = {
    Round.NONE: "",
    Round.INSPECTION: "inspection",
    Round.PROMOTION: "promotion to the Registry",
    Round.TEST: "Test",
    Round.STAGING: "staging in Production",
    Round.ACTIVATION: "activation in Production",
    Round.REVERSION: "reverting Production",
    Round.ROLLBACK: "rollback",
    Round.CHECK: "smoke test after the rollback",
}


def round_name(round_: Round) -> str:
    """Where in the pipeline, for people."""
    return ROUND_NAMES[round_]


def words(phase: str) -> str:
    """A phase's name as people read it."""
    return str(phase).replace("_", " ")
