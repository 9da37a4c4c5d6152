"""Counting Table requests in Azurite's access log."""

from collections import Counter

from local.demo.stats import Readings, report, table_requests

LOG = """Azurite Table service is successfully listening at http://127.0.0.1:33105
127.0.0.1 - - [23/Nov/2026:20:40:22 +0000] "POST /devstoreaccount1/Tables HTTP/1.1" 201 -
127.0.0.1 - - [23/Nov/2026:20:40:22 +0000] "POST /devstoreaccount1/releases HTTP/1.1" 201 -
127.0.0.1 - - [23/Nov/2026:20:40:22 +0000] "GET /devstoreaccount1/releases(PartitionKey='1',RowKey='c%7CA%7CB') HTTP/1.1" 200 -
127.0.0.1 - - [23/Nov/2026:20:40:22 +0000] "GET /devstoreaccount1/releases()?$top=1&$filter=x HTTP/1.1" 200 -
127.0.0.1 - - [23/Nov/2026:20:40:22 +0000] "PUT /devstoreaccount1/releases(PartitionKey='1',RowKey='2') HTTP/1.1" 204 -
127.0.0.1 - - [23/Nov/2026:20:40:22 +0000] "POST /devstoreaccount1/$batch HTTP/1.1" 202 -
127.0.0.1 - - [23/Nov/2026:20:40:22 +0000] "PUT /devstoreaccount1/build-artifacts?restype=container HTTP/1.1" 201 -
127.0.0.1 - - [23/Nov/2026:20:40:22 +0000] "GET /devstoreaccount1/evidence?restype=container&comp=list HTTP/1.1" 200 -
127.0.0.1 - - [23/Nov/2026:20:40:22 +0000] "PUT /devstoreaccount1/evidence/1/manifest.json HTTP/1.1" 201 -
127.0.0.1 - - [23/Nov/2026:20:40:22 +0000] "PATCH /devstoreaccount1/slots(PartitionKey='s',RowKey='1') HTTP/1.1" 204 -
"""


def test_table_requests_are_told_apart_and_blobs_are_not_counted() -> None:
    """Reads of one row, queries, writes and transactions, by table."""
    assert table_requests(LOG) == Counter(
        {
            "Tables write": 1,
            "releases write": 2,
            "releases read": 1,
            "releases query": 1,
            "transaction": 1,
            "slots write": 1,
        }
    )


def readings(number: int) -> Readings:
    """Counters that stand at a number."""
    return Readings(
        table=Counter({"releases read": number}),
        sends=Counter(),
        azure_ml=Counter(),
        invocations=Counter({"promotion": 1}),
    )


CIRCUIT = """x "GET /a/releases()?$filter=PartitionKey%20eq%20%271%27%20and%20(RowKey%20eq%20%27!release%27%20or%20RowKey%20eq%20%27c%7CP%7CC%27) HTTP/1.1" 200 -
x "PUT /a/releases(PartitionKey='1',RowKey='c%7CP%7CC') HTTP/1.1" 204 -
x "GET /a/releases()?$top=1&$filter=PartitionKey%20eq%20%271%27%20and%20todo%20eq%201 HTTP/1.1" 200 -
"""


def test_a_circuits_transition_is_a_load_a_write_and_a_scan_where_its_round_ends() -> None:
    """The three requests the design allows are told apart from everything else."""
    assert table_requests(CIRCUIT) == Counter({"circuit load": 1, "circuit write": 1, "circuit fan-in scan": 1})


def test_the_report_shows_what_was_added_in_total_per_circuit_and_per_transition() -> None:
    """What happened before the release is not its cost."""
    release = {"circuits": [{}, {}, {}], "history": [{"circuit": "P/C"}, {"circuit": "P/C"}, {"circuit": ""}]}
    lines = report(readings(16).minus(readings(10)), release).splitlines()
    assert any(line.split() == ["releases", "read", "6", "2.0"] for line in lines)
    assert not any("promotion" in line for line in lines)
    assert lines[-1].endswith(": 0.0 (polls: a read and a write)")
