"""Use cases: what scored a circuit when, made live by which release, approved by whom, on which evidence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from shared.application.hold_history import Hold, hold_history, hold_json, hold_then
from shared.application.ports import Ports
from shared.application.votes import APPROVE
from shared.domain.errors import RequestRefused
from shared.domain.listing import Wanted
from shared.domain.model import (
    Circuit,
    EndpointLock,
    Environment,
    Gate,
    GateName,
    GateState,
    LedgerEntry,
    LedgerNote,
    Release,
)
from shared.domain.naming import timestamp

type Json = Mapping[str, object]

MOST_SHOWN = 20
"""Times in full; what is older is in the API."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """A production gate's outcome, as its row says or, when that has been removed, the ledger."""

    release_id: str
    by: tuple[str, ...]
    at: datetime | None
    evidence_sha256: str
    """Of the evidence they saw."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveTime:
    """One deployment's time as the default."""

    entry: LedgerEntry
    until: datetime | None
    """None: it still is."""
    release: Release | None
    """What made it the default this time: a release or a rollback; None: unknown (an import)."""
    gate: Gate | None
    """The production gate at which it was approved, of the release that first made it live; None: there was none."""
    gate_release: Release | None = None
    approval: Approval | None = None
    """Who approved it on which evidence; None: nobody was asked, or its release has not ended and is unknown."""
    model: str = ""
    cutoff_date: str = ""
    bundle_sha256: str = ""
    """Of the evidence.json of what made it live this time; empty: that has not ended, or made none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitView:
    """A circuit's page."""

    circuit: Circuit
    now: datetime
    times: Sequence[LiveTime]
    """Newest first; of a question about one moment, the one time that answers it, or none."""
    older: int = 0
    at: datetime | None = None
    lock: EndpointLock | None = None
    holds: Sequence[Hold] = ()
    """Newest first; of a question about one moment, the one that was open then, or none."""
    forgotten: str = ""
    """What was live before the oldest of all known times: its ledger row was past its time, and was removed."""

    @property
    def is_ahead(self) -> bool:
        """Was a time asked for that has not come?"""
        return self.at is not None and self.at > self.now

    @property
    def drifted(self) -> str:
        """What somebody changed outside before the time that was asked for, and nobody has decided about."""
        since = self.lock.drift_since if self.lock else None
        return self.lock.drift if self.lock and self.at and since and since <= self.at else ""


def circuit_view(circuit: Circuit, at: datetime | None, ports: Ports) -> CircuitView:
    """What the pipeline made live in Production, or what was live at one moment.

    Raises:
        RequestRefused: 404, nothing of this circuit was ever made live, and no release is about it.
    """
    ledger = list(ports.endpoints.ledger(Environment.PRODUCTION, circuit))
    stored = ports.endpoints.lock(Environment.PRODUCTION, circuit)
    if not ledger and stored is None and not _is_in_a_release(circuit, ports):
        raise RequestRefused(404, "No such circuit", never_live(circuit))
    ended: list[datetime | None] = [None, *(newer.activated_at for newer in ledger)]
    spans = list(zip(ledger, ended, strict=False))
    now = ports.clock.now()
    if at is not None:
        # Times are told to the second, so they are asked to the second.
        spans = [(e, until) for e, until in spans if e.activated_at.replace(microsecond=0) <= at <= now][:1]
    holds = hold_history(circuit, ports, stored.row if stored else None)
    if at is not None:
        holds = tuple(filter(None, (hold_then(holds, at),)))
    return CircuitView(
        circuit=circuit,
        now=now,
        holds=holds[:MOST_SHOWN],
        times=[_time(entry, until, _origin(entry, ledger), ports) for entry, until in spans[:MOST_SHOWN]],
        older=max(0, len(spans) - MOST_SHOWN),
        at=at,
        lock=stored.row if stored else None,
        forgotten=ledger[-1].previous if ledger else "",
    )


def _is_in_a_release(circuit: Circuit, ports: Ports) -> bool:
    """The page of its first release leads to the circuit's before anything is live."""
    wanted = Wanted(plant_id=circuit.plant_id, circuit_id=circuit.circuit_id)
    return bool(ports.releases.list_releases(wanted, limit=1)[0])


def never_live(circuit: Circuit) -> str:
    """What is said of a circuit that nobody knows."""
    return f"The pipeline has never made anything live for {circuit}. Ids are written as in the artifact."


def _origin(entry: LedgerEntry, ledger: Sequence[LedgerEntry]) -> LedgerEntry:
    """Where this deployment went live for the first time: there it was approved; a rollback only brings it back."""
    return next(first for first in reversed(ledger) if first.deployment == entry.deployment)


def _time(entry: LedgerEntry, until: datetime | None, origin: LedgerEntry, ports: Ports) -> LiveTime:
    release = ports.releases.release(entry.release_id)
    found = ports.releases.release_and_gate(origin.release_id, GateName.PRODUCTION)
    run = ports.releases.release_and_run(origin.release_id, origin.circuit)
    gate = found[1].row if found and found[1] else None
    mine = run[1].row if run and run[1].row.deployment == origin.deployment else None
    approved = gate if gate and gate.state is GateState.APPROVED else None
    note = origin.note
    return LiveTime(
        entry=entry,
        until=until,
        release=release.row if release else None,
        gate=approved,
        gate_release=found[0].row if found else None,
        approval=_of_gate(approved) if approved else _of_note(note) if note else None,
        model=f"{mine.model_name} {mine.model_version}" if mine else note.model if note else "",
        cutoff_date=mine.cutoff_date if mine else note.cutoff_date if note else "",
        bundle_sha256=entry.note.evidence_sha256 if entry.note else "",
    )


def _of_gate(gate: Gate) -> Approval:
    votes = [vote for vote in gate.counting if vote.decision == APPROVE]
    return Approval(
        release_id=gate.release_id,
        by=tuple(vote.by for vote in votes),
        at=votes[-1].at if votes else None,
        evidence_sha256=gate.digest,
    )


def _of_note(note: LedgerNote) -> Approval | None:
    if not note.approved_by:
        return None
    return Approval(
        release_id=note.release_id, by=note.approved_by, at=note.approved_at, evidence_sha256=note.approved_sha256
    )


def circuit_json(circuit: Circuit, at: datetime | None, ports: Ports) -> Json:
    """`GET /api/circuits/{plant}/{circuit}`: what has been live since when, in both environments.

    With a moment also `at`: what Production's default was then; null: nothing that the pipeline knows of.

    Raises:
        RequestRefused: 404, nothing of this circuit was ever made live; 400, the moment has not come.
    """
    found = {str(environment): _endpoint(environment, circuit, ports) for environment in Environment}
    if not any(found.values()):
        raise RequestRefused(404, "No such circuit", never_live(circuit))
    never: Json = {"want": "", "owner": "", "hold": None, "holds": [], "drift": None, "ledger": []}
    told = {environment: endpoint or never for environment, endpoint in found.items()}
    asked = {"at": _moment_json(circuit_view(circuit, at, ports))} if at else {}
    return {"plant_id": circuit.plant_id, "circuit_id": circuit.circuit_id, **told, **asked}


def _endpoint(environment: Environment, circuit: Circuit, ports: Ports) -> Json | None:
    """None: we never had it in our hands. The lock row is never deleted, and every ledger has one."""
    stored = ports.endpoints.lock(environment, circuit)
    if stored is None:
        return None
    return {
        "want": stored.row.want,
        "owner": stored.row.owner,
        "hold": _hold(stored.row, ports.clock.now()),
        "holds": [hold_json(hold) for hold in _holds(stored.row, ports)],
        "drift": _drift(stored.row),
        "ledger": [_entry_json(entry) for entry in ports.endpoints.ledger(environment, circuit)],
    }


def _holds(lock: EndpointLock, ports: Ports) -> Sequence[Hold]:
    return hold_history(lock.circuit, ports, lock) if lock.environment is Environment.PRODUCTION else ()


def _entry_json(entry: LedgerEntry) -> Json:
    note = entry.note
    return {
        "deployment": entry.deployment,
        "previous": entry.previous,
        "release_id": entry.release_id,
        "activated_at": timestamp(entry.activated_at),
        "by": entry.by,
        "evidence_sha256": note.evidence_sha256 if note else "",
        "approval": _approval_json(_of_note(note)) if note else None,
    }


def _approval_json(approval: Approval | None) -> Json | None:
    if approval is None:
        return None
    return {
        "release_id": approval.release_id,
        "by": list(approval.by),
        "at": timestamp(approval.at) if approval.at else None,
        "evidence_sha256": approval.evidence_sha256,
    }


def _moment_json(view: CircuitView) -> Json | None:
    if view.is_ahead:
        raise RequestRefused(400, "Not yet", f"It is {timestamp(view.now)}: what will score then is not known.")
    if not view.times:
        return None
    (time,) = view.times
    return {
        "deployment": time.entry.deployment,
        "since": timestamp(time.entry.activated_at),
        "until": timestamp(time.until) if time.until else None,
        "made_live_by": time.entry.release_id,
        "model": time.model,
        "cutoff_date": time.cutoff_date,
        "approval": _approval_json(time.approval),
        "evidence_sha256": time.bundle_sha256,
        "drift": view.drifted,
        "hold": hold_json(view.holds[0]) if view.holds else None,
    }


def _hold(lock: EndpointLock, now: datetime) -> Json | None:
    if lock.hold_until is None or not lock.is_held(now):
        return None
    since = timestamp(lock.hold_since) if lock.hold_since else None
    return {"since": since, "until": timestamp(lock.hold_until), "by": lock.hold_by, "reason": lock.hold_why}


def _drift(lock: EndpointLock) -> Json | None:
    if not lock.drift:
        return None
    since = timestamp(lock.drift_since) if lock.drift_since else None
    return {"since": since, "what": lock.drift, "repair_by": lock.repair_by}


def moment_asked(text: str) -> datetime | None:
    """`2025-12-03T14:00`, UTC unless it says otherwise; empty: none.

    Raises:
        RequestRefused: 400, it is no time.
    """
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text[:40])
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise RequestRefused(400, "Not a time", "at must be a time such as 2025-12-03T14:00 (UTC).") from error
