"""The row of a circuit in a release: its phases, and the rounds it goes through with the others."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum

from shared.domain.model.common import LONG_AGO, Circuit, HistoryEntry


class Round(IntEnum):
    """The rounds of work that all circuits of a release go through together; `todo` holds its number."""

    NONE = 0
    INSPECTION = 1
    PROMOTION = 2
    TEST = 3
    STAGING = 4
    ACTIVATION = 5
    REVERSION = 6
    ROLLBACK = 7
    CHECK = 8


class CircuitPhase(StrEnum):
    INSPECTING = "inspecting"
    INSPECTED = "inspected"
    PROMOTING = "promoting"
    PROMOTED = "promoted"
    DEPLOYING_TEST = "deploying_test"
    QUEUED = "queued"
    SMOKE_TESTING = "smoke_testing"
    ACTIVATING_TEST = "activating_test"
    TESTED = "tested"
    LOCKING = "locking"
    STAGING = "staging"
    STAGED = "staged"
    ACTIVATING = "activating"
    LIVE = "live"
    RESTORING = "restoring"
    RESTORED = "restored"
    FAILED = "failed"
    ERRORED = "errored"
    SUPERSEDED = "superseded"
    EXCLUDED = "excluded"
    ROLLED_BACK = "rolled_back"


UNSUCCESSFUL = frozenset({CircuitPhase.FAILED, CircuitPhase.ERRORED})
"""*failed*: the thing said no. *errored*: technology broke. Both can be retried."""

OVERTAKEN = frozenset({CircuitPhase.SUPERSEDED, CircuitPhase.ROLLED_BACK})
NEUTRAL = OVERTAKEN | {CircuitPhase.EXCLUDED}


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitRun:
    """One circuit's way through one release (row `c|{plant}|{circuit}`)."""

    release_id: str
    circuit: Circuit
    phase: CircuitPhase
    cutoff_date: str
    model_name: str
    model_version: str
    """The version it gets in the Registry (D12)."""
    test_endpoint: str
    endpoint: str
    """The production endpoint."""
    deployment: str
    gen: int = 1
    todo: Round = Round.NONE
    """The round it still has work in; NONE once it has ended there."""
    attempt: int = 0
    """Transient errors in a row in this phase."""
    poll_n: int = 0
    redrive: int = 0
    claimed: bool = False
    """A step that blocks is at work on it, until `due_at` at the latest."""
    since: datetime = LONG_AGO
    """When it entered its phase: deadlines count from here."""
    due_at: datetime | None = None
    change_type: str = ""
    allow_older_cutoff: bool = False
    """The artifact says that an older cutoff_date than the live one's is meant."""
    requested_version: str = ""
    """The Dev version the artifact asked for, if any."""
    source_version: str = ""
    """The Dev version that was chosen."""
    source_hash: str = ""
    """Content hash of the chosen version; equal in the Registry."""
    source_tags: Mapping[str, str] = field(default_factory=dict)
    registry_tags: Mapping[str, str] = field(default_factory=dict)
    live_deployment: str = ""
    """Production's default as the approver saw it; empty: none. Of a rollback: as the caller said; empty: he did not."""
    previous_deployment: str = ""
    """Production's default, frozen under the lock before any change; empty: none (D6)."""
    fence: int = 0
    """The production lock's fence when this run set `want`; 0: it never did."""
    job_name: str = ""
    slot: int = -1
    """The smoke-test slot it holds; -1: none."""
    error: str = ""
    error_round: Round = Round.NONE
    warnings: tuple[str, ...] = ()
    evidence: Mapping[str, object] = field(default_factory=dict)
    """Small facts for people (JSON): metrics, smoke-test seconds and rows. Merged, never replaced."""
    hist: tuple[HistoryEntry, ...] = ()

    @property
    def leaves(self) -> str:
        """Of a rollback's circuit: what was live when it was asked for, and goes."""
        return self.deployment

    @property
    def target(self) -> str:
        """Of a rollback's circuit: what becomes live again."""
        return self.previous_deployment
