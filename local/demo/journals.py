"""What the stand-ins recorded while the release ran: the demo's claims are checked against it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from local.demo.http import Http
from local.demo.releases import PRODUCTION_GATE, REGISTRY_GATE, Release
from local.stack.azure_names import DEV, PRODUCTION, REGISTRY
from local.stack.description import Stack

type Entry = Mapping[str, Any]

WRITES = frozenset({"write", "blob-write"})
GATE_BEFORE = {REGISTRY: REGISTRY_GATE, PRODUCTION.name: PRODUCTION_GATE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """What one stand-in recorded from one moment on."""

    url: str
    since: int = 0

    def entries(self) -> list[Entry]:
        """Every entry since then, oldest first; the stand-ins give them in pages."""
        found: list[Entry] = []
        last, http = self.since, Http()
        while page := http.get(f"{self.url}?after={last}").json():
            found += page
            last = page[-1]["n"]
        return found

    def from_now(self) -> "Journal":
        """The same journal without what happened until now."""
        entries = self.entries()
        return Journal(url=self.url, since=entries[-1]["n"] if entries else self.since)


def azure_ml_journal(stack: Stack) -> Journal:
    """Requests to the stack's Azure ML, from its start."""
    return Journal(url=f"{stack.azure_ml.admin_url}/journal")


def service_bus_journal(stack: Stack) -> Journal:
    """What happened to messages in the stack's Service Bus, from its start."""
    return Journal(url=f"{stack.service_bus_admin_url}/journal")


def trespasses(entries: Sequence[Entry], release: Release) -> list[str]:
    """Writes that must not have happened: any to Dev, and those to a stage whose gate had not been approved."""
    return [
        f"{entry['method']} {entry['path']} in {entry['scope']} at {entry['at']}, answered {entry['status']}"
        for entry in entries
        if entry["kind"] in WRITES and not _was_open(entry, release)
    ]


def _was_open(entry: Entry, release: Release) -> bool:
    if entry["scope"] == DEV.name:
        return False
    gate = GATE_BEFORE.get(entry["scope"])
    if gate is None:
        return True
    approved = _approved_at(release, gate)
    return approved is not None and datetime.fromisoformat(entry["at"]) >= approved


def _approved_at(release: Release, name: str) -> datetime | None:
    """When the gate's last decision made it approved; None if it is not."""
    for gate in release["gates"]:
        if gate["gate"] == name and gate["state"] == "approved":
            return max(datetime.fromisoformat(decision["at"]) for decision in gate["decisions"])
    return None
