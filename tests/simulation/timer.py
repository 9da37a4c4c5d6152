"""The timer of the sweeper: minutes in which it can find nothing are left out."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from shared.application.drift import Drift
from shared.application.sweeper import Sweeper
from shared.domain.errors import ConflictError, PipelineError, TransientError
from shared.domain.model import (
    CircuitRun,
    EndpointLock,
    Gate,
    GateState,
    Notice,
    NoticeState,
    Release,
)
from shared.domain.process import GATE_OF
from shared.domain.rows import RELEASE_KEY
from tests.simulation.engine import START, Crash, Task, Violation
from tests.simulation.nets import Nets
from tests.simulation.refusals import STATE, is_refusal

if TYPE_CHECKING:
    from tests.simulation.universe import Universe

TICK = timedelta(minutes=1)
SERVICES = ("releases", "endpoints", "slots", "evidence", "bus", "models", "mail")


class Timer:
    """The timer of the sweeper: minutes in which it can find nothing are left out."""

    def __init__(self, universe: "Universe") -> None:
        self.universe, self.engine = universe, universe.engine
        self._sweep_token = 0
        self._sweep_at: datetime | None = None

    def state_changed(self) -> None:
        """The sweeper runs every minute; minutes in which it can find nothing are left out."""
        if self.universe.nets is Nets.NO_SWEEPER:
            return
        soon = self._tick_after(self.engine.now())
        if self._sweep_at is None or self._sweep_at > soon:
            self._sweep_on(soon)

    def _sweep_on(self, time: datetime) -> None:
        self._sweep_at = time
        self._sweep_token += 1
        token = self._sweep_token
        self.engine.at(time, lambda: self._sweep(token))

    def _sweep(self, token: int) -> None:
        if token != self._sweep_token:
            return
        self._sweep_at = None
        task = self.universe.bus.plan(Task(label="sweep", work=self._sweep_once, ended=self._swept))
        self.engine.start(task)

    def _sweep_once(self) -> None:
        """What two timers do; what one of them raises does not keep the other from its work."""
        try:
            Sweeper(self.universe.ports).sweep()
        except PipelineError as error:
            self.engine.note(f"the sweeper raised {error}")
            raise
        finally:
            Drift(self.universe.ports).follow_up()

    def _swept(self, outcome: BaseException | None) -> None:
        if (
            outcome is not None
            and not isinstance(outcome, Crash | TransientError | ConflictError)
            and not is_refusal(outcome)
        ):
            raise Violation(f"the sweeper raised {type(outcome).__name__}: {outcome}") from outcome
        if outcome is not None and is_refusal(outcome):
            self.engine.note(f"the sweeper raised {outcome}")
        if outcome is None and not self._is_hindered():
            self.universe.watch.smoke_slots.swept()
        if outcome is None and not self._is_anything_out():
            self.universe.watch.limits.swept()
        else:
            self.universe.watch.limits.hindered()
        due = self.engine.now() if outcome is not None else self._next_due()
        if due is None:
            return
        tick = max(self._tick_after(self.engine.now()), self._tick_at_or_after(due))
        if self._sweep_at is None or self._sweep_at > tick:
            self._sweep_on(tick)

    def _is_anything_out(self) -> bool:
        weather = self.universe.weather
        return any(map(weather.is_out, SERVICES)) or weather.refusals.is_refusing(SERVICES, self.engine.now())

    def _is_hindered(self) -> bool:
        weather = self.universe.weather
        return weather.is_out("releases") or weather.refusals.is_refusing((*STATE, "bus"), self.engine.now())

    @staticmethod
    def _tick_after(time: datetime) -> datetime:
        return START + TICK * ((time - START) // TICK + 1)

    @staticmethod
    def _tick_at_or_after(time: datetime) -> datetime:
        return START + TICK * -((START - time) // TICK)

    def _next_due(self) -> datetime | None:
        """When a sweep can next find something to do."""
        if any(self._is_repaired(stored.row) for stored in self.universe.endpoints.locks.values()):
            return self.engine.now()
        if not self.universe.releases.listed:
            return None  # a slot whose owner died is taken over when its lease has run out
        if self.universe.watch.smoke_slots.abandoned_slots():
            return self.engine.now()
        found = [slot.row.leased_until for slot in self.universe.slots.known.values() if slot.row.owner]
        for release_id in self.universe.releases.listed:
            rows = self.universe.releases.rows[release_id]
            if RELEASE_KEY not in rows:
                return self.engine.now()
            found += self._dues(rows[RELEASE_KEY].row, [stored.row for stored in rows.values()])
            found += self.universe.watch.limits.next_look(rows[RELEASE_KEY].row)
        return min(found, default=None)

    def _is_repaired(self, lock: EndpointLock) -> bool:
        """What is refused for ever is tried for ever; no run waits for that."""
        cut_off = self.universe.weather.refusals.cuts_off(lock.circuit, self.engine.now())
        return bool(lock.repair_by) and not cut_off

    def _dues(self, release: Release, rows: list[Any]) -> list[datetime]:
        found = [row.due_at for row in rows if isinstance(row, Release | CircuitRun | Notice) and row.due_at]
        if release.phase in GATE_OF:
            gates = [row for row in rows if isinstance(row, Gate) and row.state is GateState.OPEN]
            found += [gate.expires_at for gate in gates]
            found += [gate.refreshed_at + release.policy.gate_refresh for gate in gates]
            found += [self.engine.now() for gate in gates if not gate.reminded and self._reminds(release, gate)]
        pending = any(
            (isinstance(row, Notice) and row.state is NoticeState.PENDING) or (isinstance(row, CircuitRun) and row.todo)
            for row in rows
        )
        if not release.is_terminal or pending:
            return found
        listed = self.universe.releases.listed[release.release_id]
        return [
            *found,
            max(self.engine.now(), listed.listed_at + timedelta(hours=1))
            if listed.gen > release.gen
            else self.engine.now(),
        ]

    def _reminds(self, release: Release, gate: Gate) -> bool:
        return self.engine.now() >= gate.expires_at - release.policy.gate_reminder_before
