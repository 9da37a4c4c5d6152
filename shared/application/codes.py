"""Use cases: the six digits that stand in a person's mail, and how often they may be wrong."""

import hmac
from dataclasses import dataclass, replace

from shared.application.ports import Ports, RollbackClaim, Update
from shared.application.settle import settle
from shared.domain.errors import RequestRefused

MOST_WRONG_CODES = 5
"""Then the link is void."""
LINK_IS_VOID = "The code was wrong too often. Somebody else who was told can go on, or use POST /api/rollbacks."


@dataclass(frozen=True, slots=True)
class RollbackCodes:
    """Who may confirm a rollback by a personal link."""

    ports: Ports

    def is_void(self, claim: RollbackClaim) -> bool:
        """Was this person's code wrong too often? Then nobody shall fill in a form for nothing."""
        stored = self.ports.releases.release(claim.release_id)
        return stored is not None and stored.row.wrong_codes.get(claim.recipient, 0) >= MOST_WRONG_CODES

    def check(self, claim: RollbackClaim, code: str) -> None:
        """Five wrong codes void the link.

        Raises:
            RequestRefused: 403 wrong, or wrong too often; 404 no such release.
        """
        settle(self.ports.clock, lambda: self._check(claim, code))

    def _check(self, claim: RollbackClaim, code: str) -> None:
        stored = self.ports.releases.release(claim.release_id)
        if stored is None:
            raise RequestRefused(404, "No such release", f"There is no release {claim.release_id!r}.")
        tries = stored.row.wrong_codes.get(claim.recipient, 0)
        if tries < MOST_WRONG_CODES:
            if hmac.compare_digest(code.strip().encode(), self.ports.tokens.code(claim).encode()):
                return
            counted = {**stored.row.wrong_codes, claim.recipient: tries + 1}
            self.ports.releases.commit(Update(row=replace(stored.row, wrong_codes=counted), etag=stored.etag))
            tries += 1
        left = MOST_WRONG_CODES - tries
        if left <= 0:
            raise RequestRefused(403, "This link is void", LINK_IS_VOID)
        tries_left = "1 try" if left == 1 else f"{left} tries"
        raise RequestRefused(403, "Wrong code", f"The code is wrong; {tries_left} left. It stands in your mail.")
