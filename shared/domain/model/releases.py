"""A release's own row, and the phases it stands in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from shared.domain.model.common import Environment, HistoryEntry
from shared.domain.policy import Policy

FANOUT_START = ""
FANOUT_END = "~"


class ReleasePhase(StrEnum):
    INSPECTING = "inspecting"
    AWAITING_REGISTRY_APPROVAL = "awaiting_registry_approval"
    PROMOTING = "promoting"
    TESTING = "testing"
    AWAITING_PRODUCTION_APPROVAL = "awaiting_production_approval"
    STAGING_PRODUCTION = "staging_production"
    ACTIVATING = "activating"
    REVERTING = "reverting"
    ROLLING_BACK = "rolling_back"
    CHECKING = "checking"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REJECTED = "rejected"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    CANCELLED = "cancelled"
    NOTHING_TO_DO = "nothing_to_do"
    INVALID = "invalid"


TERMINAL_RELEASE_PHASES = frozenset(
    {
        ReleasePhase.SUCCEEDED,
        ReleasePhase.FAILED,
        ReleasePhase.REJECTED,
        ReleasePhase.EXPIRED,
        ReleasePhase.SUPERSEDED,
        ReleasePhase.CANCELLED,
        ReleasePhase.NOTHING_TO_DO,
        ReleasePhase.INVALID,
    }
)


class ProcessKind(StrEnum):
    """A rollback is a small process of the same kind: own rows, fan-out, a step per circuit, fan-in, summary."""

    RELEASE = "release"
    ROLLBACK = "rollback"
    CHECK = "check"
    """The smoke test of what a rollback has restored: a result of its own, which that of the rollback never waits for."""
    DRIFT = "drift"
    """A report that ends as it begins: defaults were changed outside this app, and people are told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One run of the pipeline for one artifact (row `!release`)."""

    release_id: str
    build_id: str
    phase: ReleasePhase
    seq: int
    total: int
    manifest_sha256: str
    manifest_blob: str
    policy: Policy
    created_at: datetime
    kind: ProcessKind = ProcessKind.RELEASE
    environment: Environment = Environment.PRODUCTION
    """Where a rollback works; a release goes through all of them."""
    gen: int = 1
    fanout_cursor: str = FANOUT_START
    due_at: datetime | None = None
    redrive: int = 0
    reason: str = ""
    """Why it has ended, or why a way back that has not ended does not go on."""
    resume_phase: ReleasePhase = ReleasePhase.INSPECTING
    """Where a retry resumes; means something only once the release has failed or expired."""
    cancel_requested_by: str = ""
    died: str = ""
    """Why handing out work was given up in this try: whoever has some ends it, then the round ends red."""
    stuck: int = 0
    """How often the sweeper could not write the end of this round, although all its circuits have ended."""
    exclusions: Mapping[str, str] = field(default_factory=dict)
    """`PLANT/CIRCUIT` -> why it was left out."""
    commit_sha: str = ""
    requested_by: str = ""
    """Whoever was signed in when it was asked for; else what the artifact claims, which may be nothing."""
    requester_signed_in: bool = False
    requester_claim: str = ""
    """What the artifact claims where somebody else was signed in."""
    reason_asked: str = ""
    """Why a rollback was asked for."""
    smoke_test: bool = False
    """Of a rollback: what it restores is to be smoke-tested afterwards."""
    wrong_codes: Mapping[str, int] = field(default_factory=dict)
    """Person -> wrong codes entered on the page that rolls this release back; five void the link."""
    request_digest: str = ""
    """Equal for identical rollback requests (D13)."""
    artifact_path: str = ""
    warnings: tuple[str, ...] = ()
    ended_at: datetime | None = None
    evidence_sha256: str = ""
    """Of the auditor's bundle; empty until the release has ended."""
    noted_cursor: str = FANOUT_END
    """Of an ended release: up to which circuit the production ledger says what its rows rest on."""
    hist: tuple[HistoryEntry, ...] = ()

    @property
    def is_terminal(self) -> bool:
        return self.phase in TERMINAL_RELEASE_PHASES
