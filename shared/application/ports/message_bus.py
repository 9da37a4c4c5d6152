"""Port: what is to be done next, as messages."""

from collections.abc import Sequence
from typing import Protocol

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

type Sendable = RunStep | FanOut | SendNotice | ReadArtifact | Prune | LookForDrift | RefreshGate | NoteLedger


class MessageBus(Protocol):
    """Sends commands as Service Bus messages with derived ids; those with a delay are scheduled."""

    def send(self, commands: Sequence[Sendable]) -> None: ...
