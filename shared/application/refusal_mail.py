"""Refused artifacts are told to operators in at most one mail per quarter of an hour, and none of them is left out.

The next mail's place is claimed by a blob that is written once, so that two instances can't both take it. It
is claimed before the refused artifact's row is written: a row without notices then either finds its own claim, or is
told in the mail that was planned already.
"""

import json
from collections.abc import Iterator
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

    def claim(self, refused: Release) -> datetime | None:
        """When this artifact's mail goes out; None: one that will tell of it is already planned."""
        return self._own(refused) or self._claim(refused.release_id, self.ports.clock.now())

    def tell_if_interrupted(self, refused: Release) -> None:
        """Go on where an earlier try broke off between the artifact's row and its notices."""
        planned = self._own(refused)
        if planned is None or self.ports.releases.notices(refused.release_id):
            return
        now = self.ports.clock.now()
        log.warning("interrupted refusal is told", action="refusal_completed", release_id=refused.release_id)
        self.ports.releases.reactivate(refused, now)
        self.tell(refused, planned)

    def tell(self, refused: Release, planned: datetime | None) -> None:
        """Mail about this artifact when its turn has come, or have it told in the mail that is due next."""
        now = self.ports.clock.now()
        if planned is None:
            log.info("told in the next mail", action="refusal_mail_pending", release_id=refused.release_id)
            return
        rows = [
            replace(row, created_at=planned, due_at=planned + refused.policy.overdue_after)
            for row in notices.notices_for(refused, Moment.ARTIFACT_INVALID, self.ports.audience, now)
        ]
        if rows:
            notices.write_and_send(rows, self.ports, delay=max(planned - now, timedelta()))

    def _claim(self, release_id: str, now: datetime) -> datetime | None:
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
        return next((planned for planned, _ in self._claims(now)), None)

    def _own(self, refused: Release) -> datetime | None:
        """What an earlier try for the same artifact has claimed."""
        claims = self._claims(refused.created_at)
        return next((planned for planned, release_id in claims if release_id == refused.release_id), None)

    def _claims(self, at: datetime) -> Iterator[tuple[datetime, str]]:
        """The mails around a time, the newest first, each with the artifact that claimed it."""
        for place in (_place(at + SPACING), _place(at), _place(at - SPACING)):
            content = self.ports.evidence.get(place)
            if content is not None:
                planned, release_id = json.loads(content)
                yield datetime.fromisoformat(planned), release_id


def _place(at: datetime) -> str:
    """One blob per quarter of an hour; two mails with their distance never fall into the same one."""
    quarter = int(at.timestamp() // SPACING.total_seconds())
    return f"invalid/mails/{datetime.fromtimestamp(quarter * SPACING.total_seconds(), UTC):%Y%m%dT%H%M}.json"
