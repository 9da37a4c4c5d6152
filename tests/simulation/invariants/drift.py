"""R36: changes beside this app are found, told once, and only those."""

from collections import Counter

from shared.application.locks import ACCEPTED
from shared.application.ports import Letter
from shared.domain.model import (
    Circuit,
    EndpointLock,
    Environment,
    LedgerEntry,
    Moment,
    ProcessKind,
)
from shared.domain.naming import deployment_name
from tests.simulation.invariants.seen import Check, Seen, endpoint_of


class DriftTold(Check):
    """R36: changes beside this app are found, told once, and only those."""

    def __init__(self, seen: Seen) -> None:
        super().__init__(seen)
        self.touched = set[Circuit]()
        """Circuits whose default in Production somebody outside, or a late writer of ours, has set beside what is wanted."""
        self.by_hand: dict[Circuit, str] = {}
        """What somebody outside has made the default in Production; gone with our next write of it."""
        self.noted = Counter[str]()
        """How often each difference was found."""

    def changed_outside(self, circuit: Circuit, default: str) -> None:
        """Somebody has made another deployment of it the default, beside this app."""
        self.touched.add(circuit)
        self.by_hand[circuit] = default

    def is_by_hand(self, environment: Environment, circuit: Circuit, default: str) -> bool:
        """Is this default somebody's outside, and nobody of ours has written one since?"""
        return environment is Environment.PRODUCTION and self.by_hand.get(circuit) == default

    def drift_noted(self, lock: EndpointLock) -> None:
        """What the row says was true when it was looked at; whoever stood still since then may be late."""
        self.noted[f"{lock.circuit}: {lock.drift}"] += 1
        late = self.seen.engine.current is None or self.seen.engine.current.has_thread
        endpoint = self.seen.models._endpoints.get((Environment.PRODUCTION, endpoint_of(lock.circuit)))
        if not late and endpoint and endpoint.default == lock.want:
            self.fail("drift", f"{lock.circuit}: {lock.drift}, says its row, and {lock.want} is live")

    def told(self, letter: Letter) -> None:
        """Nobody is told of a change that nobody made; a late writer of ours is as good as somebody outside."""
        if letter.notice.moment is not Moment.DRIFT_FOUND:
            return
        line = letter.release.warnings[0]
        if not any(line.startswith(f"{circuit}: ") for circuit in self.touched):
            self.fail("drift", f"{line}: told as changed outside, and nobody has changed it")

    def told_once(self) -> None:
        """As often as it was found."""
        reports = (stored.row for stored in self.seen.processes() if stored.row.kind is ProcessKind.DRIFT)
        for line, reported in Counter(row.warnings[0] for row in reports).items():
            if reported > self.noted[line]:
                self.fail("drift", f"{line}: found {self.noted[line]} times, and {reported} reports tell of it")

    def marked(self, lock: EndpointLock, default: str) -> None:
        """After the last look the row says whether the default is what it should be."""
        if lock.environment is Environment.PRODUCTION and bool(lock.drift) is (default == lock.want):
            is_live = f"{default or '(none)'} is live, {lock.want or '(none)'} is wanted"
            self.fail("drift", f"at rest of {lock.circuit} {is_live}, and its row says {lock.drift or 'nothing'}")

    def activated(self, entry: LedgerEntry) -> None:
        """Somebody wants another default in Production."""
        if entry.environment is not Environment.PRODUCTION:
            return
        if entry.release_id in self.seen.releases.rows:
            self.seen.going_live(entry.circuit)
            self._was_as_frozen(entry)
        if entry.release_id == ACCEPTED:
            self._accepted(entry)

    def _accepted(self, entry: LedgerEntry) -> None:
        late = self.seen.engine.current is None or self.seen.engine.current.has_thread
        endpoint = self.seen.models._endpoints[Environment.PRODUCTION, endpoint_of(entry.circuit)]
        if not late and endpoint.default != entry.deployment:
            self.fail("drift", f"{entry.circuit}: {entry.deployment} was accepted, and {endpoint.default} is live")

    def _was_as_frozen(self, entry: LedgerEntry) -> None:
        """R36: what somebody has changed since it was frozen is not overwritten by an activation."""
        frozen = self.seen.engine.current is None or self.seen.engine.current.has_thread
        endpoint = self.seen.models._endpoints.get((Environment.PRODUCTION, endpoint_of(entry.circuit)))
        if frozen or endpoint is None or entry.deployment != deployment_name(entry.release_id):
            return
        if endpoint.default not in {entry.previous, entry.deployment}:
            self.fail("R36", f"{entry.release_id} {entry.circuit}: {endpoint.default} is live, not {entry.previous}")

    def wrote(self, environment: Environment, endpoint: str, deployment: str) -> None:
        """Whoever stood still before its write leaves a default that nobody wants, until it is put right."""
        for (where, circuit), stored in self.seen.endpoints.locks.items():
            if where is environment is Environment.PRODUCTION and endpoint_of(circuit) == endpoint:
                self.by_hand.pop(circuit, None)
                if stored.row.want != deployment:
                    self.touched.add(circuit)
