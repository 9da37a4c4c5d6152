"""Port: the locks of endpoints, and what has been live on them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from shared.application.ports.versioned import Versioned
from shared.domain.model import Circuit, EndpointLock, Environment, HoldEntry, LedgerEntry, LedgerNote


class EndpointStore(Protocol):
    """Locks and ledgers of endpoints. Outcomes are settled as in `ReleaseStore`."""

    def lock(self, environment: Environment, circuit: Circuit) -> Versioned[EndpointLock] | None: ...

    def locks_of(self, environment: Environment, circuits: Sequence[Circuit]) -> Mapping[Circuit, EndpointLock]:
        """The lock rows of these circuits, of those that have one; a request per thousand circuits that lie between."""

    def write_lock(
        self,
        lock: EndpointLock,
        *,
        etag: str | None,
        ledger: LedgerEntry | None = None,
        hold: HoldEntry | None = None,
    ) -> str:
        """Insert (etag None) or replace the lock row and add rows of its histories, in one transaction; the new ETag.

        Raises:
            ConflictError: the lock row is not as it was read.
        """

    def circuits(self, environment: Environment, plant_id: str = "") -> Sequence[Circuit]:
        """The circuits that have a lock row in this environment; of one plant, or all."""

    def all_locks(
        self, environment: Environment, *, after: str = "", limit: int | None = None
    ) -> Sequence[Versioned[EndpointLock]]:
        """All lock rows of an environment in the order of their lock keys, those after the key `after` only."""

    def marked(self, environment: Environment, now: datetime) -> Sequence[EndpointLock]:
        """The lock rows that people should know of: held at this time, or drifted."""

    def ledger(self, environment: Environment, circuit: Circuit) -> Sequence[LedgerEntry]:
        """Every activation, newest first, with what is noted beside it."""

    def holds(self, environment: Environment, circuit: Circuit) -> Sequence[HoldEntry]:
        """Every hold that was set or lifted, newest first."""

    def remove_holds(self, environment: Environment, circuit: Circuit, numbers: Sequence[int]) -> None:
        """Delete these rows of it. Repeatable."""

    def note(self, note: LedgerNote) -> None:
        """Write what a ledger row rests on beside it. Once: the first one stays."""

    def remove_ledger(self, environment: Environment, circuit: Circuit, fences: Sequence[int]) -> None:
        """Delete these ledger rows with their notes. Repeatable."""
