"""Two tables of predictions beside each other: how many rows differ, on average and at most. A finding, never a verdict."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from shared.domain.predictions import Table, is_hole, is_number
from shared.domain.words import counted

RELATIVE, ABSOLUTE = 1e-6, 1e-9
"""Closer than this is the same: predictions are written with a limited number of digits."""
DIGITS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """`mean` and `largest` are absolute differences over the values that are numbers in both; None: there are none."""

    rows: int
    """Rows that both tables have."""
    differ: int
    mean: float | None
    largest: float | None
    shape: str = ""
    """Why the tables can't be laid side by side completely; empty: they can."""

    @property
    def is_equal(self) -> bool:
        return self.rows > 0 and not self.differ and not self.shape

    def as_json(self) -> Mapping[str, object]:
        numbers = {"mean": self.mean, "largest": self.largest}
        return {"rows": self.rows, "differ": self.differ, **numbers, "shape": self.shape, "told": str(self)}

    def __str__(self) -> str:
        told = [f"{self.differ} of {self.rows} rows differ"]
        if self.differ and self.mean is not None:
            told.append(f"by {self.mean:.{DIGITS}g} on average, by {self.largest:.{DIGITS}g} at most")
        return ", ".join([*told, *([self.shape] if self.shape else [])])


def compare(new: Table, old: Table) -> Comparison:
    """Row by row and column by column, in the order of the files: both come from one input, scored in its order."""
    left, right = _outputs(new), _outputs(old)
    pairs = list(zip(left, right, strict=False))
    apart = [abs(float(a) - float(b)) for row in pairs for a, b in zip(*row, strict=False) if _are_numbers(a, b)]
    return Comparison(
        rows=len(pairs),
        differ=sum(not _is_same(a, b) for a, b in pairs),
        mean=math.fsum(apart) / len(apart) if apart else None,
        largest=max(apart, default=None),
        shape="; ".join(_shape(new, old, left, right)),
    )


def _outputs(table: Table) -> list[tuple[str, ...]]:
    """What the model returned, row by row, without row numbers and file names."""
    return list(zip(*(values for _, values in table.outputs()), strict=True))


def _is_same(new: Sequence[str], old: Sequence[str]) -> bool:
    return len(new) == len(old) and all(_is_same_value(a, b) for a, b in zip(new, old, strict=True))


def _is_same_value(new: str, old: str) -> bool:
    if _are_numbers(new, old):
        return math.isclose(float(new), float(old), rel_tol=RELATIVE, abs_tol=ABSOLUTE)
    return new == old or (is_hole(new) and is_hole(old))


def _are_numbers(new: str, old: str) -> bool:
    return all(is_number(value) and not is_hole(value) for value in (new, old))


def _shape(new: Table, old: Table, left: Sequence[Sequence[str]], right: Sequence[Sequence[str]]) -> Iterator[str]:
    if new.complete and old.complete and len(left) != len(right):
        yield f"{counted(len(left), 'row')} instead of {len(right)}"
    elif not (new.complete and old.complete):
        yield "only the beginning of the files was compared"
    widths = len(left[0]) if left else 0, len(right[0]) if right else 0
    if widths[0] != widths[1]:
        yield f"{counted(widths[0], 'column')} instead of {widths[1]}"
