"""Adapter table_store: `EndpointStore` on the table endpoints, one partition per endpoint."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from azure.data.tables import TableEntity, TableServiceClient

from shared.adapters.table_store.codec import encode, stamp
from shared.adapters.table_store.keys import in_partition, literal, prefixed
from shared.adapters.table_store.rows import versioned
from shared.adapters.table_store.table import Table, Write
from shared.application.ports import Versioned
from shared.domain.errors import ConflictError
from shared.domain.model import Circuit, EndpointLock, Environment, HoldEntry, LedgerEntry, LedgerNote
from shared.domain.rows import lock_key

LOCK = "lock"


class TableEndpointStore:
    """Locks and ledgers of endpoints."""

    def __init__(self, service: TableServiceClient) -> None:
        self._endpoints = Table(service, "endpoints")

    def lock(self, environment: Environment, circuit: Circuit) -> Versioned[EndpointLock] | None:
        found = self._endpoints.get(_partition(environment, circuit), LOCK)
        return None if found is None else versioned(EndpointLock, found)

    def locks_of(self, environment: Environment, circuits: Sequence[Circuit]) -> Mapping[Circuit, EndpointLock]:
        if not circuits:
            return {}
        wanted = sorted(_partition(environment, circuit) for circuit in circuits)
        between = f"PartitionKey ge {literal(wanted[0])} and PartitionKey le {literal(wanted[-1])}"
        found = self._endpoints.query(f"{between} and RowKey eq {literal(LOCK)}")
        rows = {row["PartitionKey"]: row for row in found}
        locks = (versioned(EndpointLock, rows[partition]).row for partition in wanted if partition in rows)
        return {lock.circuit: lock for lock in locks}

    def write_lock(
        self,
        lock: EndpointLock,
        *,
        etag: str | None,
        ledger: LedgerEntry | None = None,
        hold: HoldEntry | None = None,
    ) -> str:
        partition = _partition(lock.environment, lock.circuit)
        rows = [Write(columns={"PartitionKey": partition, "RowKey": LOCK, **encode(lock)}, etag=etag)]
        if ledger is not None:
            keys = {"PartitionKey": partition, "RowKey": _entry_key(ledger.fence)}
            rows.append(Write(columns={**keys, **encode(ledger)}, etag=None))
        if hold is not None:
            keys = {"PartitionKey": partition, "RowKey": _hold_key(hold.number)}
            rows.append(Write(columns={**keys, **encode(hold)}, etag=None))
        return self._endpoints.write(*rows)[0]

    def circuits(self, environment: Environment, plant_id: str = "") -> Sequence[Circuit]:
        found = self._endpoints.query(_locks_of(environment, plant_id))
        return [versioned(EndpointLock, row).row.circuit for row in found]

    def all_locks(
        self, environment: Environment, *, after: str = "", limit: int | None = None
    ) -> Sequence[Versioned[EndpointLock]]:
        beyond = f" and PartitionKey gt {literal(f'{environment}|{after}')}" if after else ""
        found = self._endpoints.query(f"{_locks_of(environment)}{beyond}", limit=limit)
        return [versioned(EndpointLock, row) for row in found]

    def marked(self, environment: Environment, now: datetime) -> Sequence[EndpointLock]:
        mark = f"(hold_until gt {literal(stamp(now))} or drift gt '')"
        found = self._endpoints.query(f"{_locks_of(environment)} and {mark}")
        return [versioned(EndpointLock, row).row for row in found]

    def ledger(self, environment: Environment, circuit: Circuit) -> Sequence[LedgerEntry]:
        found = self._history(environment, circuit)
        notes = {row["RowKey"]: versioned(LedgerNote, row).row for row in found if row["RowKey"].startswith("e|")}
        entries = [versioned(LedgerEntry, row).row for row in reversed(found) if row["RowKey"].startswith("d|")]
        return [replace(entry, note=notes.get(_note_key(entry.fence))) for entry in entries]

    def note(self, note: LedgerNote) -> None:
        keys = {"PartitionKey": _partition(note.environment, note.circuit), "RowKey": _note_key(note.fence)}
        try:
            self._endpoints.write(Write(columns={**keys, **encode(note)}, etag=None))
        except ConflictError:
            return  # noted before

    def remove_ledger(self, environment: Environment, circuit: Circuit, fences: Sequence[int]) -> None:
        rows = {name for fence in fences for name in (_entry_key(fence), _note_key(fence))}
        self._endpoints.delete(*(row for row in self._history(environment, circuit) if row["RowKey"] in rows))

    def holds(self, environment: Environment, circuit: Circuit) -> Sequence[HoldEntry]:
        return [versioned(HoldEntry, row).row for row in reversed(self._holds(environment, circuit))]

    def remove_holds(self, environment: Environment, circuit: Circuit, numbers: Sequence[int]) -> None:
        rows = set(map(_hold_key, numbers))
        self._endpoints.delete(*(row for row in self._holds(environment, circuit) if row["RowKey"] in rows))

    def _holds(self, environment: Environment, circuit: Circuit) -> list[TableEntity]:
        return self._endpoints.query(in_partition(_partition(environment, circuit), prefixed("h|")))

    def _history(self, environment: Environment, circuit: Circuit) -> list[TableEntity]:
        """Ledger rows and what is noted beside them, in one request."""
        between = f"RowKey ge 'd|' and RowKey lt {literal('e}')}"
        return self._endpoints.query(in_partition(_partition(environment, circuit), between))


def _entry_key(fence: int) -> str:
    return f"d|{fence:012d}"


def _hold_key(number: int) -> str:
    return f"h|{number:012d}"


def _note_key(fence: int) -> str:
    return f"e|{fence:012d}"


def _locks_of(environment: Environment, plant_id: str = "") -> str:
    start = f"{environment}|{plant_id}|" if plant_id else f"{environment}|"
    return f"{prefixed(start, 'PartitionKey')} and RowKey eq {literal(LOCK)}"


def _partition(environment: Environment, circuit: Circuit) -> str:
    return f"{environment}|{lock_key(circuit)}"
