"""The rows of a release: what is true at one moment, as frozen values.

Every row is written conditionally by the state store; nothing here knows how. Rows of older versions still
parse because every field that came later has a default.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import IntEnum, StrEnum

from shared.domain.policy import Policy

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
FANOUT_START = ""
FANOUT_END = "~"


class Environment(StrEnum):
    """Where endpoints live; the Registry is shared and has none."""

    TEST = "test"
    PRODUCTION = "production"


class GateName(StrEnum):
    REGISTRY = "registry-approval"
    PRODUCTION = "production-approval"


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


class GateState(StrEnum):
    OPEN = "open"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    VOID = "void"


class Moment(StrEnum):
    """What people are told about."""

    GATE_OPENED = "gate_opened"
    GATE_REMINDER = "gate_reminder"
    GATE_DECIDED = "gate_decided"
    GATE_EXPIRED = "gate_expired"
    RELEASE_SUCCEEDED = "release_succeeded"
    RELEASE_FAILED = "release_failed"
    RELEASE_ENDED = "release_ended"
    ROLLBACK_ENDED = "rollback_ended"
    CHECK_FAILED = "check_failed"
    WAY_BACK_STALLED = "way_back_stalled"
    DRIFT_FOUND = "drift_found"
    ARTIFACT_INVALID = "artifact_invalid"


class Channel(StrEnum):
    EMAIL = "email"
    TEAMS = "teams"


class NoticeState(StrEnum):
    PENDING = "pending"
    SENT = "sent"
    UNDELIVERED = "undelivered"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Circuit:
    """A (plant_id, circuit_id) pair, ids as the build wrote them."""

    plant_id: str
    circuit_id: str

    def __str__(self) -> str:
        return f"{self.plant_id}/{self.circuit_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    """One transition of one row; written in the same write as the state it explains."""

    at: datetime
    source: str
    target: str
    why: str = ""
    by: str = ""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class GateDecision:
    """One person's answer at a gate."""

    at: datetime
    decision: str
    """`approve` or `reject`."""
    by: str
    how: str
    comment: str
    digest: str
    exclude: Mapping[str, str] = field(default_factory=dict)
    """`PLANT/CIRCUIT` -> reason: what this approver leaves out; with several approvers each one's counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """A wait for a person's decision (row `g|{gate}`)."""

    release_id: str
    gate: GateName
    state: GateState
    nonce: str
    """Fresh per opening, and whenever its mails are sent again: earlier links no longer fit."""
    opened_at: datetime
    expires_at: datetime
    digest: str
    """SHA-256 of the frozen evidence."""
    evidence_blob: str
    earlier_digests: tuple[str, ...] = ()
    decisions: tuple[GateDecision, ...] = ()
    wrong_codes: Mapping[str, int] = field(default_factory=dict)
    """Approver -> wrong codes entered; five void the link."""
    gen: int = 1
    refreshed_at: datetime = LONG_AGO
    """When the evidence was last looked at again; LONG_AGO: it has to be."""
    frozen_at: datetime | None = None
    """When the evidence it shows now was frozen; None, in rows of before: when it opened."""
    reminded: bool = False
    sendings: int = 0
    """How often its mails were sent again in this opening."""
    hist: tuple[HistoryEntry, ...] = ()

    @property
    def counting(self) -> tuple[GateDecision, ...]:
        """Answers in this opening and on the evidence as it is now: who saw other evidence is asked again."""
        return tuple(vote for vote in self.decisions if vote.at >= self.opened_at and vote.digest == self.digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A message to a person (row `n|{moment}|{channel}|{recipient}`), written with the transition behind it."""

    release_id: str
    moment: Moment
    subject: str
    """What within the release it is about: a gate's name and nonce, or empty."""
    channel: Channel
    recipient: str
    created_at: datetime
    state: NoticeState = NoticeState.PENDING
    attempts: int = 0
    redrive: int = 0
    due_at: datetime | None = None
    last_error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointLock:
    """Who may change an endpoint's default, and which deployment it should be (row `lock`)."""

    environment: Environment
    circuit: Circuit
    owner: str
    """A release id, or a rollback id."""
    owner_seq: int
    fence: int
    want: str = ""
    """Empty: no default is wanted yet, or none at all (`want_none`)."""
    want_none: bool = False
    """D11: the endpoint shall have no default, as before its first activation."""
    leaves: str = ""
    """What a way back takes away, until `want` was seen live; empty: `want` is live, as far as this app knows.

    Only for ways back: an activation that does not get there is taken back by its own release.
    """
    hold_until: datetime | None = None
    """Until then no release activates this circuit, unless the hold is lifted; None: no hold."""
    hold_since: datetime | None = None
    hold_by: str = ""
    hold_why: str = ""
    holds: int = 0
    """How often a hold was set or lifted: the newest row of that history."""
    drift: str = ""
    """What was changed outside this app, in words; empty: nothing that we know of."""
    drift_since: datetime | None = None
    """When it was found."""
    repair_by: str = ""
    """Who asked for the default to be put right; empty: nobody has."""

    def is_held(self, now: datetime) -> bool:
        return self.hold_until is not None and now < self.hold_until

    @property
    def live(self) -> str:
        """What is live as far as this app knows: `want`, or what leaves until `want` was seen live."""
        return self.leaves or self.want

    def goes_back_to(self, deployment: str) -> "EndpointLock":
        """The lock that wants this back. What may still be live meanwhile is remembered; empty: no default is wanted."""
        if deployment == self.want:
            leaves = self.leaves
        else:
            leaves = self.want if self.leaves in {"", deployment} else self.leaves
        return replace(self, want=deployment, want_none=not deployment, leaves=leaves)


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldEntry:
    """A hold that was set, or lifted; written with the lock that it changes (row `h|{number:012d}`)."""

    environment: Environment
    circuit: Circuit
    number: int
    at: datetime
    by: str
    why: str
    until: datetime | None = None
    """None: it was lifted."""
    release_id: str = ""
    """The rollback that set it; empty: an operator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerNote:
    """What an activation rests on (row `e|{fence:012d}` beside it), written once, when its release has ended."""

    environment: Environment
    circuit: Circuit
    fence: int
    release_id: str
    evidence_sha256: str
    """Of the auditor's bundle."""
    model: str = ""
    """Name and version."""
    cutoff_date: str = ""
    approved_by: tuple[str, ...] = ()
    """At the production gate; nobody is asked about a rollback."""
    approved_at: datetime | None = None
    approved_sha256: str = ""
    """Of the evidence they saw."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """One activation; the chain of them is what has been live since when (row `d|{fence:012d}`)."""

    environment: Environment
    circuit: Circuit
    fence: int
    deployment: str
    previous: str
    release_id: str
    activated_at: datetime
    by: str
    note: LedgerNote | None = None
    """The row beside it; None: its release has not ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """The right to run one of the few concurrent smoke tests (D8)."""

    number: int
    owner: str = ""
    """`release|gen|plant|circuit`; empty: free."""
    leased_until: datetime = LONG_AGO


@dataclass(frozen=True, slots=True, kw_only=True)
class MailsSent:
    """When mails were handed in, as far back as a sender's budget counts."""

    at: tuple[datetime, ...] = ()
