"""Rows that bound what may happen at once, or in a time."""

from dataclasses import dataclass
from datetime import datetime

from shared.domain.model.common import LONG_AGO


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
