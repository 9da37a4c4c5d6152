"""The document's validation table: what fails a smoke test, and what only warns (R25-R29)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from shared.domain.log_lines import LogFindings
from shared.domain.policy import FROM_RUNNING, Policy
from shared.domain.predictions import RowScan, Table, is_hole, read_predictions, type_of
from shared.domain.signature import Column, fits, listed_columns, output_columns
from shared.domain.words import clean, counted

COMPLETED = "Completed"
MOST_QUOTED = 5
FEWEST_FOR_CONSTANT = 3
"""Two equal predictions may well be chance."""
UNNAMED = "prediction"
COLUMN_TYPES = {"integer": "double", "double": "double", "string": "string", "": ""}
"""What an example proves: that a column holds numbers, not that they are always whole."""


class JobVerdict(StrEnum):
    RUNNING = "running"
    TIMED_OUT = "timed out"
    ENDED_BADLY = "ended badly"
    COMPLETED = "completed"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOutput:
    """What a finished batch job left behind."""

    logs: LogFindings
    predictions: bytes | None
    """predictions.csv, at most the first MiB; None: no such file."""
    predictions_size: int
    """Bytes of the whole file."""
    rows: RowScan
    """Of the whole file."""
    unread: Sequence[str] = ()
    """What was too much to be read, a sentence each: errors may stand there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeLimit:
    """When a job's time is over, and what it has then failed to do."""

    at: datetime
    missed: str


def time_limit(*, policy: Policy, status: str, invoked_at: datetime, started_at: datetime | None) -> TimeLimit:
    """R25, D8: by the job's own times, from its invocation or from when it left the queue.

    A job that completed and shows no start is held to its invocation: it can't have run longer than that.
    """
    limit = policy.smoke_limit
    if policy.smoke_clock != FROM_RUNNING or (started_at is None and status == COMPLETED):
        return TimeLimit(at=invoked_at + limit, missed=f"did not end within {limit} of its invocation")
    if started_at is None:
        queue = policy.smoke_queue_limit
        return TimeLimit(at=invoked_at + queue, missed=f"was not started within {queue} of its invocation")
    return TimeLimit(at=started_at + limit, missed=f"did not end within {limit} of its start")


def judge_job(*, status: str, terminal: bool, ended_at: datetime | None, now: datetime, limit: datetime) -> JobVerdict:
    """R25, R26, D8: the job's own end counts; one that has not ended has timed out when looked at from the limit on."""
    if not terminal:
        return JobVerdict.TIMED_OUT if now >= limit else JobVerdict.RUNNING
    if (ended_at or now) >= limit:
        return JobVerdict.TIMED_OUT
    return JobVerdict.COMPLETED if status == COMPLETED else JobVerdict.ENDED_BADLY


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaDifference:
    """How the predictions differ from what is expected; all empty: they do not, or nobody knows what to expect."""

    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    by_place: bool = False
    """The output names no columns: they were compared in their order, and by their types alone."""

    def as_json(self) -> dict[str, object]:
        told: dict[str, object] = {
            "missing": list(map(clean, self.missing)),
            "extra": list(map(clean, self.extra)),
            "changed": list(map(clean, self.changed)),
        }
        return told | ({"by_place": True} if self.by_place else {})


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputVerdict:
    """Any failure fails the test; warnings are for people at gate 2."""

    table: Table
    rows: int
    failures: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    schema: SchemaDifference = field(default_factory=SchemaDifference)


def judge_output(output: JobOutput, expected: Sequence[Column] | None) -> OutputVerdict:
    """What a completed job left behind; what nobody has read fails as well, there may be errors in it (R27, R28)."""
    content, rows = output.predictions or b"", output.rows
    table = read_predictions(content, complete=len(content) >= output.predictions_size)
    failures = (
        *quoted(output.logs),
        *output.unread,
        *_missing_output(output.predictions, rows),
        *_failed_rows(rows),
    )
    return OutputVerdict(
        table=table,
        rows=rows.total,
        failures=failures,
        warnings=tuple(map(clean, (*_partly_compared(table, rows), *_strange_values(table)))),
        schema=compare_schema(expected, table) if expected and table.rows else SchemaDifference(),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """The columns that predictions should have, and who says so; None: nobody does."""

    columns: tuple[Column, ...] | None = None
    source: str = ""


def expected_columns(*, mlmodel: bytes | None, listed: bytes | None, output: Table | None) -> Expected:
    """From the model's signature, else from `expected_columns.json`, else from the known expected output."""
    if mlmodel and (columns := output_columns(mlmodel)):
        return Expected(columns=columns, source="the model's signature")
    if listed and (columns := listed_columns(listed)):
        return Expected(columns=columns, source="expected_columns.json")
    if output and output.rows:
        columns = tuple(Column(name=name, type=COLUMN_TYPES[type_of(values)]) for name, values in output.outputs())
        return Expected(columns=columns, source="the expected output")
    return Expected()


def quoted(logs: LogFindings) -> tuple[str, ...]:
    """R27: any error in the logs, with the place it stands at; the first few are enough."""
    if not logs.error_count:
        return ()
    more = f" (and {logs.error_count - MOST_QUOTED} more)" if logs.error_count > MOST_QUOTED else ""
    lines = " | ".join(map(str, logs.errors[:MOST_QUOTED]))
    return (f"{counted(logs.error_count, 'error')} in the logs: {lines}{more}",)


def _missing_output(predictions: bytes | None, rows: RowScan) -> tuple[str, ...]:
    if predictions is None:
        return ("the job left no predictions.csv",)
    return () if rows.total else ("predictions.csv holds no rows",)


def _failed_rows(rows: RowScan) -> tuple[str, ...]:
    if not rows.failed:
        return ()
    numbers = ", ".join(map(str, rows.first_failed[:MOST_QUOTED])) + (", ..." if rows.failed > MOST_QUOTED else "")
    verb, which = ("has", "row") if rows.failed == 1 else ("have", "rows")
    return (f"{rows.failed} of {rows.total} rows in predictions.csv {verb} status failed ({which} {numbers})",)


def _partly_compared(table: Table, rows: RowScan) -> tuple[str, ...]:
    """Whether they failed, all rows were asked; what is only for people's eyes is looked at in the first ones."""
    if table.complete:
        return ()
    return (f"schema and values of the first {len(table.rows)} of {rows.total} rows of predictions.csv were looked at",)


def _strange_values(table: Table) -> tuple[str, ...]:
    found: list[str] = []
    for name, values in table.outputs():
        what = f"column {name}" if name else "predictions"
        holes = sum(is_hole(value) for value in values)
        if holes:
            found.append(f"{what}: {holes} of {len(values)} values are empty, NaN or infinite")
        elif len(values) >= FEWEST_FOR_CONSTANT and len(set(values)) == 1:
            found.append(f"{what}: all {len(values)} values are equal ({values[0]})")
    return tuple(found)


def compare_schema(expected: Sequence[Column], table: Table) -> SchemaDifference:
    """Columns by name where the file names them, else by place."""
    outputs = table.outputs()
    if len(expected) == len(outputs) == 1 and UNNAMED in (outputs[0][0] or UNNAMED):
        # The batch driver names a lone output itself, whatever the model calls it.
        return SchemaDifference(changed=_changed(expected[0], outputs[0][1]))
    if not table.header:
        return _by_place(expected, outputs)
    found = dict(outputs)
    wanted = {(column.name or UNNAMED).lower(): column for column in expected}
    return SchemaDifference(
        missing=tuple(column.name or UNNAMED for name, column in wanted.items() if name not in found),
        extra=tuple(name for name in found if name not in wanted),
        changed=tuple(
            text for name, values in found.items() if name in wanted for text in _changed(wanted[name], values)
        ),
    )


def _by_place(expected: Sequence[Column], outputs: Sequence[tuple[str, tuple[str, ...]]]) -> SchemaDifference:
    if len(expected) != len(outputs):
        number = f"{counted(len(outputs), 'column')} instead of {len(expected)}"
        unknown = f"{number}; the output has no header, so the names could not be compared"
        return SchemaDifference(changed=(unknown,), by_place=True)
    pairs = zip(expected, outputs, strict=True)
    changed = tuple(text for column, (_, values) in pairs for text in _changed(column, values))
    return SchemaDifference(changed=changed, by_place=True)


def _changed(column: Column, values: Sequence[str]) -> tuple[str, ...]:
    found = type_of([value for value in values if not is_hole(value)])
    if not found or fits(column.type, found):
        return ()
    return (f"{column.name or UNNAMED}: {column.type} expected, {found} found",)
