"""Use cases: so many mails within a minute and an hour, all instances together; the mail service blocks who sends more."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.application.ports import Clock, MailLog
from shared.application.settle import settle
from shared.domain.errors import TransientError
from shared.domain.model import MailsSent


@dataclass(frozen=True, slots=True, kw_only=True)
class MailBudget:
    """One row counts for everybody: whoever writes it first has the mail, who comes second counts again.

    A mail that then could not be handed in has been counted all the same: the budget errs on the side of fewer.
    """

    log: MailLog
    clock: Clock
    limits: Mapping[timedelta, int]
    """Time -> how many mails within it."""

    def take(self) -> None:
        """Count one mail that is about to be sent.

        Raises:
            TransientError: there is no room for it; with the wait until there will be.
        """
        settle(self.clock, self._take)

    def _take(self) -> None:
        stored, now = self.log.sent(), self.clock.now()
        counted = tuple(at for at in (stored.row.at if stored else ()) if at > now - max(self.limits))
        self._check(counted, now)
        self.log.write_sent(MailsSent(at=(*counted, now)), etag=stored.etag if stored else None)

    def _check(self, counted: tuple[datetime, ...], now: datetime) -> None:
        waits = {
            sorted(recent)[-most] + within - now: f"{most} mails were sent within {within}"
            for within, most in self.limits.items()
            if len(recent := [at for at in counted if at > now - within]) >= most
        }
        if waits:
            longest = max(waits)
            raise TransientError(waits[longest], retry_after=longest)
