"""Counting Table requests in Azurite's access log."""

from collections import Counter

from local.demo.releases import Looks
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


CIRCUIT = """x "GET /a/releases()?$filter=PartitionKey%20eq%20%271%27%20and%20(RowKey%20eq%20%27!release%27%20or%20RowKey%20eq%20%27c%7CP%7CC%27) HTTP/1.1" 200 -
x "PUT /a/releases(PartitionKey='1',RowKey='c%7CP%7CC') HTTP/1.1" 204 -
x "GET /a/releases()?$top=1&$filter=PartitionKey%20eq%20%271%27%20and%20todo%20eq%201 HTTP/1.1" 200 -
"""


def test_a_circuits_transition_is_a_load_a_write_and_a_scan_where_its_round_ends() -> None:
    """The three requests the design allows are told apart from everything else."""
    assert table_requests(CIRCUIT) == Counter({"circuit load": 1, "circuit write": 1, "circuit fan-in scan": 1})


RELEASE = {"circuits": [{}, {}, {}], "history": [*({"circuit": "P/C"} for _ in range(10)), {"circuit": ""}]}
EVERYTHING = Readings(
    table=Counter(
        {
            "circuit load": 14,
            "circuit write": 14,
            "circuit fan-in scan": 6,
            "endpoints read": 9,
            "endpoints write": 1,
            "releases read": 107,
            "releases query": 302,
            "slots query": 2,
            "slots write": 3,
            "transaction": 5,
        }
    ),
    sends=Counter({"deployment schedule": 4, "deployment send": 8}),
    azure_ml=Counter(),
    invocations=Counter({"deployment": 12, "get_release": 100, "show_gate": 2}),
)
LOOKS = Looks(missing=3, running=96, ended=1)
OWN = Readings(
    table=Counter({"releases read": 100, "releases query": 293, "endpoints read": 1}),
    sends=Counter(),
    azure_ml=Counter(),
    invocations=Counter({"get_release": 100, "show_gate": 2}),
)


def told() -> dict[str, list[str]]:
    """The report's lines: what is counted, and the numbers behind it."""
    lines = report(EVERYTHING, OWN, LOOKS, RELEASE).splitlines()
    return {line[:58].strip(): line[58:].split() for line in lines}


def test_the_demos_own_looks_are_not_the_releases_cost() -> None:
    """They are told apart, in a line of their own, with how many there were."""
    lines = told()
    assert lines["Table requests"] == ["69", "23.0"]
    assert lines["releases read"] == ["7", "2.3"]
    assert lines["Function invocations"] == ["12", "4.0"]
    assert "get_release" not in lines
    said = report(EVERYTHING, OWN, LOOKS, RELEASE)
    apart = (
        "Not in it, the demo's own looks (100 at the release, 2 at its approval pages): 394 Table requests, 102 invo"
    )
    assert apart in said


def test_every_table_request_stands_in_one_line_by_what_it_is_for() -> None:
    """Locks, slots and transactions too: the lines add up to the total, each per circuit transition."""
    lines = list(told().items())
    start = next(n for n, (name, _) in enumerate(lines) if name.startswith("Table requests by purpose"))
    assert lines[start][0].endswith("(10 circuit transitions)")
    numbers = {name.partition(":")[0]: values for name, values in lines[start + 1 :]}
    assert numbers == {
        "circuits' rows": ["26", "2.6"],
        "4 polls (scheduled looks)": ["8", "0.8"],
        "locks and ledger, outside transactions": ["9", "0.9"],
        "slots of smoke tests": ["5", "0.5"],
        "transactions": ["5", "0.5"],
        "the release as a whole": ["16", "1.6"],
    }
    assert sum(int(total) for total, _ in numbers.values()) == int(told()["Table requests"][0])


def test_what_happened_before_the_release_is_not_its_cost() -> None:
    """Counters are read before and after; kinds that did not move are not told."""
    later = Readings(
        table=Counter({"releases read": 16, "active query": 3}),
        sends=Counter(),
        azure_ml=Counter(),
        invocations=Counter({"promotion": 1}),
    )
    before = Readings(
        table=Counter({"releases read": 10, "active query": 3}),
        sends=Counter(),
        azure_ml=Counter(),
        invocations=Counter({"promotion": 1}),
    )
    none = Readings(table=Counter(), sends=Counter(), azure_ml=Counter(), invocations=Counter())
    said = report(later.minus(before), none, Looks(), RELEASE)
    assert [line.split() for line in said.splitlines() if "releases read" in line] == [["releases", "read", "6", "2.0"]]
    assert "active" not in said
    assert "promotion" not in said
