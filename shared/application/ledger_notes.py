"""Use cases: when a release has ended, the ledger says of each of its rows what it rests on.

That is the bundle's SHA-256, the model, and who approved it on which evidence: an auditor finds it there when the
release's own rows have been removed. The ledger rows themselves are written before anything is switched, when no bundle can be known yet. The cursor in the
release's row says how far this has come, and the sweeper drives it until it is through.
"""

from dataclasses import dataclass, replace

from shared.application.dispatcher import Dispatcher
from shared.application.ports import Ports
from shared.application.votes import APPROVE
from shared.domain.commands import NoteLedger
from shared.domain.errors import IllegalTransition
from shared.domain.events import LedgerNoted
from shared.domain.model import (
    FANOUT_END,
    CircuitRun,
    Gate,
    GateName,
    LedgerNote,
    ProcessKind,
    Release,
)
from shared.domain.rows import run_key
from shared.telemetry import log

PAGE = 50
"""Circuits per message: each costs two requests."""


@dataclass(frozen=True, slots=True)
class LedgerNotes:
    ports: Ports

    def handle(self, command: NoteLedger) -> None:
        """Note a page of the release's circuits and move the cursor behind them. Repeatable."""
        found = self.ports.releases.release_and_gate(command.release_id, GateName.PRODUCTION)
        if found is None or not _is_current(command, found[0].row):
            log.info("note dropped", action="note_dropped", release_id=command.release_id)
            return
        release, gate = found[0].row, found[1].row if found[1] else None
        page = self.ports.releases.runs(command.release_id, after=command.cursor, limit=PAGE)
        for run in page:
            self._circuit(release, gate, run.row)
        cursor = run_key(page[-1].row.circuit) if len(page) == PAGE else FANOUT_END
        self._move_on(command, LedgerNoted(at=self.ports.clock.now(), gen=command.gen, cursor=cursor))

    def give_up(self, command: NoteLedger, reason: str) -> None:
        """A page that can't be noted keeps the release from its end no longer; what is missing stands in its history."""
        stored = self.ports.releases.release(command.release_id)
        if stored is None or not _is_current(command, stored.row):
            return
        why = f"the ledger does not say of all its rows what they rest on: noting it was given up ({reason})"
        log.error("notes in the ledger given up", action="ledger_notes_given_up", release_id=command.release_id)
        at = self.ports.clock.now()
        self._move_on(command, LedgerNoted(at=at, gen=command.gen, cursor=FANOUT_END, why=why))

    def _move_on(self, command: NoteLedger, event: LedgerNoted) -> None:
        try:
            Dispatcher(self.ports).to_release(command.release_id, event)
        except IllegalTransition as reason:
            log.info("event dropped", action="event_dropped", release_id=command.release_id, why=reason)

    def _circuit(self, release: Release, gate: Gate | None, run: CircuitRun) -> None:
        for entry in self.ports.endpoints.ledger(release.environment, run.circuit):
            if entry.release_id == release.release_id and entry.note is None:
                self.ports.endpoints.note(_note(release, gate, run, entry.fence))


def _note(release: Release, gate: Gate | None, run: CircuitRun, fence: int) -> LedgerNote:
    note = LedgerNote(
        environment=release.environment,
        circuit=run.circuit,
        fence=fence,
        release_id=release.release_id,
        evidence_sha256=release.evidence_sha256,
    )
    if release.kind is not ProcessKind.RELEASE:
        return note  # nobody was asked about a rollback
    votes = [vote for vote in gate.counting if vote.decision == APPROVE] if gate else []
    return replace(
        note,
        model=f"{run.model_name} {run.model_version}",
        cutoff_date=run.cutoff_date,
        approved_by=tuple(vote.by for vote in votes),
        approved_at=votes[-1].at if votes else None,
        approved_sha256=gate.digest if gate and votes else "",
    )


def _is_current(command: NoteLedger, release: Release) -> bool:
    return release.is_terminal and (command.gen, command.cursor) == (release.gen, release.noted_cursor)
