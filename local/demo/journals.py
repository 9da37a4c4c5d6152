"""What the stand-ins recorded while the release ran: the demo's claims are checked against it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local.demo.http import Http
from local.stack.azure_names import DEV, PRODUCTION
from local.stack.description import Stack

type Entry = Mapping[str, Any]


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


def writes_to(entries: list[Entry], scope: str) -> list[str]:
    """The requests that changed something in a workspace or registry, as `METHOD path -> status`."""
    return [
        f"{entry['method']} {entry['path']} -> {entry['status']}"
        for entry in entries
        if entry["scope"] == scope and entry["kind"] in {"write", "blob-write"}
    ]


def forbidden_writes(entries: list[Entry], *, production_allowed: bool) -> list[str]:
    """Writes that must not have happened: any to Dev, and to production unless the release succeeded."""
    found = [f"{DEV.name}: {write}" for write in writes_to(entries, DEV.name)]
    if not production_allowed:
        found += [f"{PRODUCTION.name}: {write}" for write in writes_to(entries, PRODUCTION.name)]
    return found
