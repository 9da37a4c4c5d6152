"""SCENARIO=rollback: puts one circuit back as an operator would, and measures it."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from local.demo.access import api, key_flags
from local.demo.http import Reply
from local.demo.journals import WRITES, Entry, azure_ml_journal
from local.demo.manifest import EXAMPLE
from local.demo.release_run import TimeIsUpError
from local.demo.releases import Release
from local.stack.azure_names import PRODUCTION
from local.stack.description import Stack

LOOK_EVERY_SECONDS = 0.2
SAY = {"reason": "The demo goes back.", "requested_by": "ops@example.org"}

type Rollback = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class RolledBack:
    """How a rollback ended, and what is wrong with that."""

    rollback: Rollback
    complaints: tuple[str, ...]


def roll_back(stack: Stack, release: Release, limit: timedelta) -> RolledBack:
    """Ask for the release's first circuit, follow the rollback to its end, compare with what was live before.

    Raises:
        RuntimeError: the app refused.
        TimeIsUpError: it did not end in time.
    """
    circuit, journal = release["circuits"][0], azure_ml_journal(stack).from_now()
    asked = {"plant_id": circuit["plant_id"], "circuit_id": circuit["circuit_id"]}
    started = _post(stack, "/api/rollbacks", {"circuits": [asked], "from": circuit["deployment"], **SAY})
    rollback = _follow(stack, str(started["rollback_id"]), limit)
    return RolledBack(rollback=rollback, complaints=tuple(_complaints(rollback, circuit, journal.entries())))


def lift_hold(stack: Stack) -> bool:
    """A demo before this one may have left a hold on the example's first circuit: releases would leave it out."""
    circuit = json.loads(EXAMPLE.read_text(encoding="utf-8"))["circuits"][0]
    path = f"/api/circuits/{circuit['plant_id']}/{circuit['circuit_id']}"
    found = api(stack).get(f"{stack.app_url}{path}")
    if found.status != 200 or not found.json()["production"]["hold"]:
        return False
    _post(stack, f"{path}/hold", {"action": "lift", **SAY})
    return True


def rollback_call(stack: Stack, release: Release) -> str:
    """The call that puts a circuit of the release back, the first that it made live, to be copied into a terminal."""
    circuit = next((one for one in release["circuits"] if one.get("phase") == "live"), release["circuits"][0])
    asked = {"plant_id": circuit["plant_id"], "circuit_id": circuit["circuit_id"]}
    said = {"from": circuit["deployment"], "reason": "your reason", "requested_by": "you"}
    body = json.dumps({"circuits": [asked], **said})
    return (
        f"curl -X POST {key_flags(stack)} -H 'Content-Type: application/json' -d '{body}' {stack.app_url}/api/rollbacks"
    )


def told(rollback: Rollback) -> str:
    """What became of it, with the seconds."""
    lines = [
        f"  {c['plant_id']}/{c['circuit_id']}: {c['from']} -> {c['to']}, {c['phase']}, {c['seconds']} s"
        for c in rollback["circuits"]
    ]
    goal = (
        f"{rollback['seconds']} s from the request to the verified default; the goal is {rollback['goal_seconds']:g} s"
    )
    return "\n".join([f"Rollback {rollback['rollback_id']} {rollback['phase']}: {goal}", *lines])


def _follow(stack: Stack, rollback_id: str, limit: timedelta) -> Rollback:
    deadline, http = time.monotonic() + limit.total_seconds(), api(stack)
    while time.monotonic() < deadline:
        rollback: Rollback = _json(http.get(f"{stack.app_url}/api/rollbacks/{rollback_id}"))
        if rollback["ended_at"]:
            return rollback
        time.sleep(LOOK_EVERY_SECONDS)
    minutes = limit.total_seconds() / 60
    raise TimeIsUpError(f"Rollback {rollback_id} did not end within {minutes:g} minutes.")


def _complaints(rollback: Rollback, before: Mapping[str, Any], entries: Sequence[Entry]) -> list[str]:
    found = []
    if rollback["phase"] != "succeeded":
        found.append(f"the rollback ended {rollback['phase']}: {rollback['outcome']}")
    back = [(circuit["to"], circuit["phase"]) for circuit in rollback["circuits"]]
    if back != [(before["previous_deployment"], "restored")]:
        found.append(f"{before['previous_deployment']} should be back, but: {back}")
    if not found and rollback["seconds"] > rollback["goal_seconds"]:
        found.append(f"it took {rollback['seconds']} s")
    # Deletions are the release's own, whose success prunes what nobody needs any more.
    writes = [entry for entry in entries if entry["kind"] in WRITES and entry["operation"] != "deployments.delete"]
    if [(entry["scope"], entry["operation"]) for entry in writes] != [(PRODUCTION.name, "endpoints.put")]:
        found.append(f"one write of one endpoint's default was to be expected, not {writes}")
    return found


def _post(stack: Stack, path: str, body: Mapping[str, object]) -> dict[str, Any]:
    content = json.dumps(body).encode()
    return _json(api(stack).post(f"{stack.app_url}{path}", content, {"Content-Type": "application/json"}))


def _json(reply: Reply) -> dict[str, Any]:
    if reply.status not in {200, 202}:
        raise RuntimeError(f"{reply.url} answered {reply.status}: {reply.text[:300]}")
    found: dict[str, Any] = reply.json()
    return found
