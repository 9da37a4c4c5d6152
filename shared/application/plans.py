"""The circuits of a process as it was asked for, from its own frozen copy; rows do not exist before the fan-out."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace

from pydantic import BaseModel, ConfigDict

from shared.application.live import model_version_of
from shared.application.manifest import parse_manifest
from shared.application.ports import Ports
from shared.application.quorum import too_few
from shared.domain.errors import InvalidManifest
from shared.domain.model import Circuit, CircuitPhase, CircuitRun, Environment, ProcessKind, Release
from shared.domain.naming import endpoint_name, model_name, rollback_of
from shared.domain.plan import Manifest, plan_release


def planned_runs(release: Release, ports: Ports) -> tuple[CircuitRun, ...]:
    """The rows that fanning out for the first time will write.

    Raises:
        InvalidManifest: the copy is gone.
    """
    if release.kind is ProcessKind.CHECK:
        return checked_runs(release, ports)
    content = ports.evidence.get(release.manifest_blob)
    if content is None:
        raise InvalidManifest(f"{release.release_id}: its manifest {release.manifest_blob} is gone")
    if release.kind is ProcessKind.ROLLBACK:
        return RollbackPlan.model_validate_json(content).runs(release)
    # The id may have come from the blob's metadata, which the copy does not carry.
    known = {"release_id": release.release_id, "build_id": release.build_id}
    manifest = parse_manifest(content, path=release.artifact_path, metadata=known)
    _, runs = planned_release(manifest, content, release.artifact_path, ports)
    return runs


def planned_release(
    manifest: Manifest, content: bytes, path: str, ports: Ports, *, signed_in: str = ""
) -> tuple[Release, tuple[CircuitRun, ...]]:
    """The rows an artifact asks for; `signed_in` is who sent it, where sign-in says so."""
    digest = hashlib.sha256(content).hexdigest()
    release, runs = plan_release(
        manifest,
        naming=ports.naming,
        policy=ports.policy,
        at=ports.clock.now(),
        manifest_sha256=digest,
        manifest_blob=f"{manifest.release_id}/manifest-{digest}.json",
        artifact_path=path,
        signed_in=signed_in,
    )
    if said := too_few(release, ports.audience.approvers):
        release = replace(release, warnings=(*release.warnings, said))
    return release, runs


KNEW_FENCE = "knew_fence"
"""Evidence of a rollback's circuit: the lock's fence when it was asked for. What happened until then was known."""
TARGET = "target"
"""Evidence of a rollback's circuit: the deployment to go back to, as it was looked at before anything was changed."""


class RollbackTarget(BaseModel):
    """One circuit of a rollback: from which deployment to which, as they stood when it was asked for."""

    model_config = ConfigDict(frozen=True)

    plant_id: str
    circuit_id: str
    endpoint: str
    live: str
    """As far as this app knew."""
    to: str
    fence: int
    release_id: str = ""
    """The release that made `live` live; empty: none of ours."""
    seen: str = ""
    """What the caller said is live; empty: whatever is."""

    @property
    def circuit(self) -> Circuit:
        return Circuit(plant_id=self.plant_id, circuit_id=self.circuit_id)


class RollbackPlan(BaseModel):
    """What a rollback will do, frozen as a blob before it starts."""

    model_config = ConfigDict(frozen=True)

    environment: Environment
    targets: tuple[RollbackTarget, ...]

    def to_bytes(self) -> bytes:
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":")).encode()

    def runs(self, rollback: Release) -> tuple[CircuitRun, ...]:
        """`deployment` is what leaves, `previous_deployment` the target, `live_deployment` what the caller said is live."""
        return tuple(
            CircuitRun(
                release_id=rollback.release_id,
                circuit=target.circuit,
                phase=CircuitPhase.RESTORING,
                cutoff_date="",
                model_name=model_name(target.circuit),
                model_version="",
                test_endpoint=target.endpoint,
                endpoint=target.endpoint,
                deployment=target.live,
                live_deployment=target.seen,
                evidence={KNEW_FENCE: target.fence},
                previous_deployment=target.to,
            )
            for target in self.targets
        )


# ------------------------------------------------------------------------------------------------- checks


def checked_runs(check: Release, ports: Ports) -> tuple[CircuitRun, ...]:
    """The rows of a check: what its rollback restored, which nothing changes any more."""
    back = (found.row for found in ports.releases.runs(rollback_of(check.release_id)))
    return tuple(_checked(check, run, ports) for run in back if run.phase is CircuitPhase.RESTORED)


def _checked(check: Release, run: CircuitRun, ports: Ports) -> CircuitRun:
    """`deployment` is what was restored, wherever it is scored."""
    return CircuitRun(
        release_id=check.release_id,
        circuit=run.circuit,
        phase=CircuitPhase.QUEUED,
        cutoff_date="",
        model_name=run.model_name,
        model_version=model_version_of(restored_model(run)),
        test_endpoint=endpoint_name(ports.naming.test_endpoint, run.circuit),
        endpoint=run.endpoint,
        deployment=run.target,
        evidence={TARGET: run.evidence[TARGET]} if TARGET in run.evidence else {},
    )


def restored_model(run: CircuitRun) -> str:
    """The id of the model that was seen on the deployment to go back to; empty: it was not looked at."""
    target = run.evidence.get(TARGET)
    return str(target.get("model") or "") if isinstance(target, Mapping) else ""
