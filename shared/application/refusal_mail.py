"""Refused artifacts are told to operators in at most one mail per quarter of an hour, and none of them is left out.

The next mail's place is claimed by a blob that is written once, so that two instances can't both take it.
"""

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from shared.application import notices
from shared.application.notices import REFUSAL_SPACING as SPACING
from shared.application.ports import Ports
from shared.domain.errors import ConflictError
from shared.domain.model import Moment, Release
from shared.telemetry import log


@dataclass(frozen=True, slots=True)
class RefusalMail:
    ports: Ports

    def tell(self, refused: Release) -> None:
        """Mail about this artifact now, or have it told in the mail that is due next."""
        now = self.ports.clock.now()
        planned = self._claim(refused.release_id, now)
        if planned is None:
            log.info("told in the next mail", action="refusal_mail_pending", release_id=refused.release_id)
            return
        rows = [
            replace(row, created_at=planned, due_at=planned + refused.policy.overdue_after)
            for row in notices.notices_for(refused, Moment.ARTIFACT_INVALID, self.ports.audience, now)
        ]
        if rows:
            self.ports.releases.commit(*notices.inserts(rows))
            self.ports.bus.send([notices.send_command(row, delay=max(planned - now, timedelta())) for row in rows])

    def _claim(self, release_id: str, now: datetime) -> datetime | None:
        """When this release's mail goes out; None: one that will tell of it is already planned."""
        last = self._latest(now)
        if last is not None and last > now:
            return None
        planned = now if last is None else max(now, last + SPACING)
        try:
            self.ports.evidence.put(_place(planned), json.dumps([planned.isoformat(), release_id]).encode())
        except ConflictError:
            # Somebody was quicker: theirs goes out now without us, or later with us.
            return self._claim(release_id, now)
        return planned

    def _latest(self, now: datetime) -> datetime | None:
        """The newest mail's time, sent or planned, if it matters for one that would go out now."""
        for place in (_place(now + SPACING), _place(now), _place(now - SPACING)):
            content = self.ports.evidence.get(place)
            if content is not None:
                return datetime.fromisoformat(json.loads(content)[0])
        return None


def _place(at: datetime) -> str:
    """One blob per quarter of an hour; two mails with their distance never fall into the same one."""
    quarter = int(at.timestamp() // SPACING.total_seconds())
    return f"invalid/mails/{datetime.fromtimestamp(quarter * SPACING.total_seconds(), UTC):%Y%m%dT%H%M}.json"
