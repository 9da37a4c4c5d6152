"""A batch job's predictions.csv as a table, in each form the service writes it.

The documentation shows three: comma-separated with or without a header, and one Python list per line; it warns that
the file "may not be a regular CSV file". Values stay text.
"""

import ast
import csv
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

BOOKKEEPING = frozenset({"", "row", "index", "input_row", "file", "filename", "file_name", "status"})
"""Columns the batch driver adds; everything else is what the model returned."""
HEADER_WORDS = BOOKKEEPING - {""} | {"prediction", "predictions"}
FAILED_ROW = re.compile(r"status['\"]?\s*[=:]\s*['\"]?failed", re.IGNORECASE)
FILE_VALUE = re.compile(r".+\.(csv|parquet|json|txt)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of text; `header` is empty if the file has none."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    complete: bool = True
    """False: only the file's beginning was read."""

    def failed_rows(self) -> tuple[int, ...]:
        """Numbers (from 1) of rows that say they failed: a job is Completed although its rows are not."""
        at = self.header.index("status") if "status" in self.header else None
        return tuple(number for number, row in enumerate(self.rows, 1) if _has_failed(row, at))

    def outputs(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """What the model returned, column by column: (name, values); without a header the names are empty."""
        width = max((len(row) for row in self.rows), default=0)
        columns = [tuple(row[n] if n < len(row) else "" for row in self.rows) for n in range(width)]
        if self.header:
            named = zip(self.header, columns, strict=False)
            return tuple((name, values) for name, values in named if name not in BOOKKEEPING)
        return tuple(("", values) for values in _without_bookkeeping(columns))


def read_predictions(content: bytes, *, complete: bool = True) -> Table:
    """Parse predictions.csv, or its beginning (then the last, perhaps broken, line is left away)."""
    lines = [line for line in content.decode("utf-8-sig", errors="replace").splitlines() if line.strip()]
    if not complete and not content.endswith(b"\n"):
        lines = lines[:-1]
    rows = [_cells(line) for line in lines]
    header = tuple(name.lower() for name in rows[0]) if rows and _is_header(rows[0]) else ()
    return Table(header=header, rows=tuple(rows[1:] if header else rows), complete=complete)


def is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True


def is_hole(value: str) -> bool:
    """Empty, NaN or infinite: no prediction."""
    return (
        not value or value.lower() in {"none", "null", "<na>"} or (is_number(value) and not math.isfinite(float(value)))
    )


def type_of(values: Sequence[str]) -> str:
    """`integer`, `double` or `string`, by how the values are written; empty: there are none."""
    if not values:
        return ""
    if not all(is_number(value) for value in values):
        return "string"
    return "integer" if all(float(value).is_integer() for value in values) else "double"


def _cells(line: str) -> tuple[str, ...]:
    text = line.strip()
    if text.startswith("[") and text.endswith("]"):
        return _literal_cells(text)
    separator = "," if "," in text or " " not in text else " "
    return tuple(cell.strip() for cell in next(csv.reader([text], delimiter=separator)))


def _literal_cells(text: str) -> tuple[str, ...]:
    try:
        values = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        values = text[1:-1].split(",")  # a bare nan is no Python literal
    return tuple(str(value).strip().strip("'\"") for value in values)


def _is_header(cells: Sequence[str]) -> bool:
    return any(cell.lower() in HEADER_WORDS for cell in cells) and not any(is_number(cell) for cell in cells)


def _has_failed(row: Sequence[str], status_at: int | None) -> bool:
    if status_at is not None and status_at < len(row) and row[status_at].lower() == "failed":
        return True
    return any(cell.lower() == "failed" or FAILED_ROW.search(cell) for cell in row)


def _without_bookkeeping(columns: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Leave away columns of file names, and a leading column that only counts the rows."""
    left = [values for values in columns if not all(FILE_VALUE.fullmatch(value) for value in values)]
    if len(left) > 1 and all(value.isdigit() for value in left[0]):
        return left[1:]
    return left
