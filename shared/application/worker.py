"""Runs one step for one message, and puts its fact to the dispatcher."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from shared.application.convergence import LOOK_AGAIN, Converging, converge
from shared.application.diagnosis import diagnose
from shared.application.dispatcher import Dispatcher, is_current
from shared.application.ports import Ports, Versioned
from shared.application.postponing import postpone
from shared.application.rollback_records import keep_records
from shared.application.steps import activate, deploy, inspect, promote, restore, smoke_test
from shared.application.work import Step, Work
from shared.domain.commands import RunStep, StartQueued, StepKind
from shared.domain.errors import ConfigurationError, PermanentError, TransientError
from shared.domain.events import CircuitEvent, StepErrored, StepFailed, StillRunning
from shared.domain.model import CircuitPhase, CircuitRun, Environment, ProcessKind, Release, Round
from shared.domain.process import (
    BLOCKING,
    DIAGNOSIS,
    ROUND_OF,
    STEP_OF,
    claim,
    decide_poll,
    implied_commands,
    is_past_deadline,
    way_on,
)
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
MAY_CHANGE_DEFAULTS = WRITES_DEFAULTS | {StepKind.DEPLOY}
"""Creating an endpoint is a PUT without a default: one that is late clears the default that came meanwhile."""
IN_TEST = frozenset({CircuitPhase.DEPLOYING_TEST, CircuitPhase.ACTIVATING_TEST})
SLOTTED = frozenset({Round.TEST, Round.CHECK})
"""Rounds with smoke tests: who dies behind a freed slot leaves it to nobody."""
MOST_PUT_RIGHTS = 30
"""How often a message about the past tries to put right what it may have left, about two hours; then drift tells."""


@dataclass(frozen=True, slots=True)
class Worker:
    """Handles the messages of the promotion, deployment and smoke-test queues."""

    ports: Ports
    steps: Mapping[StepKind, Step] = field(default_factory=lambda: STEPS)

    def handle(self, command: RunStep, *, redelivered: bool = False) -> None:
        """Run the step the message asks for, if its row still waits for it.

        Raises:
            TransientError, ConfigurationError: state and bus are both out of reach; the host delivers the message again.
        """
        try:
            self._handle(command, redelivered=redelivered)
        except (TransientError, ConfigurationError) as error:
            postpone(command, error, self.ports)

    def _handle(self, command: RunStep, *, redelivered: bool) -> None:
        found = self.ports.releases.release_and_run(command.release_id, command.circuit)
        if found is None:
            _dropped(command, "no such circuit run")
            return
        release, run = found
        if not is_current(command, run.row):
            self._stale(command, release, run, redelivered=redelivered)
            return
        if run.row.phase in BLOCKING:
            again = redelivered or command.came_before
            claimed = self._claim(release, run, again=again)
            if claimed is None:
                return
            run = claimed
        outcome = self._run(command.kind, Work(release=release.row, run=run.row))
        written: CircuitRun | None
        if isinstance(outcome, StillRunning):
            written = self._look_again(release, run, outcome)
        else:
            keep_records(Work(release=release.row, run=run.row), outcome, self.ports)
            written = Dispatcher(self.ports).to_run(release, run, outcome)
        if written is None and command.kind in MAY_CHANGE_DEFAULTS:
            # The row moved on while the step ran: what it wrote may be stale by now.
            self._put_right(command, run.row, release.row)

    def _claim(
        self, release: Versioned[Release], run: Versioned[CircuitRun], *, again: bool
    ) -> Versioned[CircuitRun] | None:
        """None: another message is at work on it, or it has moved on."""
        policy, now = release.row.policy, self.ports.clock.now()
        return Dispatcher(self.ports).rewrite_run(release, run, lambda row: claim(row, policy, now, again=again))

    def _run(self, kind: StepKind, work: Work) -> CircuitEvent | StillRunning:
        try:
            outcome = self.steps[kind](work, self.ports)
        except TransientError as error:
            outcome = StillRunning(check_in=error.retry_after, transient=str(error))
        except PermanentError as error:
            _told("step failed", "step_failed", work, error)
            return StepFailed(at=self.ports.clock.now(), error=str(error), evidence=self._diagnosis(work))
        if isinstance(outcome, StillRunning) and outcome.transient:
            _told("step will be tried again", "step_transient", work, outcome.transient)
        return outcome

    def _look_again(
        self, release: Versioned[Release], run: Versioned[CircuitRun], still: StillRunning
    ) -> CircuitRun | None:
        policy, now = release.row.policy, self.ports.clock.now()
        if not still.restart_clock and is_past_deadline(run.row, policy, now):
            found = self._diagnosis(Work(release=release.row, run=run.row))
            still = replace(still, facts={**still.facts, "evidence": found})
        looked = Dispatcher(self.ports).rewrite_run(release, run, lambda row: decide_poll(row, still, policy, now))
        return None if looked is None else looked.row

    def _diagnosis(self, work: Work) -> Mapping[str, object]:
        lines = diagnose(work, self.ports)
        return {DIAGNOSIS: list(lines)} if lines else {}

    def _stale(
        self, command: RunStep, release: Versioned[Release], run: Versioned[CircuitRun], *, redelivered: bool
    ) -> None:
        """A message about the past: what it may have left half done is put right, and what was lost sent again."""
        if command.postponed > MOST_PUT_RIGHTS:
            _dropped(command, "it was put off too often to matter any more")
            return
        came_before = redelivered or command.came_before
        if came_before:
            self._send_again(release.row, run.row)
        else:
            _dropped(command, f"the circuit is {run.row.phase} (gen {run.row.gen}, look {run.row.poll_n})")
        suspects = MAY_CHANGE_DEFAULTS if came_before else WRITES_DEFAULTS
        if command.kind in suspects and not _is_at_it(command, run.row):
            # Last: an endpoint may be busy for hours, and nothing else shall wait for that.
            self._put_right(command, run.row, release.row)

    def _send_again(self, release: Release, run: CircuitRun) -> None:
        """Who wrote these rows may have died before it sent what follows from them: the next look, page, or end."""
        dispatcher = Dispatcher(self.ports)
        dispatcher.send(release, implied_commands(run))
        if ROUND_OF.get(release.phase) in SLOTTED and run.phase is not CircuitPhase.QUEUED:
            dispatcher.send(release, (StartQueued(),))
        if run.todo is Round.NONE:
            dispatcher.go_on(release)

    def _put_right(self, command: RunStep, run: CircuitRun, release: Release) -> None:
        """Whatever a late worker may still have written, the endpoint's default becomes what is wanted.

        Raises:
            TransientError: it is not there yet; the message comes again.
        """
        drill = release.kind is ProcessKind.ROLLBACK and release.environment is Environment.TEST
        in_test = drill or command.phase in IN_TEST
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

    def give_up(self, command: RunStep, reason: str) -> None:
        """Its message was dead-lettered: the circuit is errored, if the message still spoke of its state.

        Raises:
            TransientError: state is out of reach, or an endpoint is not right yet; the message must come again.
        """
        found = self.ports.releases.release_and_run(command.release_id, command.circuit)
        if found is None:
            _dropped(command, "dead-lettered, no such circuit run")
            return
        if not is_current(command, found[1].row):
            self._stale(command, *found, redelivered=True)
            return
        release, run = found
        error = f"the message for {command.phase} was dead-lettered ({reason}); {way_on(run.row)}"
        Dispatcher(self.ports).to_run(release, run, StepErrored(at=self.ports.clock.now(), error=error))


def _is_at_it(command: RunStep, run: CircuitRun) -> bool:
    """Does the circuit itself still work on that default? Then its own looks bring it to what is wanted."""
    same_place = (command.phase in IN_TEST) == (run.phase in IN_TEST)
    return same_place and STEP_OF.get(run.phase) in WRITES_DEFAULTS


def _dropped(command: RunStep, why: str) -> None:
    log.info(
        "message dropped",
        action="message_dropped",
        release_id=command.release_id,
        circuit=command.circuit,
        kind=command.kind,
        why=why,
    )


def _told(message: str, action: str, work: Work, error: Exception | str) -> None:
    log.warning(
        message,
        action=action,
        release_id=work.run.release_id,
        circuit=work.run.circuit,
        phase=work.run.phase,
        error=error,
    )
