"""Adapter table_store: rows of releases as entities, and histories that outgrow their row."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import uuid4

from azure.data.tables import TableEntity

from shared.adapters.table_store.codec import Columns, decode, dumps, encode
from shared.adapters.table_store.keys import key
from shared.adapters.table_store.table import MOST_OPERATIONS, Write, etag_of
from shared.application.ports import Change, HistoryLine, ReleaseRow, Update, Versioned
from shared.domain.errors import PermanentError
from shared.domain.model import CircuitRun, Gate, HistoryEntry, Notice, Release
from shared.domain.rows import row_key

LONGEST_HISTORY = 24_000
MOVED = "h|"
KINDS: Mapping[str, type[ReleaseRow]] = {"!": Release, "c": CircuitRun, "g": Gate, "n": Notice}


@dataclass(frozen=True, slots=True, kw_only=True)
class _History:
    """What every row with a history has in common; a moved half is nothing else."""

    hist: tuple[HistoryEntry, ...] = ()
    row: str = ""
    """The key of the row it was moved away from."""


def entity(row: ReleaseRow) -> Columns:
    return {"PartitionKey": key(row.release_id), "RowKey": key(row_key(row)), **encode(row)}


def versioned[Row](cls: type[Row], found: TableEntity) -> Versioned[Row]:
    return Versioned(row=decode(cls, found), etag=etag_of(found))


def any_row(found: TableEntity) -> Versioned[ReleaseRow]:
    """A row of whatever kind its key says."""
    kind = KINDS.get(found["RowKey"][:1])
    if kind is None:
        raise PermanentError(f"row {found['RowKey']!r} of release {found['PartitionKey']} is of no known kind")
    return versioned(kind, found)


def writes(changes: Sequence[Change]) -> list[Write]:
    """The changes as writes; what history outgrows its row moves into one of its own, if the transaction has room."""
    room = MOST_OPERATIONS - len(changes)
    rows: list[Write] = []
    moved: list[Write] = []
    for change in changes:
        row, older = _without_oldest_half(change.row) if len(moved) < room else (change.row, ())
        rows.append(Write(columns=entity(row), etag=change.etag if isinstance(change, Update) else None))
        if older:
            moved.append(Write(columns=_moved(row, older), etag=None))
    return rows + moved


def _without_oldest_half(row: ReleaseRow) -> tuple[ReleaseRow, tuple[HistoryEntry, ...]]:
    if isinstance(row, Notice) or len(row.hist) < 2 or len(dumps(row.hist)) <= LONGEST_HISTORY:
        return row, ()
    half = len(row.hist) // 2
    return replace(row, hist=row.hist[half:]), row.hist[:half]


def _moved(row: ReleaseRow, older: tuple[HistoryEntry, ...]) -> Columns:
    """Its number is a time and some chance: no read is needed to find a free one."""
    number = f"{older[-1].at:%Y%m%d%H%M%S%f}-{uuid4().hex[:8]}"
    return {
        "PartitionKey": key(row.release_id),
        "RowKey": key(f"{MOVED}{row_key(row)}|{number}"),
        **encode(_History(hist=older, row=row_key(row))),
    }


def history_lines(found: Sequence[TableEntity]) -> Sequence[HistoryLine]:
    """The lists of all rows as one, oldest first; an entry that was moved twice counts once."""
    lines = dict.fromkeys(line for columns in found for line in _lines(columns))
    return sorted(lines, key=lambda line: line.entry.at)


def _lines(columns: TableEntity) -> Iterator[HistoryLine]:
    history = decode(_History, columns)
    for entry in history.hist:
        yield HistoryLine(row_key=history.row or columns["RowKey"], entry=entry)
