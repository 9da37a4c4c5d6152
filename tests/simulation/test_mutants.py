"""Deliberate defects are caught (issue 5.3): the quick ones here, all of them by `make mutants`."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.simulation.mutants import (
    BEGIN,
    END,
    MOST_SEEDS,
    MUTANTS,
    Caught,
    hunt,
    main,
    row_of,
    rows_in,
    written_into,
)

RELIABILITY = (Path(__file__).resolve().parents[2] / "docs" / "reliability.md").read_text(encoding="utf-8")

DAY = datetime(2026, 12, 1, tzinfo=UTC)
QUICK = 25
"""Seeds; each of the defects below shows much sooner."""
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
SOON_CAUGHT = (
    *NAMED_IN_THE_ISSUE.values(),
    "locks are written without their ETag",
    "messages are sent before the row",
    "messages of the past run steps",
    "redeliveries heal nothing",
    "the cursor is written before the page",
    "a failed circuit is not looked for",
    "no gate before the registry",
    "no gate before production",
    "a rollback sets no hold",
    "activations overwrite changes",
)


def named(name: str) -> Caught:
    return hunt(next(mutant for mutant in MUTANTS if mutant.name == name), QUICK)


def test_every_defect_that_was_asked_for_is_among_them() -> None:
    """At least twenty, each by a name of its own."""
    names = [mutant.name for mutant in MUTANTS]
    assert set(SOON_CAUGHT) <= set(names)
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
    assert row_of(harmless, DAY) == "| nothing at all | all |  | **no** | NOT CAUGHT | 2026-12-01 |"


def test_the_documented_table_is_of_every_defect_as_it_is_hunted() -> None:
    """A defect that is new, renamed or hunted elsewhere needs `make mutants ONLY=…` once more."""
    rows = rows_in(RELIABILITY)
    assert list(rows) == [mutant.name for mutant in MUTANTS]
    for mutant in MUTANTS:
        _, nets, weather, seed, told, _ = rows[mutant.name].strip("| ").split(" | ")
        assert nets in mutant.nets
        assert weather in mutant.profiles or mutant.profiles == ("",)
        assert 1 <= int(seed) <= MOST_SEEDS
        assert told


def test_a_run_replaces_its_own_rows_and_leaves_the_rest() -> None:
    """What stands in the document is what the command printed, on the day it did."""
    (found,) = [Caught(mutant=MUTANTS[1], seeds=2, told="I1: it", weather="quiet")]
    text = written_into(RELIABILITY, [found], DAY)
    own = f"| {MUTANTS[1].name} | all | quiet | 2 | I1: it | 2026-12-01 |"
    assert rows_in(text) == rows_in(RELIABILITY) | {MUTANTS[1].name: own}
    assert written_into(text, [found], DAY) == text
    assert text.partition(BEGIN)[0] == RELIABILITY.partition(BEGIN)[0]
    assert text.partition(END)[2] == RELIABILITY.partition(END)[2] != ""


def test_a_table_without_one_of_the_defects_is_not_written() -> None:
    """Or it would say more than was seen."""
    with pytest.raises(KeyError, match=MUTANTS[0].name):
        written_into(f"{BEGIN}{END}", [Caught(mutant=MUTANTS[1], seeds=2, told="I1: it")], DAY)


def test_a_run_that_missed_one_is_not_written(tmp_path: Path) -> None:
    """What stood there before stays."""
    document = tmp_path / "reliability.md"
    document.write_text(RELIABILITY, encoding="utf-8")
    assert main(["--seeds", "0", "--write", str(document)]) == 1
    assert document.read_text(encoding="utf-8") == RELIABILITY
