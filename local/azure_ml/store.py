"""Where everything is kept: JSON documents and the journal, in one SQLite file that outlives the process."""

import json
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SCHEMA = """
CREATE TABLE IF NOT EXISTS documents (
    collection TEXT NOT NULL, key TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (collection, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS journal (n INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT NOT NULL);
"""

type Document = dict[str, Any]


class Store:
    """Documents by collection and key; keys are paths such as `mlw-test/be-x/deployment-1`."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, autocommit=True)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(SCHEMA)

    def get(self, collection: str, key: str) -> Document | None:
        row = self._db.execute(
            "SELECT body FROM documents WHERE collection = ? AND key = ?", (collection, key)
        ).fetchone()
        return None if row is None else json.loads(row[0])

    def find_all(self, collection: str, prefix: str = "") -> list[Document]:
        """All documents whose key begins with `prefix`, in the order of their keys."""
        rows = self._db.execute(
            "SELECT body FROM documents WHERE collection = ? AND key >= ? AND key < ? ORDER BY key",
            (collection, prefix, prefix + "\U0010ffff"),
        )
        return [json.loads(row[0]) for row in rows]

    def put(self, collection: str, key: str, body: Mapping[str, Any]) -> None:
        self._db.execute(
            "INSERT INTO documents VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET body = excluded.body",
            (collection, key, json.dumps(body)),
        )

    def delete(self, collection: str, key: str) -> None:
        self._db.execute("DELETE FROM documents WHERE collection = ? AND key = ?", (collection, key))

    def append_to_journal(self, entry: Mapping[str, Any]) -> int:
        cursor = self._db.execute("INSERT INTO journal (body) VALUES (?)", (json.dumps(entry),))
        return int(cursor.lastrowid or 0)

    def journal_after(self, n: int) -> list[Document]:
        rows = self._db.execute("SELECT n, body FROM journal WHERE n > ? ORDER BY n", (n,))
        return [{"n": row[0], **json.loads(row[1])} for row in rows]

    def close(self) -> None:
        self._db.close()
