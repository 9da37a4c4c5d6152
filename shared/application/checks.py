"""Use cases: the smoke test of what a rollback has restored, as a process of its own.

It begins when the rollback has ended, so it neither delays nor changes its result. It runs in Test, where the test data
and the slots are, on the deployment of the restored one's name, after a look that both run the same Registry model:
Production scores no test data. Nothing is made, and no default is touched (R43).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shared.application.ports import Ports
from shared.domain.model import CircuitPhase, CircuitRun, HistoryEntry, ProcessKind, Release, ReleasePhase
from shared.domain.naming import check_id
from shared.domain.process import fan_out
from shared.telemetry import log

WAITING = "waiting"
"""The phase of a check whose rollback has not ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckView:
    """How the check of a rollback stands."""

    phase: str
    """`waiting`, or the phase of its row."""
    has_ended: bool
    reason: str = ""
    runs: Sequence[CircuitRun] = ()


@dataclass(frozen=True, slots=True)
class Checks:
    ports: Ports

    def view(self, rollback: Release) -> CheckView | None:
        """None: no smoke test was asked for."""
        if not rollback.smoke_test:
            return None
        stored = self.ports.releases.release(check_id(rollback.release_id))
        if stored is None:
            return CheckView(phase=WAITING, has_ended=False)
        runs = tuple(found.row for found in self.ports.releases.runs(stored.row.release_id))
        return CheckView(phase=stored.row.phase, has_ended=stored.row.is_terminal, reason=stored.row.reason, runs=runs)

    def start(self, rollback: Release) -> None:
        """Begin the check of a rollback that has ended, if one was asked for and none has begun. Repeatable."""
        is_due = rollback.kind is ProcessKind.ROLLBACK and rollback.is_terminal and rollback.smoke_test
        if not is_due or self.ports.releases.release(check_id(rollback.release_id)) is not None:
            return
        check = self._check(rollback)
        self.ports.releases.begin(check)
        self.ports.bus.send((fan_out(check),))
        log.info("check started", action="check_started", release_id=check.release_id, circuits=check.total)

    def _check(self, rollback: Release) -> Release:
        now, why = self.ports.clock.now(), f"smoke test of what {rollback.release_id} restored"
        runs = self.ports.releases.runs(rollback.release_id)
        return Release(
            release_id=check_id(rollback.release_id),
            build_id="",
            phase=ReleasePhase.CHECKING,
            kind=ProcessKind.CHECK,
            environment=rollback.environment,
            seq=int(f"{now:%Y%m%d}000000"),
            total=sum(found.row.phase is CircuitPhase.RESTORED for found in runs),
            manifest_sha256=rollback.manifest_sha256,
            manifest_blob=rollback.manifest_blob,
            policy=rollback.policy,
            created_at=now,
            due_at=now + rollback.policy.overdue_after,
            requested_by=rollback.requested_by,
            reason_asked=rollback.reason_asked,
            hist=(HistoryEntry(at=now, source="", target=ReleasePhase.CHECKING, why=why, by=rollback.requested_by),),
        )


def check_json(view: CheckView | None) -> Mapping[str, object] | None:
    """What `GET /api/rollbacks/{id}` says of it."""
    if view is None:
        return None
    return {"phase": view.phase, "reason": view.reason, "circuits": [_circuit_json(run) for run in view.runs]}


def _circuit_json(run: CircuitRun) -> Mapping[str, object]:
    smoke = run.evidence.get("smoke")
    facts = smoke if isinstance(smoke, Mapping) else {}
    return {
        "plant_id": run.circuit.plant_id,
        "circuit_id": run.circuit.circuit_id,
        "deployment": run.deployment,
        "phase": run.phase,
        "job_name": run.job_name,
        "seconds": facts.get("seconds"),
        "rows": facts.get("rows"),
        "error": run.error or (run.hist[-1].why if run.phase is CircuitPhase.EXCLUDED else ""),
        "warnings": list(run.warnings),
    }
