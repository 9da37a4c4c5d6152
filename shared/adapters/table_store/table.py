"""Adapter table_store: one table; conditional writes whose outcome is always known.

The service may commit a write and lose the answer; the SDK then repeats it and reports a conflict that is none.
Every write therefore carries a fresh op_id, and whatever looks like a failure is judged by reading the row again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import batched, islice
from typing import Any
from uuid import uuid4

from azure.core import MatchConditions
from azure.core.exceptions import AzureError, HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.data.tables import TableEntity, TableErrorCode, TableServiceClient, TransactionOperation, UpdateMode

from shared.adapters.table_store.codec import Columns
from shared.adapters.table_store.failures import LOST_ROW, is_transient, status_of, translate, translated
from shared.adapters.table_store.keys import literal
from shared.domain.errors import ConflictError

MOST_OPERATIONS = 100
"""Documented limit of a transaction; Azurite answers a bigger one with broken multipart, so it is judged here."""
NO_ROW = "W/\"datetime'1970-01-01T00%3A00%3A00.0000000Z'\""
"""The ETag reported for a row that somebody else has written since: it matches nothing."""
LAST_OF_TRIES = (False, True)
"""Two tries; whether each is the last one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """A whole row, to be inserted (etag None) or to replace the one with this ETag."""

    columns: Columns
    etag: str | None


class Table:
    """A table that is made when it is first missed."""

    def __init__(self, service: TableServiceClient, name: str) -> None:
        self._client = service.get_table_client(name)
        self._name = name

    def ensure(self) -> None:
        """Make the table if it is not there; where no answer came, it is asked for again."""
        for last in LAST_OF_TRIES:
            try:
                self._client.create_table()
            except ResourceExistsError:
                return
            except AzureError as error:
                if last or not is_transient(status_of(error)):
                    raise translate(error, f"creating table {self._name}") from error
            else:
                return

    def get(self, partition: str, row: str) -> TableEntity | None:
        """One row by its keys."""
        with translated(f"reading {partition} {row}"):
            try:
                return self._client.get_entity(partition, row)
            except ResourceNotFoundError:
                return None

    def query(self, condition: str, *, select: Sequence[str] = (), limit: int | None = None) -> list[TableEntity]:
        """Rows in key order; with a limit, no more than that is asked for."""

        def run() -> list[TableEntity]:
            page = None if limit is None else min(limit, 1_000)
            found = self._client.query_entities(condition, select=list(select) or None, results_per_page=page)
            return list(islice(found, limit))

        with translated(f"querying {self._name}"):
            try:
                return run()
            except ResourceNotFoundError as error:
                if not _is_missing_table(error):
                    raise
                return []

    def write(self, *writes: Write) -> tuple[str, ...]:
        """All rows, of one partition, or none; their new ETags.

        Raises:
            ConflictError: a row was not as supposed, nothing was written.
            TransientError: the service can't be reached, nothing is known to be written.
        """
        if not 0 < len(writes) <= MOST_OPERATIONS:
            raise ValueError(f"{len(writes)} rows in one transaction; 1 to {MOST_OPERATIONS} are possible")
        op_id = uuid4().hex
        tagged = [Write(columns=write.columns | {"op_id": op_id}, etag=write.etag) for write in writes]
        for last in LAST_OF_TRIES:
            try:
                return self._with_table(lambda: self._submit(tagged))
            except AzureError as error:
                settled = self._settle(tagged, op_id, error)
                if settled is not None:
                    return settled
                if last:
                    raise translate(error, f"writing to {self._name}") from error
        raise AssertionError("the last try returns or raises")

    def delete(self, *entities: TableEntity) -> None:
        """Delete rows of one partition that must still be as they were read; what is gone is fine.

        Raises:
            ConflictError: one of them is another now.
        """
        for some in batched(entities, MOST_OPERATIONS, strict=False):
            self._delete_some(some)

    def _delete_some(self, entities: Sequence[TableEntity]) -> None:
        """Together; one by one if that fails, for one row that is gone, or an answer that is lost, fails them all."""
        if len(entities) > 1:
            try:
                self._client.submit_transaction([_deletion(entity) for entity in entities])
            except AzureError as error:
                if status_of(error) not in LOST_ROW and not is_transient(status_of(error)):
                    raise translate(error, f"deleting from {self._name}") from error
            else:
                return
        for entity in entities:
            self._delete_one(entity)

    def _delete_one(self, entity: TableEntity) -> None:
        partition, row = entity["PartitionKey"], entity["RowKey"]
        try:
            self._client.delete_entity(
                partition, row, etag=etag_of(entity), match_condition=MatchConditions.IfNotModified
            )
        except AzureError as error:
            if status_of(error) not in LOST_ROW:
                raise translate(error, f"deleting from {self._name}") from error
            if self.get(partition, row) is not None:
                raise ConflictError(f"{self._name} {partition} {row} has been written since") from error

    def _submit(self, writes: Sequence[Write]) -> tuple[str, ...]:
        if len(writes) > 1:
            answers = self._client.submit_transaction([_operation(write) for write in writes])
            return tuple(answer["etag"] for answer in answers)
        (write,) = writes
        if write.etag is None:
            return (self._client.create_entity(write.columns)["etag"],)
        answer = self._client.update_entity(write.columns, mode=UpdateMode.REPLACE, **_if_match(write.etag))
        return (answer["etag"],)

    def _with_table[Answer](self, call: Callable[[], Answer]) -> Answer:
        try:
            return call()
        except HttpResponseError as error:
            if not _is_missing_table(error):
                raise
        self.ensure()
        return call()

    def _settle(self, writes: Sequence[Write], op_id: str, error: AzureError) -> tuple[str, ...] | None:
        """The ETags if the write stands after all; None if it may be tried again.

        Raises:
            ConflictError: it does not stand, and never will.
        """
        status = status_of(error)
        if status not in LOST_ROW and not is_transient(status):
            raise translate(error, f"writing to {self._name}") from error
        found = {entity["RowKey"]: etag_of(entity) for entity in self._written(writes, op_id)}
        if found:
            return tuple(found.get(write.columns["RowKey"], NO_ROW) for write in writes)
        if status in LOST_ROW:
            first = writes[0].columns
            raise ConflictError(
                f"{self._name} {first['PartitionKey']} {first['RowKey']}: a row was not as it was read"
            ) from error
        return None

    def _written(self, writes: Sequence[Write], op_id: str) -> list[TableEntity]:
        """Those of the rows that carry our op_id: all of them or, if somebody has written since, some."""
        first = writes[0].columns
        if len(writes) == 1:
            entity = self.get(first["PartitionKey"], first["RowKey"])
            return [entity] if entity is not None and entity.get("op_id") == op_id else []
        return self.query(_by_op_id(first["PartitionKey"], op_id), select=["PartitionKey", "RowKey"])


def _by_op_id(partition: str, op_id: str) -> str:
    return f"PartitionKey eq {literal(partition)} and op_id eq {literal(op_id)}"


def etag_of(entity: TableEntity) -> str:
    return str(entity.metadata["etag"])


def _if_match(etag: str) -> dict[str, Any]:
    return {"etag": etag, "match_condition": MatchConditions.IfNotModified}


def _operation(write: Write) -> Any:
    if write.etag is None:
        return (TransactionOperation.CREATE, write.columns)
    return (TransactionOperation.UPDATE, write.columns, {"mode": UpdateMode.REPLACE, **_if_match(write.etag)})


def _deletion(entity: TableEntity) -> Any:
    return (TransactionOperation.DELETE, entity, _if_match(etag_of(entity)))


def _is_missing_table(error: HttpResponseError) -> bool:
    """Only the text says so for every operation: some of the SDK's errors come without a code."""
    return error.status_code == 404 and TableErrorCode.TABLE_NOT_FOUND.value in str(error)
