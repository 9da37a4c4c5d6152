"""Rows as columns: golden entities, rows of older and newer versions, long texts."""

import ast
import json
from collections.abc import Iterator
from dataclasses import MISSING, fields, replace
from datetime import UTC, datetime, timedelta, timezone
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from azure.data.tables import EdmType, EntityProperty

from shared.adapters import table_store
from shared.adapters.table_store import rows
from shared.adapters.table_store.codec import CHUNK_ASCII, decode, encode, stamp
from shared.adapters.table_store.keys import key
from shared.application.ports import ActiveRelease
from shared.domain.errors import PermanentError
from shared.domain.listing import Listed
from shared.domain.model import (
    CircuitPhase,
    CircuitRun,
    Environment,
    GateDecision,
    GateState,
    HistoryEntry,
    LedgerNote,
    MailsSent,
    Release,
    ReleasePhase,
    Round,
    Slot,
)
from shared.domain.policy import Policy
from tests.support.builders import (
    CIRCUIT,
    NOW,
    a_gate,
    a_hold,
    a_ledger_entry,
    a_lock,
    a_notice,
    a_release,
    a_run,
)

GOLDEN = Path(__file__).parents[2] / "data" / "rows"
LATER = NOW + timedelta(minutes=14, seconds=59, microseconds=123)
HISTORY = (
    HistoryEntry(at=NOW, source="", target="inspecting"),
    HistoryEntry(at=LATER, source="inspecting", target="failed", why="no model", by="pipeline"),
)
ROWS: dict[str, Any] = {
    "release": a_release(
        gen=2,
        policy=Policy(poll=timedelta(seconds=1.5), promotion_mode="share"),
        due_at=LATER,
        exclusions={"PLANT001/CIRCUIT02": "broken sensor"},
        warnings=("build_id is missing",),
        ended_at=LATER,
        hist=HISTORY,
    ),
    "run": a_run(
        phase=CircuitPhase.SMOKE_TESTING,
        todo=Round.TEST,
        poll_n=4,
        due_at=LATER,
        source_tags={"validated": "true"},
        evidence={"smoke": {"seconds": 12.5, "allowed_log_lines": []}, "training_warnings": None},
        warnings=("schema differs",),
        hist=HISTORY,
    ),
    "gate": a_gate(
        state=GateState.APPROVED,
        decisions=(
            GateDecision(at=LATER, decision="approve", by="ann@example.com", how="link", comment="gut", digest="d"),
        ),
        wrong_codes={"bob@example.com": 2},
        earlier_digests=("e",),
        hist=HISTORY,
    ),
    "notice": a_notice(due_at=LATER, subject="x"),
    "lock": a_lock(want="deployment-20251210-1", fence=7),
    "ledger": a_ledger_entry(previous="deployment-20251203-5"),
    "ledger_note": LedgerNote(
        environment=Environment.PRODUCTION,
        circuit=CIRCUIT,
        fence=1,
        release_id="20251210.1",
        evidence_sha256="e5",
        model="plant001-circuit01:20251210-1",
        cutoff_date="2025-11-01",
        approved_by=("ann@example.com", "bob@example.com"),
        approved_at=LATER,
        approved_sha256="a5",
    ),
    "hold": a_hold(until=LATER, release_id="rollback-5ab8f24b957deee1"),
    "hold_lifted": a_hold(number=2),
    "slot": Slot(number=3, owner="20251210.1|1|PLANT001|CIRCUIT01", leased_until=LATER),
    "active": ActiveRelease(
        release_id="20251210.1", artifact_path="p", manifest_blob="b", manifest_sha256="s", build_id="1", gen=2
    ),
    "listed": Listed(
        release_id="20251210.1",
        gen=2,
        settled=True,
        build_id="12345",
        phase=ReleasePhase.FAILED,
        reason="no model",
        total=3,
        requested_by="Ann@example.com",
        requester="ann@example.com",
        created_at=NOW,
        ended_at=LATER,
        evidence_sha256="e5",
        manifest_blob="20251210.1/manifest.json",
        undelivered=("release_failed by email to ann@example.com",),
        rows_gone=True,
    ),
    "moved_history": rows._History(hist=HISTORY, row="c|PLANT001|CIRCUIT01"),
    "mails_sent": MailsSent(at=(NOW, LATER)),
}
DECODERS = {"decode", "versioned"}
GENERIC = {"cls", "kind"}
"""What the functions that are given a kind call it."""


def golden(name: str) -> dict[str, Any]:
    """A row as it lies in the table; integers beyond 32 bits are written as the service writes them."""
    columns = json.loads((GOLDEN / f"{name}.v1.json").read_text())
    return {
        column: EntityProperty(int(value["Int64"]), EdmType.INT64) if isinstance(value, dict) else value
        for column, value in columns.items()
    }


@pytest.mark.parametrize("name", ROWS)
def test_rows_written_by_version_1_are_read_as_they_were_meant(name: str) -> None:
    """State outlives the code that wrote it."""
    row = ROWS[name]
    assert decode(type(row), golden(name)) == row


@pytest.mark.parametrize("name", ROWS)
def test_every_column_of_version_1_is_still_written(name: str) -> None:
    """The version before may run beside us while a new one is rolled out. JSON columns may have grown."""
    written = encode(ROWS[name])
    assert golden(name).keys() <= written.keys()
    plain = {column: value for column, value in golden(name).items() if not str(value).startswith(("{", "["))}
    assert {column: written[column] for column in plain} == plain


@pytest.mark.parametrize("name", ROWS)
def test_columns_of_a_newer_version_are_ignored(name: str) -> None:
    """Also the service's own: Timestamp, op_id, keys."""
    columns = encode(ROWS[name]) | {"PartitionKey": "p", "RowKey": "r", "op_id": "x", "invented_later": 1}
    assert decode(type(ROWS[name]), columns) == ROWS[name]


def columns_with(*, default: bool) -> list[tuple[str, str]]:
    """Row and column names, of the columns that have a default or of those that have none."""
    return [
        (name, f.name)
        for name, row in ROWS.items()
        for f in fields(row)
        if (f.default is MISSING and f.default_factory is MISSING) is not default and f.name in encode(row)
    ]


@pytest.mark.parametrize(("name", "column"), columns_with(default=True))
def test_a_column_that_came_later_takes_its_default(name: str, column: str) -> None:
    """Rows of the version before lack it."""
    row = ROWS[name]
    read = decode(type(row), {c: value for c, value in encode(row).items() if c != column})
    assert replace(read, **{column: getattr(row, column)}) == row


@pytest.mark.parametrize(("name", "column"), columns_with(default=False))
def test_a_column_that_was_always_there_is_missed(name: str, column: str) -> None:
    """A row without it was not written by us."""
    row = ROWS[name]
    with pytest.raises(PermanentError, match=column):
        decode(type(row), {c: value for c, value in encode(row).items() if c != column})


@pytest.mark.parametrize("column", ["plant_id", "circuit_id"])
@pytest.mark.parametrize("name", ["run", "lock", "ledger", "ledger_note", "hold"])
def test_a_row_without_its_circuit_is_refused_like_any_other(name: str, column: str) -> None:
    """Its columns are named as the keys are, not as the field; what is raised must be in our own tree."""
    row = ROWS[name]
    with pytest.raises(PermanentError, match=column):
        decode(type(row), {c: value for c, value in encode(row).items() if c != column})


def decoded_kinds() -> Iterator[type]:
    """What the adapter reads from a table: whatever it calls `decode` or `versioned` with, and what goes by a row's key."""
    yield from rows.KINDS.values()
    for path in sorted(Path(table_store.__path__[0]).glob("*.py")):
        module = import_module(f"{table_store.__name__}.{path.stem}")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in DECODERS:
                name = ast.unparse(node.args[0])
                if name not in GENERIC:
                    yield getattr(module, name)


def test_every_kind_of_row_that_is_read_from_a_table_has_a_golden_one() -> None:
    """A new one needs a line in ROWS and a file in tests/data/rows; a file that nobody reads is stale."""
    assert {type(row) for row in ROWS.values()} == set(decoded_kinds())
    assert {path.name.removesuffix(".v1.json") for path in GOLDEN.iterdir()} == ROWS.keys()


def test_a_value_this_version_does_not_know_is_named() -> None:
    """A phase of a newer version: nothing is guessed."""
    with pytest.raises(PermanentError, match=r"column phase.*teleporting"):
        decode(CircuitRun, encode(a_run()) | {"phase": "teleporting"})


def test_stamps_sort_as_times_do() -> None:
    """Filters on due_at compare text."""
    times = [NOW, NOW + timedelta(microseconds=1), NOW + timedelta(seconds=1), NOW + timedelta(days=400)]
    assert sorted(map(stamp, times)) == [stamp(at) for at in times]
    elsewhere = datetime(2025, 12, 10, 10, 0, tzinfo=timezone(timedelta(hours=1)))
    assert stamp(elsewhere) == stamp(datetime(2025, 12, 10, 9, 0, tzinfo=UTC))


@pytest.mark.parametrize("letter", ["x", "ü", "💥"])
def test_no_column_outgrows_what_the_service_takes(letter: str) -> None:
    """32,768 UTF-16 units; a long text goes into several columns and comes back as one."""
    row = a_release(reason=letter * 3 * CHUNK_ASCII, exclusions={"P/C": letter * CHUNK_ASCII})
    columns = encode(row)
    assert max(len(text.encode("utf-16-le")) // 2 for text in columns.values() if isinstance(text, str)) <= 32_768
    assert decode(Release, columns) == row


@pytest.mark.parametrize("text", ["c|PLANT_1|CIRCUIT-01", "!release", "n|gate_opened:x-1|email|ann@example.com"])
def test_ordinary_keys_are_kept(text: str) -> None:
    """People read them in a storage browser."""
    assert key(text) == text


def test_keys_never_hold_what_the_service_forbids() -> None:
    """And two texts never become one key."""
    texts = ["a/b", "a\\b", "a#b", "a?b", "a%b", "a=2fb", "a\tb", "a\x7fb", "ab"]
    keys = [key(text) for text in texts]
    assert not any(char in k for k in keys for char in "/\\#?%\t\x7f")
    assert len(set(keys)) == len(texts)
