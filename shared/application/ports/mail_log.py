"""Port: the times of the mails that were sent."""

from typing import Protocol

from shared.application.ports.versioned import Versioned
from shared.domain.model import MailsSent


class MailLog(Protocol):
    """When mails were sent last, by whichever instance: the service counts against the whole subscription."""

    def sent(self) -> Versioned[MailsSent] | None: ...

    def write_sent(self, sent: MailsSent, *, etag: str | None) -> None:
        """Insert (etag None) or replace.

        Raises:
            ConflictError: another instance was quicker.
        """
