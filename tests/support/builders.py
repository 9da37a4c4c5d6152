"""Rows with defaults, so that a test names only what it is about."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from shared.domain.model import (
    FANOUT_END,
    Channel,
    Circuit,
    CircuitPhase,
    CircuitRun,
    EndpointLock,
    Environment,
    Gate,
    GateName,
    GateState,
    HistoryEntry,
    HoldEntry,
    LedgerEntry,
    Moment,
    Notice,
    Release,
    ReleasePhase,
    Round,
)
from shared.domain.naming import deployment_name, endpoint_name, model_name, registry_version, release_seq
from shared.domain.policy import Policy

NOW = datetime(2025, 12, 10, 9, 0, tzinfo=UTC)
RELEASE_ID = "20251210.1"
CIRCUIT = Circuit(plant_id="PLANT001", circuit_id="CIRCUIT01")
OTHER_CIRCUIT = Circuit(plant_id="PLANT001", circuit_id="CIRCUIT02")
THIRD_CIRCUIT = Circuit(plant_id="PLANT002", circuit_id="CIRCUIT01")
TEMPLATE = "be-{plant}-{circuit}"


def a_release(
    release_id: str = RELEASE_ID, *, phase: ReleasePhase = ReleasePhase.INSPECTING, **columns: object
) -> Release:
    """A release of three circuits, fanned out completely."""
    release = Release(
        release_id=release_id,
        build_id="12345",
        phase=phase,
        seq=release_seq(release_id),
        total=3,
        manifest_sha256=hashlib.sha256(release_id.encode()).hexdigest(),
        manifest_blob=f"{release_id}/manifest.json",
        policy=Policy(),
        created_at=NOW,
        fanout_cursor=FANOUT_END,
        due_at=NOW + timedelta(seconds=90),
        artifact_path=f"releases/{release_id}/12345/changed_circuits.json",
        hist=(HistoryEntry(at=NOW, source="", target=phase),),
    )
    return replace(release, **columns)  # type: ignore[arg-type]  # columns are the dataclass's own


def a_run(
    circuit: Circuit = CIRCUIT,
    *,
    release_id: str = RELEASE_ID,
    phase: CircuitPhase = CircuitPhase.INSPECTING,
    **columns: object,
) -> CircuitRun:
    """A circuit's way through the release, named as intake names it."""
    endpoint = endpoint_name(TEMPLATE, circuit)
    run = CircuitRun(
        release_id=release_id,
        circuit=circuit,
        phase=phase,
        cutoff_date="2025-11-01",
        model_name=model_name(circuit),
        model_version=registry_version(release_id),
        test_endpoint=endpoint,
        endpoint=endpoint,
        deployment=deployment_name(release_id),
        todo=Round.INSPECTION if phase is CircuitPhase.INSPECTING else Round.NONE,
        since=NOW,
        hist=(HistoryEntry(at=NOW, source="", target=phase),),
    )
    return replace(run, **columns)  # type: ignore[arg-type]  # columns are the dataclass's own


def a_gate(
    gate: GateName = GateName.REGISTRY,
    *,
    release_id: str = RELEASE_ID,
    state: GateState = GateState.OPEN,
    **columns: object,
) -> Gate:
    """A gate that opened now and stays open for a day."""
    digest = hashlib.sha256(gate.encode()).hexdigest()
    row = Gate(
        release_id=release_id,
        gate=gate,
        state=state,
        nonce="nonce-1",
        opened_at=NOW,
        expires_at=NOW + timedelta(hours=24),
        digest=digest,
        evidence_blob=f"{release_id}/{gate}/{digest}.json",
        hist=(HistoryEntry(at=NOW, source="", target=state),),
    )
    return replace(row, **columns)  # type: ignore[arg-type]  # columns are the dataclass's own


def a_notice(
    recipient: str = "ann@example.com",
    *,
    moment: Moment = Moment.GATE_OPENED,
    channel: Channel = Channel.EMAIL,
    release_id: str = RELEASE_ID,
    **columns: object,
) -> Notice:
    """A message nobody has sent yet."""
    row = Notice(release_id=release_id, moment=moment, subject="", channel=channel, recipient=recipient, created_at=NOW)
    return replace(row, **columns)  # type: ignore[arg-type]  # columns are the dataclass's own


def a_lock(
    circuit: Circuit = CIRCUIT, *, environment: Environment = Environment.PRODUCTION, **columns: object
) -> EndpointLock:
    """The first release's lock on an endpoint."""
    row = EndpointLock(
        environment=environment, circuit=circuit, owner=RELEASE_ID, owner_seq=release_seq(RELEASE_ID), fence=1
    )
    return replace(row, **columns)  # type: ignore[arg-type]  # columns are the dataclass's own


def a_hold(circuit: Circuit = CIRCUIT, **columns: object) -> HoldEntry:
    """An operator's hold without an end, so one that was lifted."""
    row = HoldEntry(
        environment=Environment.PRODUCTION, circuit=circuit, number=1, at=NOW, by="ops", why="sensor is being replaced"
    )
    return replace(row, **columns)  # type: ignore[arg-type]  # columns are the dataclass's own


def a_ledger_entry(
    circuit: Circuit = CIRCUIT, *, environment: Environment = Environment.PRODUCTION, **columns: object
) -> LedgerEntry:
    """The first activation on an endpoint."""
    row = LedgerEntry(
        environment=environment,
        circuit=circuit,
        fence=1,
        deployment=deployment_name(RELEASE_ID),
        previous="",
        release_id=RELEASE_ID,
        activated_at=NOW,
        by="pipeline",
    )
    return replace(row, **columns)  # type: ignore[arg-type]  # columns are the dataclass's own


def an_artifact(release_id: str = RELEASE_ID, **fields: object) -> Mapping[str, object]:
    """`changed_circuits.json`, version 1, with one circuit."""
    entry = {"plant_id": "PLANT001", "circuit_id": "CIRCUIT01", "cutoff_date": "2025-11-01"}
    return {"schema_version": 1, "release_id": release_id, "build_id": "12345", "circuits": [entry], **fields}
