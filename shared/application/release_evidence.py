"""The auditor's bundle: everything that was decided and done in a release, as one canonical document, written once.

It names blob and SHA-256 of the manifest, of each gate's frozen evidence, of what a refresh or a new opening replaced
(votes rest on these as well), and of the predictions that were compared. Its own SHA-256 stands in the release's row and in
the last mail. A retried release gets a new bundle that names the one before.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from shared.application.evidence import canonical_json
from shared.application.gate_opening import evidence_path
from shared.application.ports import Change, HistoryLine, Ports
from shared.domain.errors import RequestRefused
from shared.domain.model import CircuitRun, Gate, GateName, GateState, ProcessKind, Release
from shared.domain.rows import RELEASE_KEY, gate_key

VERSION = 1
WITH_BUNDLE = frozenset({ProcessKind.RELEASE, ProcessKind.ROLLBACK})
MANIFEST = "manifest"
DIGEST = re.compile(r"[0-9a-f]{64}")
PREDICTED = ("smoke", "live_again")
"""Facts of a circuit that say where predictions are kept."""
NO_BUNDLE = "evidence.json could not be written"


def bundle_path(release_id: str, digest: str) -> str:
    return f"{release_id}/evidence-{digest}.json"


def with_bundle(row: Release, before: Release, changes: Sequence[Change], ports: Ports) -> Release:
    """A release that is about to end, with the digest of its bundle, which is written first; others as they are.

    `changes` are the other rows of the same transaction: they count as written.
    """
    if before.is_terminal or not row.is_terminal or row.kind not in WITH_BUNDLE:
        return row
    row = replace(row, warnings=tuple(warning for warning in row.warnings if warning != NO_BUNDLE))
    document = canonical_json(_document(row, before, [change.row for change in changes], ports))
    digest = hashlib.sha256(document).hexdigest()
    ports.evidence.put(bundle_path(row.release_id, digest), document)
    return replace(row, evidence_sha256=digest)


def without_bundle(row: Release) -> Release:
    """A release that ends although its bundle could not be written for a day: it says so, and names none."""
    if not row.is_terminal or row.kind not in WITH_BUNDLE:
        return row
    return replace(row, evidence_sha256="", warnings=(*row.warnings, NO_BUNDLE))


def _document(row: Release, before: Release, changed: Sequence[object], ports: Ports) -> dict[str, object]:
    gates = {stored.row.gate: stored.row for stored in ports.releases.gates(row.release_id)}
    gates |= {gate.gate: gate for gate in changed if isinstance(gate, Gate)}
    runs = [stored.row for stored in ports.releases.runs(row.release_id)]
    return {
        "v": VERSION,
        "release": _release(row),
        "manifest": {"blob": row.manifest_blob, "sha256": row.manifest_sha256},
        "gates": [_gate(gate) for gate in sorted(gates.values(), key=lambda gate: gate.opened_at)],
        "circuits": [_circuit(run) for run in sorted(runs, key=lambda run: run.circuit)],
        "ledger": [_ledger(run) for run in runs if run.fence],
        "history": [
            {
                "at": line.entry.at.isoformat(),
                "row": line.row_key,
                "from": line.entry.source,
                "to": line.entry.target,
                "by": line.entry.by,
                "why": line.entry.why,
            }
            for line in _history(row, gates.values(), ports)
        ],
        "previous_bundle_sha256": before.evidence_sha256,
    }


def _history(row: Release, gates: Iterable[Gate], ports: Ports) -> list[HistoryLine]:
    """Also the parts that outgrew their rows, and the transition that is being written."""
    lines = dict.fromkeys(ports.releases.history(row.release_id))
    lines |= dict.fromkeys(HistoryLine(row_key=RELEASE_KEY, entry=entry) for entry in row.hist)
    lines |= dict.fromkeys(HistoryLine(row_key=gate_key(gate.gate), entry=e) for gate in gates for e in gate.hist)
    return sorted(lines, key=lambda line: (line.entry.at, line.row_key))


def _release(row: Release) -> dict[str, object]:
    return {
        "release_id": row.release_id,
        "kind": row.kind,
        "build_id": row.build_id,
        "commit_sha": row.commit_sha,
        "requested_by": row.requested_by,
        "requester_signed_in": row.requester_signed_in,
        "requester_claim": row.requester_claim,
        "reason_asked": row.reason_asked,
        "artifact_path": row.artifact_path,
        "phase": row.phase,
        "reason": row.reason,
        "gen": row.gen,
        "created_at": row.created_at,
        "ended_at": row.ended_at,
        "exclusions": row.exclusions,
        "warnings": row.warnings,
        "policy": row.policy.as_json(),
    }


def _gate(gate: Gate) -> dict[str, object]:
    return {
        "gate": gate.gate,
        "state": gate.state,
        "opened_at": gate.opened_at,
        "expires_at": gate.expires_at,
        "evidence": {"blob": gate.evidence_blob, "sha256": gate.digest},
        "earlier_evidence": [
            {"blob": evidence_path(gate.release_id, gate.gate, digest), "sha256": digest}
            for digest in dict.fromkeys(gate.earlier_digests)
        ],
        "decisions": [
            {
                "at": vote.at,
                "decision": vote.decision,
                "by": vote.by,
                "how": vote.how,
                "comment": vote.comment,
                "evidence_sha256": vote.digest,
                "exclude": vote.exclude,
                "opened_at": _opened_before(vote.at, gate),
                "counts": vote in gate.counting,
            }
            for vote in gate.decisions
        ],
    }


def _opened_before(at: datetime, gate: Gate) -> datetime:
    """When the opening began in which this was said: a gate that expired may have been opened again."""
    openings = [entry.at for entry in gate.hist if entry.target == GateState.OPEN != entry.source]
    return max((opened for opened in (*openings, gate.opened_at) if opened <= at), default=gate.opened_at)


def _circuit(run: CircuitRun) -> dict[str, object]:
    return {
        "plant_id": run.circuit.plant_id,
        "circuit_id": run.circuit.circuit_id,
        "phase": run.phase,
        "gen": run.gen,
        "change_type": run.change_type,
        "cutoff_date": run.cutoff_date,
        "model_name": run.model_name,
        "source_version": run.source_version,
        "source_hash": run.source_hash,
        "source_tags": run.source_tags,
        "registry_version": run.model_version,
        "registry_tags": run.registry_tags,
        "test_endpoint": run.test_endpoint,
        "endpoint": run.endpoint,
        "deployment": run.deployment,
        "live_deployment": run.live_deployment,
        "previous_deployment": run.previous_deployment,
        "job_name": run.job_name,
        "error": run.error,
        "warnings": run.warnings,
        "facts": run.evidence,
        "predictions": [
            {"blob": kept["predictions"], "sha256": kept["predictions_sha256"]}
            for name in PREDICTED
            if isinstance(kept := run.evidence.get(name), Mapping) and "predictions_sha256" in kept
        ],
    }


def _ledger(run: CircuitRun) -> dict[str, object]:
    """Which row of the production ledger this run wrote."""
    return {
        "plant_id": run.circuit.plant_id,
        "circuit_id": run.circuit.circuit_id,
        "fence": run.fence,
        "deployment": run.deployment,
        "previous": run.previous_deployment,
    }


def read_bundle(release_id: str, part: str, ports: Ports) -> tuple[bytes, str]:
    """The bundle, or with `part` one of the documents it names; and its SHA-256.

    `part` is `manifest`, a gate's name (its evidence as it was last), or the SHA-256 of what a gate showed earlier.

    Raises:
        RequestRefused: 404 there is no such release or document, 409 the release has not ended.
    """
    if DIGEST.fullmatch(part):
        return _by_digest(release_id, part, ports), part
    if part and part not in {MANIFEST, *GateName}:
        names = ", ".join((MANIFEST, *GateName))
        raise RequestRefused(400, "Unknown document", f"part must be one of {names}, or the SHA-256 of a document.")
    stored = ports.releases.release(release_id)
    path, digest = _place(stored.row, part, ports) if stored else _place_kept(release_id, part, ports)
    content = ports.evidence.get(path) if path else None
    if content is None:
        raise RequestRefused(404, "No such document", f"Release {release_id} has no {part or 'evidence.json'}.")
    return content, digest


def _by_digest(release_id: str, digest: str, ports: Ports) -> bytes:
    """What a gate showed at some time, or an earlier bundle: their blobs are named after their content."""
    paths = (*(evidence_path(release_id, gate, digest) for gate in GateName), bundle_path(release_id, digest))
    found = next((content for path in paths if (content := ports.evidence.get(path)) is not None), None)
    if found is None:
        raise RequestRefused(404, "No such document", f"Release {release_id!r} has no document with this SHA-256.")
    return found


def _place(row: Release, part: str, ports: Ports) -> tuple[str, str]:
    if part == MANIFEST:
        return row.manifest_blob, row.manifest_sha256
    if part in GateName:
        gates = [stored.row for stored in ports.releases.gates(row.release_id)]
        return next(((gate.evidence_blob, gate.digest) for gate in gates if gate.gate == part), ("", ""))
    if not row.is_terminal:
        detail = f"Release {row.release_id} is {row.phase}: its evidence is written when it ends."
        raise RequestRefused(409, "Not ended yet", detail)
    return (bundle_path(row.release_id, row.evidence_sha256), row.evidence_sha256) if row.evidence_sha256 else ("", "")


def _place_kept(release_id: str, part: str, ports: Ports) -> tuple[str, str]:
    """Of a release whose rows are past their time: the index knows its bundle, and that names the other documents."""
    listed = ports.releases.listed_release(release_id)
    if listed is None or not listed.evidence_sha256:
        raise RequestRefused(404, "No such release", f"There is no release {release_id!r}.")
    path = bundle_path(release_id, listed.evidence_sha256)
    bundle = ports.evidence.get(path)
    if bundle is None or not part:
        return path, listed.evidence_sha256
    said = json.loads(bundle)
    documents = {MANIFEST: said["manifest"]} | {gate["gate"]: gate["evidence"] for gate in said["gates"]}
    found = documents.get(part, {"blob": "", "sha256": ""})
    return found["blob"], found["sha256"]
