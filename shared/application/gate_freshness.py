"""Use cases: does a gate's frozen evidence still agree with what the app itself knows? No call of Azure ML.

Holds, drift, newer releases and what is wanted live stand in the lock rows. They change the moment a rollback begins
or an operator sets a hold; a decision must not rest on evidence that does not know of it yet.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from shared.application.locks import MARKS, marks_of
from shared.application.ports import Ports
from shared.domain.commands import RefreshGate
from shared.domain.model import Circuit, Environment, Gate

type Changes = Mapping[Circuit, Sequence[str]]


def outdated(document: bytes, ports: Ports) -> Changes:
    """The circuits this evidence is wrong about by now, each with what changed, in sentences; one Table request."""
    evidence = json.loads(document or b"{}")
    shown = {_circuit(entry): entry for entry in _shown(evidence)}
    locks = ports.endpoints.locks_of(Environment.PRODUCTION, tuple(shown))
    now = ports.clock.now()
    found: dict[Circuit, Sequence[str]] = {}
    for circuit, entry in shown.items():
        marks = marks_of(locks.get(circuit), str(evidence.get("release_id")), now)
        if told := [_told(circuit, name, entry, marks[name]) for name in MARKS if entry.get(name, "") != marks[name]]:
            found[circuit] = told
    return found


def worth_a_look(document: bytes, ports: Ports) -> frozenset[Circuit]:
    """What it is wrong about, and what was just being switched when it was looked at: that has an end to be seen."""
    entries = _shown(json.loads(document or b"{}"))
    switching = [_circuit(entry) for entry in entries if _was_switching(entry)]
    return frozenset((*outdated(document, ports), *switching))


def _shown(evidence: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [entry for entry in evidence.get("circuits", ()) if not entry.get("left_out")]


def _was_switching(entry: Mapping[str, Any]) -> bool:
    """Another default was live than is wanted, and nobody has found that it was changed outside."""
    wanted = entry.get("wanted")
    return bool(wanted) and wanted != entry.get("live_deployment") and not entry.get("drift")


def told(changes: Changes) -> tuple[str, ...]:
    """All of them, one after the other."""
    return tuple(line for lines in changes.values() for line in lines)


def look_at_outdated(gate: Gate, ports: Ports) -> None:
    """Have the circuits looked at again that an open gate's evidence is wrong about. Asked twice in a second: once."""
    n = int(ports.clock.now().timestamp())
    ports.bus.send((RefreshGate(release_id=gate.release_id, gate=gate.gate, n=n, outdated=gate.digest),))


def _circuit(entry: Mapping[str, object]) -> Circuit:
    return Circuit(plant_id=str(entry["plant_id"]), circuit_id=str(entry["circuit_id"]))


def _told(circuit: Circuit, name: str, entry: Mapping[str, object], words: str) -> str:
    return f"{circuit} {name}: was {entry.get(name) or 'absent'}, is {words or 'no longer'}"
