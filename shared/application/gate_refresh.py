"""Open gates look at the world again: what changed since the evidence was frozen makes new evidence, with a new digest.

A decision on the old digest is then answered with what changed; the old blob stays for the comparison.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

from shared.application.evidence import gate_evidence
from shared.application.gate_opening import evidence_path
from shared.application.live import live_evidence, read_live
from shared.application.locks import marks
from shared.application.ports import Ports, Update, Versioned
from shared.application.side_by_side import side_by_side
from shared.domain.errors import ConflictError, PermanentError, TransientError
from shared.domain.model import (
    NEUTRAL,
    CircuitRun,
    Environment,
    Gate,
    GateName,
    HistoryEntry,
    Release,
)
from shared.telemetry import log


@dataclass(frozen=True, slots=True)
class GateRefresh:
    ports: Ports

    def refresh_if_due(self, release: Release, gate: Versioned[Gate]) -> None:
        """Refresh an open gate's evidence, if it is old enough; trouble on the way is for the next time."""
        if self.ports.clock.now() - gate.row.refreshed_at < release.policy.gate_refresh:
            return
        try:
            self.refresh(release, gate)
        except (TransientError, PermanentError, ConflictError) as error:
            log.warning(
                "evidence not refreshed",
                action="gate_refresh_failed",
                release_id=release.release_id,
                gate=gate.row.gate,
                error=error,
            )

    def refresh(self, release: Release, gate: Versioned[Gate]) -> Gate:
        """Look at every circuit again, and freeze new evidence if anything is other than it was.

        The gate is written before the runs: after a crash in between, an approval of the old digest is refused, and
        one of the new digest finds runs that know an older world, which the steps after the gate refuse.
        """
        stored_runs = self.ports.releases.runs(release.release_id)
        runs = tuple(self._look_again(stored.row, gate.row.gate) for stored in stored_runs)
        document = gate_evidence(gate.row.gate, release, runs, self.ports.estate)
        digest = hashlib.sha256(document).hexdigest()
        now = self.ports.clock.now()
        row = replace(gate.row, refreshed_at=now)
        if digest != gate.row.digest:
            path = evidence_path(release.release_id, gate.row.gate, digest)
            self.ports.evidence.put(path, document)
            entry = HistoryEntry(
                at=now,
                source=gate.row.state,
                target=gate.row.state,
                why=f"evidence {digest} replaces {gate.row.digest}",
            )
            row = replace(
                row,
                digest=digest,
                evidence_blob=path,
                earlier_digests=(*gate.row.earlier_digests, gate.row.digest),
                hist=(*gate.row.hist, entry),
            )
        self.ports.releases.commit(Update(row=row, etag=gate.etag))
        for stored, run in zip(stored_runs, runs, strict=True):
            if run != stored.row:
                self.ports.releases.commit(Update(row=run, etag=stored.etag))
        return row

    def _look_again(self, run: CircuitRun, gate: GateName) -> CircuitRun:
        if run.phase in NEUTRAL:
            return run
        return replace(run, **self._changed(run, gate))  # type: ignore[arg-type]  # names and types of columns

    def _changed(self, run: CircuitRun, gate: GateName) -> Mapping[str, object]:
        """What is live now; at gate 1 also whether the Dev model is still as it was inspected."""
        live = read_live(run, self.ports, self.ports.models.endpoint(Environment.PRODUCTION, run.endpoint))
        changed: dict[str, object] = {}
        fresh: Mapping[str, object] = {}
        if live.name != run.live_deployment:
            models = self.ports.models.dev_models(run.model_name)
            shown = live_evidence(run, self.ports, live, models)
            fresh = {"live": shown}
            if gate is GateName.PRODUCTION:
                fresh = {"live": shown, "side_by_side": side_by_side(run, self.ports, live)}
            changed = {"live_deployment": live.name, "evidence": {**run.evidence, **fresh}}
        marked = marks(self.ports, run.circuit, run.evidence)
        if any(run.evidence.get(name) != words for name, words in marked.items()):
            changed["evidence"] = {**run.evidence, **fresh, **marked}
        if gate is GateName.REGISTRY and (warning := self._source_warning(run)) and warning not in run.warnings:
            changed["warnings"] = (*run.warnings, warning)
        return changed

    def _source_warning(self, run: CircuitRun) -> str:
        """Promotion will refuse a source that changed; the approver should know before."""
        models = self.ports.models.dev_models(run.model_name)
        source = next((model for model in models if model.version == run.source_version), None)
        if source is None:
            return f"Dev model {run.model_name} version {run.source_version} is gone: promotion will fail"
        if dict(source.tags) != dict(run.source_tags):
            return f"Dev model {run.model_name} version {run.source_version} has other tags now: promotion will fail"
        return ""
