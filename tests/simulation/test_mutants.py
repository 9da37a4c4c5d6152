"""Deliberate defects are caught (issue 5.3): the quick ones here, all of them by `make mutants`."""

import pytest

from tests.simulation.mutants import MUTANTS, Caught, hunt, table

QUICK = 25
"""Seeds; each of the defects below shows much sooner."""
SOON_CAUGHT = (
    "rows are written without their ETag",
    "locks are written without their ETag",
    "op_id is not read again",
    "messages are sent before the row",
    "edges are not whitelisted",
    "messages of the past run steps",
    "redeliveries heal nothing",
    "the cursor's end is not checked",
    "the cursor is written before the page",
    "a failed circuit is not looked for",
    "no gate before the registry",
    "no gate before production",
    "approvals come from anybody",
    "a rollback sets no hold",
    "previous is read after the switch",
    "a redrive keeps its message id",
)
NAMED_IN_THE_ISSUE = {
    "no ETag": "rows are written without their ETag",
    "no op_id re-read": "op_id is not read again",
    "edge not whitelisted": "edges are not whitelisted",
    "cursor's end not checked": "the cursor's end is not checked",
    "lock not released": "locks are never released",
    "want not re-read": "want is not read again",
    "approval bypassed": "approvals come from anybody",
    "digest not compared": "the digest is not compared",
    "previous_deployment read late": "previous is read after the switch",
    "scan before ETag": "scan before the release's ETag",
    "redrive without a new id": "a redrive keeps its message id",
    "gen ignored": "the generation is ignored",
    "dead letter of an old poll counted": "dead letters of the past count",
}


def named(name: str) -> Caught:
    return hunt(next(mutant for mutant in MUTANTS if mutant.name == name), QUICK)


def test_every_defect_that_was_asked_for_is_among_them() -> None:
    """At least twenty, each by a name of its own."""
    names = [mutant.name for mutant in MUTANTS]
    assert set(NAMED_IN_THE_ISSUE.values()) | set(SOON_CAUGHT) <= set(names)
    assert len(names) == len(set(names)) >= 20


@pytest.mark.parametrize("name", SOON_CAUGHT)
def test_a_defect_is_caught_within_a_few_seeds(name: str) -> None:
    """And the same seed is quiet without it."""
    caught = named(name)
    assert caught.seeds, caught.told


def test_a_defect_that_nothing_notices_is_said_to_be_missed() -> None:
    """Or the table would prove nothing."""
    harmless = hunt(MUTANTS[0].of("nothing at all", lambda _patches: None, "quiet"), 3)
    assert (harmless.seeds, harmless.told) == (0, "NOT CAUGHT")
    assert "| nothing at all | **no** |" in table([harmless])
