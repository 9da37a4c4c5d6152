"""Adapter table_store: `MailLog`, one row on the table slots."""

from azure.data.tables import TableServiceClient

from shared.adapters.table_store.codec import encode
from shared.adapters.table_store.rows import versioned
from shared.adapters.table_store.table import Table, Write
from shared.application.ports import Versioned
from shared.domain.model import MailsSent

PLACE = ("mail", "sent")


class TableMailLog:
    """When mails were sent last."""

    def __init__(self, service: TableServiceClient) -> None:
        self._slots = Table(service, "slots")

    def sent(self) -> Versioned[MailsSent] | None:
        found = self._slots.get(*PLACE)
        return versioned(MailsSent, found) if found is not None else None

    def write_sent(self, sent: MailsSent, *, etag: str | None) -> None:
        partition, row = PLACE
        self._slots.write(Write(columns={"PartitionKey": partition, "RowKey": row, **encode(sent)}, etag=etag))
