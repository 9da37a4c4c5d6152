"""What happened. Past tense, immutable.

The fields of a circuit event, other than `at`, `by` and `why`, are facts: they carry the names of `CircuitRun`
columns and replace them (`evidence` and `warnings` are merged).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.domain.model import GateName, Round


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitEvent:
    at: datetime
    why: str = ""
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FannedOut(CircuitEvent):
    """The release reached a round and handed this circuit its work."""

    round: Round
    gen: int
    exclude_reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChosen(CircuitEvent):
    """Inspection found exactly one eligible Dev model and nothing in the way."""

    source_version: str
    source_hash: str
    source_tags: Mapping[str, str]
    live_deployment: str
    warnings: tuple[str, ...] = ()
    evidence: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPromoted(CircuitEvent):
    """The Registry holds the model with its seven tags, read back."""

    source_hash: str
    registry_tags: Mapping[str, str]
    evidence: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TestDeploymentReady(CircuitEvent):
    evidence: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotTaken(CircuitEvent):
    slot: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SmokeTestPassed(CircuitEvent):
    warnings: tuple[str, ...] = ()
    evidence: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoredTested(CircuitEvent):
    """What a rollback restored has passed its smoke test; nothing follows from it."""

    warnings: tuple[str, ...] = ()
    evidence: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoredUntestable(CircuitEvent):
    """Test has nothing to score what a rollback restored with; `why` says what is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TestDefaultSet(CircuitEvent):
    """The tested deployment is Test's default, or a newer release's is; production was looked at for gate 2."""

    live_deployment: str
    evidence: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceRefreshed(CircuitEvent):
    """While people were asked, the circuit was looked at again, and something is other than it was."""

    live_deployment: str
    warnings: tuple[str, ...] = ()
    evidence: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitHeld(CircuitEvent):
    """A rollback's hold is open: the circuit is left out, and `why` says since when, by whom and for what reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductionLocked(CircuitEvent):
    """The lock is ours and the live default is frozen: nothing has been changed yet (R36)."""

    previous_deployment: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductionStaged(CircuitEvent):
    """The new deployment stands beside the live one, Succeeded; the default is untouched."""

    evidence: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitActivated(CircuitEvent):
    """The default was re-read and is the new deployment (R39)."""

    fence: int
    evidence: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivationSkipped(CircuitEvent):
    """A first activation that waited for its siblings, one of which failed: nothing was switched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitRestored(CircuitEvent):
    """The default was re-read and is the frozen previous deployment."""

    evidence: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFailed(CircuitEvent):
    """The thing said no."""

    error: str
    fence: int = 0
    warnings: tuple[str, ...] = ()
    evidence: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepErrored(CircuitEvent):
    """Technology broke, or the deadline passed."""

    error: str
    fence: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitSuperseded(CircuitEvent):
    """A newer release holds or held the endpoint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitRolledBack(CircuitEvent):
    """A rollback has put back what this run had activated; `why` names the rollback and its reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitLiveAgain(CircuitEvent):
    """What a rollback had taken back is wanted again; `why` names who made it so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StillRunning:
    """Not an event: nothing is decided yet; look again after `check_in` (None: the policy's poll).

    `facts` are columns to remember meanwhile (job_name, fence). `restart_clock` moves the deadline: the circuit
    waited for others and has not started. `transient` marks a try that broke and is repeated with back-off.
    """

    check_in: timedelta | None = None
    facts: Mapping[str, object] = field(default_factory=dict)
    restart_clock: bool = False
    transient: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseEvent:
    at: datetime
    by: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundEnded(ReleaseEvent):
    """Every circuit has ended in this round. Counts are `any`, found by top-1 queries."""

    round: Round
    gen: int
    any_unsuccessful: bool
    any_successful: bool
    any_overtaken: bool = False
    """By a newer release or a rollback; only looked for if there is none of the two above."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FanOutAdvanced(ReleaseEvent):
    """One page of circuits was handed its work."""

    round: Round
    gen: int
    cursor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FanOutDied(ReleaseEvent):
    """The fan-out message of this page was dead-lettered, and so were the three sent after it."""

    gen: int
    round: Round
    cursor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundStuck(ReleaseEvent):
    """Every circuit has ended in this round, and its end could not be written: `why` says what kept it."""

    round: Round
    gen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerNoted(ReleaseEvent):
    """One page of the ended release's ledger rows has beside it what they rest on; `why` it is left without, if so."""

    gen: int
    cursor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GateApproved(ReleaseEvent):
    gate: GateName
    exclusions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRejected(ReleaseEvent):
    gate: GateName


@dataclass(frozen=True, slots=True, kw_only=True)
class GateExpired(ReleaseEvent):
    gate: GateName


@dataclass(frozen=True, slots=True, kw_only=True)
class GateOpened:
    """People are asked again, on fresh evidence."""

    at: datetime
    by: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateVoided:
    """Nobody needs to answer any more."""

    at: datetime
    by: str = ""
    why: str = ""


type GateEvent = GateOpened | GateApproved | GateRejected | GateExpired | GateVoided
"""What moves a gate; three of them move its release in the same transaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRequested(ReleaseEvent):
    """`by` and `why` say who and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryRequested(ReleaseEvent):
    exclusions: Mapping[str, str] = field(default_factory=dict)
