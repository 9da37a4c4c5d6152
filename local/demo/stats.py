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
from local.demo.releases import Release, ReleasesApi
from local.stack.description import Stack

# Azurite's access log names no service; a table's requests are known by their paths:
# `/account/table(…)`, `/account/table()?…`, `/account/$batch`, and an insert's bare `/account/table`.
TABLE_REQUEST = re.compile(
    r'"(?P<method>[A-Z]+) /\w+/(?:(?P<batch>\$batch)|(?P<table>[A-Za-z][A-Za-z0-9]*)(?P<keys>\([^)]*\))?)(?P<query>\?\S*)? HTTP'
)
CIRCUIT_LOAD, CIRCUIT_WRITE, CIRCUIT_SCAN = "circuit load", "circuit write", "circuit fan-in scan"
SAMPLE_LOOKS = 5
REQUESTS_PER_POLL = 2
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

    def cost_of_looking(self, release_id: str, looks: int) -> Readings:
        """What the demo's own looks at the release added: measured on a few more of them."""
        api, before = ReleasesApi(self._stack), self.read()
        for _ in range(SAMPLE_LOOKS):
            api.get(release_id)
        few = self.read().minus(before)
        return Readings(
            table=_scaled(few.table, looks / SAMPLE_LOOKS),
            sends=Counter(),
            azure_ml=Counter(),
            invocations=_scaled(few.invocations, looks / SAMPLE_LOOKS),
        )

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
        return "transaction"
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


def _scaled(counter: Counter[str], factor: float) -> Counter[str]:
    return Counter({name: round(count * factor) for name, count in counter.items()})


def report(cost: Readings, release: Release) -> str:
    """What a release cost as text: in total, and per circuit."""
    circuits = max(1, len(release["circuits"]))
    transitions = max(1, sum(1 for line in release["history"] if line["circuit"]))
    lines = [f"{f'What this release cost ({circuits} circuits)':<58} {'total':>7} {'each':>8}"]
    for title, counter in (
        ("Table requests", cost.table),
        ("Service Bus sends", cost.sends),
        ("Azure ML calls", cost.azure_ml),
        ("Function invocations", cost.invocations),
    ):
        lines.append(_line(title, counter.total(), circuits, indent=2))
        lines += [_line(name, count, circuits, indent=4) for name, count in sorted(counter.items())]
    polls = sum(count for name, count in cost.sends.items() if name.endswith(" schedule"))
    lines.append(_line("Circuit transitions", transitions, circuits, indent=2))
    lines.append(_line("Polls (scheduled looks)", polls, circuits, indent=2))
    asked = sum(cost.table[kind] for kind in (CIRCUIT_LOAD, CIRCUIT_WRITE, CIRCUIT_SCAN))
    moved = max(1, cost.table[CIRCUIT_WRITE] - polls)
    each = (asked - REQUESTS_PER_POLL * polls) / moved
    lines.append(
        f"  Table requests per circuit transition that is not a fan-out's: {each:.1f} (polls: a read and a write)"
    )
    return "\n".join(lines)


def _line(name: str, count: int, circuits: int, *, indent: int) -> str:
    label = " " * indent + name
    return f"{label:<58} {count:7d} {count / circuits:8.1f}"
