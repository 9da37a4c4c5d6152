"""Port: how many mails a sender may send."""

from typing import Protocol


class SenderBudget(Protocol):
    """How many mails may still be sent."""

    def take(self) -> None:
        """Count one mail that is about to be sent; TransientError with the wait if there is no room for it."""
