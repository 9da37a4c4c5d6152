"""Open gates look at the world again, page by page: what is other than it was makes new evidence, with a new digest.

A decision on the old digest is then answered with what changed; the old blob stays for the comparison. The gate and
the circuits of a page change in one transaction: no approval ever meets circuits that know a newer world than it does.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from shared.application import notices
from shared.application.dispatcher import Dispatcher
from shared.application.evidence import gate_evidence
from shared.application.gate_freshness import look_at_outdated, worth_a_look
from shared.application.gate_opening import evidence_path
from shared.application.live import live_evidence, read_live
from shared.application.locks import marks
from shared.application.ports import Ports, Update, Versioned
from shared.application.settle import settle
from shared.application.side_by_side import side_by_side
from shared.domain.commands import RefreshGate
from shared.domain.errors import IllegalTransition, PermanentError, TransientError
from shared.domain.events import EvidenceRefreshed
from shared.domain.model import (
    NEUTRAL,
    CircuitRun,
    Environment,
    Gate,
    GateName,
    GateState,
    HistoryEntry,
    Release,
)
from shared.domain.process import Decision, decide_circuit
from shared.domain.rows import run_key
from shared.domain.words import clean
from shared.telemetry import log

MOST_TOLD, LONGEST_TOLD = 5, 150
"""Tags that are named, and how much of each: anybody may write into them."""
PAGE = 20
"""Circuits per message: each costs some four requests."""

type Learnt = tuple[Versioned[CircuitRun], Decision[CircuitRun]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """One circuit as Azure ML shows it now, and what of that is new."""

    live: str
    told: tuple[str, ...] = ()
    evidence: Mapping[str, object] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GateRefresh:
    ports: Ports

    def begin_if_due(self, release: Release, gate: Versioned[Gate]) -> None:
        """Have an open gate's circuits looked at again: all if the last look is old enough, else the outdated ones.

        A look whose messages are lost ends there; the next one begins when its time has come.

        Raises:
            ConflictError: somebody has written the gate meanwhile.
        """
        now = self.ports.clock.now()
        if now - gate.row.refreshed_at < release.policy.gate_refresh:
            if worth_a_look(self._document(gate.row), self.ports):
                look_at_outdated(gate.row, self.ports)
            return
        self.ports.releases.commit(Update(row=replace(gate.row, refreshed_at=now), etag=gate.etag))
        self.ports.bus.send((RefreshGate(release_id=release.release_id, gate=gate.row.gate, n=_look_number(now)),))

    def handle(self, command: RefreshGate) -> None:
        """Look at a page of circuits, freeze new evidence if anything is other than it was, ask for the next page."""
        if command.outdated:
            settle(self.ports.clock, lambda: self._outdated(command))
            return
        following = settle(self.ports.clock, lambda: self._page(command))
        if following:
            again = RefreshGate(release_id=command.release_id, gate=command.gate, n=command.n, cursor=following)
            self.ports.bus.send((again,))

    def _page(self, command: RefreshGate) -> str:
        """The cursor of the next page; empty: there is none, or nobody is asked any more."""
        found = self.ports.releases.release_and_gate(command.release_id, command.gate)
        if found is None or found[1] is None or not _is_current(command, found[1].row):
            log.info("look at a gate dropped", action="gate_refresh_dropped", release_id=command.release_id)
            return ""
        release, gate = found[0].row, found[1]
        page = self.ports.releases.runs(command.release_id, after=command.cursor, limit=PAGE)
        self._learn(release, gate, page)
        return run_key(page[-1].row.circuit) if len(page) == PAGE else ""

    def _outdated(self, command: RefreshGate) -> None:
        """Look at a page of those that the evidence is wrong about, then at the rest of them, by the new evidence."""
        found = self.ports.releases.release_and_gate(command.release_id, command.gate)
        if found is None or found[1] is None or not _is_shown(command, found[1].row):
            log.info("look at a gate dropped", action="gate_refresh_dropped", release_id=command.release_id)
            return
        wrong = worth_a_look(self._document(found[1].row), self.ports)
        known = self.ports.releases.runs(command.release_id)
        page = [stored for stored in known if stored.row.circuit in wrong][:PAGE]
        gate = self._learn(found[0].row, found[1], page)
        if len(wrong) > len(page) and gate.digest != command.outdated:
            look_at_outdated(gate, self.ports)

    def _document(self, gate: Gate) -> bytes:
        return self.ports.evidence.get(gate.evidence_blob) or b""

    def _learn(self, release: Release, gate: Versioned[Gate], page: Sequence[Versioned[CircuitRun]]) -> Gate:
        """The gate as it stands after a look at these circuits."""
        try:
            learnt = [
                (stored, decide_circuit(stored.row, event, release.policy))
                for stored in page
                if stored.row.phase not in NEUTRAL and (event := self._look(release, stored.row, gate.row.gate))
            ]
        except IllegalTransition as reason:  # the gate was answered between the two reads
            log.info("event dropped", action="event_dropped", release_id=release.release_id, why=reason)
            return gate.row
        return self._freeze(release, gate, learnt) if learnt else gate.row

    def _freeze(self, release: Release, gate: Versioned[Gate], learnt: Sequence[Learnt]) -> Gate:
        fresh = {stored.row.circuit: decision.row for stored, decision in learnt}
        known = self.ports.releases.runs(release.release_id)
        runs = tuple(fresh.get(stored.row.circuit, stored.row) for stored in known)
        document = gate_evidence(gate.row.gate, release, runs, self.ports.estate)
        digest = hashlib.sha256(document).hexdigest()
        path = evidence_path(release.release_id, gate.row.gate, digest)
        self.ports.evidence.put(path, document)
        now = self.ports.clock.now()
        row = _with_evidence(gate.row, digest, path, now)
        again = notices.asked_again(release, gate.row, row, self.ports.audience, now)
        Dispatcher(self.ports).commit_runs(learnt, Update(row=row, etag=gate.etag), *notices.inserts(again))
        if again:
            self.ports.bus.send([notices.send_command(notice) for notice in again])
        return row

    # ------------------------------------------------------------------------------------------- looking

    def _look(self, release: Release, run: CircuitRun, gate: GateName) -> EvidenceRefreshed | None:
        """None: everything is as it was, or can't be seen now, which is for the next time."""
        try:
            seen = self._seen(run, gate)
        except (TransientError, PermanentError) as error:
            log.warning(
                "evidence not refreshed",
                action="gate_refresh_failed",
                release_id=release.release_id,
                circuit=run.circuit,
                gate=gate,
                error=error,
            )
            seen = _Seen(live=run.live_deployment)
        fresh = {
            name: words
            for name, words in marks(self.ports, run, run.evidence).items()
            if run.evidence.get(name) != words
        }
        told = (*seen.told, *(f"{name}: {words or 'no longer'}" for name, words in fresh.items()), *seen.warnings)
        if not told:
            return None
        return EvidenceRefreshed(
            at=self.ports.clock.now(),
            why="; ".join(told),
            live_deployment=seen.live,
            warnings=seen.warnings,
            evidence={**seen.evidence, **fresh},
        )

    def _seen(self, run: CircuitRun, gate: GateName) -> _Seen:
        """What is live now; at gate 1 also whether the Dev model is still as inspected."""
        live = read_live(run, self.ports, self.ports.models.endpoint(Environment.PRODUCTION, run.endpoint))
        told: tuple[str, ...] = ()
        fresh: dict[str, object] = {}
        if live.name != run.live_deployment:
            told = (f"{live.name or 'nothing'} is live now, {run.live_deployment or 'nothing'} was",)
            fresh["live"] = live_evidence(run, self.ports, live, self.ports.models.dev_models(run.model_name))
            if gate is GateName.PRODUCTION:
                fresh["side_by_side"] = side_by_side(run, self.ports, live)
        warning = self._source_warning(run) if gate is GateName.REGISTRY else ""
        warnings = (warning,) if warning and warning not in run.warnings else ()
        return _Seen(live=live.name, told=told, evidence=fresh, warnings=warnings)

    def _source_warning(self, run: CircuitRun) -> str:
        """Promotion will refuse a source that changed; the approver should know before."""
        models = self.ports.models.dev_models(run.model_name)
        source = next((model for model in models if model.version == run.source_version), None)
        if source is None:
            return f"Dev model {run.model_name} version {run.source_version} is gone: promotion will fail"
        if dict(source.tags) != dict(run.source_tags):
            tags = ", ".join(_tag_changes(run.source_tags, source.tags))
            return f"Dev model {run.model_name} version {run.source_version} has other tags now ({tags}): promotion will fail"
        return ""


def _tag_changes(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    names = sorted(name for name in {**before, **after} if before.get(name) != after.get(name))
    told = [f"{name}: was {before.get(name, 'absent')}, is {after.get(name, 'absent')}" for name in names]
    return [clean(line)[:LONGEST_TOLD] for line in told[:MOST_TOLD]]


def _with_evidence(gate: Gate, digest: str, path: str, at: datetime) -> Gate:
    """The gate with newer evidence; what it showed before stays known."""
    if digest == gate.digest:
        return gate
    entry = HistoryEntry(at=at, source=gate.state, target=gate.state, why=f"evidence {digest} replaces {gate.digest}")
    return replace(
        gate,
        digest=digest,
        evidence_blob=path,
        frozen_at=at,
        earlier_digests=(*gate.earlier_digests, gate.digest),
        hist=(*gate.hist, entry),
    )


def _look_number(begun_at: datetime) -> int:
    return int(begun_at.timestamp())


def _is_current(command: RefreshGate, gate: Gate) -> bool:
    return gate.state is GateState.OPEN and _look_number(gate.refreshed_at) == command.n


def _is_shown(command: RefreshGate, gate: Gate) -> bool:
    return gate.state is GateState.OPEN and gate.digest == command.outdated
