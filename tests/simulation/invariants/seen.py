"""What the checks share: the run as it is, who wanted what, and how a check fails."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import NoReturn

from shared.application.ports import Versioned
from shared.domain.model import (
    UNSUCCESSFUL,
    Circuit,
    CircuitPhase,
    CircuitRun,
    EndpointLock,
    Environment,
    GateName,
    GateState,
    Release,
)
from shared.domain.rows import RELEASE_KEY, gate_key
from tests.simulation.engine import Engine, Violation
from tests.support.fake_models import FakeModels
from tests.support.fakes_state import FakeEndpointStore, FakeReleaseStore, FakeSlotStore

MEDDLED = "note"
"""A tag that somebody outside adds."""
STUCK = ("did not end within", "could not be unset", "was dead-lettered")


@dataclass
class Seen:
    """What all checks know of one run."""

    engine: Engine
    releases: FakeReleaseStore
    endpoints: FakeEndpointStore
    slots: FakeSlotStore
    models: FakeModels
    changed: Callable[[], None] = lambda: None
    going_live: Callable[[Circuit], None] = lambda _circuit: None
    """A release wants its deployment as production's default: the moment in which a rollback hurts most."""
    stands: Callable[[Circuit], None] = lambda _circuit: None
    """A circuit is staged, live or restored: the moment in which somebody else may switch it."""
    refused: set[Circuit] = field(default_factory=set)
    """Circuits of which Azure ML says nothing any more, to us."""
    release_of: dict[str, str] = field(default_factory=dict)
    """Deployment name -> the release that makes it."""
    wanted: dict[tuple[Environment, Circuit], set[str]] = field(default_factory=lambda: defaultdict(set))

    def was_approved(self, release_id: str, gate: GateName) -> bool:
        stored = self.releases.rows[release_id].get(gate_key(gate))
        return stored is not None and any(entry.target == GateState.APPROVED for entry in stored.row.hist)

    def processes(self) -> Iterator[Versioned[Release]]:
        return (rows[RELEASE_KEY] for rows in self.releases.rows.values() if RELEASE_KEY in rows)


class Check:
    """Some of the invariants, over what all know."""

    def __init__(self, seen: Seen) -> None:
        self.seen = seen

    @staticmethod
    def fail(invariant: str, told: str) -> NoReturn:
        """Stop the run, with the number of what does not hold."""
        raise Violation(f"{invariant}: {told}")


def endpoint_of(circuit: Circuit) -> str:
    return f"be-{circuit.plant_id}-{circuit.circuit_id}".lower()


def is_held(lock: EndpointLock, now: datetime) -> bool:
    """By the row alone: what the app makes of it is what is being looked at."""
    return lock.hold_until is not None and now < lock.hold_until


def is_stuck(run: CircuitRun) -> bool:
    """D11's named cases: it could not be put right within its deadline, now or in an earlier try; the report says so."""
    ways_back = [entry for entry in run.hist if entry.source == CircuitPhase.RESTORING]
    return any(entry.target in UNSUCCESSFUL and any(words in entry.why for words in STUCK) for entry in ways_back[-1:])
