"""Use cases: who may change an endpoint's default, and the ledger of what was made its default.

Lock row and ledger row change in one transaction, so the chain of previous deployments can't break. Locks that wait
exist for production only: only newer waits for older, so there is no cycle.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from shared.application.ports import Ports, Versioned
from shared.application.work import Work
from shared.domain.errors import InvalidManifest
from shared.domain.model import CircuitRun, EndpointLock, Environment, HoldEntry, LedgerEntry
from shared.domain.naming import is_rollback, release_seq
from shared.domain.words import moment

IMPORTED = "imported"
"""R59: the ledger's first row on an endpoint from before us."""
ACCEPTED = "accepted"
"""A ledger row for a default that was changed outside and that an operator accepted."""


# ------------------------------------------------------------------------------------------------- the lock


@dataclass(frozen=True, slots=True, kw_only=True)
class LockTaken:
    lock: Versioned[EndpointLock]


@dataclass(frozen=True, slots=True, kw_only=True)
class LockWaits:
    """An older release that is still under way owns the endpoint."""

    owner: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LockLost:
    """A newer release holds or held the endpoint, or a rollback took it."""

    owner: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LockOnHold:
    """After a rollback, until the hold ends or is lifted; `why` says since when and by whom."""

    why: str


def take_lock(work: Work, ports: Ports) -> LockTaken | LockWaits | LockLost | LockOnHold:
    """Own the circuit's production endpoint. Every taking raises the fence, also that of one's own lock.

    The owner's row may change after the look: an older release that is retried then finds this newer owner and yields.

    Raises:
        ConflictError: somebody else wrote the lock meanwhile.
    """
    release = work.release
    held = ports.endpoints.lock(Environment.PRODUCTION, work.run.circuit)
    if held and held.row.is_held(ports.clock.now()):
        return LockOnHold(why=hold_told(held.row))
    if held and held.row.owner != release.release_id:
        if held.row.owner_seq > release.seq:
            return LockLost(owner=held.row.owner)
        owner = ports.releases.release(held.row.owner)
        if owner and not owner.row.is_terminal:
            return LockWaits(owner=held.row.owner)
    lock = owned_lock(work, Environment.PRODUCTION, held)
    etag = ports.endpoints.write_lock(lock, etag=held.etag if held else None)
    return LockTaken(lock=Versioned(row=lock, etag=etag))


def owned_lock(work: Work, environment: Environment, held: Versioned[EndpointLock] | None) -> EndpointLock:
    """The lock as ours, with the fence raised; what is wanted stays as it is."""
    owner, seq = work.release.release_id, work.release.seq
    if held is None:
        return EndpointLock(environment=environment, circuit=work.run.circuit, owner=owner, owner_seq=seq, fence=1)
    return replace(held.row, owner=owner, owner_seq=seq, fence=held.row.fence + 1)


def hold_told(lock: EndpointLock) -> str:
    """Since when, by whom, why, and until when a circuit is held."""
    since = moment(lock.hold_since) if lock.hold_since else "an unknown time"
    until = moment(lock.hold_until) if lock.hold_until else "lifted"
    return f"held since {since}, by {lock.hold_by}, because {lock.hold_why or 'no reason was given'} (until {until})"


def hold_entry(lock: EndpointLock, ports: Ports, *, release_id: str = "") -> HoldEntry:
    """The row of the holds' history that belongs to this lock, whose hold was just set or lifted."""
    return HoldEntry(
        environment=lock.environment,
        circuit=lock.circuit,
        number=lock.holds,
        at=lock.hold_since or ports.clock.now(),
        by=lock.hold_by,
        why=lock.hold_why,
        until=lock.hold_until,
        release_id=release_id,
    )


def newer_told(lock: EndpointLock, release_id: str) -> str:
    """The newer release that has or had the endpoint, so that this one will leave the circuit alone; empty: none."""
    if lock.owner == release_id or lock.owner_seq <= release_seq(release_id):
        return ""
    owner = lock.owner if is_rollback(lock.owner) else f"release {lock.owner}"
    return f"{owner} is newer and holds the production endpoint ({lock.want or 'nothing'} shall be live on it)"


MARKS = ("hold", "drift", "newer", "wanted")
"""Evidence that stands in a circuit's lock row; `wanted` is what this app wants live, so that it says when that moves."""


def marks(ports: Ports, run: CircuitRun, known: Mapping[str, object]) -> dict[str, object]:
    """Evidence of a hold, of drift, of a newer release and of what is wanted on the circuit's production endpoint.

    Empty text takes back what was `known`.
    """
    stored = ports.endpoints.lock(Environment.PRODUCTION, run.circuit)
    found = marks_of(stored.row if stored else None, run.release_id, ports.clock.now())
    return {name: words for name, words in found.items() if words or name in known}


def marks_of(lock: EndpointLock | None, release_id: str, now: datetime) -> Mapping[str, str]:
    """What a lock row says to the approvers of a release; empty texts: nothing."""
    if lock is None:
        return dict.fromkeys(MARKS, "")
    told = (
        hold_told(lock) if lock.is_held(now) else "",
        lock.drift,
        newer_told(lock, release_id),
        lock.want,
    )
    return dict(zip(MARKS, told, strict=True))


# ----------------------------------------------------------------------------------------------- the ledger


def import_default(ports: Ports, taken: LockTaken, default: str) -> None:
    """R59: a default from before us becomes the ledger's first row, so that a rollback finds it.

    That there is none was read under `taken`: ledger rows come with a write of the lock only, which would make this fail.

    Raises:
        ConflictError: somebody else wrote the lock meanwhile.
    """
    lock = replace(taken.lock.row, fence=taken.lock.row.fence + 1, want=default)
    entry = ledger_entry(ports, lock, previous="", release_id=IMPORTED, by=IMPORTED)
    ports.endpoints.write_lock(lock, etag=taken.lock.etag, ledger=entry)


def ledger_entry(ports: Ports, lock: EndpointLock, *, previous: str, release_id: str, by: str) -> LedgerEntry:
    return LedgerEntry(
        environment=lock.environment,
        circuit=lock.circuit,
        fence=lock.fence,
        deployment=lock.want,
        previous=previous,
        release_id=release_id,
        activated_at=ports.clock.now(),
        by=by,
    )


def activation_by(ledger: Sequence[LedgerEntry], release_id: str, deployment: str) -> LedgerEntry | None:
    """The newest row (they come newest first) with which a release made a deployment live."""
    return next((row for row in ledger if (row.release_id, row.deployment) == (release_id, deployment)), None)


def was_set_by_older_release(ledger: Sequence[LedgerEntry], default: str, seq: int) -> bool:
    """Did one of our own older releases put this default there? Rollbacks and imports are no releases."""
    newest = ledger[0] if ledger else None
    if newest is None or newest.deployment != default:
        return False
    try:
        return release_seq(newest.release_id) < seq
    except InvalidManifest:
        return False
