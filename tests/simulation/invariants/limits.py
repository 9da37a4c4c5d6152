"""I8, and what hangs on it: whatever waits, works or asks ends in its time, while nothing hinders the sweeper."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from shared.application.ports import Sendable
from shared.domain import process
from shared.domain.commands import RunStep
from shared.domain.model import (
    FANOUT_END,
    Circuit,
    CircuitPhase,
    CircuitRun,
    Environment,
    Gate,
    GateState,
    Notice,
    NoticeState,
    Release,
    Round,
)
from shared.domain.policy import Policy
from shared.domain.rows import RELEASE_KEY, gate_key, notice_key
from tests.simulation.engine import START
from tests.simulation.invariants.seen import Check, Seen

C = CircuitPhase
type Place = tuple[str, Circuit | str]
"""A release, and which of its circuits, or what else of it."""
PATIENCE = timedelta(minutes=25)
"""The longest wait between two drives of the sweeper, its minute, and messages that are late."""
LONGEST_CALL = timedelta(minutes=30)
"""Of a host: as long nobody else takes up what it may be at work on."""
MAIL_TRIED_FOR = timedelta(hours=1, minutes=10)
"""An hour, and the wait before the last try."""
NOT_SWEPT = timedelta(minutes=15)
ROUND, GATE, FAN_OUT, LISTED = "round", "gate", "fan-out", "listed"


class Limits(Check):
    """I8, and what hangs on it: whatever waits, works or asks ends in its time, while nothing hinders the sweeper."""

    def __init__(self, seen: Seen) -> None:
        super().__init__(seen)
        self.entered: dict[tuple[str, Circuit], datetime] = {}
        """When a circuit came into its phase, or last waited for somebody else there; whatever its row says."""
        self.begun = set[tuple[str, Circuit]]()
        """Circuits at which a step that blocks has begun in this phase."""
        self.late: dict[tuple[Place, str], datetime] = {}
        """Since when something goes on for too long, with nothing in its way."""
        self.swept_at = START

    # ------------------------------------------------------------------------------------- what is written

    def moved(self, old: CircuitRun | None, new: CircuitRun) -> None:
        place, now = (new.release_id, new.circuit), self.seen.engine.now()
        if old is None or (old.phase, old.gen) != (new.phase, new.gen):
            self.entered[place] = now
            self.begun.discard(place)
        elif new.since != old.since:
            if not self._waits_for_others(new):
                self.fail("I8", f"{new.release_id} {new.circuit}: the clock of {new.phase} began anew at {new.since}")
            self.entered[place] = now

    def _waits_for_others(self, run: CircuitRun) -> bool:
        """Only then its own time does not run; who could stand still meanwhile may be late to say so."""
        task = self.seen.engine.current
        if task is None or task.has_thread:
            return True
        match run.phase:
            case C.PROMOTING:
                is_first = (run.release_id, run.circuit) not in self.begun
                self.begun.add((run.release_id, run.circuit))
                return is_first
            case C.LOCKING:
                return self._is_held_by_another(run)
            case C.ACTIVATING:
                return not run.previous_deployment and self._has_predecessors_pending(run)
            case _:
                return False

    def _is_held_by_another(self, run: CircuitRun) -> bool:
        stored = self.seen.endpoints.locks.get((Environment.PRODUCTION, run.circuit))
        owner = self.seen.releases.rows[stored.row.owner].get(RELEASE_KEY) if stored else None
        return owner is not None and owner.row.release_id != run.release_id and not owner.row.is_terminal

    def _has_predecessors_pending(self, run: CircuitRun) -> bool:
        siblings = (stored.row for stored in self.seen.releases._of(CircuitRun, run.release_id))
        return any(one.previous_deployment and one.phase in {C.STAGED, C.ACTIVATING} for one in siblings)

    # ------------------------------------------------------------------------------------- what is in the way

    def hindered(self, command: Sendable | None = None) -> None:
        """A message was not handled to its end, or nothing was: what it speaks of counts from now."""
        release_id = getattr(command, "release_id", "")
        if command is None or not release_id:
            self.late = {}
            return
        about = {(release_id, what) for what in (ROUND, GATE, FAN_OUT, LISTED, getattr(command, "row_key", ""))}
        if isinstance(command, RunStep):
            about.add((release_id, command.circuit))
        self.late = {
            (place, why): since
            for (place, why), since in self.late.items()
            if place not in about and not why.startswith("is queued")
        }

    def swept(self) -> None:
        """After a sweep that nothing hindered."""
        now = self.seen.engine.now()
        if now - self.swept_at > NOT_SWEPT:
            self.late = {}
        self.swept_at = now
        found = dict.fromkeys(late for release in self._listed() for late in self._late(release))
        self.late = {late: self.late.get(late, now) for late in found}
        for ((release_id, what), why), since in self.late.items():
            if now - since > PATIENCE:
                self.fail("I8", f"{release_id} {what}: {why}, and nothing ends that since {since:%H:%M}")

    def next_look(self, release: Release) -> Iterator[datetime]:
        """When somebody will be late, so that the timer does not leave out the minute in which it is seen."""
        for run in self._runs(release):
            if run.todo and run.phase is not C.QUEUED:
                yield self._must_have_ended(run, release.policy)

    def _listed(self) -> Iterator[Release]:
        for release_id in list(self.seen.releases.listed):
            stored = self.seen.releases.rows[release_id].get(RELEASE_KEY)
            if stored is not None:
                yield stored.row

    def _runs(self, release: Release) -> list[CircuitRun]:
        return [stored.row for stored in self.seen.releases._of(CircuitRun, release.release_id)]

    # ------------------------------------------------------------------------------------------ who is late

    def _late(self, release: Release) -> Iterator[tuple[Place, str]]:
        runs = self._runs(release)
        for run in runs:
            if run.todo and (why := self._is_late(run, release.policy)):
                yield (release.release_id, run.circuit), why
        for notice in (stored.row for stored in self.seen.releases._of(Notice, release.release_id)):
            if notice.state is NoticeState.PENDING and notice.created_at + MAIL_TRIED_FOR < self.seen.engine.now():
                yield (release.release_id, notice_key(notice)), "is neither sent nor given up"
        if release.phase in process.ROUND_OF:
            yield from self._late_round(release, runs)
        elif release.phase in process.GATE_OF:
            yield from self._late_gate(release)
        elif release.is_terminal and not any(run.todo for run in runs):
            yield from self._late_end(release)

    def _is_late(self, run: CircuitRun, policy: Policy) -> str:
        if run.phase is C.QUEUED:
            free = any(not slot.row.owner for slot in self.seen.slots.known.values())
            return f"is queued (gen {run.gen}), and a slot is free" if free else ""
        limit = self._must_have_ended(run, policy)
        return f"is {run.phase} (gen {run.gen}) beyond {limit:%d %H:%M}" if limit <= self.seen.engine.now() else ""

    def _must_have_ended(self, run: CircuitRun, policy: Policy) -> datetime:
        return self.entered[run.release_id, run.circuit] + longest_in(run.phase, policy)

    def _late_round(self, release: Release, runs: list[CircuitRun]) -> Iterator[tuple[Place, str]]:
        if release.fanout_cursor != FANOUT_END:
            yield (release.release_id, FAN_OUT), f"{release.phase} is handed out up to {release.fanout_cursor!r}"
        elif not any(run.todo is not Round.NONE for run in runs):
            yield (release.release_id, ROUND), f"all have ended {release.phase} (gen {release.gen})"

    def _late_gate(self, release: Release) -> Iterator[tuple[Place, str]]:
        now, name = self.seen.engine.now(), process.GATE_OF[release.phase]
        stored = self.seen.releases.rows[release.release_id].get(gate_key(name))
        gate: Gate | None = stored.row if stored else None
        if gate is None or gate.state is not GateState.OPEN:
            yield (release.release_id, GATE), f"{name} is {gate.state if gate else 'not there'} while it is asked"
        elif gate.expires_at <= now:
            yield (release.release_id, GATE), f"{name} had time until {gate.expires_at:%d %H:%M}"
        elif gate.refreshed_at + release.policy.gate_refresh <= now:
            yield (release.release_id, GATE), f"{name} shows what was looked at on {gate.refreshed_at:%d %H:%M}"

    def _late_end(self, release: Release) -> Iterator[tuple[Place, str]]:
        notices = (stored.row for stored in self.seen.releases._of(Notice, release.release_id))
        is_retried = self.seen.releases.listed[release.release_id].gen > release.gen
        if not is_retried and not any(notice.state is NoticeState.PENDING for notice in notices):
            yield (release.release_id, LISTED), f"is {release.phase} (gen {release.gen}) and everybody knows"


def longest_in(phase: CircuitPhase, policy: Policy) -> timedelta:
    """R24, R25, D8: how long a circuit may work in a phase, by the policy that its release began with."""
    match phase:
        case C.INSPECTING:
            return policy.inspect_limit
        case C.PROMOTING:
            return policy.promote_limit + LONGEST_CALL
        case C.DEPLOYING_TEST | C.LOCKING | C.STAGING:
            return policy.deploy_limit
        case C.SMOKE_TESTING:  # to be started, to run, and to be looked at once more
            return policy.smoke_limit + policy.smoke_limit + policy.retry_most
        case C.ACTIVATING_TEST | C.ACTIVATING:
            return policy.activate_limit
        case C.RESTORING:
            return policy.restore_limit
        case _:
            raise ValueError(f"nobody works in {phase}")
