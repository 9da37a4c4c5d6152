"""Every requirement, decision, known failure and invariant has a test that says that it shows it."""

from pathlib import Path

import pytest

from tools.requirements import empty_rows, known_numbers, numbers_in, requirements, shown

SERIES = {"R": 59, "D": 14, "F": 12, "I": 10}


def test_the_list_of_requirements_is_complete() -> None:
    """Every number of each series, once."""
    numbers = known_numbers()
    assert sorted(numbers) == sorted(f"{kind}{n}" for kind, last in SERIES.items() for n in range(1, last + 1))


def test_every_requirement_has_a_test_that_names_it() -> None:
    """Whoever removes the last one removes the requirement, and that is a decision."""
    assert empty_rows(shown()) == [], "no test's docstring names these"


def test_no_test_names_a_requirement_that_does_not_exist() -> None:
    """A slip of the pen would look like a shown requirement."""
    assert set(shown()) - set(known_numbers()) == set()


def test_every_row_of_the_document_leads_to_a_test() -> None:
    """Each number stands in a row of its own, with at least one link to a file of tests."""
    rows = [line.split(" | ") for line in requirements().splitlines() if line.startswith("| ")]
    by_number = {row[0].removeprefix("| "): row[-1] for row in rows}
    assert set(known_numbers()) <= set(by_number)
    assert [number for number in known_numbers() if "](../tests/" not in by_number[number]] == []


@pytest.mark.parametrize(
    ("sentence", "numbers"),
    [
        ("R25: to the second.", {"R25"}),
        ("R13-R15, D12: same name.", {"R13", "R14", "R15", "D12"}),
        ("R22, R25-28: and more.", {"R22", "R25", "R26", "R27", "R28"}),
        ("Known failure 12: not undone.", {"F12"}),
        ("Known failures 2 and 3.", {"F2", "F3"}),
        ("Circuit C1 of PLANT001 in row d1, at HTTP/1.1.", set()),
    ],
)
def test_what_a_docstring_names_is_read_as_it_is_meant(sentence: str, numbers: set[str]) -> None:
    """Numbers, ranges, and the two ways to name known failures."""
    assert numbers_in(sentence) == numbers


def test_a_requirement_without_a_test_is_noticed(tmp_path: Path) -> None:
    """One test that names two numbers leaves every other row empty; text that is no test's docstring shows nothing."""
    (tmp_path / "test_it.py").write_text(
        '"""R1: what a module says about itself is no test."""\n'
        'def helper():\n    """R2"""\n'
        'def test_it():\n    """R3, known failure 4."""\n'
        'def test_more():\n    assert "R5"\n',
        encoding="utf-8",
    )
    found = shown(tmp_path)
    assert {number: [one.name for one in tests] for number, tests in found.items()} == {
        "R3": ["test_it"],
        "F4": ["test_it"],
    }
    assert set(known_numbers()) - set(empty_rows(found)) == {"R3", "F4"}
