"""The rows of an endpoint: its lock, and the two histories that are written with it."""

from dataclasses import dataclass, replace
from datetime import datetime

from shared.domain.model.common import Circuit, Environment


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
