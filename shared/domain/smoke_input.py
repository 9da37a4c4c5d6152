"""A circuit's test input: small, and with the columns that its model was trained on (R32)."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shared.domain.predictions import is_hole, type_of
from shared.domain.signature import Column, fits

MOST_INPUT_BYTES = 1024 * 1024
"""A smoke test is no load test; a week of hourly readings is some 10 KiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputVerdict:
    """Problems stop the release before anybody is asked; notes are for the evidence."""

    rows: int = 0
    columns: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    """Columns the model does not ask for: left away by the service."""
    is_compared: bool = False
    """False: the model says nothing about its input."""

    def as_json(self) -> Mapping[str, object]:
        return {"rows": self.rows, "columns": len(self.columns), "unused": list(self.unused), "known": self.is_compared}


def judge_input(content: bytes, size: int, columns: Sequence[Column] | None) -> InputVerdict:
    """`content` is the beginning of a file of `size` bytes, `columns` the input columns of the model's signature."""
    if size > MOST_INPUT_BYTES:
        return InputVerdict(problems=(f"has {size} bytes, a smoke test takes at most {MOST_INPUT_BYTES}",))
    try:
        lines = [row for row in csv.reader(content.decode("utf-8-sig").splitlines()) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        return InputVerdict(problems=(f"can't be read as CSV ({error})",))
    header, rows = (tuple(name.strip() for name in lines[0]), lines[1:]) if lines else ((), [])
    named = [column for column in columns or () if column.name]
    return InputVerdict(
        rows=len(rows),
        columns=header,
        problems=(*_emptiness(rows), *_missing(header, named), *_wrong_types(header, rows, named)),
        unused=tuple(name for name in header if named and name not in {column.name for column in named}),
        is_compared=bool(named),
    )


def _emptiness(rows: Sequence[object]) -> tuple[str, ...]:
    return () if rows else ("holds no rows below its header",)


def _missing(header: Sequence[str], named: Sequence[Column]) -> tuple[str, ...]:
    missing = [column.name for column in named if column.required and column.name not in header]
    return (f"lacks columns the model was trained on: {', '.join(missing)}",) if missing else ()


def _wrong_types(header: Sequence[str], rows: Sequence[Sequence[str]], named: Sequence[Column]) -> tuple[str, ...]:
    found: list[str] = []
    for column in named:
        if column.name not in header:
            continue
        at = header.index(column.name)
        kind = type_of([row[at] for row in rows if at < len(row) and not is_hole(row[at])])
        if kind and not fits(column.type, kind):
            found.append(f"column {column.name}: {column.type} expected, {kind} found")
    return tuple(found)
