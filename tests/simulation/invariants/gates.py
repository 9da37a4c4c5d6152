"""Known failure 10: what a gate shows is kept under its digest, and is what the rows say."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from shared.application.evidence import changes_between, gate_evidence
from shared.application.gate_texts import Estate
from shared.application.gates import GateView
from shared.domain.model import NEUTRAL, CircuitRun, Gate, GateName, GateState
from shared.domain.rows import RELEASE_KEY
from tests.simulation.invariants.seen import Check, Seen
from tests.support.fakes_state import FakeEvidenceStore


class GateEvidence(Check):
    """What people decide on at a gate."""

    def __init__(self, seen: Seen, evidence: FakeEvidenceStore, estate: Estate) -> None:
        super().__init__(seen)
        self.evidence = evidence
        self.estate = estate

    def written(self, old: Gate | None, gate: Gate) -> None:
        """An open gate shows what its row names; an approval rests on what its circuits' rows say.

        Whoever could stand still between reading those and writing this may be late; the next look at the gate tells.
        """
        if gate.state not in {GateState.OPEN, GateState.APPROVED}:
            return
        document = self._document(gate)
        task = self.seen.engine.current
        is_new = old is None or (old.digest, old.gen, old.state) != (gate.digest, gate.gen, gate.state)
        if is_new and task is not None and not task.has_thread:
            self._is_what_rows_say(gate, document)

    def shown(self, view: GateView) -> None:
        """A page that somebody can decide on."""
        if view.gate and hashlib.sha256(view.document).hexdigest() != view.gate.digest:
            self.fail("known failure 10", f"{view.gate.release_id} {view.gate.gate} shows other evidence than it names")

    def _document(self, gate: Gate) -> bytes:
        who = f"{gate.release_id} {gate.gate}"
        document = self.evidence.blobs.get(gate.evidence_blob)
        if document is None:
            self.fail("known failure 10", f"{who} is {gate.state} on evidence that is not kept: {gate.evidence_blob}")
        if hashlib.sha256(document).hexdigest() != gate.digest:
            self.fail("known failure 10", f"{who} names {gate.digest}, and {gate.evidence_blob} is other evidence")
        return document

    def _is_what_rows_say(self, gate: Gate, document: bytes) -> None:
        release = self.seen.releases.rows[gate.release_id][RELEASE_KEY].row
        runs = [stored.row for stored in self.seen.releases._of(CircuitRun, gate.release_id)]
        shown = {(entry["plant_id"], entry["circuit_id"]): entry for entry in json.loads(document)["circuits"]}
        for run in runs:
            self._circuit(gate, run, shown.get((run.circuit.plant_id, run.circuit.circuit_id), {}))
        if gate.state is GateState.OPEN:
            fresh = gate_evidence(gate.gate, release, runs, self.estate)
            if fresh != document:
                told = "; ".join(changes_between(document, fresh))
                self.fail("known failure 10", f"{gate.release_id} {gate.gate} is shown as it was before: {told}")

    def _circuit(self, gate: Gate, run: CircuitRun, shown: Mapping[str, Any]) -> None:
        """What matters most, by hand: which model, and what it takes the place of."""
        said = {name: shown.get(name) for name in ("phase", "source_version", "source_hash", "live_deployment")}
        is_so = {
            "phase": run.phase,
            "source_version": run.source_version,
            "source_hash": run.source_hash,
            "live_deployment": run.live_deployment,
        }
        if gate.gate is GateName.PRODUCTION and run.phase not in NEUTRAL:
            said["registry_tags"], is_so["registry_tags"] = shown.get("registry_tags"), dict(run.registry_tags)
        if said != is_so:
            self.fail(
                "known failure 10", f"{gate.release_id} {gate.gate} shows {said} for {run.circuit}, it is {is_so}"
            )
