"""Use cases: the mails of an open gate are sent again, with links of their own; the earlier links are superseded."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from shared.application import notices
from shared.application.gate_opening import gate_nonce
from shared.application.ports import Ports, Update
from shared.application.settle import settle
from shared.domain.errors import RequestRefused
from shared.domain.model import GateName, GateState, HistoryEntry, Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class SentAgain:
    recipients: Sequence[str]
    expires_at: datetime
    """As before: the deadline does not move."""


@dataclass(frozen=True, slots=True)
class GateMails:
    ports: Ports

    def send_again(self, release_id: str, gate: GateName, *, by: str, reason: str) -> SentAgain:
        """Mail everybody who has not decided at an open gate; links that were void or lost are replaced by new ones.

        Raises:
            RequestRefused: 404 no such gate, 409 it is not open, or nobody is left to ask.
        """
        return settle(self.ports.clock, lambda: self._send_again(release_id, gate, by=by, reason=reason))

    def _send_again(self, release_id: str, gate: GateName, *, by: str, reason: str) -> SentAgain:
        found = self.ports.releases.release_and_gate(release_id, gate)
        if found is None or found[1] is None:
            raise RequestRefused(404, "No such gate", f"Release {release_id!r} has no {gate} yet, or does not exist.")
        release, stored, now = found[0].row, found[1], self.ports.clock.now()
        before = stored.row
        if before.state is not GateState.OPEN or now >= before.expires_at:
            state = before.state if before.state is not GateState.OPEN else GateState.EXPIRED
            detail = f"{gate} of release {release_id} is {state}: mails ask for a decision at an open gate only."
            raise RequestRefused(409, "Not open", detail)
        sending = before.sendings + 1
        again = replace(before, nonce=gate_nonce(release, gate, sending), sendings=sending, wrong_codes={})
        mail_only = replace(self.ports.audience, teams=False)
        rows = notices.notices_for(release, Moment.GATE_OPENED, mail_only, now, asks=again)
        if not rows:
            detail = (
                "Everybody who gets mails about gates has decided already, or nobody does (APPROVERS, mail server)."
            )
            raise RequestRefused(409, "Nobody to ask", detail)
        people = tuple(row.recipient for row in rows)
        entry = HistoryEntry(
            at=now,
            source=before.state,
            target=before.state,
            why=f"mails sent again to {', '.join(people)}: {reason}",
            by=by,
        )
        row = replace(again, hist=(*before.hist, entry))
        notices.write_and_send(rows, self.ports, Update(row=row, etag=stored.etag))
        return SentAgain(recipients=people, expires_at=row.expires_at)
