"""Port: personal links, signed, and what they say of themselves."""

from dataclasses import dataclass
from typing import Protocol

from shared.domain.model import Gate, GateName


@dataclass(frozen=True, slots=True, kw_only=True)
class GateLink:
    """A personal way to the evidence page, and the code that only stands in the mail."""

    url: str
    code: str
    """Empty: the page asks for sign-in instead, so that the link alone is nobody's."""


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


class GateTokens(Protocol):
    """Signed personal links and their codes. A token carries release, gate, nonce and recipient."""

    def link(self, gate: Gate, recipient: str) -> GateLink: ...

    def view_url(self, release_id: str, reader: str = "") -> str:
        """A signed read-only link to a release's page; a reader's own opens the other pages to read as well."""

    def read(self, token: str) -> GateClaim | None:
        """What an approval token says, or None if it is forged, broken or far too old."""

    def read_view(self, token: str) -> ViewClaim | None:
        """What a view token says; None for everything that is not one of ours."""

    def code(self, claim: GateClaim | RollbackClaim) -> str:
        """The six digits that stand in the mail of this link."""

    def csrf(self, claim: GateClaim | RollbackClaim, cookie: str) -> str:
        """A form token bound to the person, what the link is about and the browser's cookie."""

    def rollback_link(self, release_id: str, recipient: str) -> GateLink:
        """The recipient's own way to roll this release back."""

    def read_rollback(self, token: str) -> RollbackClaim | None:
        """What a rollback token says; None for everything that is not one of ours."""
