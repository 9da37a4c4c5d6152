"""R25-R28, R30: nothing counts as tested without a job that did what it had to, in its time."""

from shared.domain.model import CircuitPhase, CircuitRun
from shared.domain.rows import RELEASE_KEY
from tests.simulation.invariants.seen import Check

COMPLETED = "Completed"


class SmokeTests(Check):
    """R25-R28, R30: nothing counts as tested without a job that did what it had to, in its time."""

    def moved(self, old: CircuitRun, new: CircuitRun) -> None:
        """It has passed its smoke test: goes on to be Test's default, or was all that a check had to do."""
        has_passed = old.phase is CircuitPhase.SMOKE_TESTING and new.phase in {
            CircuitPhase.ACTIVATING_TEST,
            CircuitPhase.TESTED,
        }
        if has_passed or (old.phase is not new.phase and new.phase is CircuitPhase.TESTED):
            self._was_judged(new)

    def _was_judged(self, run: CircuitRun) -> None:
        who = f"{run.release_id} {run.circuit}"
        job = self.seen.models._jobs.get(run.job_name)
        if job is None or (job.endpoint, job.deployment) != (run.test_endpoint, run.deployment):
            self.fail("D14", f"{who} is {run.phase} by job {run.job_name or '(none)'}, which did not score it")
        if job.status != COMPLETED or job.ended_at is None:
            self.fail("R26", f"{who} is {run.phase}, and its job {job.name} is {job.status}")
        limit = self.seen.releases.rows[run.release_id][RELEASE_KEY].row.policy.smoke_limit
        if job.ended_at - job.created_at >= limit:
            self.fail("R25", f"{who} is {run.phase}, and its job took {job.ended_at - job.created_at} of {limit}")
        if job.plan.error_lines:
            self.fail("R27", f"{who} is {run.phase}, and its job's log has errors")
        if not job.plan.predictions:
            self.fail("R28", f"{who} is {run.phase}, and its job left no predictions")
