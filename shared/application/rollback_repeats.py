"""Use cases: what of a rollback request an earlier rollback has answered already (D13); nothing is written.

A double click, a repeat, a second person by another way, or a request on outdated knowledge must not take a circuit one
further back than anybody wanted. Each circuit is judged by itself, by the rollback that owns its lock.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.application.ports import Ports
from shared.application.rollback_request import Locks, RollbackRequest
from shared.domain.model import Circuit, CircuitRun, EndpointLock, Release
from shared.domain.naming import deployment_name, is_rollback

SAME_REQUEST_FOR = timedelta(minutes=10)
"""D13: what was put back within this time is only gone back from if the request says that it knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Owner:
    """The rollback that has a circuit's endpoint, and its own row of that circuit."""

    rollback: Release
    run: CircuitRun


def answered(request: RollbackRequest, locks: Locks, ports: Ports) -> Mapping[Circuit, Release]:
    """The circuits of the request for which nothing is left to do, and the rollback that did it or is at it."""
    wanted = {circuit: lock for circuit, lock in locks.items() if lock and lock.want}
    owners = {circuit: owner for circuit, lock in wanted.items() if (owner := _owner(lock, ports))}
    if same := _still_runs(request, wanted, owners):
        return dict.fromkeys(locks, same)
    now, found = ports.clock.now(), dict[Circuit, Release]()
    for circuit, lock in wanted.items():
        owner = owners.get(circuit)
        if owner and _is_answered(request, lock, owner, now):
            found[circuit] = owner.rollback
        elif earlier := _took_away(request, lock, ports):
            found[circuit] = earlier
    return found


def _owner(lock: EndpointLock, ports: Ports) -> _Owner | None:
    """None: the endpoint is no rollback's, or something else than what that brought back is wanted since."""
    found = ports.releases.release_and_run(lock.owner, lock.circuit) if is_rollback(lock.owner) else None
    if found is None or found[1].row.target != lock.want:
        return None
    return _Owner(rollback=found[0].row, run=found[1].row)


def _still_runs(
    request: RollbackRequest, wanted: Mapping[Circuit, EndpointLock], owners: Mapping[Circuit, _Owner]
) -> Release | None:
    """The very same request, whose rollback has not come to all circuits yet."""
    asked = fingerprint(request)
    at_it = (owner.rollback for owner in owners.values() if not owner.rollback.is_terminal)
    same = next((rollback for rollback in at_it if rollback.request_digest == asked), None)
    news = any(_knows_more(request, wanted[circuit], owner) for circuit, owner in owners.items())
    return None if news else same


def _is_answered(request: RollbackRequest, lock: EndpointLock, owner: _Owner, now: datetime) -> bool:
    has_ended, seen = owner.rollback.is_terminal, request.seen.get(lock.circuit)
    if (has_ended and lock.leaves) or _knows_more(request, lock, owner):
        return False
    if seen not in {None, owner.run.leaves, lock.want}:
        return False
    if seen not in {None, lock.want, lock.live}:
        return True  # it is live no more, and this rollback took it away
    is_recent = now - owner.rollback.created_at < SAME_REQUEST_FOR
    return request.to in {"", lock.want} and (is_recent or not has_ended)


def _knows_more(request: RollbackRequest, lock: EndpointLock, owner: _Owner) -> bool:
    """Does the request name as what shall go the very one that was brought back?"""
    made = deployment_name(request.release_id) if request.release_id else ""
    named = request.seen.get(lock.circuit) or made
    return not lock.leaves and named == lock.want != owner.run.leaves


def _took_away(request: RollbackRequest, lock: EndpointLock, ports: Ports) -> Release | None:
    """An earlier rollback, if that is why what the caller said is live no more; none if a release came after it."""
    seen = request.seen.get(lock.circuit)
    if seen in {None, lock.want, lock.live}:
        return None
    for row in ports.endpoints.ledger(lock.environment, lock.circuit):
        if row.deployment == seen or not is_rollback(row.release_id):
            return None
        if row.previous == seen:
            stored = ports.releases.release(row.release_id)
            return stored.row if stored else None
    return None


def fingerprint(request: RollbackRequest) -> str:
    """Equal for identical requests, whoever sends them."""
    circuits, only = (",".join(sorted(map(str, names))) for names in (request.circuits, request.only))
    said: tuple[str, ...] = (request.environment, request.release_id, request.plant_id, circuits, only, request.to)
    if request.within:
        said = (*said, ",".join(sorted(map(str, request.within))))
    return hashlib.sha256("|".join(said).encode()).hexdigest()
