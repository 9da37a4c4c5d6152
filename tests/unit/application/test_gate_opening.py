"""Unit: what is frozen when a gate opens, and what stays of it when it opens again."""

import hashlib
import json
from datetime import timedelta

from shared.domain.model import FANOUT_END, GateName, GateState, ReleasePhase
from tests.support.builders import OTHER_CIRCUIT
from tests.support.pipeline_world import PipelineWorld

REGISTRY = GateName.REGISTRY


def open_gate(world: PipelineWorld) -> None:
    world.start()
    world.to_phase(ReleasePhase.AWAITING_REGISTRY_APPROVAL)


def test_the_digest_is_the_sha_256_of_the_frozen_evidence(world: PipelineWorld) -> None:
    """The blob is named after it and is never overwritten."""
    open_gate(world)

    gate = world.gate(REGISTRY)
    content = world.evidence.blobs[gate.evidence_blob]
    assert hashlib.sha256(content).hexdigest() == gate.digest
    assert gate.evidence_blob == f"20251210.1/registry-approval/{gate.digest}.json"
    assert [c["circuit_id"] for c in json.loads(content)["circuits"]] == ["CIRCUIT01", "CIRCUIT02", "CIRCUIT01"]


def test_a_gate_is_open_for_a_day_from_the_moment_it_opened(world: PipelineWorld) -> None:
    """R8."""
    open_gate(world)

    gate = world.gate(REGISTRY)
    assert gate.expires_at - gate.opened_at == timedelta(hours=24)
    assert gate.opened_at == world.release().hist[-1].at


def test_a_crash_before_the_transaction_leaves_a_blob_and_no_gate(world: PipelineWorld) -> None:
    """The evidence is frozen first; opening again freezes the same bytes."""
    open_gate(world)
    frozen = dict(world.evidence.blobs)
    digest = world.gate(REGISTRY).digest
    del world.releases.rows["20251210.1"]["g|registry-approval"]
    world.releases.rows["20251210.1"] = {
        key: row for key, row in world.releases.rows["20251210.1"].items() if not key.startswith("n|")
    }
    world.change(
        world.release(),
        phase=ReleasePhase.INSPECTING,
        fanout_cursor=FANOUT_END,
        due_at=world.clock.now(),
        hist=world.release().hist[:-1],
    )

    world.sweep_for(timedelta(minutes=5))

    assert world.gate(REGISTRY).digest == digest
    assert world.evidence.blobs == frozen


def test_a_reopened_gate_keeps_its_history_and_earlier_digests(world: PipelineWorld) -> None:
    """The audit trail of both openings stays in the one row."""
    open_gate(world)
    first = world.gate(REGISTRY)
    world.sweep_for(timedelta(hours=24, minutes=1))
    world.operations().retry("20251210.1", by="ops", reason="again", exclude={})

    again = world.gate(REGISTRY)
    assert again.state is GateState.OPEN
    assert again.nonce != first.nonce
    assert first.digest in again.earlier_digests
    assert [entry.target for entry in again.hist] == [GateState.OPEN, GateState.EXPIRED, GateState.OPEN]


def test_evidence_shows_who_was_left_out_and_why(world: PipelineWorld) -> None:
    """R58: both gates show it."""
    open_gate(world)
    world.answer(REGISTRY, exclude={str(OTHER_CIRCUIT): "sensor is being replaced"})
    world.to_phase(ReleasePhase.AWAITING_PRODUCTION_APPROVAL)

    document = json.loads(world.evidence.blobs[world.gate(GateName.PRODUCTION).evidence_blob])
    left_out = {f"{c['plant_id']}/{c['circuit_id']}": c["left_out"] for c in document["circuits"]}
    assert left_out[str(OTHER_CIRCUIT)] == "sensor is being replaced"
    assert list(left_out.values()).count("") == 2
