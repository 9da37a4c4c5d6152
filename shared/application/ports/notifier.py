"""Port: the channels over which people are told, and who they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from shared.application.ports.gate_tokens import GateLink
from shared.domain.model import CircuitRun, Gate, Notice, Release


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
    out_of_reach: str = ""
    """Why too few people can approve the open gate that this is about."""
    way_out: str = ""
    """What operators do about it."""


class Notifier(Protocol):
    """One channel. Delivering the same letter twice is recognisable by its message id."""

    def deliver(self, letter: Letter) -> None:
        """Raises TransientError when the channel is down, PermanentError when it will never take this."""
