"""A batch job's predictions.csv as a table, in each form the service writes it.

The documentation shows three: comma-separated with or without a header, and one Python list per line; it warns that
the file "may not be a regular CSV file". Values stay text.
"""

import ast
import csv
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

BOOKKEEPING = frozenset({"", "row", "index", "input_row", "file", "filename", "file_name", "status"})
"""Columns the batch driver adds; everything else is what the model returned."""
HEADER_WORDS = BOOKKEEPING - {""} | {"prediction", "predictions"}
BYTE_ORDER_MARK = "\ufeff"
MOST_FAILED_TOLD = 5
FAILED_ROW = re.compile(r"status['\"]?\s*[=:]\s*['\"]?failed", re.IGNORECASE)
FILE_VALUE = re.compile(r".+\.(csv|parquet|json|txt)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of text; `header` is empty if the file has none."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    complete: bool = True
    """False: only the file's beginning was read."""

    def outputs(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """What the model returned, column by column: (name, values); without a header the names are empty."""
        width = max((len(row) for row in self.rows), default=0)
        columns = [tuple(row[n] if n < len(row) else "" for row in self.rows) for n in range(width)]
        if self.header:
            named = zip(self.header, columns, strict=False)
            return tuple((name, values) for name, values in named if name not in BOOKKEEPING)
        return tuple(("", values) for values in _without_bookkeeping(columns))


@dataclass(frozen=True, slots=True, kw_only=True)
class RowScan:
    """What every row of the file says of itself: a job is Completed although its rows are not."""

    total: int = 0
    failed: int = 0
    first_failed: tuple[int, ...] = ()
    """Numbers (from 1) of the first rows that say they failed."""


@dataclass(slots=True)
class _Failed:
    """Rows by number: how many, and the first of them."""

    count: int = 0
    first: tuple[int, ...] = ()

    def add(self, row: int) -> None:
        self.count += 1
        if len(self.first) < MOST_FAILED_TOLD:
            self.first = (*self.first, row)

    def __add__(self, other: "_Failed") -> "_Failed":
        return _Failed(self.count + other.count, tuple(sorted(self.first + other.first)[:MOST_FAILED_TOLD]))


def scan_rows(lines: Iterable[str]) -> RowScan:
    """Look at each row once and keep none, so that a file of any size can be looked at."""
    rows = (_cells(text) for line in lines if (text := line.lstrip(BYTE_ORDER_MARK)).strip())
    top = next(rows, ())
    header = [name.lower() for name in top] if _is_header(top) else []
    status_at = header.index("status") if "status" in header else None
    certain, lone = _Failed(), _Failed()
    has_numbers, total = False, 0
    for total, row in enumerate(rows if header or not top else chain([top], rows), start=1):
        outputs = [] if header else _outputs_of(row)
        has_numbers |= len(outputs) == 1 and is_number(outputs[0])
        if _has_failed(row, status_at) or (len(outputs) > 1 and _says_failed(outputs)):
            certain.add(total)
        elif _says_failed(outputs):
            lone.add(total)
    # Among numbers, a lone "failed" stands where a prediction should; among words it is one: the label of a class.
    failed = certain + lone if has_numbers else certain
    return RowScan(total=total, failed=failed.count, first_failed=failed.first)


def scan_content(content: bytes) -> RowScan:
    """The same over a whole file in memory."""
    return scan_rows(content.decode(errors="replace").splitlines())


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
    try:
        cells = next(csv.reader([text], delimiter=separator))
    except csv.Error:  # a cell beyond the module's 128 KiB
        cells = text.split(separator)
    return tuple(cell.strip() for cell in cells)


def _literal_cells(text: str) -> tuple[str, ...]:
    try:
        values = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        values = text[1:-1].split(",")  # a bare nan is no Python literal
    return tuple(str(value).strip().strip("'\"") for value in values)


def _is_header(cells: Sequence[str]) -> bool:
    return any(cell.lower() in HEADER_WORDS for cell in cells) and not any(is_number(cell) for cell in cells)


def _has_failed(row: Sequence[str], status_at: int | None) -> bool:
    """By a column named status, or by a cell that says it of its row."""
    if status_at is not None and status_at < len(row) and _says_failed([row[status_at]]):
        return True
    return any(FAILED_ROW.search(cell) for cell in row)


def _says_failed(cells: Sequence[str]) -> bool:
    return any(cell.lower() == "failed" for cell in cells)


def _outputs_of(row: Sequence[str]) -> list[str]:
    """Of a row without a header: without its number and its file."""
    left = [cell for cell in row if not FILE_VALUE.fullmatch(cell)]
    return left[1:] if len(left) > 1 and left[0].isdigit() else left


def _without_bookkeeping(columns: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Leave away columns of file names, and a leading column that only counts the rows."""
    left = [values for values in columns if not all(FILE_VALUE.fullmatch(value) for value in values)]
    if len(left) > 1 and all(value.isdigit() for value in left[0]):
        return left[1:]
    return left
