"""Adapter table_store: `SlotStore` on the table slots."""

from collections.abc import Sequence

from azure.data.tables import TableServiceClient

from shared.adapters.table_store.codec import Columns, encode
from shared.adapters.table_store.keys import in_partition
from shared.adapters.table_store.rows import versioned
from shared.adapters.table_store.table import Table, Write
from shared.application.ports import Versioned
from shared.domain.errors import ConflictError
from shared.domain.model import Slot

SMOKE = "smoke"


class TableSlotStore:
    """The few slots that bound concurrent smoke tests."""

    def __init__(self, service: TableServiceClient) -> None:
        self._slots = Table(service, "slots")

    def slots(self, count: int) -> Sequence[Versioned[Slot]]:
        known = self._known()
        missing = [number for number in range(count) if number not in known]
        for number in missing:
            self._make(number)
        if missing:
            known = self._known()
        return [known[number] for number in range(count)]

    def _known(self) -> dict[int, Versioned[Slot]]:
        found = (versioned(Slot, row) for row in self._slots.query(in_partition(SMOKE)))
        return {stored.row.number: stored for stored in found}

    def _make(self, number: int) -> None:
        try:
            self._slots.write(Write(columns=_entity(Slot(number=number)), etag=None))
        except ConflictError:
            return

    def write_slot(self, slot: Slot, etag: str) -> None:
        self._slots.write(Write(columns=_entity(slot), etag=etag))


def _entity(slot: Slot) -> Columns:
    return {"PartitionKey": SMOKE, "RowKey": f"{slot.number:04d}", **encode(slot)}
