"""R10, R13, R32: what is promoted and staged is what was approved, to the byte; known expected output is compared."""

from typing import Any

from shared.application.steps.deploy import CONTENT_HASH
from shared.application.steps.smoke_test import EXPECTED_OUTPUT
from shared.domain.model import Circuit, CircuitPhase, CircuitRun, Gate, GateName, GateState
from shared.domain.naming import expected_data_path
from tests.simulation.invariants.seen import Check, Seen
from tests.support.fake_models import PREDICTIONS, content_hash

C = CircuitPhase


class Content(Check):
    """Looks at every row as it is written; a handler that stood still may be late, and is not judged."""

    def __init__(self, seen: Seen) -> None:
        super().__init__(seen)
        self.approved: dict[tuple[str, Circuit], str] = {}
        """Hash of the content that gate 1 approved."""
        self.judged: set[tuple[str, Circuit, int]] = set()
        """Transitions by their place in the history: looks that follow in the same phase judge nothing anew."""

    def written(self, row: Any) -> None:
        match row:
            case Gate(gate=GateName.REGISTRY, state=GateState.APPROVED):
                runs = [stored.row for stored in self.seen.releases._of(CircuitRun, row.release_id)]
                self.approved |= {(run.release_id, run.circuit): run.source_hash for run in runs}
            case CircuitRun():
                self._run(row)

    def _may_be_late(self) -> bool:
        return self.seen.engine.current is None or self.seen.engine.current.has_thread

    def _run(self, run: CircuitRun) -> None:
        last, transition = run.hist[-1], (run.release_id, run.circuit, len(run.hist))
        if transition in self.judged:
            return
        self.judged.add(transition)
        if self._may_be_late():
            return
        match (last.source, last.target):
            case (C.PROMOTING, C.PROMOTED):
                self._is_as_approved(run)
            case (C.SMOKE_TESTING, C.ACTIVATING_TEST):
                self._is_compared(run)
            case (C.LOCKING, C.STAGING):
                self._still_rests_on_what_was_shown(run)
            case _:
                pass

    def _is_as_approved(self, run: CircuitRun) -> None:
        approved = self.approved.get((run.release_id, run.circuit))
        held = content_hash(self.seen.models._registry[run.model_name, run.model_version].files)
        if approved is not None and held != approved:
            self.fail("R13", f"{run.circuit} is promoted, and the Registry holds other content than was approved")

    def _is_compared(self, run: CircuitRun) -> None:
        expected = self.seen.models._test_files.get(f"{expected_data_path(run.circuit)}{EXPECTED_OUTPUT}", PREDICTIONS)
        if expected != PREDICTIONS and not any("expected output" in warning for warning in run.warnings):
            self.fail("R32", f"{run.circuit} gave other output than is known for its input, and nothing says so")

    def _still_rests_on_what_was_shown(self, run: CircuitRun) -> None:
        properties = self.seen.models._registry[run.model_name, run.model_version].version.properties
        if properties.get(CONTENT_HASH) != self.approved.get((run.release_id, run.circuit)):
            self.fail("R10", f"{run.circuit} is staged although its content in the Registry changed after the approval")
        if run.job_name not in self.seen.models._jobs:
            self.fail("R10", f"{run.circuit} is staged although its smoke job is gone")
