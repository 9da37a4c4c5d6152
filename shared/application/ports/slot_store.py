"""Port: the slots of smoke tests."""

from collections.abc import Sequence
from typing import Protocol

from shared.application.ports.versioned import Versioned
from shared.domain.model import Slot


class SlotStore(Protocol):
    """The few slots that bound concurrent smoke tests."""

    def slots(self, count: int) -> Sequence[Versioned[Slot]]:
        """Slots 0 to count-1, made if absent."""

    def write_slot(self, slot: Slot, etag: str) -> None:
        """ConflictError: somebody was quicker."""
