"""Adapter: state in Azure Table Storage. A row is the truth; every write is conditional."""

from typing import Any

from azure.data.tables import TableServiceClient

from shared.adapters.table_store.endpoint_store import TableEndpointStore
from shared.adapters.table_store.mail_log import TableMailLog
from shared.adapters.table_store.release_store import TableReleaseStore
from shared.adapters.table_store.slot_store import TableSlotStore
from shared.adapters.table_store.table import Table

__all__ = [
    "CLIENT_OPTIONS",
    "TABLES",
    "TableEndpointStore",
    "TableMailLog",
    "TableReleaseStore",
    "TableServiceClient",
    "TableSlotStore",
    "ensure_tables",
]

TABLES = ("releases", "active", "index", "endpoints", "slots")
CLIENT_OPTIONS: dict[str, Any] = {
    "retry_total": 3,
    "retry_backoff_factor": 0.4,
    "retry_backoff_max": 5,
    "connection_timeout": 10,
    "read_timeout": 30,
}
"""For the service client: a step that can't reach its state is repeated through the queue, not in the client."""


def ensure_tables(service: TableServiceClient) -> None:
    """Make the tables that are missing; the stores also make them when they first miss one."""
    for name in TABLES:
        Table(service, name).ensure()
