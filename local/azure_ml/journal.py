"""The journal of every request: who did what to which workspace or registry, so that claims become checks."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from local.azure_ml.store import Store

SECRET_PARAMETERS = frozenset({"sig", "sktid", "skoid"})


@dataclass(slots=True, kw_only=True)
class Entry:
    """One request. `status` is 0 when the connection was dropped instead of an answer."""

    at: str
    method: str
    host: str
    path: str
    query: dict[str, str]
    status: int = 0
    identity: str | None = None
    scope: str | None = None
    kind: str = "read"
    operation: str = "unknown"
    fault: str | None = None
    milliseconds: float = 0.0


class Journal:
    """Appends to and reads from the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def record(self, entry: Entry) -> None:
        self._store.append_to_journal(asdict(entry))

    def after(self, n: int) -> list[dict[str, Any]]:
        """All entries whose number is greater than `n`."""
        return self._store.journal_after(n)

    def counts(self, n: int) -> dict[str, Any]:
        """The entries after `n`, counted by kind, by operation, and by scope and kind."""
        entries = self.after(n)
        scopes: dict[str, Counter[str]] = {}
        for entry in entries:
            scopes.setdefault(entry["scope"] or "-", Counter())[entry["kind"]] += 1
        return {
            "total": len(entries),
            "last": entries[-1]["n"] if entries else n,
            "by_kind": Counter(entry["kind"] for entry in entries),
            "by_operation": Counter(entry["operation"] for entry in entries),
            "by_scope": scopes,
        }


def without_secrets(query: Mapping[str, str]) -> dict[str, str]:
    """The query of a request without what would let a reader repeat it."""
    return {key: "..." if key in SECRET_PARAMETERS else value for key, value in query.items()}
