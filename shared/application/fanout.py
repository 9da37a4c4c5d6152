"""Fan-out in pages: a round's work handed to up to 99 circuits at a time, repeatable after a crash."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from shared.application.dispatcher import Dispatcher
from shared.application.plans import planned_runs
from shared.application.ports import Insert, Ports, Update, Versioned
from shared.application.settle import settle
from shared.domain.commands import Command, FanOut, RunStep
from shared.domain.errors import IllegalTransition
from shared.domain.events import FannedOut, FanOutAdvanced
from shared.domain.model import FANOUT_END, FANOUT_START, CircuitPhase, CircuitRun, HistoryEntry, Release, Round
from shared.domain.process import (
    ROUND_ENTRIES,
    ROUND_OF,
    Decision,
    decide_circuit,
    decide_release,
    implied_commands,
)
from shared.domain.rows import run_key
from shared.telemetry import log

PAGE = 99
"""With the release's own row the most that one transaction can hold."""
SWITCHES_AT_ONCE = 2
BETWEEN_SWITCHES = timedelta(seconds=1) / 6
"""Rollbacks' writes: 200 circuits start within 33 seconds, far below what makes the service answer 429."""
FIRST_ROUNDS = frozenset({Round.INSPECTION, Round.ROLLBACK, Round.CHECK})
PAGE_CHARACTERS = 1_500_000
"""Below the 4 MiB of a transaction, in UTF-16 as the service counts strings."""


@dataclass(frozen=True, slots=True)
class FanOutPage:
    """Handles one `fan-out` message."""

    ports: Ports

    def handle(self, command: FanOut, *, redelivered: bool = False) -> None:
        """Move a page of circuits into the round and the cursor behind them, then send what follows from it."""
        again = redelivered

        def attempt() -> Release | None:
            nonlocal again
            stored = self.ports.releases.release(command.release_id)
            if stored is None or not _is_current(command, stored.row):
                self._heal(command, stored, redelivered=again)
                return None
            # A write that is answered with a conflict may be our own, repeated by the client after a lost reply.
            again = True
            return self._hand_out(stored, command)

        release = settle(self.ports.clock, attempt)
        if release is not None and release.fanout_cursor == FANOUT_END:
            Dispatcher(self.ports).fan_in(command.release_id, command.round)

    def _heal(self, command: FanOut, stored: Versioned[Release] | None, *, redelivered: bool) -> None:
        """A redelivered page that was written may have died before it sent its messages."""
        log.info("fan-out dropped", action="fan_out_dropped", release_id=command.release_id, round=command.round.name)
        if not redelivered or stored is None or stored.row.phase not in ROUND_OF:
            return
        dispatcher, release = Dispatcher(self.ports), stored.row
        if ROUND_OF[release.phase] is command.round:
            dispatcher.send(release, self._unstarted(command, release))
        elif release.fanout_cursor == FANOUT_END:
            return
        # In a later round: its page may have ended its own, and died before the next one was handed out.
        dispatcher.go_on(release)

    def _unstarted(self, command: FanOut, release: Release) -> Sequence[Command]:
        """The messages of circuits of a page that was written, if no work has been seen of them yet."""
        now = self.ports.clock.now()
        page = self.ports.releases.runs(release.release_id, after=command.cursor, limit=PAGE)
        return [
            replace(step, delay=max(stored.row.since - now, timedelta())) if isinstance(step, RunStep) else step
            for stored in page
            if run_key(stored.row.circuit) <= release.fanout_cursor
            and _has_work(stored.row, command)
            and stored.row.poll_n == 0
            for step in implied_commands(stored.row)
        ]

    def _hand_out(self, stored_release: Versioned[Release], command: FanOut) -> Release:
        """One transaction, which stands only if the release has not moved on, and one batch of messages."""
        release = stored_release.row
        page, more = self._page(release, command)
        decisions = [(stored, self._decide(release, command, stored)) for stored in page]
        if command.round is Round.ROLLBACK:
            first = self._handed_out_before(release, command)
            decisions = [(stored, _paced(decision, n)) for n, (stored, decision) in enumerate(decisions, first)]
        changes = [
            Insert(row=decision.row) if stored.etag == "" else Update(row=decision.row, etag=stored.etag)
            for stored, decision in decisions
            if decision is not None and decision.row is not stored.row
        ]
        commands: list[Command] = [c for _, decision in decisions if decision is not None for c in decision.commands]
        if command.round is Round.INSPECTION:
            # Before the rows themselves: what is there can be found.
            new = [stored.row.circuit for stored in page if stored.etag == ""]
            self.ports.releases.list_circuits(release, new)
        last = run_key(page[-1].row.circuit) if more else FANOUT_END
        now = self.ports.clock.now()
        event = FanOutAdvanced(at=now, round=command.round, gen=command.gen, cursor=last)
        advanced = decide_release(release, event)
        decision = Decision(row=advanced.row, commands=(*commands, *advanced.commands))
        return Dispatcher(self.ports).commit_release(stored_release, decision, *changes)

    def _handed_out_before(self, release: Release, command: FanOut) -> int:
        if command.cursor == FANOUT_START:
            return 0
        return sum(run_key(run.circuit) <= command.cursor for run in planned_runs(release, self.ports))

    def _decide(self, release: Release, command: FanOut, stored: Versioned[CircuitRun]) -> Decision[CircuitRun] | None:
        """None: not this circuit's round. A row that was handed its work already only gets its message again."""
        run = stored.row
        now = self.ports.clock.now()
        if stored.etag == "":
            return _first_work(release, run, command.round, self.ports)
        if _has_work(run, command):
            return Decision(row=run, commands=implied_commands(run))
        reason = release.exclusions.get(str(run.circuit), "")
        event = FannedOut(at=now, round=command.round, gen=command.gen, exclude_reason=reason)
        try:
            return decide_circuit(run, event, release.policy)
        except IllegalTransition:
            return None

    def _page(self, release: Release, command: FanOut) -> tuple[Sequence[Versioned[CircuitRun]], bool]:
        """The circuits that fit into one transaction, and whether there may be more after them."""
        candidates = self._candidates(release, command)
        size, fitting = len(str(release)), 0
        for stored in candidates:
            size += len(str(stored.row))
            if fitting and size > PAGE_CHARACTERS:
                break
            fitting += 1
        return candidates[:fitting], fitting < len(candidates) or len(candidates) == PAGE

    def _candidates(self, release: Release, command: FanOut) -> Sequence[Versioned[CircuitRun]]:
        existing = self.ports.releases.runs(release.release_id, after=command.cursor, limit=PAGE)
        return self._with_planned(release, command, existing) if command.round in FIRST_ROUNDS else existing

    def _with_planned(
        self, release: Release, command: FanOut, existing: Sequence[Versioned[CircuitRun]]
    ) -> Sequence[Versioned[CircuitRun]]:
        """The first fan-out reads circuits from the release's own copy of the manifest: rows do not exist yet."""
        rows = {run_key(stored.row.circuit): stored for stored in existing}
        for run in planned_runs(release, self.ports):
            if run_key(run.circuit) > command.cursor:
                rows.setdefault(run_key(run.circuit), Versioned(row=run, etag=""))
        return tuple(rows[key] for key in sorted(rows))[:PAGE]


def _first_work(release: Release, planned: CircuitRun, round_: Round, ports: Ports) -> Decision[CircuitRun]:
    now = ports.clock.now()
    reason = release.exclusions.get(str(planned.circuit))
    phase = CircuitPhase.EXCLUDED if reason else ROUND_ENTRIES[round_].phase
    row = replace(
        planned,
        phase=phase,
        gen=release.gen,
        todo=Round.NONE if reason else round_,
        since=now,
        due_at=None if reason else now + release.policy.overdue_after,
        hist=(HistoryEntry(at=now, source="", target=phase, why=reason or ""),),
    )
    return Decision(row=row, commands=implied_commands(row))


def _paced(decision: Decision[CircuitRun] | None, n: int) -> Decision[CircuitRun] | None:
    """Azure ML refuses a burst of writes: the n-th switch starts when its turn has come, and counts from then."""
    wait = max(timedelta(), (n - SWITCHES_AT_ONCE) * BETWEEN_SWITCHES)
    if decision is None or not wait:
        return decision
    row, commands = decision.row, decision.commands
    due_at = row.due_at + wait if row.due_at else None
    later = tuple(replace(command, delay=wait) if isinstance(command, RunStep) else command for command in commands)
    return Decision(row=replace(row, since=row.since + wait, due_at=due_at), commands=later)


def _has_work(run: CircuitRun, command: FanOut) -> bool:
    """Was this circuit handed the round's work, and is it still at its beginning?"""
    return (run.phase, run.gen, run.todo) == (ROUND_ENTRIES[command.round].phase, command.gen, command.round)


def _is_current(command: FanOut, release: Release) -> bool:
    return (command.gen, command.round, command.cursor) == (
        release.gen,
        ROUND_OF.get(release.phase),
        release.fanout_cursor,
    )
