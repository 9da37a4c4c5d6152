"""Use cases: what a caller of a rollback asks for."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from shared.domain.model import Circuit, EndpointLock, Environment

type Locks = Mapping[Circuit, EndpointLock | None]
"""The circuits of a request with their locks as they were just read; None: there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackRequest:
    """What a caller asks for: a release's circuits, a plant's, or named ones."""

    requested_by: str
    reason: str
    release_id: str = ""
    plant_id: str = ""
    circuits: tuple[Circuit, ...] = ()
    only: tuple[Circuit, ...] = ()
    """Of the above, the ones that were chosen; empty: all. How far each goes back stays the selection's question."""
    within: tuple[Circuit, ...] = ()
    """All that the caller may ask for; of a release's circuits no other is looked at. Empty: no bound."""
    to: str = ""
    """A deployment; empty: the previous one."""
    seen: Mapping[Circuit, str] = field(default_factory=dict)
    """What the caller believes is live; absent: whatever is."""
    environment: Environment = Environment.PRODUCTION
    smoke_test: bool = False
    """What is restored shall be smoke-tested afterwards."""
