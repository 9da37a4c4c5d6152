"""What to do next. Imperative, immutable; the dispatcher carries them out after the commit."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from shared.domain.model import Circuit, CircuitPhase, GateName, Moment, Round


class StepKind(StrEnum):
    INSPECT = "inspect"
    PROMOTE = "promote"
    DEPLOY = "deploy"
    SMOKE_TEST = "smoke-test"
    ACTIVATE = "activate"
    RESTORE = "restore"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStep:
    """Work on one circuit, now or after `delay`."""

    release_id: str
    circuit: Circuit
    gen: int
    kind: StepKind
    phase: CircuitPhase
    n: int
    redrive: int = 0
    delay: timedelta = timedelta()


@dataclass(frozen=True, slots=True, kw_only=True)
class FanOut:
    """Hand the next page of circuits its work in this round."""

    release_id: str
    gen: int
    round: Round
    cursor: str
    redrive: int = 0
    delay: timedelta = timedelta()


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenGate:
    """Freeze the evidence and open the gate, in the transaction of the transition behind it."""

    gate: GateName


@dataclass(frozen=True, slots=True, kw_only=True)
class VoidGate:
    """Nobody needs to answer any more, in the same transaction."""

    gate: GateName


@dataclass(frozen=True, slots=True, kw_only=True)
class Tell:
    """Write notices for everybody concerned, in the same transaction; then send them."""

    moment: Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class StartQueued:
    """Give a free smoke-test slot, if there is one, to a queued circuit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FreeSlot:
    """Give a slot back, if `owner` still holds it: its lease may have run out and gone to somebody else."""

    slot: int
    owner: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SendNotice:
    """Deliver one notice row."""

    release_id: str
    row_key: str
    n: int
    redrive: int = 0
    delay: timedelta = timedelta()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadArtifact:
    """Read an uploaded artifact again: it was empty when its event came."""

    path: str
    redrive: int = 0
    delay: timedelta = timedelta()


@dataclass(frozen=True, slots=True, kw_only=True)
class Prune:
    """Delete deployments that nobody needs any more, for a page of a succeeded release's circuits."""

    release_id: str
    cursor: str = ""
    """The row key that the page starts after."""
    redrive: int = 0
    delay: timedelta = timedelta()


type Command = (
    RunStep | FanOut | OpenGate | VoidGate | Tell | StartQueued | FreeSlot | SendNotice | ReadArtifact | Prune
)
