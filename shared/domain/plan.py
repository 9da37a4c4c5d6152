"""What an artifact asks for, and the release it becomes. Pure."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from shared.domain.errors import InvalidManifest
from shared.domain.model import Circuit, CircuitPhase, CircuitRun, HistoryEntry, Release, ReleasePhase
from shared.domain.naming import deployment_name, endpoint_name, model_name, registry_version, release_seq
from shared.domain.people import same_person
from shared.domain.policy import Policy

COLLISIONS_TOLD = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestedCircuit:
    """One entry of the artifact."""

    circuit: Circuit
    cutoff_date: str
    model_version: str = ""
    """The Dev version it asks for; empty: inspection chooses."""
    change_type: str = ""
    allow_older_cutoff: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The artifact, understood."""

    release_id: str
    build_id: str
    circuits: tuple[RequestedCircuit, ...]
    commit_sha: str = ""
    requested_by: str = ""
    warnings: tuple[str, ...] = ()


class EndpointTemplates(Protocol):
    """How endpoints are named, per environment."""

    @property
    def test_endpoint(self) -> str: ...

    @property
    def production_endpoint(self) -> str: ...


def plan_release(  # noqa: PLR0913  # all by keyword; they are the release's columns
    manifest: Manifest,
    *,
    naming: EndpointTemplates,
    policy: Policy,
    at: datetime,
    manifest_sha256: str,
    manifest_blob: str,
    artifact_path: str = "",
    signed_in: str = "",
) -> tuple[Release, tuple[CircuitRun, ...]]:
    """The rows a release starts from; an empty artifact has nothing to do and ends at once.

    `signed_in` is who asked for it, where sign-in says so: then the artifact's own word is a claim beside it.

    Raises:
        InvalidManifest: circuits would share an endpoint or a model.
    """
    _refuse_collisions(manifest.circuits, naming)
    phase = ReleasePhase.INSPECTING if manifest.circuits else ReleasePhase.NOTHING_TO_DO
    why = "" if manifest.circuits else "the artifact lists no changed circuits"
    release = Release(
        release_id=manifest.release_id,
        build_id=manifest.build_id,
        phase=phase,
        seq=release_seq(manifest.release_id),
        total=len(manifest.circuits),
        manifest_sha256=manifest_sha256,
        manifest_blob=manifest_blob,
        policy=policy,
        created_at=at,
        due_at=at + policy.overdue_after if manifest.circuits else None,
        reason=why,
        commit_sha=manifest.commit_sha,
        requested_by=signed_in or manifest.requested_by,
        requester_signed_in=bool(signed_in),
        requester_claim=_other_claim(manifest, signed_in),
        artifact_path=artifact_path,
        warnings=manifest.warnings,
        ended_at=None if manifest.circuits else at,
        hist=(HistoryEntry(at=at, source="", target=phase, why=why, by=_asked_by(manifest, artifact_path, signed_in)),),
    )
    return release, tuple(_run(manifest.release_id, requested, naming, at) for requested in manifest.circuits)


def _other_claim(manifest: Manifest, signed_in: str) -> str:
    return manifest.requested_by if signed_in and not same_person(manifest.requested_by, signed_in) else ""


def _asked_by(manifest: Manifest, artifact_path: str, signed_in: str) -> str:
    """As the history names whoever asked: a claim is told as one."""
    claim = _other_claim(manifest, signed_in) if signed_in else manifest.requested_by
    who = signed_in or ("artifact" if artifact_path else "function key")
    return f"{who}, claims to be {claim or 'nobody'}" if claim or not signed_in else who


def _run(release_id: str, requested: RequestedCircuit, naming: EndpointTemplates, at: datetime) -> CircuitRun:
    return CircuitRun(
        release_id=release_id,
        circuit=requested.circuit,
        phase=CircuitPhase.INSPECTING,
        cutoff_date=requested.cutoff_date,
        model_name=model_name(requested.circuit),
        model_version=registry_version(release_id),
        test_endpoint=endpoint_name(naming.test_endpoint, requested.circuit),
        endpoint=endpoint_name(naming.production_endpoint, requested.circuit),
        deployment=deployment_name(release_id),
        since=at,
        change_type=requested.change_type,
        allow_older_cutoff=requested.allow_older_cutoff,
        requested_version=requested.model_version,
    )


def _refuse_collisions(requested: Sequence[RequestedCircuit], naming: EndpointTemplates) -> None:
    """PLANT1-A/B and PLANT1/A-B: refused together, because neither has a better right to the name."""
    circuits = [one.circuit for one in requested]
    problems: dict[str, None] = {}
    for template in (naming.test_endpoint, naming.production_endpoint):
        problems |= dict.fromkeys(_shared("endpoint", circuits, [endpoint_name(template, c) for c in circuits]))
    problems |= dict.fromkeys(_shared("model", circuits, [model_name(c) for c in circuits]))
    if problems:
        more = len(problems) - COLLISIONS_TOLD
        told = "; ".join(list(problems)[:COLLISIONS_TOLD]) + (f"; and {more} more" if more > 0 else "")
        raise InvalidManifest(
            f"circuits collide: {told}. Rename them, or set an endpoint template that keeps them apart"
        )


def _shared(what: str, circuits: Sequence[Circuit], names: Sequence[str]) -> list[str]:
    owners: dict[str, list[Circuit]] = defaultdict(list)
    for circuit, name in zip(circuits, names, strict=True):
        owners[name].append(circuit)
    return [
        f"{' and '.join(str(circuit) for circuit in several)} share the {what} name {name!r}"
        for name, several in owners.items()
        if len(several) > 1
    ]
