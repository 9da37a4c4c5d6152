"""Deliberate defects are caught (issue 5.3): the quick ones here, all of them by `make mutants`."""

import shlex
from argparse import ArgumentTypeError
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.simulation.__main__ import main as simulation
from tests.simulation.mutants import (
    BEGIN,
    END,
    MOST_SEEDS,
    MUTANTS,
    NOT_CAUGHT,
    Caught,
    defect_named,
    hunt,
    main,
    row_of,
    rows_in,
    said_of,
    written_into,
)

RELIABILITY = (Path(__file__).resolve().parents[2] / "docs" / "reliability.md").read_text(encoding="utf-8")

DAY = datetime(2026, 12, 1, tzinfo=UTC)
QUICK = 40
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
    return hunt(defect_named(name), QUICK)


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


SHOWN_BY_EVERY_SEED = ["approvals come from anybody", "no gate before the registry"]
"""One that is hunted in a weather of its own, and one in whatever each seed chooses."""


@pytest.mark.parametrize("name", SHOWN_BY_EVERY_SEED)
def test_the_command_printed_with_a_catch_shows_it_again(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """And what that prints is the same command."""
    assert main(["--only", name]) == 0
    printed = capsys.readouterr().out
    command = next(line.strip() for line in printed.splitlines() if "replay: " in line)
    assert simulation(shlex.split(command.removeprefix("replay: "))[3:]) == 1
    head, again, *_ = capsys.readouterr().out.splitlines()
    assert f"with the defect {name!r}" in head
    assert head.partition("): ")[2][:150] in printed
    assert again == command


@pytest.mark.parametrize("asked", [(main, "--only"), (simulation, "--defect")])
def test_a_defect_that_there_is_not_is_refused_with_the_names_of_all(
    asked: tuple[Callable[[Sequence[str]], int], str], capsys: pytest.CaptureFixture[str]
) -> None:
    """To hunt none would look as if all had been caught."""
    command, option = asked
    with pytest.raises(SystemExit, match="2"):
        command([option, "zzz"])
    told = capsys.readouterr().err
    assert [mutant.name for mutant in MUTANTS if mutant.name not in told] == []


def test_part_of_a_name_is_no_name() -> None:
    """A replay is of one defect."""
    with pytest.raises(ArgumentTypeError, match="no gate"):
        defect_named("no gate")


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


def row(*, seeds: int, day: datetime) -> str:
    return row_of(Caught(mutant=MUTANTS[0], seeds=seeds, told="I1: it"), day)


def test_the_sentence_over_the_table_is_true_of_its_rows() -> None:
    """They may be of different days, and a row may say that its defect was missed."""
    today, before = row(seeds=2, day=DAY), row(seeds=3, day=DAY.replace(month=11))
    assert said_of([today, today]).startswith("2 defects, each caught on the day in its row")
    assert "all written on 2026-12-01" in said_of([today, today])
    assert "on different days, 2026-11-01 to 2026-12-01" in said_of([today, before])
    missed = row(seeds=0, day=DAY)
    assert f"| {NOT_CAUGHT} |" in missed
    assert said_of([today, missed, today]).startswith("3 defects, 2 of them caught")


def test_the_document_says_what_is_true_of_its_rows() -> None:
    """A row that somebody has changed by hand, too."""
    assert f"{BEGIN}\n{said_of(list(rows_in(RELIABILITY).values()))}\n" in RELIABILITY


def test_a_table_that_could_not_be_written_is_told_of_before_the_hunt(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A whole hunt takes an hour."""
    document = tmp_path / "reliability.md"
    document.write_text(f"{BEGIN}{END}", encoding="utf-8")
    with pytest.raises(SystemExit, match="2"):
        main(["--only", MUTANTS[1].name, "--write", str(document)])
    assert MUTANTS[0].name in capsys.readouterr().err


def test_a_run_that_missed_one_is_not_written(tmp_path: Path) -> None:
    """What stood there before stays; this defect takes many seeds."""
    document = tmp_path / "reliability.md"
    document.write_text(RELIABILITY, encoding="utf-8")
    assert main(["--only", "everybody writes his own default", "--seeds", "1", "--write", str(document)]) == 1
    assert document.read_text(encoding="utf-8") == RELIABILITY
