"""Use cases: what else a rollback touches: releases at work or waiting with the same circuits, and newer ones."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from shared.application.locks import ACCEPTED
from shared.application.ports import Ports
from shared.domain.model import (
    NEUTRAL,
    Circuit,
    EndpointLock,
    Environment,
    LedgerEntry,
    ProcessKind,
    Release,
    ReleasePhase,
)
from shared.domain.naming import deployment_name, is_rollback, release_seq, timestamp

MOST_NAMED = 5
SWITCHING = frozenset({ReleasePhase.STAGING_PRODUCTION, ReleasePhase.ACTIVATING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Newer:
    """A release that is newer than the one that is to go back, on the same circuits."""

    release_id: str
    circuits: Sequence[Circuit]
    is_at_work: bool
    """It has not ended: a rollback wins over it (D11)."""

    @property
    def told(self) -> str:
        what = "is being activated" if self.is_at_work else "has been activated since"
        return f"release {self.release_id} is newer and {what} on {_named(self.circuits)}"


def newer_releases(release_id: str, locks: Mapping[Circuit, EndpointLock], ports: Ports) -> tuple[Newer, ...]:
    """Those whose deployments shall be live where this release's was; what a rollback has put back is none of them."""
    makers: dict[str, list[Circuit]] = {}
    for circuit, lock in sorted(locks.items()):
        is_newer = not is_rollback(lock.owner) and lock.owner_seq > release_seq(release_id)
        if is_newer and lock.want == deployment_name(lock.owner):
            makers.setdefault(lock.owner, []).append(circuit)
    found = {maker: ports.releases.release(maker) for maker in makers}
    return tuple(
        Newer(release_id=maker, circuits=circuits, is_at_work=not stored.row.is_terminal)
        for maker, circuits in makers.items()
        if (stored := found[maker])
    )


def newer_on(earlier_id: str, release_id: str, ports: Ports) -> Newer | None:
    """A newer release and the circuits that both have, however far it has come; None: it is not newer, or shares none."""
    found = [ports.releases.release(each) for each in (release_id, earlier_id)]
    if any(stored is None or stored.row.kind is not ProcessKind.RELEASE for stored in found):
        return None
    here, there = ({run.row.circuit for run in ports.releases.runs(each)} for each in (release_id, earlier_id))
    if release_seq(release_id) <= release_seq(earlier_id) or not here & there:
        return None
    at_work = found[0] is not None and not found[0].row.is_terminal
    return Newer(release_id=release_id, circuits=sorted(here & there), is_at_work=at_work)


def affected(circuits: Collection[Circuit], environment: Environment, ports: Ports) -> tuple[str, ...]:
    """Releases that have not ended and have these circuits, a sentence each. In Test nobody waits for anything."""
    if environment is Environment.TEST or not circuits:
        return ()
    told: list[str] = []
    for release_id in ports.releases.active_release_ids():
        stored = ports.releases.release(release_id)
        if stored is None or stored.row.is_terminal or stored.row.kind is not ProcessKind.RELEASE:
            continue
        runs = (found.row for found in ports.releases.runs(release_id))
        mine = sorted(run.circuit for run in runs if run.circuit in circuits and run.phase not in NEUTRAL)
        if mine:
            told.append(_affected(stored.row, mine))
    return tuple(sorted(told))


def _affected(release: Release, circuits: Sequence[Circuit]) -> str:
    what = f"release {release.release_id} is {str(release.phase).replace('_', ' ')} with {_named(circuits)}"
    if release.phase in SWITCHING:
        return f"{what}: the rollback wins, it leaves them out, and its other circuits go on"
    if release.phase is ReleasePhase.REVERTING:
        return f"{what}: the rollback wins"
    return f"{what}: it will leave them out as long as they are held"


def how_it_came(ledger: Sequence[LedgerEntry], ports: Ports) -> str:
    """What made the newest row's deployment the one that should be live, when and why (rows come newest first)."""
    if not ledger:
        return ""
    newest = ledger[0]
    at, stored = timestamp(newest.activated_at), ports.releases.release(newest.release_id)
    if is_rollback(newest.release_id):
        why = f", because {stored.row.reason_asked}" if stored and stored.row.reason_asked else ""
        return f"rolled back at {at} by {newest.by}{why} ({newest.release_id})"
    if newest.release_id == ACCEPTED:
        return f"accepted at {at} by {newest.by}"
    verb = "has been activating it since" if stored and not stored.row.is_terminal else "made it live at"
    return f"release {newest.release_id} {verb} {at}"


def _named(circuits: Sequence[Circuit]) -> str:
    hidden = len(circuits) - MOST_NAMED
    more = f" and {hidden} more" if hidden > 0 else ""
    return ", ".join(map(str, circuits[:MOST_NAMED])) + more
