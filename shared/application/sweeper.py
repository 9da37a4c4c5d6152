"""The safety net, every minute: overdue rows are driven again, gates expire, reminders go out, slots come free."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.application import notices
from shared.application.checks import Checks
from shared.application.dispatcher import Dispatcher
from shared.application.gate_refresh import GateRefresh
from shared.application.gates import Gates
from shared.application.intake import Intake
from shared.application.ports import Ports, Update, Versioned
from shared.domain.errors import ConflictError, PipelineError
from shared.domain.model import (
    FANOUT_END,
    CircuitRun,
    Gate,
    GateState,
    Moment,
    Notice,
    NoticeState,
    Release,
)
from shared.domain.process import GATE_OF, MOST_STUCK, ROUND_OF, Decision, redrive_release, redrive_run
from shared.telemetry import log

RETRY_GIVEN_UP_AFTER = timedelta(hours=1)
"""Longer than any request lives: a retry that was listed and never written belongs to a process that died."""


@dataclass(frozen=True, slots=True)
class Sweeper:
    ports: Ports

    def sweep(self) -> None:
        """Look at every active release once. One release's trouble does not keep the others waiting.

        Raises:
            Exception: a defect of ours, met on the way; everybody else was looked at first.
        """
        most_slots = 0
        defects: list[Exception] = []
        for release_id in self.ports.releases.active_release_ids():
            try:
                most_slots = max(most_slots, self._sweep_release(release_id))
            except ConflictError:
                log.info("somebody else is at work", action="sweep_skipped", release_id=release_id)
            except PipelineError as error:
                log.error("release not swept", action="sweep_failed", release_id=release_id, error=error)
            except Exception as error:  # noqa: BLE001  # raised below, when nobody waits for it any more
                told = f"{type(error).__name__}: {error}"
                log.error("release not swept", action="sweep_failed", release_id=release_id, error=told)
                defects.append(error)
        if most_slots:
            Dispatcher(self.ports).slots.free_abandoned(most_slots)
        if defects:
            raise defects[0]

    def _sweep_release(self, release_id: str) -> int:
        stored = self.ports.releases.release(release_id)
        if stored is None:
            Intake(self.ports).complete(release_id)
            return 0
        now = self.ports.clock.now()
        for row in self.ports.releases.overdue(release_id, now):
            self._drive(stored, row, now)
        if stored.row.phase in GATE_OF:
            self._look_at_gate(stored, now)
        Checks(self.ports).start(stored.row)
        if stored.row.is_terminal and stored.row.noted_cursor == FANOUT_END:
            self._finish(stored.row, now)
        return stored.row.policy.smoke_slots

    def _finish(self, release: Release, now: datetime) -> None:
        """Off the list, unless a message or a circuit is pending."""
        told = [stored.row for stored in self.ports.releases.notices(release.release_id)]
        if any(notice.state is NoticeState.PENDING for notice in told):
            return
        if any(stored.row.todo for stored in self.ports.releases.runs(release.release_id)):
            return
        undelivered = tuple(notices.told(notice) for notice in told if notice.state is NoticeState.UNDELIVERED)
        self.ports.releases.finish(release, undelivered=undelivered, given_up_before=now - RETRY_GIVEN_UP_AFTER)

    def _drive(
        self, release: Versioned[Release], row: Versioned[Release | CircuitRun | Gate | Notice], now: datetime
    ) -> None:
        match row.row:
            case Release():
                self._drive_release(Versioned(row=row.row, etag=row.etag), now)
            case CircuitRun():
                self._drive_run(release, Versioned(row=row.row, etag=row.etag), now)
            case Notice():
                again = notices.drive_again(Versioned(row=row.row, etag=row.etag), now, self.ports)
                _redriven(again.release_id, again.moment, again.redrive)
            case _:
                pass

    def _drive_release(self, stored: Versioned[Release], now: datetime) -> None:
        if stored.row.phase not in ROUND_OF and not stored.row.is_terminal:
            return
        dispatcher = Dispatcher(self.ports)
        row = dispatcher.commit_release(stored, redrive_release(stored.row, now))
        if row.is_terminal:
            _redriven(row.release_id, "note", row.redrive)
        elif row.fanout_cursor == FANOUT_END:
            self._end_round(row)
        else:
            _redriven(row.release_id, "fan-out", row.redrive)

    def _end_round(self, release: Release) -> None:
        """I8: whatever keeps a round from ending, refusal or defect, does so for a day and not for ever."""
        dispatcher, round_ = Dispatcher(self.ports), ROUND_OF[release.phase]
        try:
            dispatcher.fan_in(release.release_id, round_, bundled=release.stuck < MOST_STUCK)
        except Exception as error:
            dispatcher.note_stuck(release, round_, f"{type(error).__name__}: {error}")
            raise

    def _drive_run(self, release: Versioned[Release], stored: Versioned[CircuitRun], now: datetime) -> None:
        def decide(run: CircuitRun) -> Decision[CircuitRun]:
            return redrive_run(run, now)

        written = Dispatcher(self.ports).rewrite_run(release, stored, decide)
        if written is not None:
            _redriven(written.row.release_id, str(written.row.circuit), written.row.redrive)

    def _look_at_gate(self, release: Versioned[Release], now: datetime) -> None:
        found = self.ports.releases.release_and_gate(release.row.release_id, GATE_OF[release.row.phase])
        if found is None or found[1] is None or found[1].row.state is not GateState.OPEN:
            return
        gate = found[1]
        if now >= gate.row.expires_at:
            Gates(self.ports).expire(release.row.release_id, gate)
        elif not gate.row.reminded and now >= _reminder_at(release.row, gate.row):
            self._remind(release.row, gate, now)
        else:
            GateRefresh(self.ports).begin_if_due(release.row, gate)

    def _remind(self, release: Release, gate: Versioned[Gate], now: datetime) -> None:
        """One reminder, to those who have not decided."""
        rows = notices.notices_for(release, Moment.GATE_REMINDER, self.ports.audience, now, asks=gate.row)
        notices.write_and_send(rows, self.ports, Update(row=replace(gate.row, reminded=True), etag=gate.etag))


def _reminder_at(release: Release, gate: Gate) -> datetime:
    """Before the deadline; never in the first half of the time there is to answer."""
    return max(gate.expires_at - release.policy.gate_reminder_before, gate.opened_at + release.policy.gate_limit / 2)


def _redriven(release_id: str, what: str, redrive: int) -> None:
    log.warning("overdue, driven again", action="redriven", release_id=release_id, what=what, redrive=redrive)
