"""What becomes of dead-lettered messages: circuits are errored, control messages driven again, then given up."""

from dataclasses import dataclass, replace
from datetime import timedelta

from shared.application.dispatcher import Dispatcher
from shared.application.messages import parse_message
from shared.application.ports import Ports
from shared.application.worker import Worker
from shared.domain.commands import FanOut, Prune, ReadArtifact, RunStep, SendNotice
from shared.domain.errors import IllegalTransition, PermanentError
from shared.domain.events import FanOutDied
from shared.telemetry import log

MOST_REDRIVES = 3
REDRIVE_AFTER = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class DeadLetters:
    ports: Ports

    def handle(self, body: bytes, reason: str) -> None:
        """Make one dead letter visible; never raises for what it holds."""
        try:
            command = parse_message(body)
        except PermanentError as error:
            log.error("unreadable message given up", action="dead_letter_unreadable", reason=reason, error=error)
            return
        log.error("message given up", action="dead_letter", reason=reason, kind=type(command).__name__)
        match command:
            case RunStep():
                Worker(self.ports).give_up(command, reason)
            case FanOut():
                self._fan_out(command, reason)
            case SendNotice() | ReadArtifact() | Prune():
                self._again(command)

    def _fan_out(self, command: FanOut, reason: str) -> None:
        if self._again(command):
            return
        why = f"handing out {command.round.name.lower()} work was given up after {MOST_REDRIVES} more tries ({reason})"
        event = FanOutDied(
            at=self.ports.clock.now(), gen=command.gen, round=command.round, cursor=command.cursor, why=why
        )
        try:
            Dispatcher(self.ports).to_release(command.release_id, event)
        except IllegalTransition as no_longer:
            log.info("event dropped", action="event_dropped", release_id=command.release_id, why=no_longer)

    def _again(self, command: FanOut | SendNotice | ReadArtifact | Prune) -> bool:
        """Notices and artifacts that die for good stay visible: as a pending row, as a blob without a release."""
        if command.redrive >= MOST_REDRIVES:
            return False
        self.ports.bus.send((replace(command, redrive=command.redrive + 1, delay=REDRIVE_AFTER),))
        return True
