"""Use cases: what a rollback writes into the releases whose deployments it took away or brought back (D11).

As with defaults, nobody writes "his" mark: the record follows the lock, and the lock is read again after it. A worker
that stood still meanwhile puts its own late mark right.
"""

from dataclasses import dataclass

from shared.application.dispatcher import Dispatcher
from shared.application.ports import Ports
from shared.application.rollback_targets import activated_by
from shared.application.work import Work
from shared.domain.events import CircuitEvent, CircuitLiveAgain, CircuitRestored, CircuitRolledBack, CircuitSuperseded
from shared.domain.model import Circuit, EndpointLock, Environment, ProcessKind, Round
from shared.domain.naming import deployment_name
from shared.telemetry import log

PRODUCTION = Environment.PRODUCTION
MOST_TRIES = 10


def keep_records(work: Work, outcome: CircuitEvent, ports: Ports) -> None:
    """Of a rollback's circuit that has ended: the releases say whether what they made live is so. Repeatable.

    What was taken back is neutral from now on; what came back is live again. A newer release may have gone live between
    the request and the switch: then it is that one's deployment that went. One that was superseded took nothing back;
    it only sees to what it may have marked before.
    """
    is_over = isinstance(outcome, CircuitRestored | CircuitSuperseded)
    if work.release.kind is not ProcessKind.ROLLBACK or work.release.environment is Environment.TEST or not is_over:
        return
    run = work.run
    ledger = ports.endpoints.ledger(PRODUCTION, run.circuit)
    went = {run.leaves, *(row.previous for row in ledger if row.release_id == run.release_id)}
    why = f"{work.release.release_id}: {work.release.reason_asked}"
    records = _Records(ports=ports, circuit=run.circuit, why=why, by=work.release.requested_by)
    for deployment in sorted({*went, run.target}):
        if maker := activated_by(ledger, deployment):
            records.follow_lock(maker, took_away=isinstance(outcome, CircuitRestored) and deployment in went)


def keep_record_of_accepted(circuit: Circuit, deployment: str, *, why: str, by: str, ports: Ports) -> None:
    """An operator keeps what a rollback had taken back, and somebody had switched to again."""
    if maker := activated_by(ports.endpoints.ledger(PRODUCTION, circuit), deployment):
        _Records(ports=ports, circuit=circuit, why=why, by=by).follow_lock(maker, took_away=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Records:
    """One circuit's records in the releases that have made it live."""

    ports: Ports
    circuit: Circuit
    why: str
    by: str

    def follow_lock(self, maker: str, *, took_away: bool) -> None:
        deployment = deployment_name(maker)
        for _ in range(MOST_TRIES):
            before = self._lock()
            if before and before.want == deployment:
                self._mark(maker, CircuitLiveAgain(at=self.ports.clock.now(), by=self.by, why=self.why))
            elif took_away:
                self._mark(maker, CircuitRolledBack(at=self.ports.clock.now(), by=self.by, why=self.why))
            after = self._lock()
            if before is None or after is None or after.fence == before.fence:
                return
        log.warning("the lock moved on and on", action="record_not_kept", release_id=maker, circuit=self.circuit)

    def _lock(self) -> EndpointLock | None:
        stored = self.ports.endpoints.lock(PRODUCTION, self.circuit)
        return stored.row if stored else None

    def _mark(self, maker: str, event: CircuitEvent) -> None:
        """A run that has not begun to switch finds the lost lock by itself: for it the event has no edge."""
        found = self.ports.releases.release_and_run(maker, self.circuit)
        if found is None or found[1].row.deployment != deployment_name(maker):
            return
        release, run = found
        dispatcher = Dispatcher(self.ports)
        if dispatcher.to_run(release, run, event) is None:
            # Who marked it before may have died before he looked whether that ended its round.
            dispatcher.fan_in(maker, Round.ACTIVATION, release)
