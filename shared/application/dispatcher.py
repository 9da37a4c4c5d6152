"""The only code that both decides and touches: load -> decide -> commit with ETag -> send what the commands say.

Commands that are rows (gates, notices) are written in the transaction of the transition that causes them; commands
that are messages are sent after it. A crash in between is healed by redelivery and by the sweeper.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from shared.application import gate_opening, notices, quorum_notices
from shared.application.checks import Checks
from shared.application.findings import is_told, own_error, told_once
from shared.application.ports import Change, Ports, Sendable, Update, Versioned
from shared.application.release_evidence import with_bundle, without_bundle
from shared.application.settle import settle
from shared.application.slots import Slots
from shared.domain import process
from shared.domain.commands import (
    Command,
    FanOut,
    FreeSlot,
    NoteLedger,
    OpenGate,
    Prune,
    ReadArtifact,
    RefreshGate,
    RunStep,
    SendNotice,
    StartCheck,
    StartQueued,
    Tell,
    VoidGate,
)
from shared.domain.errors import IllegalTransition
from shared.domain.events import CircuitEvent, ReleaseEvent, RoundEnded, RoundStuck
from shared.domain.model import FANOUT_END, OVERTAKEN, UNSUCCESSFUL, CircuitRun, Moment, Notice, Release, Round
from shared.domain.process import Decision, decide_circuit, decide_release
from shared.telemetry import log

REASONS_TOLD = 5


@dataclass(frozen=True, slots=True)
class Dispatcher:
    """Carries out decisions about releases and circuit runs."""

    ports: Ports

    # ------------------------------------------------------------------------------------------ releases

    def to_release(self, release_id: str, event: ReleaseEvent, *changes: Change) -> Release | None:
        """Apply an event to a release; further changes go into the same transaction. None: there is no such release.

        Raises:
            IllegalTransition: the event means nothing in the release's phase.
        """

        def attempt() -> Release | None:
            stored = self.ports.releases.release(release_id)
            return None if stored is None else self.commit_release(stored, decide_release(stored.row, event), *changes)

        return settle(self.ports.clock, attempt)

    def commit_release(
        self, stored: Versioned[Release], decision: Decision[Release], *changes: Change, bundled: bool = True
    ) -> Release:
        """Write a decision about a release with everything that belongs to it, then send.

        Not `bundled`: its bundle could not be written for a day, and it shall end all the same.

        Raises:
            ConflictError: a row is no longer as it was read; nothing was written.
        """
        row = decision.row
        belonging = [change for command in decision.commands for change in self._changes(row, command)]
        row = with_bundle(row, stored.row, (*changes, *belonging), self.ports) if bundled else without_bundle(row)
        self.ports.releases.commit(Update(row=row, etag=stored.etag), *changes, *belonging)
        if row.phase is not stored.row.phase:
            log.info(
                "release moved",
                action="release_moved",
                release_id=row.release_id,
                source=stored.row.phase,
                target=row.phase,
                gen=row.gen,
            )
        self.send(row, decision.commands)
        return row

    def _changes(self, row: Release, command: Command) -> Sequence[Change]:
        match command:
            case OpenGate(gate=gate):
                return (gate_opening.open_change(row, gate, self.ports),)
            case VoidGate(gate=gate):
                return gate_opening.void_change(row, gate, self.ports)
            case Tell():
                return notices.inserts(self._notices(row, command))
            case _:
                return ()

    def _notices(self, row: Release, tell: Tell) -> tuple[Notice, ...]:
        at = row.hist[-1].at if row.hist else self.ports.clock.now()
        rows = notices.notices_for(row, tell.moment, self.ports.audience, at, decided=tell.gate)
        opens = tell.moment is Moment.GATE_OPENED
        return (*rows, *quorum_notices.at_opening(row, self.ports.audience, at)) if opens else rows

    # -------------------------------------------------------------------------------------- circuit runs

    def to_run(
        self, release: Versioned[Release], stored: Versioned[CircuitRun], event: CircuitEvent
    ) -> CircuitRun | None:
        """Apply an event to a circuit run; None: it no longer fits, and nothing happened."""
        written = self.rewrite_run(release, stored, lambda run: decide_circuit(run, event, release.row.policy))
        return None if written is None else written.row

    def commit_runs(self, changes: Sequence[tuple[Versioned[CircuitRun], Decision[CircuitRun]]], *more: Change) -> None:
        """Write decisions about circuits of one release, which stay in their phases, with what belongs to them.

        Raises:
            ConflictError: a row is no longer as it was read; nothing was written.
        """
        updates = [Update(row=decision.row, etag=stored.etag) for stored, decision in changes]
        self.ports.releases.commit(*more, *updates)

    def rewrite_run(
        self,
        release: Versioned[Release],
        stored: Versioned[CircuitRun],
        decide: Callable[[CircuitRun], Decision[CircuitRun]],
    ) -> Versioned[CircuitRun] | None:
        """Write a decision about a circuit run: an event's, a later look, a claim, a redrive; None as above.

        On a conflict it is decided again, but only about the very state the decision was made for.
        """
        seen: list[Versioned[CircuitRun]] = [stored]

        def attempt() -> Versioned[CircuitRun] | None:
            current = seen.pop() if seen else self._same_state(stored.row)
            if current is None:
                return None
            try:
                decision = decide(current.row)
            except IllegalTransition as reason:
                log.info("event dropped", action="event_dropped", release_id=stored.row.release_id, why=reason)
                return None
            return self._commit_run(release, current, decision)

        return settle(self.ports.clock, attempt)

    def _same_state(self, run: CircuitRun) -> Versioned[CircuitRun] | None:
        found = self.ports.releases.release_and_run(run.release_id, run.circuit)
        if found is None:
            return None
        fresh = found[1].row
        same = (fresh.phase, fresh.gen, fresh.poll_n) == (run.phase, run.gen, run.poll_n)
        return found[1] if same else None

    def _commit_run(
        self, release: Versioned[Release], stored: Versioned[CircuitRun], decision: Decision[CircuitRun]
    ) -> Versioned[CircuitRun]:
        row = decision.row
        [etag] = self.ports.releases.commit(Update(row=row, etag=stored.etag))
        if row.phase is not stored.row.phase:
            log.info(
                "circuit moved",
                action="circuit_moved",
                release_id=row.release_id,
                circuit=row.circuit,
                source=stored.row.phase,
                target=row.phase,
                gen=row.gen,
            )
        self.send(release.row, decision.commands)
        if stored.row.todo is not Round.NONE and row.todo is Round.NONE:
            self.fan_in(row.release_id, stored.row.todo, release)
        return Versioned(row=row, etag=etag)

    # -------------------------------------------------------------------------------------------- fan-in

    def fan_in(
        self,
        release_id: str,
        round_: Round,
        read_before: Versioned[Release] | None = None,
        *,
        bundled: bool = True,
    ) -> None:
        """End the round if no circuit has work in it any more.

        The release must have been read before the scan: its ETag then proves that nothing moved meanwhile.
        `read_before` saves that read if the fan-out was complete when it was made.
        """
        usable = read_before is not None and read_before.row.fanout_cursor == FANOUT_END
        seen = [read_before] if usable else []

        def attempt() -> None:
            stored = seen.pop() if seen else self.ports.releases.release(release_id)
            if stored is None or process.ROUND_OF.get(stored.row.phase) is not round_:
                return
            if stored.row.fanout_cursor != FANOUT_END or self.ports.releases.any_pending(release_id, round_):
                return
            try:
                decision = decide_release(stored.row, self._round_ended(stored.row, round_))
            except IllegalTransition as reason:
                log.info("event dropped", action="event_dropped", release_id=release_id, why=reason)
                return
            self.commit_release(stored, decision, bundled=bundled)

        settle(self.ports.clock, attempt)

    def note_stuck(self, release: Release, round_: Round, why: str) -> None:
        """The end of a round could not be written, in the end not even without a bundle: then it goes red."""
        event = RoundStuck(at=self.ports.clock.now(), round=round_, gen=release.gen, why=why)

        def attempt() -> None:
            stored = self.ports.releases.release(release.release_id)
            if stored is None or self.ports.releases.any_pending(release.release_id, round_):
                return
            try:
                decision = decide_release(stored.row, event)
            except IllegalTransition as reason:
                log.info("event dropped", action="event_dropped", release_id=release.release_id, why=reason)
                return
            self.commit_release(stored, decision, bundled=False)

        settle(self.ports.clock, attempt)

    def _round_ended(self, release: Release, round_: Round) -> RoundEnded:
        releases = self.ports.releases
        done = frozenset({process.ROUND_ENTRIES[round_].done})
        unsuccessful = releases.any_in(release.release_id, UNSUCCESSFUL)
        successful = not unsuccessful and releases.any_in(release.release_id, done)
        overtaken = not unsuccessful and not successful and releases.any_in(release.release_id, OVERTAKEN)
        return RoundEnded(
            at=self.ports.clock.now(),
            round=round_,
            gen=release.gen,
            any_unsuccessful=unsuccessful,
            any_successful=successful,
            any_overtaken=overtaken,
            why=self._why_ended(release, round_, unsuccessful=unsuccessful),
        )

    def _why_ended(self, release: Release, round_: Round, *, unsuccessful: bool) -> str:
        if not unsuccessful and not release.died and round_ is not Round.REVERSION:
            return f"cancelled by {release.cancel_requested_by}" if release.cancel_requested_by else ""
        runs = [stored.row for stored in self.ports.releases.runs(release.release_id) if stored.row.error]
        shared = told_once(runs)
        errors = [*([release.died] if release.died else []), *shared]
        errors += [f"{run.circuit}: {own_error(run, shared, refers=False)}" for run in runs if not is_told(run, shared)]
        more = f"; and {len(errors) - REASONS_TOLD} more" if len(errors) > REASONS_TOLD else ""
        return "; ".join(errors[:REASONS_TOLD]) + more

    # -------------------------------------------------------------------------------- what follows from rows

    def go_on(self, release: Release) -> None:
        """Whoever wrote this row may have died before what follows from it: the round's next page, or its end."""
        round_ = process.ROUND_OF.get(release.phase)
        if round_ is None:
            return
        if release.fanout_cursor == FANOUT_END:
            self.fan_in(release.release_id, round_)
        else:
            self.send(release, (process.fan_out(release),))

    def send(self, release: Release, commands: Sequence[Command]) -> None:
        """Carry out what is left to do when the rows are written.

        First all messages, as one batch. Then slots: one is given back, or a queued circuit takes one, which moves that
        circuit. Last the check of a rollback begins. Commands that are rows were written with the transition, and pass.
        """
        messages: list[Sendable] = []
        for command in commands:
            match command:
                case RunStep() | FanOut() | SendNotice() | ReadArtifact() | Prune() | RefreshGate() | NoteLedger():
                    messages.append(command)
                case Tell():
                    messages.extend(notices.send_command(n) for n in self._notices(release, command))
                case _:
                    pass
        if messages:
            self.ports.bus.send(messages)
        for command in commands:
            match command:
                case FreeSlot(slot=slot, owner=owner):
                    self.slots.free(slot, owner, release)
                case StartQueued():
                    self.slots.start_queued(release)
                case StartCheck():
                    Checks(self.ports).start(release)
                case _:
                    pass

    @property
    def slots(self) -> Slots:
        """The smoke-test slots, which move circuits through this dispatcher."""
        return Slots(ports=self.ports, to_run=self.to_run)


def is_current(command: RunStep, run: CircuitRun) -> bool:
    """Does a message still speak of the state its row is in, and of the step that belongs there?"""
    fits = (command.gen, command.phase, command.n) == (run.gen, run.phase, run.poll_n)
    return fits and process.STEP_OF.get(run.phase) is command.kind
