"""Use cases: which deployment an endpoint shall serve. The only code that writes a default is `converge`.

Azure ML's default can't be fenced (a full PUT without ETag), so everybody first writes what is wanted into the lock
row and then runs `converge`, which is safe for anyone at any time. Writers of `want` read the lock, then check that
their circuit run is still where it was, then write with the lock's ETag: a worker frozen in between loses, because
whoever moved the run on raises the fence.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from shared.application.ports import Endpoint, Ports, ProvisioningState, Versioned
from shared.application.settle import settle
from shared.application.work import Work
from shared.domain.errors import InvalidManifest, PermanentError
from shared.domain.model import Circuit, EndpointLock, Environment, LedgerEntry
from shared.domain.naming import release_seq
from shared.telemetry import log

LOOK_AGAIN = timedelta(seconds=5)
"""How soon to look at a switch under way: R44 gives a rollback two minutes."""
IMPORTED = "imported"
"""R59: the ledger's first row on an endpoint from before us."""


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


def take_lock(work: Work, ports: Ports) -> LockTaken | LockWaits | LockLost:
    """Own the circuit's production endpoint. Every taking raises the fence, also that of one's own lock.

    Raises:
        ConflictError: somebody else wrote the lock meanwhile.
    """
    release = work.release
    held = ports.endpoints.lock(Environment.PRODUCTION, work.run.circuit)
    if held and held.row.owner != release.release_id:
        if held.row.owner_seq > release.seq:
            return LockLost(owner=held.row.owner)
        owner = ports.releases.release(held.row.owner)
        if owner and not owner.row.is_terminal:
            return LockWaits(owner=held.row.owner)
    lock = _owned(work, Environment.PRODUCTION, held)
    etag = ports.endpoints.write_lock(lock, etag=held.etag if held else None)
    return LockTaken(lock=Versioned(row=lock, etag=etag))


def _owned(work: Work, environment: Environment, held: Versioned[EndpointLock] | None) -> EndpointLock:
    """The lock as ours, with the fence raised; what is wanted stays as it is."""
    owner, seq = work.release.release_id, work.release.seq
    if held is None:
        return EndpointLock(environment=environment, circuit=work.run.circuit, owner=owner, owner_seq=seq, fence=1)
    return replace(held.row, owner=owner, owner_seq=seq, fence=held.row.fence + 1)


# ----------------------------------------------------------------------------------------------- the ledger


def import_default(ports: Ports, taken: LockTaken, default: str) -> None:
    """R59: a default from before us becomes the ledger's first row, so that a rollback finds it.

    Raises:
        ConflictError: somebody else wrote the lock meanwhile.
    """
    lock = replace(taken.lock.row, fence=taken.lock.row.fence + 1, want=default)
    entry = _entry(ports, lock, previous="", release_id=IMPORTED, by=IMPORTED)
    ports.endpoints.write_lock(lock, etag=taken.lock.etag, ledger=entry)


def _entry(ports: Ports, lock: EndpointLock, *, previous: str, release_id: str, by: str) -> LedgerEntry:
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


# ------------------------------------------------------------------------------------------------ the want


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The lock row says what we want it to say."""

    lock: EndpointLock


@dataclass(frozen=True, slots=True, kw_only=True)
class NeverSwitched:
    """There is nothing to put back; the fence was raised, so nothing late can change that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MovedOn:
    """This message is late: the circuit run is no longer where it was. Nothing was written."""


def want_in_test(work: Work, ports: Ports) -> None:
    """Make the tested deployment Test's default, unless a newer release has passed there. Idempotent."""

    def attempt() -> None:
        run, release = work.run, work.release
        held = ports.endpoints.lock(Environment.TEST, run.circuit)
        if held and held.row.owner_seq > release.seq:
            return
        if held and (held.row.owner, held.row.want) == (release.release_id, run.deployment):
            return
        previous = held.row.want if held else _default(ports, Environment.TEST, run.test_endpoint)
        lock = replace(_owned(work, Environment.TEST, held), want=run.deployment, want_none=False)
        entry = _entry(ports, lock, previous=previous, release_id=release.release_id, by=_by(work))
        ports.endpoints.write_lock(lock, etag=held.etag if held else None, ledger=entry)

    settle(ports.clock, attempt)


def want_live(work: Work, ports: Ports) -> Wanted | LockLost | MovedOn:
    """Want the staged deployment as production's default. Idempotent: repeated, it adds no ledger row."""

    def attempt() -> Wanted | LockLost | MovedOn:
        held = ports.endpoints.lock(Environment.PRODUCTION, work.run.circuit)
        if held is None or held.row.owner != work.release.release_id:
            return LockLost(owner=held.row.owner if held else "nobody")
        if held.row.want == work.run.deployment:
            return Wanted(lock=held.row)
        if not _is_still_there(work, ports):
            return MovedOn()
        lock = replace(held.row, fence=held.row.fence + 1, want=work.run.deployment, want_none=False)
        previous = work.run.previous_deployment
        entry = _entry(ports, lock, previous=previous, release_id=work.release.release_id, by=_by(work))
        ports.endpoints.write_lock(lock, etag=held.etag, ledger=entry)
        return Wanted(lock=lock)

    return settle(ports.clock, attempt)


def want_previous(work: Work, ports: Ports) -> Wanted | NeverSwitched | LockLost | MovedOn:
    """Want the frozen previous deployment (or none, D11) back. The first time it always raises the fence."""

    def attempt() -> Wanted | NeverSwitched | LockLost | MovedOn:
        run, release = work.run, work.release
        held = ports.endpoints.lock(Environment.PRODUCTION, run.circuit)
        if held is None or held.row.owner != release.release_id:
            return LockLost(owner=held.row.owner if held else "nobody")
        back = replace(held.row, want=run.previous_deployment, want_none=not run.previous_deployment)
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
    entry = _entry(
        ports, back, previous=held.row.want, release_id=work.release.release_id, by=f"{_by(work)}, reverting"
    )
    ports.endpoints.write_lock(back, etag=held.etag, ledger=entry if changes else None)
    return Wanted(lock=back)


def raise_fence(work: Work, ports: Ports) -> None:
    """Make whoever still holds an older reading of our lock lose."""

    def attempt() -> None:
        held = ports.endpoints.lock(Environment.PRODUCTION, work.run.circuit)
        if held and held.row.owner == work.release.release_id:
            ports.endpoints.write_lock(replace(held.row, fence=held.row.fence + 1), etag=held.etag)

    settle(ports.clock, attempt)


def _is_still_there(work: Work, ports: Ports) -> bool:
    found = ports.releases.release_and_run(work.release.release_id, work.run.circuit)
    return found is not None and (found[1].row.phase, found[1].row.gen) == (work.run.phase, work.run.gen)


def _default(ports: Ports, environment: Environment, name: str) -> str:
    endpoint = ports.models.endpoint(environment, name)
    return endpoint.default if endpoint else ""


def _by(work: Work) -> str:
    return f"release {work.release.release_id}"


# ------------------------------------------------------------------------------------------------ converge


@dataclass(frozen=True, slots=True, kw_only=True)
class Converged:
    """Default and want were read and agree, and the fence did not move meanwhile."""

    default: str
    lock: EndpointLock | None
    """None, or without any want: nothing is wanted of this endpoint, so it was left alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Converging:
    """Not there yet: look again in `LOOK_AGAIN`."""

    why: str


def converge(environment: Environment, circuit: Circuit, endpoint_name: str, ports: Ports) -> Converged | Converging:
    """Bring an endpoint's default one step nearer to what its lock row wants. Re-entrant, never blocks.

    Raises:
        PermanentError: the endpoint is gone.
    """
    before = ports.endpoints.lock(environment, circuit)
    lock = before.row if before else None
    if lock is None or not (lock.want or lock.want_none):
        return Converged(default="", lock=lock)
    endpoint = ports.models.endpoint(environment, endpoint_name)
    if endpoint is None:
        raise PermanentError(f"{circuit}: endpoint {endpoint_name} does not exist in {environment}")
    if endpoint.state is ProvisioningState.RUNNING:
        return Converging(why=f"{endpoint_name} is being changed")
    if endpoint.state is not ProvisioningState.SUCCEEDED or endpoint.default != lock.want:
        return _switch(ports, lock, endpoint)
    after = ports.endpoints.lock(environment, circuit)
    if after is None or (after.row.fence, after.row.want) != (lock.fence, lock.want):
        return Converging(why=f"the lock of {endpoint_name} moved meanwhile")
    return Converged(default=endpoint.default, lock=after.row)


def _switch(ports: Ports, lock: EndpointLock, endpoint: Endpoint) -> Converging:
    log.info(
        "switching default",
        action="switching_default",
        environment=lock.environment,
        circuit=lock.circuit,
        endpoint=endpoint.name,
        source=endpoint.default,
        target=lock.want,
        fence=lock.fence,
    )
    if lock.want:
        ports.models.set_default(lock.environment, endpoint.name, lock.want)
    else:
        ports.models.clear_default(lock.environment, endpoint.name)
    return Converging(why=f"{endpoint.name} is being switched to {lock.want or 'no default'}")
