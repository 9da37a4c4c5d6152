"""D11, I4: in which order defaults are switched, and that what counts as live is live."""

from shared.domain.model import CircuitPhase, CircuitRun, EndpointLock, Environment, LedgerEntry
from shared.domain.naming import deployment_name, is_rollback
from shared.domain.rows import RELEASE_KEY
from tests.simulation.engine import START
from tests.simulation.invariants.seen import Check, is_held

C = CircuitPhase
PRODUCTION = Environment.PRODUCTION


class Activations(Check):
    """D11, I4: in which order defaults are switched, and that what counts as live is live."""

    # ---------------------------------------------------------------------------------- the first come last

    def switched(self, endpoint: str, deployment: str) -> None:
        """D11: what can't be put back is switched when nothing that can be is pending any more."""
        release_id = self.seen.release_of.get(deployment, "")
        stored = self.seen.releases.rows[release_id].get(RELEASE_KEY) if release_id else None
        if stored is None or stored.row.died or self._may_be_late():
            return
        runs = [held.row for held in self.seen.releases._of(CircuitRun, release_id)]
        mine = next((run for run in runs if run.endpoint == endpoint and run.deployment == deployment), None)
        if mine is None or mine.phase is not C.ACTIVATING or mine.previous_deployment:
            return
        pending = [
            str(run.circuit) for run in runs if run.previous_deployment and run.phase in {C.STAGED, C.ACTIVATING}
        ]
        if pending:
            self.fail("D11", f"{release_id} {mine.circuit} goes live for the first time before {', '.join(pending)}")

    # ----------------------------------------------------------------------------------------- what is held

    def wanted(self, new: EndpointLock, old: EndpointLock, entry: LedgerEntry | None) -> None:
        """Known failure 12: no release makes a held circuit live, whoever held it and when."""
        if new.environment is not PRODUCTION or not is_held(old, self.seen.engine.now()):
            return
        who = f"production {new.circuit}"
        if entry and not is_rollback(entry.release_id) and entry.deployment == deployment_name(entry.release_id):
            self.fail("known failure 12", f"{who}: {entry.release_id} activated what is held by {old.hold_by}")
        if not is_held(new, self.seen.engine.now()) or (new.hold_until or START) < (old.hold_until or START):
            self._was_lifted(who, new, old)

    def _was_lifted(self, who: str, new: EndpointLock, old: EndpointLock) -> None:
        """By somebody who says so: endpoint and wishes stay as they are."""
        newest = max(
            self.seen.endpoints.held[new.environment, new.circuit], key=lambda entry: entry.number, default=None
        )
        is_told = newest is not None and newest.number == new.holds == old.holds + 1 and newest.until == new.hold_until
        same = (new.owner, new.want, new.fence) == (old.owner, old.want, old.fence)
        if not (is_told and same):
            self.fail("known failure 12", f"{who}: {new.owner} ended the hold that {old.hold_by} had set")

    # -------------------------------------------------------------------------------------------- what is live

    def moved(self, old: CircuitRun, new: CircuitRun) -> None:
        """I4: at this very moment the endpoint serves what is wanted, unless its writer may be late to say so."""
        in_test = (old.phase, new.phase) == (C.ACTIVATING_TEST, C.TESTED)
        in_production = old.phase is not new.phase and new.phase in {C.LIVE, C.RESTORED}
        nothing_to_see = new.phase is C.RESTORED and self._never_switched(new)
        if (in_test or in_production) and not nothing_to_see and not self._may_be_late():
            self._serves(new)

    def _serves(self, run: CircuitRun) -> None:
        environment, name = self._place(run)
        stored = self.seen.endpoints.locks.get((environment, run.circuit))
        endpoint = self.seen.models._endpoints.get((environment, name))
        default = endpoint.default if endpoint else ""
        who = f"{run.release_id} {run.circuit} is {run.phase}"
        if stored is not None and (stored.row.want or stored.row.want_none) and default != stored.row.want:
            self.fail("I4", f"{who}, {default or '(none)'} is live, {stored.row.want or '(none)'} is wanted")
        if run.phase is C.LIVE and default != run.deployment:
            self.fail("I4", f"{who}, and {default or '(none)'} is live, not {run.deployment}")
        if run.phase is C.RESTORED and default != run.previous_deployment:
            self.fail("I4", f"{who}, and {default or '(none)'} is live, not {run.previous_deployment or '(none)'}")

    def _place(self, run: CircuitRun) -> tuple[Environment, str]:
        if run.phase is C.TESTED:
            return Environment.TEST, run.test_endpoint
        release = self.seen.releases.rows[run.release_id][RELEASE_KEY].row
        return release.environment, run.endpoint

    def _never_switched(self, run: CircuitRun) -> bool:
        """Its release never wanted it in Production: there was nothing to put back, and nobody looks."""
        return not is_rollback(run.release_id) and not any(
            row.release_id == run.release_id and row.deployment == run.deployment
            for row in self.seen.endpoints.ledgers[PRODUCTION, run.circuit]
        )

    def _may_be_late(self) -> bool:
        return self.seen.engine.current is None or self.seen.engine.current.has_thread
