"""Use cases: read models of the pages; what a page shows, nothing of how."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from shared.domain.model import CircuitRun, Gate, Notice, Release


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
    tries_left: int | None = None
    """After a wrong code."""
    changes: Sequence[str] = ()
    """What changed since the person last looked."""
    decision: str = ""
    comment: str = ""
    exclude: Mapping[str, str] = field(default_factory=dict)
    """What was filled in when the answer was not taken: nobody types twice."""
    view_url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseView:
    """One release as stages x circuits."""

    release: Release
    runs: Sequence[CircuitRun]
    gates: Sequence[Gate]
    summary: str
    now: datetime
    notices: Sequence[Notice] = ()
    paused: bool = False
    """The reader stopped the page from refreshing itself (`?paused=1`)."""
    view_token: str = ""
    """The token the page was opened with, if any; its own links carry it on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasesView:
    """The list of releases, newest first."""

    releases: Sequence[Release]
    now: datetime
    phase: str = ""
    """The filter in use; empty: none."""
    circuit: str = ""
    next_cursor: str = ""
