"""What becomes of dead-lettered messages: circuits are errored, control messages driven again, then given up."""

from dataclasses import dataclass, replace
from datetime import timedelta

from shared.application.dispatcher import Dispatcher
from shared.application.fanout import FanOutPage
from shared.application.ledger_notes import LedgerNotes
from shared.application.messages import kind_of, parse_message
from shared.application.notices import give_up_notice
from shared.application.ports import Ports, Sendable
from shared.application.postponing import postpone
from shared.application.worker import Worker
from shared.domain.commands import (
    FanOut,
    LookForDrift,
    NoteLedger,
    Prune,
    ReadArtifact,
    RefreshGate,
    RunStep,
    SendNotice,
)
from shared.domain.errors import IllegalTransition, PermanentError, PipelineError, TransientError
from shared.domain.events import FanOutDied
from shared.telemetry import log

MOST_REVIVALS = 3
REVIVED_AFTER = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class DeadLetters:
    ports: Ports

    def handle(self, body: bytes, reason: str) -> None:
        """Make one dead letter visible, whatever it holds.

        It does not raise what can be told instead: a dead letter that raises comes again at once, and no count of
        deliveries ever ends that.

        Raises:
            TransientError: state and bus are both out of reach.
        """
        try:
            command = parse_message(body)
        except PermanentError as error:
            log.error("unreadable message given up", action="dead_letter_unreadable", reason=reason, error=error)
            return
        log.error("message given up", action="dead_letter", reason=reason, kind=type(command).__name__)
        try:
            self._bury(command, reason)
        except TransientError as error:
            postpone(replace(command, postponed=0, revived=command.revived + 1), error, self.ports)
        except PipelineError as error:
            log.error("dead letter not recorded", action="dead_letter_unrecorded", kind=kind_of(command), error=error)

    def _bury(self, command: Sendable, reason: str) -> None:
        match command:
            case RunStep():
                Worker(self.ports).give_up(command, reason)
            case FanOut():
                self._fan_out(command, reason)
            case SendNotice():
                if not self._again(command):
                    give_up_notice(command, reason, self.ports)
            case NoteLedger():
                if not self._again(command):
                    LedgerNotes(self.ports).give_up(command, reason)
            case ReadArtifact() | Prune() | LookForDrift() | RefreshGate():
                self._again(command)

    def _fan_out(self, command: FanOut, reason: str) -> None:
        if self._again(command):
            return
        why = f"handing out {command.round.name.lower()} work was given up after {MOST_REVIVALS} more tries ({reason})"
        event = FanOutDied(
            at=self.ports.clock.now(), gen=command.gen, round=command.round, cursor=command.cursor, why=why
        )
        dispatcher = Dispatcher(self.ports)
        try:
            dispatcher.to_release(command.release_id, event)
        except IllegalTransition as no_longer:
            log.info("event dropped", action="event_dropped", release_id=command.release_id, why=no_longer)
            # Its page was written after all: what follows from that may have died with it.
            FanOutPage(self.ports).handle(command, redelivered=True)
        else:
            dispatcher.fan_in(command.release_id, command.round)

    def _again(
        self, command: FanOut | SendNotice | ReadArtifact | Prune | LookForDrift | RefreshGate | NoteLedger
    ) -> bool:
        """False: it has died for good. An artifact is then found by the scan, an open gate is looked at anew."""
        if command.revived >= MOST_REVIVALS:
            return False
        number = int(self.ports.clock.now().timestamp())
        self.ports.bus.send((replace(command, redrive=number, revived=command.revived + 1, delay=REVIVED_AFTER),))
        return True
