"""Every operation that the stores ask of a table, with its answer lost after it was carried out: same end, same result.

| operation | what the SDK does about a lost answer | what settles it |
|---|---|---|
| make the table | repeats it: 409, or no answer at all | a table that is there is fine |
| insert | repeats it, or gives up: 409, or no answer | op_id, read again |
| replace, If-Match | repeats it: a false 412 | op_id, read again |
| transaction | repeats it, or gives up: 409, 412, or no answer | op_id of all its rows, read again |
| delete, If-Match | repeats it: 404 | a row that is gone is fine |
| read a row, query | repeats it | nothing to settle |

Merge and upsert would be two more; no store uses them, because neither says whether the row was as supposed.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from azure.data.tables import TableServiceClient

from shared.adapters.table_store import CLIENT_OPTIONS
from shared.adapters.table_store.table import Table, Write, etag_of
from tests.support.azurite import Account
from tests.support.dropping_proxy import BUSY, CONNECTION_LOST, DroppingProxy, dropping_proxy

ADAPTER = Path(__file__).resolve().parents[3] / "shared" / "adapters" / "table_store"
LOSSES = pytest.mark.parametrize("instead", [CONNECTION_LOST, BUSY], ids=["connection-lost", "503-after-commit"])


@pytest.fixture
def proxy(account: Account) -> Iterator[DroppingProxy]:
    with dropping_proxy(account.table_port) as proxy:
        yield proxy


@pytest.fixture
def table(account: Account, proxy: DroppingProxy) -> Iterator[Table]:
    """Behind the proxy; it exists, with the rows `a` and `b`, and no answer has been lost yet."""
    options = CLIENT_OPTIONS | {"retry_backoff_factor": 0.01}
    behind = replace(account, table_port=proxy.port)
    with TableServiceClient.from_connection_string(behind.connection_string, **options) as service:
        table = Table(service, "operations")
        table.ensure()
        table.write(insert("a"), insert("b"))
        yield table


def insert(row: str, value: int = 1) -> Write:
    return Write(columns={"PartitionKey": "p", "RowKey": row, "value": value}, etag=None)


def replacement(table: Table, row: str, value: int) -> Write:
    return replace(insert(row, value), etag=etag(table, row))


def etag(table: Table, row: str) -> str:
    found = table.get("p", row)
    assert found is not None
    return etag_of(found)


def values(table: Table) -> dict[str, int]:
    return {entity["RowKey"]: entity["value"] for entity in table.query("PartitionKey eq 'p'")}


def writing(*writes: Callable[[Table], Write]) -> Callable[[Table], Callable[[], object]]:
    """Prepared with good answers; the write itself is the call."""

    def prepared(table: Table) -> Callable[[], object]:
        ready = [write(table) for write in writes]

        def call() -> object:
            etags = table.write(*ready)
            return list(etags) == [etag(table, write.columns["RowKey"]) for write in ready]

        return call

    return prepared


def deleting(table: Table) -> Callable[[], object]:
    found = table.get("p", "a")
    assert found is not None
    return lambda: table.delete(found)


def making_another(table: Table) -> Callable[[], object]:
    return table.ensure


OPERATIONS = {
    "make": (making_another, None, {"a": 1, "b": 1}),
    "insert": (writing(lambda _: insert("c")), True, {"a": 1, "b": 1, "c": 1}),
    "replace": (writing(lambda table: replacement(table, "a", 2)), True, {"a": 2, "b": 1}),
    "transaction": (
        writing(lambda table: replacement(table, "a", 2), lambda _: insert("c"), lambda t: replacement(t, "b", 3)),
        True,
        {"a": 2, "b": 3, "c": 1},
    ),
    "delete": (deleting, None, {"b": 1}),
    "read": (lambda table: lambda: (table.get("p", "a") or {})["value"], 1, {"a": 1, "b": 1}),
    "query": (lambda table: lambda: values(table), {"a": 1, "b": 1}, {"a": 1, "b": 1}),
}
"""What is done, what it returns, and what stands in the table afterwards."""


@LOSSES
@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_whose_answer_is_lost_has_the_same_end(
    table: Table, proxy: DroppingProxy, operation: str, instead: bytes
) -> None:
    """Issue 5: all operations of the table, and every repetition and re-read on the way loses its first answer too."""
    prepare, result, left = OPERATIONS[operation]
    call = prepare(table)
    proxy.every_first = instead
    assert call() == result
    assert proxy.dropped
    proxy.every_first = None
    assert values(table) == left


@LOSSES
def test_a_table_that_did_not_exist_is_made_though_the_answer_is_lost(
    account: Account, proxy: DroppingProxy, instead: bytes
) -> None:
    """The first write of all: 404, the table is made, the write is repeated; each of the three loses its answer."""
    behind = replace(account, table_port=proxy.port)
    options = CLIENT_OPTIONS | {"retry_backoff_factor": 0.01}
    with TableServiceClient.from_connection_string(behind.connection_string, **options) as service:
        table = Table(service, "unheardof")
        proxy.every_first = instead
        table.write(insert("a"))
        assert values(table) == {"a": 1}
    assert len([line for line in proxy.dropped if b"/Tables" in line]) == 1


def test_no_store_merges_or_upserts() -> None:
    """Issue 5, rule 1: every write says what the row must have been, so the table above is all there is."""
    source = "\n".join(path.read_text(encoding="utf-8") for path in sorted(ADAPTER.glob("*.py")))
    used = (
        "create_entity(",
        "update_entity(",
        "submit_transaction(",
        "delete_entity(",
        "get_entity(",
        "query_entities(",
    )
    assert [call for call in used if call not in source] == []
    assert [word for word in ("MERGE", "upsert", "UPSERT", "list_entities", "Unconditionally") if word in source] == []
