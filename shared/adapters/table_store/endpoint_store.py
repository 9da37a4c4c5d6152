"""Adapter table_store: `EndpointStore` on the table endpoints, one partition per endpoint."""

from collections.abc import Sequence
from datetime import datetime

from azure.data.tables import TableServiceClient

from shared.adapters.table_store.codec import encode, stamp
from shared.adapters.table_store.keys import in_partition, literal, prefixed
from shared.adapters.table_store.rows import versioned
from shared.adapters.table_store.table import Table, Write
from shared.application.ports import Versioned
from shared.domain.model import Circuit, EndpointLock, Environment, LedgerEntry

LOCK = "lock"


class TableEndpointStore:
    """Locks and ledgers of endpoints."""

    def __init__(self, service: TableServiceClient) -> None:
        self._endpoints = Table(service, "endpoints")

    def lock(self, environment: Environment, circuit: Circuit) -> Versioned[EndpointLock] | None:
        found = self._endpoints.get(_partition(environment, circuit), LOCK)
        return None if found is None else versioned(EndpointLock, found)

    def write_lock(self, lock: EndpointLock, *, etag: str | None, ledger: LedgerEntry | None = None) -> str:
        partition = _partition(lock.environment, lock.circuit)
        rows = [Write(columns={"PartitionKey": partition, "RowKey": LOCK, **encode(lock)}, etag=etag)]
        if ledger is not None:
            number = f"d|{ledger.fence:012d}"
            rows.append(Write(columns={"PartitionKey": partition, "RowKey": number, **encode(ledger)}, etag=None))
        return self._endpoints.write(*rows)[0]

    def circuits(self, environment: Environment, plant_id: str = "") -> Sequence[Circuit]:
        found = self._endpoints.query(_locks_of(environment, plant_id))
        return [versioned(EndpointLock, row).row.circuit for row in found]

    def all_locks(self, environment: Environment) -> Sequence[Versioned[EndpointLock]]:
        return [versioned(EndpointLock, row) for row in self._endpoints.query(_locks_of(environment))]

    def marked(self, environment: Environment, now: datetime) -> Sequence[EndpointLock]:
        mark = f"(hold_until gt {literal(stamp(now))} or drift gt '')"
        found = self._endpoints.query(f"{_locks_of(environment)} and {mark}")
        return [versioned(EndpointLock, row).row for row in found]

    def ledger(self, environment: Environment, circuit: Circuit) -> Sequence[LedgerEntry]:
        found = self._endpoints.query(in_partition(_partition(environment, circuit), prefixed("d|")))
        return [versioned(LedgerEntry, row).row for row in reversed(found)]


def _locks_of(environment: Environment, plant_id: str = "") -> str:
    start = f"{environment}|{plant_id}|" if plant_id else f"{environment}|"
    return f"{prefixed(start, 'PartitionKey')} and RowKey eq {literal(LOCK)}"


def _partition(environment: Environment, circuit: Circuit) -> str:
    return f"{environment}|{circuit.plant_id}|{circuit.circuit_id}"
