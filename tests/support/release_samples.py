"""Rows of a release as they look at interesting moments, for the tests and pictures of pages, mails and cards."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from shared.application.ports import Estate, GateLink, Letter
from shared.domain.model import (
    Channel,
    Circuit,
    CircuitPhase,
    CircuitRun,
    Gate,
    GateName,
    GateState,
    HistoryEntry,
    Moment,
    Notice,
    ProcessKind,
    Release,
    ReleasePhase,
    Round,
)
from shared.domain.naming import timestamp
from shared.domain.policy import Policy

NOW = datetime(2025, 12, 10, 15, 4, 30, tzinfo=UTC)
ESTATE = Estate(
    dev_workspace="mlw-dev",
    dev_resource_group="rg-mlops-dev",
    test_workspace="mlw-test",
    prod_workspace="mlw-prod",
    registry_name="mlr-shared",
)
CIRCUITS = (
    Circuit(plant_id="PLANT001", circuit_id="CIRCUIT01"),
    Circuit(plant_id="PLANT001", circuit_id="CIRCUIT02"),
    Circuit(plant_id="PLANT002", circuit_id="CIRCUIT01"),
)
APPROVER = "mona@example.com"
LIVE_WAY = ("", "inspecting", "inspected", "promoting", "promoted", "deploying_test", "queued", "smoke_testing",
            "tested", "locking", "staging", "staged", "activating", "live")  # fmt: skip
LIVE_SECONDS = (0, 60, 240, 261, 262, 444, 450, 671, 4020, 4022, 4205, 4206, 4219)
"""After the start: gate 1 is answered after 4 min, gate 2 after 67."""
STARTED = NOW - timedelta(minutes=4)
LIVE_TIMES = tuple(STARTED + timedelta(seconds=seconds) for seconds in LIVE_SECONDS)
WENT_LIVE = LIVE_TIMES[-1]


def a_release(**changes: object) -> Release:
    """The document's release, waiting at its first gate."""
    release = Release(
        release_id="20251210.1",
        build_id="12345",
        phase=ReleasePhase.AWAITING_REGISTRY_APPROVAL,
        seq=20251210000001,
        total=3,
        manifest_sha256="ab" * 32,
        manifest_blob="20251210.1/manifest-abab.json",
        policy=Policy(),
        created_at=NOW - timedelta(minutes=4),
        commit_sha="4f2d9c1e8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c3d",
        requested_by="build of main",
        artifact_path="releases/20251210.1/12345/changed_circuits.json",
        hist=(
            HistoryEntry(at=NOW - timedelta(minutes=4), source="", target="inspecting", why="artifact uploaded"),
            HistoryEntry(at=NOW - timedelta(minutes=3), source="inspecting", target="awaiting_registry_approval"),
        ),
    )
    return replace(release, **changes)  # type: ignore[arg-type]


def a_run(circuit: Circuit = CIRCUITS[0], **changes: object) -> CircuitRun:
    """A circuit whose inspection found nothing to complain about."""
    name = f"{circuit.plant_id}-{circuit.circuit_id}".lower()
    run = CircuitRun(
        release_id="20251210.1",
        circuit=circuit,
        phase=CircuitPhase.INSPECTED,
        cutoff_date="2025-11-01",
        model_name=name,
        model_version="20251210-1",
        test_endpoint=f"be-{name}",
        endpoint=f"be-{name}",
        deployment="deployment-20251210-1",
        change_type="retrained",
        source_version="7",
        source_hash="c0ffee" * 10,
        live_deployment="deployment-20251203-5",
        since=NOW - timedelta(minutes=3),
        evidence=inspected_evidence(circuit),
        hist=(
            HistoryEntry(at=NOW - timedelta(minutes=4), source="", target="inspecting"),
            HistoryEntry(at=NOW - timedelta(minutes=3), source="inspecting", target="inspected"),
        ),
    )
    return replace(run, **changes)  # type: ignore[arg-type]


def inspected_evidence(circuit: Circuit) -> Mapping[str, object]:
    """What inspection leaves for people, beside a live model of the week before."""
    return {
        "model": {
            "version": "7",
            "studio_url": f"https://ml.azure.com/models/{circuit.plant_id}-{circuit.circuit_id}".lower(),
            "created_at": "2025-12-09T21:10:00Z",
            "metrics": {"rmse": 0.4127, "r2": 0.934},
            "data_asset": f"{circuit.plant_id}_{circuit.circuit_id}:2025-11-01",
            "validated": "true",
        },
        "training_warnings": [],
        "live": {
            "deployment": "deployment-20251203-5",
            "model_version": "20251203-5",
            "cutoff_date": "2025-10-01",
            "release_id": "20251203.5",
            "metrics": {"rmse": 0.4312, "r2": 0.921},
        },
        "adopted": False,
        "quota": {"test": {"have": 2}, "production": {"have": 3}},
    }


def tested_evidence(circuit: Circuit) -> Mapping[str, object]:
    """What promotion and the smoke test add."""
    return {
        **inspected_evidence(circuit),
        "promotion": {"mode": "copy", "registry_version": "20251210-1", "seconds": 21},
        "test_deployment": {
            "endpoint": f"be-{circuit.plant_id}-{circuit.circuit_id}".lower(),
            "deployment": "deployment-20251210-1",
            "seconds": 182,
        },
        "smoke": {
            "job_name": "smoke-3b9ac3",
            "studio_url": "https://ml.azure.com/runs/smoke-3b9ac3",
            "status": "Completed",
            "seconds": 221,
            "queued_seconds": 143,
            "running_seconds": 78,
            "rows": 168,
            "allowed_log_lines": [],
        },
        "schema": {"missing": [], "extra": [], "changed": []},
    }


def three_runs() -> tuple[CircuitRun, ...]:
    """A new circuit with warnings beside two in order."""
    new = a_run(
        CIRCUITS[2],
        live_deployment="",
        warnings=("the only model with this cutoff_date is from build 12001, not 12345",),
        evidence={
            **inspected_evidence(CIRCUITS[2]),
            "live": None,
            "training_warnings": ["epoch 14: loss is not decreasing"],
        },
    )
    return a_run(), a_run(CIRCUITS[1]), new


def three_tested() -> tuple[CircuitRun, ...]:
    """The same after a green Test, one with an extra column in its output."""
    runs = [replace(run, phase=CircuitPhase.TESTED, job_name="smoke-3b9ac3") for run in three_runs()]
    tested = [replace(run, evidence={**tested_evidence(run.circuit), "live": run.evidence["live"]}) for run in runs]
    tested[1] = replace(
        tested[1],
        evidence={**tested[1].evidence, "schema": {"missing": [], "extra": ["confidence"], "changed": []}},
    )
    return tuple(tested)


def three_live() -> tuple[CircuitRun, ...]:
    """The same after activation."""
    return tuple(
        replace(
            run,
            phase=CircuitPhase.LIVE,
            previous_deployment=run.live_deployment,
            evidence={**run.evidence, "activated": {"at": timestamp(WENT_LIVE)}},
            hist=tuple(
                HistoryEntry(at=at, source=source, target=target)
                for at, (source, target) in zip(LIVE_TIMES, pairwise(LIVE_WAY), strict=True)
            ),
        )
        for run in three_tested()
    )


def gone(run: CircuitRun, phase: CircuitPhase) -> CircuitRun:
    """A circuit on its way, with the history of what it has passed."""
    steps = LIVE_WAY.index(phase)
    way = list(zip(LIVE_TIMES, pairwise(LIVE_WAY), strict=True))[:steps]
    hist = tuple(HistoryEntry(at=at, source=source, target=target) for at, (source, target) in way)
    return replace(run, phase=phase, since=hist[-1].at, hist=hist)


def failed_runs() -> tuple[CircuitRun, ...]:
    """One circuit's smoke test failed."""
    first, second, third = three_tested()
    failed = replace(
        second,
        phase=CircuitPhase.FAILED,
        error="smoke test failed: 3 error lines in the job's log, first: ValueError: Input contains NaN",
        error_round=Round.TEST,
        evidence={
            **second.evidence,
            "diagnosis": [
                "job smoke-3b9ac3: Failed after 78 s",
                "compute batch-cluster: Succeeded, 2 of 4 nodes",
                "test data: test_input.csv, 168 rows",
            ],
        },
    )
    return first, failed, third


def a_gate(gate: GateName = GateName.REGISTRY, **changes: object) -> Gate:
    """Open since three minutes, for 24 hours."""
    row = Gate(
        release_id="20251210.1",
        gate=gate,
        state=GateState.OPEN,
        nonce="5f3e9a",
        opened_at=NOW - timedelta(minutes=3),
        expires_at=NOW - timedelta(minutes=3) + timedelta(hours=24),
        digest="9b1c" * 16,
        evidence_blob=f"20251210.1/{gate}/9b1c.json",
        hist=(HistoryEntry(at=NOW - timedelta(minutes=3), source="", target="open"),),
    )
    return replace(row, **changes)  # type: ignore[arg-type]


def a_letter(moment: Moment = Moment.GATE_OPENED, **changes: object) -> Letter:
    """The first gate's mail to one approver."""
    asks = moment in {Moment.GATE_OPENED, Moment.GATE_REMINDER}
    notice = Notice(
        release_id="20251210.1",
        moment=moment,
        subject="awaiting_registry_approval-1" if asks else "",
        channel=Channel.EMAIL,
        recipient=APPROVER,
        created_at=NOW - timedelta(minutes=3),
    )
    link = GateLink(url="https://releases.example.com/approvals/eyJ0.token-of-mona", code="042137") if asks else None
    letter = Letter(
        notice=notice,
        release=a_release(),
        runs=three_runs(),
        gates=(a_gate(),),
        summary="",
        link=link,
        view_url="https://releases.example.com/releases/20251210.1?view=IjIwMjUxMjEwLjEi.x",
        operators=("otto@example.com",),
    )
    return replace(letter, **changes)  # type: ignore[arg-type]


def a_rollback(**changes: object) -> Release:
    """Two circuits put back after a bad night."""
    rollback = a_release(
        release_id="rollback-527dd08840a67573",
        kind=ProcessKind.ROLLBACK,
        phase=ReleasePhase.SUCCEEDED,
        build_id="",
        total=2,
        requested_by="otto@example.com",
        reason_asked="predictions drifted overnight",
        created_at=NOW - timedelta(seconds=44),
        ended_at=NOW,
        evidence_sha256="75b37ca0" * 8,
        hist=(HistoryEntry(at=NOW - timedelta(seconds=44), source="", target="rolling_back", by="otto@example.com"),),
    )
    return replace(rollback, **changes)  # type: ignore[arg-type]


def rolled_back_runs() -> tuple[CircuitRun, ...]:
    """One is back, one could not be put back."""
    back = a_run(
        phase=CircuitPhase.RESTORED,
        previous_deployment="deployment-20251203-5",
        evidence={"rollback": {"from": "deployment-20251210-1", "to": "deployment-20251203-5", "seconds": 41.3}},
        hist=(HistoryEntry(at=NOW, source="restoring", target="restored"),),
    )
    stuck = a_run(
        CIRCUITS[1],
        phase=CircuitPhase.FAILED,
        previous_deployment="deployment-20251203-5",
        error="deployment-20251203-5 does not exist on be-plant001-circuit02; nothing was changed",
        error_round=Round.ROLLBACK,
        hist=(HistoryEntry(at=NOW, source="restoring", target="failed"),),
    )
    return back, stuck


def checked_runs() -> tuple[CircuitRun, ...]:
    """The smoke test after a rollback: one passed, one failed, one can't be tested."""
    of_check = {"release_id": "check-527dd08840a67573", "deployment": "deployment-20251203-5"}
    smoke = {"job_name": "smoke-1", "rows": 24, "seconds": 95.0, "studio_url": "https://ml.azure.com/runs/smoke-1"}
    said = "smoke test failed: job smoke-2 ended as Failed, not Completed; investigate"
    gone = HistoryEntry(
        at=NOW,
        source=CircuitPhase.SMOKE_TESTING,
        target=CircuitPhase.EXCLUDED,
        why="not tested: deployment-20251203-5 is not on be-plant002-circuit01 in Test",
    )
    return (
        a_run(phase=CircuitPhase.TESTED, evidence={"smoke": smoke}, **of_check),
        a_run(CIRCUITS[1], phase=CircuitPhase.FAILED, error=said, error_round=Round.CHECK, **of_check),
        a_run(CIRCUITS[2], phase=CircuitPhase.EXCLUDED, hist=(gone,), **of_check),
    )
