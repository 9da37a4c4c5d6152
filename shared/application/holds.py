"""Holds: after a rollback a circuit is not activated until the hold ends, or an operator lifts it."""

from dataclasses import dataclass, replace
from datetime import datetime

from shared.application.locks import hold_entry
from shared.application.ports import Ports
from shared.application.settle import settle
from shared.domain.errors import RequestRefused
from shared.domain.model import Circuit, EndpointLock, Environment


@dataclass(frozen=True, slots=True)
class Holds:
    ports: Ports

    def hold(self, circuit: Circuit, *, until: datetime | None, by: str, why: str) -> EndpointLock:
        """Hold a circuit until then (None: as long as the policy says)."""
        now = self.ports.clock.now()
        end = until or now + self.ports.policy.hold
        if end <= now:
            raise RequestRefused(422, "Hold would be over", f"{circuit}: {end.isoformat()} is not in the future.")
        return self._write(circuit, hold_since=now, hold_until=end, hold_by=by, hold_why=why)

    def lift(self, circuit: Circuit, *, by: str, why: str) -> EndpointLock:
        """Let releases activate the circuit again; who lifted it and why stays in the circuit's history."""
        return self._write(circuit, hold_since=None, hold_until=None, hold_by=by, hold_why=why)

    def _write(
        self, circuit: Circuit, *, hold_since: datetime | None, hold_until: datetime | None, hold_by: str, hold_why: str
    ) -> EndpointLock:
        def attempt() -> EndpointLock:
            stored = self.ports.endpoints.lock(Environment.PRODUCTION, circuit)
            if stored is None:
                detail = f"{circuit} has never been activated by this app."
                raise RequestRefused(404, "Unknown circuit", detail)
            # The fence does not move: a hold says nothing about the default, and must not stop a switch under way.
            lock = replace(
                stored.row,
                holds=stored.row.holds + 1,
                hold_since=hold_since,
                hold_until=hold_until,
                hold_by=hold_by,
                hold_why=hold_why,
            )
            self.ports.endpoints.write_lock(lock, etag=stored.etag, hold=hold_entry(lock, self.ports))
            return lock

        return settle(self.ports.clock, attempt)
