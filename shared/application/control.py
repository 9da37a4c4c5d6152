"""Handles the messages of the control queue."""

from dataclasses import dataclass

from shared.application.fanout import FanOutPage
from shared.application.intake import Intake
from shared.application.notices import deliver_notice
from shared.application.ports import Ports, Sendable
from shared.application.pruning import Pruning
from shared.domain.commands import FanOut, Prune, ReadArtifact, RunStep, SendNotice
from shared.domain.errors import PermanentError


@dataclass(frozen=True, slots=True)
class Control:
    ports: Ports

    def handle(self, command: Sendable, *, redelivered: bool = False) -> None:
        """Carry out one control message.

        Raises:
            PermanentError: it belongs on another queue.
        """
        match command:
            case FanOut():
                FanOutPage(self.ports).handle(command, redelivered=redelivered)
            case SendNotice():
                deliver_notice(command, self.ports)
            case ReadArtifact():
                Intake(self.ports).read_again(command.path)
            case Prune():
                Pruning(self.ports).handle(command)
            case RunStep():
                raise PermanentError(f"{command.circuit}: {command.kind} does not belong on the control queue")
