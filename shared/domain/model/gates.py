"""A gate's row, and the answers in it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from shared.domain.model.common import LONG_AGO, HistoryEntry


class GateName(StrEnum):
    REGISTRY = "registry-approval"
    PRODUCTION = "production-approval"


class GateState(StrEnum):
    OPEN = "open"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    VOID = "void"


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
