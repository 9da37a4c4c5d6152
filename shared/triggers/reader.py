"""Who reads a page: somebody signed in with a role, or whoever has a signed link from a mail. Never a key in a URL."""

from dataclasses import dataclass

import azure.functions as func

from shared.application.ports import ViewClaim
from shared.bootstrap import ports, settings
from shared.domain.errors import RequestRefused
from shared.triggers.identity import APPROVER, OPERATOR, READER, principal
from shared.triggers.sign_in import to_sign_in

READERS = frozenset({READER, APPROVER, OPERATOR})


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """What a visitor may read."""

    signed_in: bool
    """With one of the roles that read everything."""
    token: str = ""
    claim: ViewClaim | None = None

    @property
    def has_link_to_all(self) -> bool:
        """A personal link, where nobody signs in; elsewhere it is worth its own release only."""
        return self.claim is not None and bool(self.claim.reader) and settings().approval_mode == "link"

    @property
    def reads_all(self) -> bool:
        return self.signed_in or self.has_link_to_all

    def may_see(self, release_id: str) -> bool:
        """A release, a rollback or a report."""
        return self.reads_all or self._is_about(release_id)

    def token_for(self, release_id: str) -> str:
        """What the links of this release's page carry on; empty: the link the visitor came by is about another one."""
        return self.token if self.has_link_to_all or self._is_about(release_id) else ""

    def _is_about(self, release_id: str) -> bool:
        return self.claim is not None and self.claim.release_id == release_id


def reader_of(req: func.HttpRequest) -> Reader:
    """By sign-in and by link; either may be missing."""
    who = principal(req, auth_enabled=settings().website_auth_enabled)
    token = req.params.get("view", "")
    claim = ports().tokens.read_view(token)
    if claim is not None and claim.reader and claim.reader not in {*settings().approvers, *settings().operators}:
        claim = None  # whoever was taken off both lists keeps the mail, not what it opens
    return Reader(
        signed_in=who is not None and bool(who.roles & READERS), token=token if claim is not None else "", claim=claim
    )


def turned_away(req: func.HttpRequest, back: str, detail: str) -> func.HttpResponse:
    """To sign-in, where that may help; whoever is signed in lacks a role."""
    config = settings()
    who = principal(req, auth_enabled=config.website_auth_enabled)
    if who is None and config.website_auth_enabled:
        return to_sign_in(req, back)
    lacks = f" {who.name} has none of the roles {', '.join(sorted(READERS))}." if who else ""
    raise RequestRefused(403, "Not open to everybody", detail + lacks)
