"""Handles the messages of the control queue."""

from dataclasses import dataclass

from shared.application.drift import Drift
from shared.application.fanout import FanOutPage
from shared.application.gate_refresh import GateRefresh
from shared.application.intake import Intake
from shared.application.ledger_notes import LedgerNotes
from shared.application.notices import deliver_notice
from shared.application.ports import Ports, Sendable
from shared.application.postponing import postpone
from shared.application.pruning import Pruning
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
from shared.domain.errors import ConfigurationError, PermanentError, TransientError

MOST_HEALS = 30
"""How often a message about the past tries to send what was lost with it, about two hours."""


@dataclass(frozen=True, slots=True)
class Control:
    ports: Ports

    def handle(self, command: Sendable, *, redelivered: bool = False) -> None:
        """Carry out one control message; with state out of reach, later.

        Raises:
            PermanentError: it belongs on another queue.
            TransientError, ConfigurationError: state and bus are both out of reach; the host delivers the message again.
        """
        try:
            heals = redelivered or (command.came_before and command.postponed <= MOST_HEALS)
            self._handle(command, heals=heals)
        except (TransientError, ConfigurationError) as error:
            postpone(command, error, self.ports)

    def _handle(self, command: Sendable, *, heals: bool) -> None:
        match command:
            case FanOut():
                FanOutPage(self.ports).handle(command, redelivered=heals)
            case SendNotice():
                deliver_notice(command, self.ports)
            case ReadArtifact():
                Intake(self.ports).read_again(command.path)
            case Prune():
                Pruning(self.ports).handle(command)
            case LookForDrift():
                Drift(self.ports).handle(command)
            case RefreshGate():
                GateRefresh(self.ports).handle(command)
            case NoteLedger():
                LedgerNotes(self.ports).handle(command)
            case RunStep():
                raise PermanentError(f"{command.circuit}: {command.kind} does not belong on the control queue")
