"""Use cases: which deployment an endpoint shall serve, written into its lock row with the ledger row that belongs to it.

Azure ML's default can't be fenced (a full PUT without ETag), so everybody first writes what is wanted into the lock
row and then converges on it. Writers of `want` read the lock, then check that their circuit run is still where it was,
then write with the lock's ETag: a worker frozen in between loses, because whoever moved the run on raises the fence.
"""

from dataclasses import dataclass, replace

from shared.application.locks import LockLost, activation_by, hold_entry, hold_told, ledger_entry, owned_lock
from shared.application.plans import KNEW_FENCE
from shared.application.ports import Endpoint, Ports, ProvisioningState, Versioned
from shared.application.settle import settle
from shared.application.work import Work
from shared.domain.model import EndpointLock, Environment
from shared.domain.naming import is_rollback

MOST_HOLD_WHY = 1000
"""Characters: a reason has at most 500, and one rollback after the other adds its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The lock row says what we want it to say."""

    lock: EndpointLock
    seen: Endpoint | None = None
    """The endpoint as it was looked at right before, with another default; None: it was not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NeverSwitched:
    """There is nothing to put back; the fence was raised, so nothing late can change that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MovedOn:
    """This message is late: the circuit run is no longer where it was. Nothing was written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotAsSeen:
    """Something else than the caller said is live by now. Nothing was written."""

    live: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotAsStaged:
    """Somebody changed the default after it was frozen, before we wanted anything. Nothing was written."""

    default: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BeingChanged:
    """Somebody is changing the endpoint right now: what its default will be can't be said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OnHold:
    """Somebody held the circuit before we wanted anything; the fence was raised, so nothing late can change that."""

    why: str


def want_in_test(work: Work, ports: Ports) -> MovedOn | None:
    """Make the tested deployment Test's default, unless a newer release has passed there. Idempotent."""

    def attempt() -> MovedOn | None:
        run, release = work.run, work.release
        held = ports.endpoints.lock(Environment.TEST, run.circuit)
        if held and held.row.owner_seq > release.seq:
            return None
        if held and (held.row.owner, held.row.want) == (release.release_id, run.deployment):
            return None
        if not _is_still_there(work, ports):
            return MovedOn()
        previous = held.row.want if held else _default(ports, Environment.TEST, run.test_endpoint)
        lock = replace(owned_lock(work, Environment.TEST, held), want=run.deployment, want_none=False, leaves="")
        entry = ledger_entry(ports, lock, previous=previous, release_id=release.release_id, by=_by(work))
        ports.endpoints.write_lock(lock, etag=held.etag if held else None, ledger=entry)
        return None

    return settle(ports.clock, attempt)


def want_live(work: Work, ports: Ports) -> Wanted | LockLost | MovedOn | OnHold | NotAsStaged | BeingChanged:
    """Want the staged deployment as production's default. Idempotent: repeated, it adds no ledger row.

    Before the first time the default is compared with what was frozen: what somebody changed since is not overwritten.
    """

    def attempt() -> Wanted | LockLost | MovedOn | OnHold | NotAsStaged | BeingChanged:
        run = work.run
        held = ports.endpoints.lock(Environment.PRODUCTION, run.circuit)
        if held is None or held.row.owner != work.release.release_id:
            return LockLost(owner=held.row.owner if held else "nobody")
        if held.row.want == run.deployment:
            return Wanted(lock=held.row)
        if not _is_still_there(work, ports):
            return MovedOn()
        if held.row.is_held(ports.clock.now()):
            ports.endpoints.write_lock(replace(held.row, fence=held.row.fence + 1), etag=held.etag)
            return OnHold(why=hold_told(held.row))
        endpoint = ports.models.endpoint(Environment.PRODUCTION, run.endpoint)
        if endpoint and endpoint.state is ProvisioningState.RUNNING:
            return BeingChanged()
        default = endpoint.default if endpoint else ""
        if default not in {run.previous_deployment, run.deployment}:
            return NotAsStaged(default=default)
        lock = replace(held.row, fence=held.row.fence + 1, want=run.deployment, want_none=False, leaves="")
        entry = ledger_entry(
            ports, lock, previous=run.previous_deployment, release_id=work.release.release_id, by=_by(work)
        )
        ports.endpoints.write_lock(lock, etag=held.etag, ledger=entry)
        return Wanted(lock=lock, seen=endpoint if default != run.deployment else None)

    return settle(ports.clock, attempt)


def want_previous(work: Work, ports: Ports) -> Wanted | NeverSwitched | LockLost | MovedOn:
    """Want the frozen previous deployment (or none, D11) back. The first time it always raises the fence."""

    def attempt() -> Wanted | NeverSwitched | LockLost | MovedOn:
        run, release = work.run, work.release
        held = ports.endpoints.lock(Environment.PRODUCTION, run.circuit)
        if held is None or held.row.owner != release.release_id:
            return LockLost(owner=held.row.owner if held else "nobody")
        back = held.row.goes_back_to(run.previous_deployment)
        if back == held.row and run.fence == held.row.fence:
            return Wanted(lock=back)
        if not _is_still_there(work, ports):
            return MovedOn()
        if activation_by(
            ports.endpoints.ledger(Environment.PRODUCTION, run.circuit), release.release_id, run.deployment
        ):
            return _put_back(work, ports, held, replace(back, fence=back.fence + 1))
        ports.endpoints.write_lock(replace(held.row, fence=held.row.fence + 1), etag=held.etag)
        return NeverSwitched()

    return settle(ports.clock, attempt)


def _put_back(work: Work, ports: Ports, held: Versioned[EndpointLock], back: EndpointLock) -> Wanted:
    changes = back.want != held.row.want
    entry = ledger_entry(
        ports, back, previous=held.row.want, release_id=work.release.release_id, by=f"{_by(work)}, reverting"
    )
    ports.endpoints.write_lock(back, etag=held.etag, ledger=entry if changes else None)
    return Wanted(lock=back)


def want_rolled_back(work: Work, ports: Ports) -> Wanted | LockLost | MovedOn | NotAsSeen:
    """Take the endpoint over from whoever has it, want the rollback's target, and set the hold. Idempotent.

    Of two rollbacks the one that was asked for later has its way, whichever comes first.
    """

    def attempt() -> Wanted | LockLost | MovedOn | NotAsSeen:
        run, environment = work.run, work.release.environment
        held = ports.endpoints.lock(environment, run.circuit)
        if held and held.row.owner == run.release_id:
            return Wanted(lock=held.row)
        if held and is_rollback(held.row.owner) and _yields(work, held.row, ports):
            return LockLost(owner=held.row.owner)
        if held and held.row.want != run.target and run.live_deployment not in {"", held.row.want, held.row.live}:
            return NotAsSeen(live=held.row.live)
        if not _is_still_there(work, ports):
            return MovedOn()
        lock = _rolled_back(work, ports, held)
        before = held.row.want if held else run.leaves
        entry = ledger_entry(ports, lock, previous=before, release_id=run.release_id, by=work.release.requested_by)
        # A release that is just being activated may not have wanted its own deployment yet.
        switches = before != lock.want
        ports.endpoints.write_lock(
            lock,
            etag=held.etag if held else None,
            ledger=entry if switches else None,
            hold=None if environment is Environment.TEST else hold_entry(lock, ports, release_id=run.release_id),
        )
        return Wanted(lock=lock)

    return settle(ports.clock, attempt)


def _rolled_back(work: Work, ports: Ports, held: Versioned[EndpointLock] | None) -> EndpointLock:
    """The seq stays: a newer release may pass later, and the one that was rolled back finds the hold.

    A hold that is open is never shortened, and why it was set stands beside the new reason.
    """
    run, release, now = work.run, work.release, ports.clock.now()
    before = (
        held.row
        if held
        else EndpointLock(
            environment=release.environment, circuit=run.circuit, owner=run.release_id, owner_seq=0, fence=0
        )
    )
    lock = replace(before.goes_back_to(run.target), owner=run.release_id, fence=before.fence + 1)
    lock = replace(lock, drift="", drift_since=None, repair_by="")
    if release.environment is Environment.TEST:
        return lock
    until, why = now + release.policy.hold, release.reason_asked
    if before.hold_until and before.is_held(now):
        until, why = max(until, before.hold_until), f"{why}; it was {hold_told(before)}"[:MOST_HOLD_WHY]
    return replace(
        lock, holds=lock.holds + 1, hold_since=now, hold_until=until, hold_by=release.requested_by, hold_why=why
    )


def _yields(work: Work, held: EndpointLock, ports: Ports) -> bool:
    """Was the rollback that owns the endpoint asked for after this one?

    What has had the endpoint was taken over by a later one, and what was asked for in knowledge of the owner is later
    itself, whatever the clocks of two hosts say.
    """
    mine, ledger = work.release, ports.endpoints.ledger(held.environment, held.circuit)
    if work.run.fence or any(row.release_id == mine.release_id for row in ledger):
        return True
    if held.fence == work.run.evidence.get(KNEW_FENCE):
        return False
    found = ports.releases.release(held.owner)
    return found is not None and (found.row.created_at, held.owner) > (mine.created_at, mine.release_id)


def raise_fence(work: Work, ports: Ports) -> bool:
    """Make whoever still holds an older reading of our lock lose. False: our deployment is wanted already."""

    def attempt() -> bool:
        held = ports.endpoints.lock(Environment.PRODUCTION, work.run.circuit)
        if held is None or held.row.owner != work.release.release_id:
            return True
        if held.row.want == work.run.deployment:
            return False
        ports.endpoints.write_lock(replace(held.row, fence=held.row.fence + 1), etag=held.etag)
        return True

    return settle(ports.clock, attempt)


def _is_still_there(work: Work, ports: Ports) -> bool:
    """Asked after the lock was read, and not again: who gives an activation up raises the fence first, so a late want loses.

    One of a rollback, or in Test, that comes later still is what was asked for, as long as nobody else had the lock since.
    """
    found = ports.releases.release_and_run(work.release.release_id, work.run.circuit)
    return found is not None and (found[1].row.phase, found[1].row.gen) == (work.run.phase, work.run.gen)


def _default(ports: Ports, environment: Environment, name: str) -> str:
    endpoint = ports.models.endpoint(environment, name)
    return endpoint.default if endpoint else ""


def _by(work: Work) -> str:
    return f"release {work.release.release_id}"
