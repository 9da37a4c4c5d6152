"""Use cases: what scored a circuit when, made live by which release, approved by whom, on which evidence."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from shared.application.ports import Ports
from shared.domain.errors import RequestRefused
from shared.domain.model import Circuit, EndpointLock, Environment, Gate, GateName, GateState, LedgerEntry, Release

MOST_SHOWN = 20
"""Times in full; what is older is in the API."""


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
    model: str = ""
    cutoff_date: str = ""


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


def circuit_view(circuit: Circuit, at: datetime | None, ports: Ports) -> CircuitView:
    """What the pipeline made live in Production, or what was live at one moment.

    Raises:
        RequestRefused: 404, nothing of this circuit was ever made live.
    """
    ledger = list(ports.endpoints.ledger(Environment.PRODUCTION, circuit))
    stored = ports.endpoints.lock(Environment.PRODUCTION, circuit)
    if not ledger and stored is None:
        detail = f"The pipeline has never made anything live for {circuit}. Ids are written as in the artifact."
        raise RequestRefused(404, "No such circuit", detail)
    ended: list[datetime | None] = [None, *(newer.activated_at for newer in ledger)]
    spans = list(zip(ledger, ended, strict=False))
    if at is not None:
        spans = [(entry, until) for entry, until in spans if entry.activated_at <= at][:1]
    return CircuitView(
        circuit=circuit,
        now=ports.clock.now(),
        times=[_time(entry, until, _origin(entry, ledger), ports) for entry, until in spans[:MOST_SHOWN]],
        older=max(0, len(spans) - MOST_SHOWN),
        at=at,
        lock=stored.row if stored else None,
    )


def _origin(entry: LedgerEntry, ledger: Sequence[LedgerEntry]) -> LedgerEntry:
    """Where this deployment went live for the first time: there it was approved; a rollback only brings it back."""
    return next(first for first in reversed(ledger) if first.deployment == entry.deployment)


def _time(entry: LedgerEntry, until: datetime | None, origin: LedgerEntry, ports: Ports) -> LiveTime:
    release = ports.releases.release(entry.release_id)
    found = ports.releases.release_and_gate(origin.release_id, GateName.PRODUCTION)
    run = ports.releases.release_and_run(origin.release_id, origin.circuit)
    gate = found[1].row if found and found[1] else None
    mine = run[1].row if run and run[1].row.deployment == origin.deployment else None
    return LiveTime(
        entry=entry,
        until=until,
        release=release.row if release else None,
        gate=gate if gate and gate.state is GateState.APPROVED else None,
        gate_release=found[0].row if found else None,
        model=f"{mine.model_name} {mine.model_version}" if mine else "",
        cutoff_date=mine.cutoff_date if mine else "",
    )


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
