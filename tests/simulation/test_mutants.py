"""Deliberate defects are caught (issue 5.3): the quick ones here, all of them by `make mutants`."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.simulation.mutants import BEGIN, END, MOST_SEEDS, MUTANTS, Caught, hunt, main, table, written_into

RELIABILITY = (Path(__file__).resolve().parents[2] / "docs" / "reliability.md").read_text(encoding="utf-8")

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
    assert "| nothing at all | all |  | **no** |" in table([harmless])


def test_the_documented_table_is_of_every_defect_as_it_is_hunted() -> None:
    """A defect that is new, renamed or hunted elsewhere needs `make mutants` once more."""
    rows = [line.strip("| ").split(" | ") for line in RELIABILITY.partition(BEGIN)[2].splitlines() if " | " in line]
    assert [row[0] for row in rows[2:]] == [mutant.name for mutant in MUTANTS]
    for mutant, (_, nets, weather, seed, told) in zip(MUTANTS, rows[2:], strict=True):
        assert nets in mutant.nets
        assert weather in mutant.profiles or mutant.profiles == ("",)
        assert 1 <= int(seed) <= MOST_SEEDS
        assert told


def test_a_new_table_takes_the_place_of_the_old_one_and_leaves_the_rest() -> None:
    """What stands in the document is what the command printed."""
    found = [Caught(mutant=mutant, seeds=n, told="I1: it", weather="quiet") for n, mutant in enumerate(MUTANTS, 1)]
    once = written_into(RELIABILITY, found, datetime(2026, 12, 1, tzinfo=UTC))
    assert f"{len(MUTANTS)} defects on 1 December 2026, each caught" in once
    assert f"| {MUTANTS[1].name} | all | quiet | 2 | I1: it |" in once
    assert written_into(once, found, datetime(2026, 12, 1, tzinfo=UTC)) == once
    assert once.partition(BEGIN)[0] == RELIABILITY.partition(BEGIN)[0]
    assert once.partition(END)[2] == RELIABILITY.partition(END)[2] != ""


@pytest.mark.parametrize("arguments", [["--only", "slots are never freed"], ["--seeds", "0"]])
def test_only_a_whole_run_that_missed_nothing_is_written(arguments: list[str], tmp_path: Path) -> None:
    """Or the table would say more than was seen."""
    document = tmp_path / "reliability.md"
    document.write_text(RELIABILITY, encoding="utf-8")
    main([*arguments, "--write", str(document)])
    assert document.read_text(encoding="utf-8") == RELIABILITY
