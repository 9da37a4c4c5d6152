"""Use cases: read models of the pages; what a page shows, nothing of how."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from shared.application.checks import CheckView
from shared.application.rollback_preview import RollbackPreview
from shared.domain.listing import Listed
from shared.domain.model import CircuitRun, Environment, Gate, Notice, Release


class ApprovalState(StrEnum):
    """How an approval link stands when it is followed."""

    OPEN = "open"
    CHANGED = "changed"
    """Still open, but the evidence is no longer what the person saw; nothing was decided."""
    DECIDED = "decided"
    EXPIRED = "expired"
    VOID = "void"
    """Nobody needs to answer any more: cancelled, superseded, or the gate was opened anew."""
    LINK_VOID = "link_void"
    """Too many wrong codes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalView:
    """An approver's page: the frozen evidence and how the gate stands."""

    state: ApprovalState
    release: Release
    gate: Gate
    evidence: Mapping[str, object]
    """The frozen document that `gate.digest` names."""
    now: datetime
    recipient: str = ""
    """Who answers; shown, so that nobody decides in another's name unknowingly."""
    code_needed: bool = False
    """Personal links ask for the code from the mail, a sign-in does not."""
    csrf: str = ""
    problem: str = ""
    """Why the last answer was not taken: a sentence."""
    barred: str = ""
    """Why this person can't decide, although others can; empty: they can."""
    tries_left: int | None = None
    """After a wrong code."""
    changes: Sequence[str] = ()
    """What changed since the person last looked."""
    outdated: Sequence[str] = ()
    """What changed since the evidence was frozen: it is being made anew, until then no answer is taken."""
    digest: str = ""
    """What the answer was given on; empty: nobody has answered yet, or the evidence has changed."""
    decision: str = ""
    comment: str = ""
    exclude: Mapping[str, str] = field(default_factory=dict)
    """What was filled in when the answer was not taken: nobody types twice."""
    view_url: str = ""
    artifact_url: str = ""
    """Where the artifact can be read as it came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseView:
    """One release as stages x circuits."""

    release: Release
    runs: Sequence[CircuitRun]
    gates: Sequence[Gate]
    summary: str
    now: datetime
    marks: Sequence[str] = ()
    """Open holds and drift, a sentence each."""
    notices: Sequence[Notice] = ()
    paused: bool = False
    """The reader stopped the page from refreshing itself (`?paused=1`)."""
    everything: bool = False
    """The reader wants all circuits and the whole history of a long release (`?all=1`), as they are now."""
    view_token: str = ""
    """The token the page was opened with, if any; its own links carry it on."""
    reads_all: bool = False
    """The reader may see the other releases as well."""
    check: CheckView | None = None
    """Of a rollback: the smoke test of what it restored; None: none was asked for."""
    expected_end: datetime | None = None
    """By what the last successful release took; None: no telling."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseQuery:
    """The filters of a list of releases, as a person or a program gives them; empty: none."""

    phase: str = ""
    plant: str = ""
    circuit: str = ""
    """`PLANT/CIRCUIT`."""
    since: str = ""
    until: str = ""
    """Dates, both inclusive: `2025-12-10`."""
    requested_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasesView:
    """The list of releases, newest first."""

    releases: Sequence[Listed]
    now: datetime
    asked: ReleaseQuery = ReleaseQuery()
    """The filters in use, as they were given."""
    next_cursor: str = ""
    view_token: str = ""
    """As on the page of a release."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackFormView:
    """The page that confirms a rollback."""

    about: str
    """`release 20251210.2`, a plant or a circuit."""
    preview: RollbackPreview
    environment: Environment
    hold_days: int
    may_confirm: bool
    person: str = ""
    code_needed: bool = False
    csrf: str = ""
    chosen: Sequence[str] = ()
    """`PLANT/CIRCUIT` of those that are ticked."""
    reason: str = ""
    smoke_test: bool = False
    takes_all: bool = False
    newer_urls: Mapping[str, str] = field(default_factory=dict)
    """Release that is newer on the same circuits -> the page that takes it back; empty: for this reader there is none."""
    limits: str = ""
    """What of the release the visitor's link does not open; empty: it opens all of it."""
    problem: str = ""
    """Why the last confirmation was not taken."""
    view_url: str = ""
