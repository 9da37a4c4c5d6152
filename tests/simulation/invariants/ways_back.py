"""D13: a rollback goes back to what the one that is live has replaced."""

from collections.abc import Mapping

from shared.application.rollbacks import RollbackRequest
from shared.domain.model import Circuit, CircuitRun
from shared.domain.naming import deployment_name, is_rollback
from shared.domain.rows import run_key
from tests.simulation.invariants.seen import Check, Seen


class WaysBack(Check):
    """D13: a rollback goes back to what the one that is live has replaced."""

    def __init__(self, seen: Seen) -> None:
        super().__init__(seen)
        self.asked_for: dict[tuple[str, Circuit], str] = {}

    def expected(self, request: RollbackRequest) -> Mapping[Circuit, str]:
        """Where a plain request leads, by the ledger; of circuits that have been back and forth before nothing is said."""
        current = self.seen.engine.current
        is_plain = not (request.to or request.seen or request.release_id or request.plant_id or request.only)
        if not is_plain or current is None or current.has_thread:
            return {}
        found = ((circuit, self._replaced(request, circuit)) for circuit in request.circuits)
        return {circuit: previous for circuit, previous in found if previous}

    def _replaced(self, request: RollbackRequest, circuit: Circuit) -> str:
        place = (request.environment, circuit)
        held = self.seen.endpoints.locks.get(place)
        ledger = sorted(self.seen.endpoints.ledgers[place], key=lambda row: -row.fence)
        if held is None or held.row.leaves or not ledger:
            return ""
        newest = ledger[0]
        is_new_here = [row.deployment for row in ledger].count(newest.deployment) == 1
        was_made_live = newest.deployment == deployment_name(newest.release_id) == held.row.want
        return newest.previous if is_new_here and was_made_live else ""

    def asked(self, rollback_id: str, expected: Mapping[Circuit, str]) -> None:
        """A new rollback has begun."""
        self.asked_for |= {(rollback_id, circuit): target for circuit, target in expected.items()}
        for circuit in expected:
            stored = self.seen.releases.rows[rollback_id].get(run_key(circuit))
            if stored is not None:
                self.moved_run(stored.row)

    def moved_run(self, run: CircuitRun) -> None:
        """A circuit of a rollback has a row."""
        if not is_rollback(run.release_id):
            return
        expected = self.asked_for.get((run.release_id, run.circuit), run.target)
        if run.target != expected:
            self.fail("D13", f"{run.release_id} {run.circuit} goes back to {run.target}, it had replaced {expected}")
