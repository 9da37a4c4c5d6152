"""Circuits on hold: a rollback leaves a hold behind, and releases leave such circuits out of Production."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from local.demo.access import api, key_flags
from local.stack.description import Stack


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A circuit's hold as the app tells it."""

    plant_id: str
    circuit_id: str
    told: str

    def __str__(self) -> str:
        return f"{self.plant_id}/{self.circuit_id}: {self.told}"


def holds_of(stack: Stack, circuits: Sequence[Mapping[str, Any]]) -> tuple[Hold, ...]:
    """The holds on these circuits of an artifact or a release."""
    http, found = api(stack), []
    for circuit in circuits:
        plant_id, circuit_id = circuit["plant_id"], circuit["circuit_id"]
        reply = http.get(f"{stack.app_url}/api/circuits/{plant_id}/{circuit_id}")
        hold = reply.json()["production"]["hold"] if reply.status == 200 else None
        if hold:
            told = f"held until {hold['until']} by {hold['by']}: {hold['reason']}"
            found.append(Hold(plant_id=plant_id, circuit_id=circuit_id, told=told))
    return tuple(found)


def lift_call(stack: Stack, plant_id: str, circuit_id: str) -> str:
    """The call that lifts a circuit's hold, to be copied into a terminal."""
    body = json.dumps({"action": "lift", "reason": "your reason", "requested_by": "you"})
    return (
        f"curl -X POST {key_flags(stack)} -H 'Content-Type: application/json' "
        f"-d '{body}' {stack.app_url}/api/circuits/{plant_id}/{circuit_id}/hold"
    )


def warning(stack: Stack, holds: Sequence[Hold]) -> str:
    """What a person should know before a release with held circuits begins."""
    lines = [
        line for hold in holds for line in (f"  {hold}", f"    {lift_call(stack, hold.plant_id, hold.circuit_id)}")
    ]
    return "\n".join(
        ["⏸️ On hold: this release leaves these circuits out of Production, unless you lift it now:", *lines]
    )
