"""STATS=1: what one release cost, per circuit - Table requests, Service Bus sends, Azure ML calls, invocations."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from local.demo.http import Http
from local.demo.journals import azure_ml_journal, service_bus_journal
from local.demo.releases import Looks, Release, ReleasesApi
from local.stack.description import Stack

# Azurite's access log names no service; a table's requests are known by their paths:
# `/account/table(…)`, `/account/table()?…`, `/account/$batch`, and an insert's bare `/account/table`.
TABLE_REQUEST = re.compile(
    r'"(?P<method>[A-Z]+) /\w+/(?:(?P<batch>\$batch)|(?P<table>[A-Za-z][A-Za-z0-9]*)(?P<keys>\([^)]*\))?)(?P<query>\?\S*)? HTTP'
)
CIRCUIT_LOAD, CIRCUIT_WRITE, CIRCUIT_SCAN = "circuit load", "circuit write", "circuit fan-in scan"
SAMPLE_LOOKS = 5
REQUESTS_PER_POLL = 2
TRANSACTION = "transaction"
LOOKING = frozenset({"get_release", "show_gate", "stylesheet", "list_page", "release_page", "circuit_page"})
"""Functions that only show something: a demo's own looks, and those of a person who watches it."""
MISSING_LOOK = Counter({"releases read": 1})
GATE_LOOK = Counter({"releases query": 1})
"""One query for release and gate."""
BLOB_CONTAINER_QUERY = re.compile(r"[?&](restype|comp)=")


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """Counters at one moment; the difference of two is what happened in between."""

    table: Counter[str]
    sends: Counter[str]
    azure_ml: Counter[str]
    invocations: Counter[str]

    def minus(self, other: "Readings") -> "Readings":
        return Readings(
            table=self.table - other.table,
            sends=self.sends - other.sends,
            azure_ml=self.azure_ml - other.azure_ml,
            invocations=self.invocations - other.invocations,
        )


class Meters:
    """Reads the counters of a running stack."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._azure_ml = azure_ml_journal(stack).from_now()
        self._service_bus = service_bus_journal(stack).from_now()

    def read(self) -> Readings:
        return Readings(
            table=table_requests((Path(self._stack.logs) / "storage.log").read_text(encoding="utf-8")),
            sends=Counter(
                f"{entry['queue']} {entry['op']}"
                for entry in self._service_bus.entries()
                if entry["op"] in {"send", "schedule"}
            ),
            azure_ml=Counter(f"{entry['scope'] or '-'} {entry['operation']}" for entry in self._azure_ml.entries()),
            invocations=self._invocations(),
        )

    def own_looks(self, cost: Readings, release_id: str, looks: Looks) -> Readings:
        """What the demo's own looks at the release are of a cost: worked out from a few more of them."""
        api, before = ReleasesApi(self._stack), self.read()
        for _ in range(SAMPLE_LOOKS):
            api.get(release_id)
        few = self.read().minus(before).table
        # Rounded down: what a timer did meanwhile is not multiplied.
        ended = Counter({kind: count // SAMPLE_LOOKS for kind, count in few.items()})
        # Only a release that has ended is shown with the holds on all circuits.
        running = Counter({kind: count for kind, count in ended.items() if not kind.startswith("endpoints ")})
        invocations = Counter({name: count for name, count in cost.invocations.items() if name in LOOKING})
        table = _times(running, looks.running) + _times(ended, looks.ended) + _times(MISSING_LOOK, looks.missing)
        table += _times(GATE_LOOK, invocations["show_gate"])
        return Readings(table=table, sends=Counter(), azure_ml=Counter(), invocations=invocations)

    def _invocations(self) -> Counter[str]:
        counts: Mapping[str, Any] = Http().get(f"{self._stack.app_url}/admin/host/invocations").json()
        return Counter({name: count["started"] for name, count in counts.items()})


def table_requests(log: str) -> Counter[str]:
    """Table requests in an Azurite access log, by table and kind of request."""
    return Counter(kind for line in log.splitlines() if (kind := _table_request(line)))


def _table_request(line: str) -> str | None:
    found = TABLE_REQUEST.search(line)
    if found and found["table"] == "releases" and (circuit := _circuit_request(found)):
        return circuit
    if not found or BLOB_CONTAINER_QUERY.search(found["query"] or ""):
        return None
    if found["batch"]:
        return TRANSACTION
    keys = found["keys"]
    match found["method"]:
        case "GET":
            return f"{found['table']} {'read' if keys and keys != '()' else 'query'}"
        case "POST" | "PUT" | "PATCH" | "MERGE" | "DELETE" if keys or found["method"] == "POST":
            return f"{found['table']} write"
        case _:
            return None


def _circuit_request(found: re.Match[str]) -> str | None:
    """What a circuit's transition or poll is made of: one load of release and row, one write, a scan where it ends."""
    keys, query = unquote(found["keys"] or ""), unquote(found["query"] or "")
    if found["method"] == "PUT" and "RowKey='c|" in keys:
        return CIRCUIT_WRITE
    if "RowKey eq '!release' or RowKey eq 'c|" in query:
        return CIRCUIT_LOAD
    return CIRCUIT_SCAN if " todo eq " in query else None


def _times(counter: Counter[str], number: int) -> Counter[str]:
    return Counter({name: count * number for name, count in counter.items()})


def report(everything: Readings, own: Readings, looks: Looks, release: Release) -> str:
    """What a release cost as text: in total, per circuit, and per circuit transition; the demo's own looks apart."""
    circuits = max(1, len(release["circuits"]))
    cost = everything.minus(own)
    lines = [
        "What this release cost: all that the stack did from the upload to the end, timers included.",
        f"{f'({circuits} circuits)':<58} {'total':>7} {'each':>8}",
    ]
    for title, counter in (
        ("Table requests", cost.table),
        ("Service Bus sends", cost.sends),
        ("Azure ML calls", cost.azure_ml),
        ("Function invocations", cost.invocations),
    ):
        lines.append(_line(title, counter.total(), circuits, indent=2))
        lines += [_line(name, count, circuits, indent=4) for name, count in sorted(counter.items())]
    pages = own.invocations["show_gate"]
    apart = (
        f"  Not in it, the demo's own looks ({looks.total} at the release, {pages} at its approval pages): "
        f"{own.table.total()} Table requests, {own.invocations.total()} invocations"
    )
    return "\n".join([*lines, apart, *_per_transition(cost, release)])


def _per_transition(cost: Readings, release: Release) -> list[str]:
    """Every Table request in one line, by what it was for."""
    transitions = max(1, sum(1 for line in release["history"] if line["circuit"]))
    polls = sum(count for name, count in cost.sends.items() if name.endswith(" schedule"))
    of_polls = REQUESTS_PER_POLL * polls
    rows = sum(cost.table[kind] for kind in (CIRCUIT_LOAD, CIRCUIT_WRITE, CIRCUIT_SCAN)) - of_polls
    locks, slots = (_of_table(cost.table, table) for table in ("endpoints", "slots"))
    transactions = cost.table[TRANSACTION]
    rest = cost.table.total() - rows - of_polls - locks - slots - transactions
    return [
        f"{f'Table requests by purpose ({transitions} circuit transitions)':<58} {'total':>7} {'each':>8}",
        _line("circuits' rows: load, write, fan-in scan", rows, transitions, indent=4),
        _line(f"{polls} polls (scheduled looks): a read and a write each", of_polls, transitions, indent=4),
        _line("locks and ledger, outside transactions", locks, transitions, indent=4),
        _line("slots of smoke tests", slots, transitions, indent=4),
        _line("transactions: fan-out, gates, messages, lock + ledger", transactions, transitions, indent=4),
        _line("the release as a whole: row, gates, messages, lists", rest, transitions, indent=4),
    ]


def _of_table(counter: Counter[str], table: str) -> int:
    return sum(count for kind, count in counter.items() if kind.startswith(f"{table} "))


def _line(name: str, count: int, among: int, *, indent: int) -> str:
    label = " " * indent + name
    return f"{label:<58} {count:7d} {count / among:8.1f}"
