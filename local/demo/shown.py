"""What a story has shown beside its summary: the reason why somebody ran it, in a line or two."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from local.demo.journals import Entry
from local.demo.releases import Release

DIFFERENCES = ("missing", "extra", "changed")


def shown(release: Release, left: Mapping[str, Mapping[str, int]], entries: Sequence[Entry]) -> list[str]:
    """Lines for people; `left` is what the release has left behind, if that was counted: one of each, or it is told."""
    told = [line for circuit in release["circuits"] for line in _of_circuit(circuit)]
    struck = sum(1 for entry in entries if entry.get("fault"))
    if struck:
        told.append(
            f"{struck} of {len(entries)} calls to Azure ML, its files and its sign-in were refused with 429 or 500, "
            "dropped, or done without an answer"
        )
    if left:
        told.append(f"each circuit has of this release one and no more of its {', '.join(next(iter(left.values())))}")
    return told


def _of_circuit(circuit: Mapping[str, Any]) -> Iterator[str]:
    name, evidence = f"{circuit['plant_id']}/{circuit['circuit_id']}", circuit.get("evidence", {})
    schema = evidence.get("schema") or {}
    if differences := [f"{what}: {one}" for what in DIFFERENCES for one in schema.get(what) or ()]:
        yield f"{name}: gate 2 warned of the predictions' columns ({'; '.join(differences)}; by {schema['source']})"
    if evidence.get("adopted"):
        yield (
            f"{name}: its endpoint was there before and had no tags of ours; it was taken over, and "
            f"{circuit['previous_deployment']} is what a rollback goes back to"
        )
