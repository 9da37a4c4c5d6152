"""Runs one step for one message, and puts its fact to the dispatcher."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

from shared.application.diagnosis import diagnose
from shared.application.dispatcher import Dispatcher, is_current
from shared.application.endpoints import LOOK_AGAIN, Converging, converge
from shared.application.ports import Ports, Versioned
from shared.application.rollbacks import mark_rolled_back
from shared.application.steps import activate, deploy, inspect, promote, restore, smoke_test
from shared.application.work import Step, Work
from shared.domain.commands import RunStep, StepKind
from shared.domain.errors import PermanentError, TransientError
from shared.domain.events import CircuitEvent, CircuitRestored, StepErrored, StepFailed, StillRunning
from shared.domain.model import CircuitPhase, CircuitRun, Environment, ProcessKind, Release, Round
from shared.domain.process import DIAGNOSIS, ROUND_OF, decide_poll, implied_commands, is_past_deadline
from shared.telemetry import log

STEPS: Mapping[StepKind, Step] = {
    StepKind.INSPECT: inspect.inspect,
    StepKind.PROMOTE: promote.promote,
    StepKind.DEPLOY: deploy.deploy,
    StepKind.SMOKE_TEST: smoke_test.smoke_test,
    StepKind.ACTIVATE: activate.activate,
    StepKind.RESTORE: restore.restore,
}
WRITES_DEFAULTS = frozenset({StepKind.ACTIVATE, StepKind.RESTORE})
MOST_PUT_RIGHTS = 30
"""How often a message about the past looks whether its endpoint is as wanted, about two hours; then drift tells."""
PAUSE_BEFORE_RAISING = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Worker:
    """Handles the messages of the promotion, deployment and smoke-test queues."""

    ports: Ports
    steps: Mapping[StepKind, Step] = field(default_factory=lambda: STEPS)

    def handle(self, command: RunStep, *, redelivered: bool = False) -> None:
        """Run the step the message asks for, if its row still waits for it.

        Raises:
            TransientError: state and bus are both out of reach; the host delivers the message again.
        """
        try:
            self._handle(command, redelivered=redelivered)
        except TransientError as error:
            self._postpone(command, error)

    def _handle(self, command: RunStep, *, redelivered: bool) -> None:
        found = self.ports.releases.release_and_run(command.release_id, command.circuit)
        if found is None:
            _dropped(command, "no such circuit run")
            return
        release, run = found
        if not is_current(command, run.row):
            self._stale(command, release, run, redelivered=redelivered)
            return
        outcome = self._run(command.kind, Work(release=release.row, run=run.row))
        if isinstance(outcome, StillRunning):
            written = self._look_again(release, run, outcome)
        else:
            if isinstance(outcome, CircuitRestored):
                mark_rolled_back(Work(release=release.row, run=run.row), self.ports)
            written = Dispatcher(self.ports).to_run(release, run, outcome)
        if written is None and command.kind in WRITES_DEFAULTS:
            # The row moved on while the step ran: what it wrote may be stale by now.
            self._put_right(command, run.row, release.row)

    def _run(self, kind: StepKind, work: Work) -> CircuitEvent | StillRunning:
        try:
            return self.steps[kind](work, self.ports)
        except TransientError as error:
            _told("step will be tried again", "step_transient", work, error)
            return StillRunning(check_in=error.retry_after, transient=str(error))
        except PermanentError as error:
            _told("step failed", "step_failed", work, error)
            return StepFailed(at=self.ports.clock.now(), error=str(error), evidence=self._diagnosis(work.run))

    def _look_again(
        self, release: Versioned[Release], run: Versioned[CircuitRun], still: StillRunning
    ) -> CircuitRun | None:
        policy, now = release.row.policy, self.ports.clock.now()
        if not still.restart_clock and is_past_deadline(run.row, policy, now):
            still = replace(still, facts={**still.facts, "evidence": self._diagnosis(run.row)})
        return Dispatcher(self.ports).poll_run(release, run, lambda row: decide_poll(row, still, policy, now))

    def _diagnosis(self, run: CircuitRun) -> Mapping[str, object]:
        lines = diagnose(run, self.ports)
        return {DIAGNOSIS: list(lines)} if lines else {}

    def _stale(
        self, command: RunStep, release: Versioned[Release], run: Versioned[CircuitRun], *, redelivered: bool
    ) -> None:
        """A message about the past: what it may have left half done is put right, and what was lost sent again."""
        if command.kind in WRITES_DEFAULTS and command.redrive <= MOST_PUT_RIGHTS:
            self._put_right(command, run.row, release.row)
        if not redelivered:
            _dropped(command, f"the circuit is {run.row.phase} (gen {run.row.gen}, look {run.row.poll_n})")
            return
        dispatcher = Dispatcher(self.ports)
        dispatcher.send(release.row, implied_commands(run.row))
        if run.row.todo is Round.NONE and (round_ := ROUND_OF.get(release.row.phase)) is not None:
            dispatcher.fan_in(command.release_id, round_)

    def _put_right(self, command: RunStep, run: CircuitRun, release: Release) -> None:
        """Whatever a late worker may still have written, the endpoint's default becomes what is wanted.

        Raises:
            TransientError: it is not there yet; the message comes again.
        """
        drill = release.kind is ProcessKind.ROLLBACK and release.environment is Environment.TEST
        in_test = drill or command.phase is CircuitPhase.ACTIVATING_TEST
        environment = Environment.TEST if in_test else Environment.PRODUCTION
        name = run.test_endpoint if in_test else run.endpoint
        try:
            reached = converge(environment, run.circuit, name, self.ports)
        except PermanentError as error:
            log.error(
                "endpoint can't be put right",
                action="put_right_failed",
                release_id=run.release_id,
                circuit=run.circuit,
                error=error,
            )
            return
        if isinstance(reached, Converging):
            raise TransientError(reached.why, retry_after=LOOK_AGAIN)

    def _postpone(self, command: RunStep, error: TransientError) -> None:
        """Our own storage is out of reach: the same message again, later and under a new id."""
        wait = max(error.retry_after or timedelta(), timedelta(seconds=min(5 * 2 ** min(command.redrive, 6), 300)))
        log.warning(
            "state out of reach; message postponed",
            action="message_postponed",
            release_id=command.release_id,
            circuit=command.circuit,
            error=error,
        )
        try:
            self.ports.bus.send((replace(command, redrive=command.redrive + 1, delay=wait),))
        except TransientError:
            self.ports.clock.pause(PAUSE_BEFORE_RAISING)
            raise error from None

    def give_up(self, command: RunStep, reason: str) -> None:
        """Its message was dead-lettered: the circuit is errored, if the message still spoke of its state."""
        found = self.ports.releases.release_and_run(command.release_id, command.circuit)
        if found is None or not is_current(command, found[1].row):
            if found is not None and command.kind in WRITES_DEFAULTS and command.redrive <= MOST_PUT_RIGHTS:
                try:
                    self._put_right(command, found[1].row, found[0].row)
                except TransientError as not_yet:
                    self._postpone(command, not_yet)
            _dropped(command, "dead-lettered, and its state is over")
            return
        release, run = found
        error = f"the message for {command.phase} was dead-lettered ({reason}); retry the release"
        Dispatcher(self.ports).to_run(release, run, StepErrored(at=self.ports.clock.now(), error=error))


def _dropped(command: RunStep, why: str) -> None:
    log.info(
        "message dropped",
        action="message_dropped",
        release_id=command.release_id,
        circuit=command.circuit,
        kind=command.kind,
        why=why,
    )


def _told(message: str, action: str, work: Work, error: Exception) -> None:
    log.warning(
        message,
        action=action,
        release_id=work.run.release_id,
        circuit=work.run.circuit,
        phase=work.run.phase,
        error=error,
    )
