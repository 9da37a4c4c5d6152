"""Unit: two tables of predictions beside each other."""

import pytest

from shared.domain.comparison import compare
from shared.domain.predictions import read_predictions

OLD = b"0,1.0,test_input.csv\n1,2.0,test_input.csv\n2,3.0,test_input.csv\n3,nan,test_input.csv\n"


def told(new: bytes, old: bytes = OLD, *, complete: bool = True) -> str:
    return str(compare(read_predictions(new, complete=complete), read_predictions(old)))


def test_equal_predictions_are_equal_however_they_are_written() -> None:
    """NaN is like NaN, and the last digits of a number are the writer's."""
    new = b"row,prediction\n0,1\n1,2.0000000001\n2,3e0\n3,\n"
    found = compare(read_predictions(new), read_predictions(OLD))
    assert found.is_equal
    assert (found.rows, found.differ) == (4, 0)


def test_differences_are_counted_averaged_and_the_largest_is_told() -> None:
    """Rows that differ, mean and largest absolute difference over all rows with numbers."""
    found = compare(read_predictions(b"0,1.0\n1,2.5\n2,2.0\n3,nan\n"), read_predictions(OLD))
    assert (found.differ, found.mean, found.largest) == (2, 0.5, 1.0)
    assert not found.is_equal
    assert str(found) == "2 of 4 rows differ, by 0.5 on average, by 1 at most"


def test_a_number_that_became_a_hole_differs() -> None:
    """It has no distance, and is not the same."""
    assert told(b"0,nan\n1,2.0\n2,3.0\n3,nan\n") == "1 of 4 rows differ, by 0 on average, by 0 at most"


def test_words_differ_without_a_distance() -> None:
    """Classes have no mean."""
    assert told(b"0,high\n1,low\n", b"0,high\n1,high\n") == "1 of 2 rows differ"


@pytest.mark.parametrize(
    ("new", "said"),
    [
        (b"0,1.0\n1,2.0\n", "0 of 2 rows differ, 2 rows instead of 4"),
        (b"0,1.0,5\n1,2.0,5\n2,3.0,5\n3,nan,5\n", "2 columns instead of 1"),
        (b"0,1.0\n", "1 row instead of 4"),
        (b"", "0 of 0 rows differ, 0 rows instead of 4"),
    ],
)
def test_tables_of_different_shape_say_so(new: bytes, said: str) -> None:
    """And are never called equal."""
    assert said in told(new)
    assert not compare(read_predictions(new), read_predictions(OLD)).is_equal


def test_a_file_read_in_part_is_compared_in_part() -> None:
    """Predictions are kept up to a MiB."""
    assert told(b"0,1.0\n1,2.0\n", complete=False) == "0 of 2 rows differ, only the beginning of the files was compared"
