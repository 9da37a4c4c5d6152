"""Use cases: the holds of a circuit, one after the other: set and lifted, by whom, why, until when."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from shared.application.ports import Ports
from shared.domain.model import Circuit, EndpointLock, Environment, HoldEntry
from shared.domain.naming import timestamp


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """One hold from its beginning to its end."""

    entry: HoldEntry
    ended_at: datetime
    """When it ends, has run out, was lifted, or another one took its place."""
    lifted: HoldEntry | None = None
    """By whom and why; None: nobody has lifted it."""

    def was_open(self, at: datetime) -> bool:
        """Did it keep releases from activating the circuit then? Times are told to the second, so asked to it."""
        return self.entry.at.replace(microsecond=0) <= at < self.ended_at


def hold_history(circuit: Circuit, ports: Ports, lock: EndpointLock | None) -> Sequence[Hold]:
    """All holds in Production, newest first. `lock` is the circuit's; one from before there was a history counts too."""
    if lock is None:
        return ()
    entries = ports.endpoints.holds(Environment.PRODUCTION, circuit) if lock.holds else _only(lock)
    return tuple(hold_spans(entries))


def _only(lock: EndpointLock) -> Sequence[HoldEntry]:
    if lock.hold_until is None or lock.hold_since is None:
        return ()
    entry = HoldEntry(
        environment=lock.environment,
        circuit=lock.circuit,
        number=0,
        at=lock.hold_since,
        by=lock.hold_by,
        why=lock.hold_why,
        until=lock.hold_until,
    )
    return (entry,)


def hold_spans(entries: Sequence[HoldEntry]) -> Iterator[Hold]:
    """Rows (newest first) as holds from their beginning to their end."""
    newer: HoldEntry | None = None
    for entry in entries:
        if entry.until is not None:
            lifted = newer if newer and newer.until is None and newer.at < entry.until else None
            yield Hold(entry=entry, ended_at=_end(entry, newer), lifted=lifted)
        newer = entry


def hold_then(holds: Sequence[Hold], at: datetime) -> Hold | None:
    """The one that was open at that moment."""
    return next((hold for hold in holds if hold.was_open(at)), None)


def hold_json(hold: Hold) -> Mapping[str, object]:
    """For the API."""
    entry, lifted = hold.entry, hold.lifted
    return {
        "since": timestamp(entry.at),
        "until": timestamp(entry.until) if entry.until else None,
        "by": entry.by,
        "reason": entry.why,
        "rollback_id": entry.release_id,
        "ended_at": timestamp(hold.ended_at),
        "lifted": {"at": timestamp(lifted.at), "by": lifted.by, "reason": lifted.why} if lifted else None,
    }


def past_holds(entries: Sequence[HoldEntry], before: datetime) -> Sequence[int]:
    """The numbers of rows (newest first) whose time was over before then."""
    newer = (None, *entries)
    return [entry.number for entry, after in zip(entries, newer, strict=False) if _end(entry, after) < before]


def _end(entry: HoldEntry, newer: HoldEntry | None) -> datetime:
    """Of one that was set; the other kind only marks an end."""
    if entry.until is None:
        return entry.at
    return entry.until if newer is None else min(entry.until, newer.at)
