"""What the use cases need from the world, by need; adapters provide it, tests bring fakes of their own.

Every method may raise `TransientError` (try later) or `ConfigurationError` (a role or setting is wrong); further
errors are named where they occur.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from shared.application.gate_texts import Estate
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
from shared.domain.listing import Listed, Wanted
from shared.domain.model import (
    LONG_AGO,
    Channel,
    Circuit,
    CircuitPhase,
    CircuitRun,
    EndpointLock,
    Environment,
    Gate,
    GateName,
    HistoryEntry,
    HoldEntry,
    LedgerEntry,
    LedgerNote,
    MailsSent,
    Notice,
    Release,
    Round,
    Slot,
)
from shared.domain.policy import AllowedLine, Policy
from shared.domain.smoke_verdict import JobOutput

# --------------------------------------------------------------------------------------------------- state


@dataclass(frozen=True, slots=True, kw_only=True)
class Versioned[Row]:
    """A row as it was read, with the ETag a conditional write needs."""

    row: Row
    etag: str


type ReleaseRow = Release | CircuitRun | Gate | Notice


@dataclass(frozen=True, slots=True, kw_only=True)
class Insert:
    """Write a row that must not exist yet."""

    row: ReleaseRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """Replace a row that must still be as it was read (If-Match `etag`)."""

    row: ReleaseRow
    etag: str


type Change = Insert | Update


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveRelease:
    """A release that has not ended, or whose intake was interrupted before its row was written."""

    release_id: str
    artifact_path: str
    manifest_blob: str
    manifest_sha256: str
    build_id: str = ""
    gen: int = 1
    listed_at: datetime = LONG_AGO
    signed_in: str = ""
    """Who asked for it, where sign-in said so; an interrupted intake is completed in this name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryLine:
    """A transition and the key of the row it happened to (`!release`, `c|…`, `g|…`)."""

    row_key: str
    entry: HistoryEntry


class ReleaseStore(Protocol):
    """Rows of releases. One release's rows share a partition: a group of changes commits whole or not at all.

    Ambiguous outcomes (a lost response, a silently repeated write) are settled inside, by the rows' op_id:
    a method returns only when its write is known to stand, and raises `ConflictError` when it is known not to.
    """

    def begin(self, release: Release) -> None:
        """Write the `active` row, the index row, then the release. Repeatable: an interrupted one is completed.

        Raises:
            ConflictError: a release with this id exists with another manifest_sha256.
        """

    def finish(
        self, release: Release, *, undelivered: tuple[str, ...] = (), given_up_before: datetime = LONG_AGO
    ) -> None:
        """Settle a terminal release's index row and take it off the `active` list.

        Not if a later gen of it was put there meanwhile. A later gen that was listed before `given_up_before`
        belongs to a retry whose process died: it goes as well.
        """

    def forget(self, release_id: str) -> None:
        """Take off the `active` list what was listed there and never got a row of its own."""

    def reactivate(self, release: Release, at: datetime) -> None:
        """Put a release that is about to be retried back onto the `active` list, before its row is written.

        Its index row no longer speaks for it.

        `release` is the row as it shall be: its new gen keeps a late `finish` of the old one from undoing this.
        """

    def release(self, release_id: str) -> Versioned[Release] | None: ...

    def release_and_run(
        self, release_id: str, circuit: Circuit
    ) -> tuple[Versioned[Release], Versioned[CircuitRun]] | None:
        """Both in one request; None if either is missing."""

    def release_and_gate(
        self, release_id: str, gate: GateName
    ) -> tuple[Versioned[Release], Versioned[Gate] | None] | None:
        """Both in one request; None if there is no such release."""

    def runs(self, release_id: str, *, after: str = "", limit: int | None = None) -> Sequence[Versioned[CircuitRun]]:
        """Circuit runs in row-key order, those after the row key `after` only."""

    def gates(self, release_id: str) -> Sequence[Versioned[Gate]]: ...

    def notices(self, release_id: str) -> Sequence[Versioned[Notice]]: ...

    def notice(self, release_id: str, row_key: str) -> Versioned[Notice] | None: ...

    def commit(self, *changes: Change) -> Sequence[str]:
        """All changes (at most 100, of one release) or none; the new ETags, in order. ConflictError: none."""

    def any_pending(self, release_id: str, round_: Round) -> bool:
        """Top-1: is there a circuit with todo == round_?"""

    def any_in(self, release_id: str, phases: frozenset[CircuitPhase]) -> bool:
        """Top-1: is there a circuit in one of these phases?"""

    def predecessors_pending(self, release_id: str) -> bool:
        """Top-1: is there a circuit with a previous_deployment that is still staged or activating (D11)?"""

    def first_in(self, release_id: str, phase: CircuitPhase) -> Versioned[CircuitRun] | None:
        """Top-1: some circuit in this phase."""

    def overdue(self, release_id: str, now: datetime) -> Sequence[Versioned[ReleaseRow]]:
        """Rows of this release whose due_at has passed."""

    def history(self, release_id: str) -> Sequence[HistoryLine]:
        """The transitions of all rows of a release, oldest first; also those that outgrew their rows."""

    def active_release_ids(self) -> Sequence[str]: ...

    def intake(self, release_id: str) -> ActiveRelease | None:
        """What the `active` row says: enough to complete an intake that was interrupted behind it."""

    def list_circuits(self, release: Release, circuits: Sequence[Circuit]) -> None:
        """Let the index find a release by its circuits and their plants; before their rows are written. Repeatable."""

    def list_releases(self, wanted: Wanted, *, limit: int, cursor: str = "") -> tuple[Sequence[Listed], str]:
        """A page of the index, newest first, and the cursor of the next one (empty: no more).

        Of releases that have ended those that fit, and every one of those days and circuits that has not ended:
        what these are is for their own rows to say. A page may hold fewer than `limit`.

        Raises:
            ValueError: the cursor is none of ours.
        """

    def listed_release(self, release_id: str) -> Listed | None:
        """The index row of one release, by its `YYYYMMDD.N`; also of one whose rows are gone."""

    def undelivered(self, since: datetime) -> Sequence[Listed]:
        """Releases that have ended since then with messages to people that were given up."""

    # What is past its time; ConflictError everywhere: it is not as it was read, somebody is at work.

    def ended_before(self, at: datetime, *, rows_gone: bool, limit: int, after: str = "") -> Sequence[Listed]:
        """Settled releases that ended before, newest first; whose rows are still there, or are not."""

    def remove(self, release: Versioned[Release]) -> None:
        """Delete a release's own row: from then on there is no such release."""

    def remove_rest(self, release_id: str, *, limit: int) -> int:
        """Delete rows of a release that is gone, and what finds it by circuit; how many, at most `limit`."""

    def note_rows_gone(self, listed: Listed) -> None:
        """The index remembers the release for its evidence."""

    def forget_listed(self, listed: Listed) -> None:
        """Delete the index row of a release whose rows are gone."""


class EndpointStore(Protocol):
    """Locks and ledgers of endpoints. Outcomes are settled as in `ReleaseStore`."""

    def lock(self, environment: Environment, circuit: Circuit) -> Versioned[EndpointLock] | None: ...

    def locks_of(self, environment: Environment, circuits: Sequence[Circuit]) -> Mapping[Circuit, EndpointLock]:
        """The lock rows of these circuits, of those that have one; a request per thousand circuits that lie between."""

    def write_lock(
        self,
        lock: EndpointLock,
        *,
        etag: str | None,
        ledger: LedgerEntry | None = None,
        hold: HoldEntry | None = None,
    ) -> str:
        """Insert (etag None) or replace the lock row and add rows of its histories, in one transaction; the new ETag.

        Raises:
            ConflictError: the lock row is not as it was read.
        """

    def circuits(self, environment: Environment, plant_id: str = "") -> Sequence[Circuit]:
        """The circuits that have a lock row in this environment; of one plant, or all."""

    def all_locks(
        self, environment: Environment, *, after: str = "", limit: int | None = None
    ) -> Sequence[Versioned[EndpointLock]]:
        """All lock rows of an environment in the order of their lock keys, those after the key `after` only."""

    def marked(self, environment: Environment, now: datetime) -> Sequence[EndpointLock]:
        """The lock rows that people should know of: held at this time, or drifted."""

    def ledger(self, environment: Environment, circuit: Circuit) -> Sequence[LedgerEntry]:
        """Every activation, newest first, with what is noted beside it."""

    def holds(self, environment: Environment, circuit: Circuit) -> Sequence[HoldEntry]:
        """Every hold that was set or lifted, newest first."""

    def remove_holds(self, environment: Environment, circuit: Circuit, numbers: Sequence[int]) -> None:
        """Delete these rows of it. Repeatable."""

    def note(self, note: LedgerNote) -> None:
        """Write what a ledger row rests on beside it. Once: the first one stays."""

    def remove_ledger(self, environment: Environment, circuit: Circuit, fences: Sequence[int]) -> None:
        """Delete these ledger rows with their notes. Repeatable."""


class SlotStore(Protocol):
    """The few slots that bound concurrent smoke tests."""

    def slots(self, count: int) -> Sequence[Versioned[Slot]]:
        """Slots 0 to count-1, made if absent."""

    def write_slot(self, slot: Slot, etag: str) -> None:
        """ConflictError: somebody was quicker."""


class MailLog(Protocol):
    """When mails were sent last, by whichever instance: the service counts against the whole subscription."""

    def sent(self) -> Versioned[MailsSent] | None: ...

    def write_sent(self, sent: MailsSent, *, etag: str | None) -> None:
        """Insert (etag None) or replace.

        Raises:
            ConflictError: another instance was quicker.
        """


ARTIFACT_NAME = "changed_circuits.json"
MOST_ARTIFACT_BYTES = 10 * 1024 * 1024


class EvidenceStore(Protocol):
    """Blobs that are never overwritten, and the artifacts that builds upload."""

    def put(self, path: str, content: bytes) -> None:
        """Write once; the same path with the same content again is fine.

        Raises:
            ConflictError: the path holds other content.
        """

    def get(self, path: str) -> bytes | None: ...

    def remove(self, prefix: str, *, before: str = "", limit: int) -> int:
        """Delete blobs whose path starts so, and lies before `before` if that is given; how many, at most `limit`."""

    def artifact(self, path: str) -> bytes | None:
        """A blob of the artifact container; of one that is too big, MOST_ARTIFACT_BYTES + 1 bytes."""

    def artifact_metadata(self, path: str) -> Mapping[str, str]:
        """What its uploader noted beside it (the last place a release_id is looked for)."""

    def artifact_paths(self, since: datetime) -> Sequence[str]:
        """Blobs named changed_circuits.json uploaded since then."""


# ------------------------------------------------------------------------------------------------ messages


type Sendable = RunStep | FanOut | SendNotice | ReadArtifact | Prune | LookForDrift | RefreshGate | NoteLedger


class MessageBus(Protocol):
    """Sends commands as Service Bus messages with derived ids; those with a delay are scheduled."""

    def send(self, commands: Sequence[Sendable]) -> None: ...


# ------------------------------------------------------------------------------------------------ Azure ML


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVersion:
    """A registered model version, in Dev or in the Registry."""

    name: str
    version: str
    tags: Mapping[str, str]
    properties: Mapping[str, str] = field(default_factory=dict)
    created_at: datetime | None = None
    job_name: str = ""
    """The training job, if the service knows it."""
    studio_url: str = ""


class ProvisioningState(StrEnum):
    """Endpoint and deployment states as the service spells them; anything else it may say reads as RUNNING."""

    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    CANCELED = "Canceled"
    RUNNING = "Running"
    """Creating, Updating, Scaling, Deleting: not settled yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    name: str
    state: ProvisioningState
    default: str
    """The default deployment's name; empty: none."""
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    name: str
    state: ProvisioningState
    model_id: str
    tags: Mapping[str, str]
    failure: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionUse:
    """What counts towards the quotas of one region and subscription (D4), as far as we can see it."""

    region: str
    subscription: str
    endpoints: frozenset[str]
    """Names of the batch endpoints in Test and Production, where they lie in this region and subscription."""
    others: Mapping[str, str] = field(default_factory=dict)
    """What else of ours counts there, by name: online endpoints, and those of Dev; says what each one is, and where."""
    deployments: int | None
    """On all of them; None: not counted."""

    @property
    def endpoint_count(self) -> int:
        return len(self.endpoints) + len(self.others)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentSpec:
    """What a batch deployment is made from (R21, R35)."""

    endpoint: str
    name: str
    model_name: str
    model_version: str
    instance_count: int
    max_concurrency_per_instance: int
    mini_batch_size: int
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A batch job as the service reports it; `status` is the service's word (`Completed`, `Running`, ...)."""

    name: str
    status: str
    created_at: datetime | None
    started_at: datetime | None
    """When it left the queue."""
    ended_at: datetime | None
    studio_url: str = ""


TERMINAL_JOB_STATUSES = frozenset({"Completed", "Failed", "Canceled"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotedModel:
    version: ModelVersion
    content_hash: str
    mode: str
    """`copy` or `share`."""


class ModelGateway(Protocol):
    """Azure ML, in the pipeline's words. Names and versions are the service's own.

    Raises everywhere: TransientError, ConfigurationError, PermanentError (the service's message).
    """

    def dev_models(self, name: str) -> Sequence[ModelVersion]:
        """All versions of one model in the Dev workspace, newest first; empty if there is none."""

    def dev_content_hash(self, name: str, version: str) -> str:
        """SHA-256 over the model's files (paths, sizes and the storage's content hashes), without downloading."""

    def dev_signature(self, name: str, version: str) -> bytes | None:
        """The `MLmodel` file of a Dev model, where its input columns stand; None if it has none."""

    def training_warnings(self, model: ModelVersion) -> Sequence[str] | None:
        """Warning lines of the training job's logs; None: not available (R10)."""

    def region(self, environment: Environment) -> str:
        """The Azure region of the environment's workspace."""

    def compute_exists(self, environment: Environment) -> bool:
        """Does the workspace have the configured compute cluster?"""

    def smoke_input(self, circuit: Circuit) -> Sequence[str]:
        """Names of the files under the circuit's test-data folder in the Test workspace's blob store (R31)."""

    def test_file(self, path: str, *, limit: int) -> tuple[bytes, int] | None:
        """The first `limit` bytes of a file in the Test workspace's blob store, and its whole size; None: no such file."""

    def promote(
        self, *, name: str, source_version: str, version: str, tags: Mapping[str, str], mode: str
    ) -> PromotedModel:
        """Copy a Dev model into the Registry under `version`, and read tags and content back. Idempotent.

        Blocks while the Registry works. Source name, version and hash become properties (D12).

        Raises:
            Unalterable: the Registry holds this version with other content.
        """

    def registry_model(self, name: str, version: str) -> ModelVersion | None: ...

    def endpoint(self, environment: Environment, name: str) -> Endpoint | None: ...

    def deployment(self, environment: Environment, endpoint: str, name: str) -> Deployment | None: ...

    def deployment_names(self, environment: Environment, endpoint: str) -> Sequence[str]:
        """All deployments on this endpoint (D4); none if it does not exist."""

    def has_running_jobs(self, environment: Environment, endpoint: str, deployment: str) -> bool:
        """Does any job of this deployment still run, or wait to run?"""

    def region_use(self, environment: Environment, *, count_from: int) -> RegionUse:
        """How much of its region's quotas our workspaces use; may be a minute old.

        Deployments, of which each endpoint costs a request, are counted only from `count_from` endpoints on.
        """

    def create_endpoint(self, environment: Environment, name: str, tags: Mapping[str, str]) -> None:
        """Start creating an endpoint that does not exist, without a default; returns at once.

        Never called for an existing one: a PUT without defaults clears the live default.
        """

    def create_deployment(self, environment: Environment, spec: DeploymentSpec) -> None:
        """Start creating a deployment; returns at once. Never touches the default (D5)."""

    def delete_deployment(self, environment: Environment, endpoint: str, name: str) -> None:
        """Start deleting a deployment; returns at once. One that is gone is fine."""

    def set_default(self, environment: Environment, endpoint: str, deployment: str) -> None:
        """Start switching an existing endpoint's default; returns at once. Only `converge` may call this."""

    def clear_default(self, environment: Environment, endpoint: str) -> None:
        """Start taking an endpoint's default away: a PUT without defaults (D11). Only `converge` may call this."""

    def start_smoke_job(self, *, endpoint: str, deployment: str, circuit: Circuit, job_name: str) -> Job:
        """Invoke the named deployment in Test on the circuit's test data; returns the job at once."""

    def smoke_jobs(self, *, endpoint: str, deployment: str) -> Sequence[Job]:
        """All jobs of a deployment in Test, oldest first: how a job is found whose asked-for name was ignored (D14)."""

    def job(self, job_name: str) -> Job | None:
        """A job of the Test workspace."""

    def job_output(self, job_name: str, *, allowed: Sequence[AllowedLine] = ()) -> JobOutput:
        """Logs and predictions of a finished job of the Test workspace, read to their end; `allowed` lines are no errors."""

    def cancel_job(self, job_name: str) -> None:
        """Ask for cancellation; returns at once."""

    def model_signature(self, name: str, version: str) -> bytes | None:
        """The `MLmodel` file of a Registry model, where its input and output columns stand; None if absent."""

    def compute_state(self, environment: Environment) -> str:
        """For diagnosis: the cluster's state in words."""


# -------------------------------------------------------------------------------------------------- people


@dataclass(frozen=True, slots=True, kw_only=True)
class Audience:
    """Who is told, and over which channels; from the settings."""

    approvers: Sequence[str]
    operators: Sequence[str]
    teams: bool
    """Is a Teams webhook set?"""
    signs_in: bool = False
    """Do people sign in to decide? Then their links need no code, and a card may lead to the gate as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateLink:
    """A personal way to the evidence page, and the code that only stands in the mail."""

    url: str
    code: str
    """Empty: the page asks for sign-in instead, so that the link alone is nobody's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """Everything a channel needs to write one message; a read model, no behaviour.

    `release`, `runs` and `gates` are the rows as they stand when it is sent.
    """

    notice: Notice
    release: Release
    runs: Sequence[CircuitRun]
    gates: Sequence[Gate]
    summary: str
    link: GateLink | None
    """About an open gate: the recipient's own. A Teams card has none, unless people sign in."""
    view_url: str
    """The read-only page of the release."""
    also_refused: Sequence[Release] = ()
    """Of a mail about a refused artifact: the others it tells of."""
    marks: Sequence[str] = ()
    """Open holds and drift, a sentence each."""
    rollback_link: GateLink | None = None
    """For mails about a success: the recipient's own way to roll it back, and its code."""
    operators: Sequence[str] = ()
    """Mail addresses of those who can do what comes next, for those who can't."""


class Notifier(Protocol):
    """One channel. Delivering the same letter twice is recognisable by its message id."""

    def deliver(self, letter: Letter) -> None:
        """Raises TransientError when the channel is down, PermanentError when it will never take this."""


class SenderBudget(Protocol):
    """How many mails may still be sent."""

    def take(self) -> None:
        """Count one mail that is about to be sent; TransientError with the wait if there is no room for it."""


class GateTokens(Protocol):
    """Signed personal links and their codes. A token carries release, gate, nonce and recipient."""

    def link(self, gate: Gate, recipient: str) -> GateLink: ...

    def view_url(self, release_id: str, reader: str = "") -> str:
        """A signed read-only link to a release's page; a reader's own opens the other pages to read as well."""

    def read(self, token: str) -> "GateClaim | None":
        """What an approval token says, or None if it is forged, broken or far too old."""

    def read_view(self, token: str) -> "ViewClaim | None":
        """What a view token says; None for everything that is not one of ours."""

    def code(self, claim: "GateClaim | RollbackClaim") -> str:
        """The six digits that stand in the mail of this link."""

    def csrf(self, claim: "GateClaim | RollbackClaim", cookie: str) -> str:
        """A form token bound to the person, what the link is about and the browser's cookie."""

    def rollback_link(self, release_id: str, recipient: str) -> GateLink:
        """The recipient's own way to roll this release back."""

    def read_rollback(self, token: str) -> "RollbackClaim | None":
        """What a rollback token says; None for everything that is not one of ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateClaim:
    """What a valid approval link says of itself; whether it still fits is for the gate's row to say."""

    release_id: str
    gate: GateName
    nonce: str
    recipient: str
    key_id: str = ""
    """Which key made the link, so that its code outlives a rotation; empty: the newest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewClaim:
    """What a valid link to read says of itself."""

    release_id: str
    """Whose page it leads to: a release, a rollback or a report."""
    reader: str = ""
    """Whose own link it is; empty: nobody's, so that it opens this one release only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackClaim:
    """What a valid rollback link says of itself."""

    release_id: str
    recipient: str
    key_id: str = ""
    """As in a gate's claim."""


class Clock(Protocol):
    def now(self) -> datetime:
        """Aware, UTC."""

    def pause(self, duration: timedelta) -> None:
        """Wait a moment before trying again; the only wait in the application, milliseconds to a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """Name templates, from the settings; frozen into rows at intake."""

    test_endpoint: str = "be-{plant}-{circuit}"
    production_endpoint: str = "be-{plant}-{circuit}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Everything a use case may touch; made once per process by `bootstrap`, by tests from fakes."""

    releases: ReleaseStore
    endpoints: EndpointStore
    slots: SlotStore
    evidence: EvidenceStore
    bus: MessageBus
    models: ModelGateway
    notifiers: Mapping[Channel, Notifier]
    tokens: GateTokens
    clock: Clock
    audience: Audience
    naming: Naming
    policy: Policy
    """What new releases get."""
    estate: Estate
