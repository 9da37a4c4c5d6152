"""The SQLite file: everything that must outlive a killed broker.

Changes collect in memory until `commit` writes them in one transaction; callers answer nobody before that.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from local.service_bus.engine.model import DeadLetter, Entry, Lock, Message, State

_SCHEMA = """
CREATE TABLE IF NOT EXISTS messages (
    queue TEXT NOT NULL, sequence_number INTEGER NOT NULL, details TEXT NOT NULL, payload BLOB NOT NULL,
    PRIMARY KEY (queue, sequence_number)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sequences (queue TEXT PRIMARY KEY, last INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS seen (
    queue TEXT NOT NULL, message_id TEXT NOT NULL, until INTEGER NOT NULL,
    PRIMARY KEY (queue, message_id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS journal (n INTEGER PRIMARY KEY AUTOINCREMENT, entry TEXT NOT NULL);
"""

_JOURNAL_PAGE = 1000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class _Changes:
    messages: dict[tuple[str, int], Message | None] = field(default_factory=dict)
    sequences: dict[str, int] = field(default_factory=dict)
    seen: dict[tuple[str, str], datetime | None] = field(default_factory=dict)
    journal: list[Entry] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.messages or self.sequences or self.seen or self.journal)


class Store:
    def __init__(self, path: Path | None) -> None:
        """Open or create the file; without a path everything stays in memory."""
        self._db = sqlite3.connect(path or ":memory:", isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.executescript(_SCHEMA)
        self._changes = _Changes()

    def close(self) -> None:
        self._db.close()

    def put(self, message: Message) -> None:
        self._changes.messages[message.queue, message.sequence_number] = message

    def remove(self, message: Message) -> None:
        self._changes.messages[message.queue, message.sequence_number] = None

    def remember_sequence(self, queue: str, last: int) -> None:
        self._changes.sequences[queue] = last

    def remember_seen(self, queue: str, message_id: str, until: datetime | None) -> None:
        """A message id that duplicate detection knows; without a moment it is forgotten."""
        self._changes.seen[queue, message_id] = until

    def record(self, entry: Entry) -> None:
        self._changes.journal.append(entry)

    def commit(self) -> None:
        """Write everything since the last commit and wait until it is on the disk."""
        if not self._changes:
            return
        self._db.execute("BEGIN IMMEDIATE")
        self._write_messages()
        self._db.executemany("INSERT OR REPLACE INTO sequences VALUES (?, ?)", self._changes.sequences.items())
        self._write_seen()
        lines = [(_entry_to_json(entry),) for entry in self._changes.journal]
        self._db.executemany("INSERT INTO journal (entry) VALUES (?)", lines)
        self._db.execute("COMMIT")
        self._changes = _Changes()

    def _write_messages(self) -> None:
        changes = self._changes.messages
        gone = [key for key, message in changes.items() if message is None]
        kept = [
            (*key, _details_to_json(message), message.payload)
            for key, message in changes.items()
            if message is not None
        ]
        self._db.executemany("DELETE FROM messages WHERE queue = ? AND sequence_number = ?", gone)
        self._db.executemany("INSERT OR REPLACE INTO messages VALUES (?, ?, ?, ?)", kept)

    def _write_seen(self) -> None:
        changes = self._changes.seen
        gone = [key for key, until in changes.items() if until is None]
        kept = [(*key, _milliseconds(until)) for key, until in changes.items() if until is not None]
        self._db.executemany("DELETE FROM seen WHERE queue = ? AND message_id = ?", gone)
        self._db.executemany("INSERT OR REPLACE INTO seen VALUES (?, ?, ?)", kept)

    def messages(self, queue: str) -> Iterator[Message]:
        """The committed messages of a queue, in order."""
        query = "SELECT sequence_number, details, payload FROM messages WHERE queue = ? ORDER BY sequence_number"
        for number, details, payload in self._db.execute(query, (queue,)):
            yield _message(queue, number, json.loads(details), payload)

    def last_sequence(self, queue: str) -> int:
        row = self._db.execute("SELECT last FROM sequences WHERE queue = ?", (queue,)).fetchone()
        return row[0] if row else 0

    def seen(self, queue: str) -> dict[str, datetime]:
        """The message ids duplicate detection knows, oldest first."""
        query = "SELECT message_id, until FROM seen WHERE queue = ? ORDER BY until"
        return {message_id: _moment(until) for message_id, until in self._db.execute(query, (queue,))}

    def journal(self, after: int) -> list[dict[str, Any]]:
        """Committed entries with a larger number, oldest first, a thousand at most."""
        query = "SELECT n, entry FROM journal WHERE n > ? ORDER BY n LIMIT ?"
        return [{"n": n, **json.loads(entry)} for n, entry in self._db.execute(query, (after, _JOURNAL_PAGE))]


def _milliseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def _moment(milliseconds: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=milliseconds)


def _optional_moment(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else _moment(milliseconds)


def _entry_to_json(entry: Entry) -> str:
    line: dict[str, object] = {
        "at": entry.at.isoformat(),
        "op": entry.op,
        "queue": entry.queue,
        "message_id": entry.message_id,
        "sequence_number": entry.sequence_number,
        "delivery_count": entry.delivery_count,
    }
    return json.dumps(line if entry.reason is None else {**line, "reason": entry.reason})


def _details_to_json(message: Message) -> str:
    lock, dead = message.lock, message.dead_letter
    return json.dumps(
        {
            "enqueued_sequence_number": message.enqueued_sequence_number,
            "message_id": message.message_id,
            "time_to_live": message.time_to_live // timedelta(milliseconds=1),
            "state": message.state,
            "enqueued_at": _milliseconds(message.enqueued_at),
            "scheduled_for": message.scheduled_for and _milliseconds(message.scheduled_for),
            "expires_at": message.expires_at and _milliseconds(message.expires_at),
            "delivery_count": message.delivery_count,
            "lock": lock and [lock.token.hex, _milliseconds(lock.until)],
            "dead_letter": dead and [dead.source, dead.reason, dead.description],
        }
    )


def _message(queue: str, sequence_number: int, details: Mapping[str, Any], payload: bytes) -> Message:
    lock, dead = details["lock"], details["dead_letter"]
    return Message(
        queue=queue,
        sequence_number=sequence_number,
        enqueued_sequence_number=details["enqueued_sequence_number"],
        payload=payload,
        message_id=details["message_id"],
        time_to_live=timedelta(milliseconds=details["time_to_live"]),
        state=State(details["state"]),
        enqueued_at=_moment(details["enqueued_at"]),
        scheduled_for=_optional_moment(details["scheduled_for"]),
        expires_at=_optional_moment(details["expires_at"]),
        delivery_count=details["delivery_count"],
        lock=lock and Lock(token=UUID(lock[0]), until=_moment(lock[1])),
        dead_letter=dead and DeadLetter(source=dead[0], reason=dead[1], description=dead[2]),
    )
