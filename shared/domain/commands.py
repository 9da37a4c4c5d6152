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
class Posted:
    """What every command carries that goes over the bus, besides what it is about."""

    redrive: int = 0
    """Tells repeats apart: the sweeper counts them on the row, everybody else takes the time."""
    postponed: int = 0
    """How often it was put off, because state was out of reach or the endpoint was being changed."""
    revived: int = 0
    """How often it has come back from a dead-letter queue."""
    delay: timedelta = timedelta()

    @property
    def came_before(self) -> bool:
        """Was it handled before, with an end that nobody knows? What it then wrote may want its messages."""
        return self.postponed > 0 or self.revived > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStep(Posted):
    """Work on one circuit, now or after `delay`."""

    release_id: str
    circuit: Circuit
    gen: int
    kind: StepKind
    phase: CircuitPhase
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FanOut(Posted):
    """Hand the next page of circuits its work in this round."""

    release_id: str
    gen: int
    round: Round
    cursor: str


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
    gate: GateName | None = None
    """Which gate was decided; a message about another moment knows its gate by the release."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartQueued:
    """Give a free smoke-test slot, if there is one, to a queued circuit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartCheck:
    """Begin the smoke test of what this rollback has restored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FreeSlot:
    """Give a slot back, if `owner` still holds it: its lease may have run out and gone to somebody else."""

    slot: int
    owner: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SendNotice(Posted):
    """Deliver one notice row."""

    release_id: str
    row_key: str
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadArtifact(Posted):
    """Read an uploaded artifact again: it was empty when its event came."""

    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Prune(Posted):
    """Delete deployments that nobody needs any more, for a page of a succeeded release's circuits."""

    release_id: str
    cursor: str = ""
    """The row key that the page starts after."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LookForDrift(Posted):
    """Compare a page of Production's endpoints with what they should be."""

    n: int
    """Which look this is: the second it was begun in."""
    cursor: str = ""
    """The lock key that the page starts after."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshGate(Posted):
    """Look again at a page of the circuits whose evidence an open gate shows."""

    release_id: str
    gate: GateName
    n: int
    """Which look this is: the second it was begun in."""
    cursor: str = ""
    """The row key that the page starts after."""
    outdated: str = ""
    """The digest of evidence that the tables say is outdated: only circuits it is wrong about; empty: all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteLedger(Posted):
    """Write beside the ledger rows of an ended release what they rest on, for a page of its circuits."""

    release_id: str
    gen: int
    cursor: str = ""
    """The row key that the page starts after."""


type Command = (
    RunStep
    | FanOut
    | OpenGate
    | VoidGate
    | Tell
    | StartQueued
    | StartCheck
    | FreeSlot
    | SendNotice
    | ReadArtifact
    | Prune
    | RefreshGate
    | NoteLedger
)
