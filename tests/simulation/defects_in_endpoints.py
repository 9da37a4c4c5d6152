"""Defects in locks, holds, want and converge: each must be caught."""

from dataclasses import replace
from typing import Any

from shared.application import convergence, locks, rollback_records, wants
from shared.application import worker as worker_module
from shared.application.drift import Drift
from shared.application.locks import LockTaken, LockWaits
from shared.application.ports import Update, Versioned
from shared.application.steps import activate, deploy, restore
from shared.application.worker import Worker
from shared.domain.events import CircuitLiveAgain
from shared.domain.model import EndpointLock
from shared.domain.naming import release_seq
from tests.simulation.defects import Mutant, Patches


def locks_are_taken_from_live_releases(patches: Patches) -> None:
    take = locks.take_lock

    def greedy(work: Any, ports: Any) -> Any:
        taken = take(work, ports)
        if not isinstance(taken, LockWaits):
            return taken
        held = ports.endpoints.lock(locks.Environment.PRODUCTION, work.run.circuit)
        lock = locks.owned_lock(work, locks.Environment.PRODUCTION, held)
        etag = ports.endpoints.write_lock(lock, etag=held.etag)
        return LockTaken(lock=Versioned(row=lock, etag=etag))

    patches.set(deploy, "take_lock", greedy)


def locks_are_never_released(patches: Patches) -> None:
    """The end of its release does not free a lock."""
    take = locks.take_lock

    def hoarding(work: Any, ports: Any) -> Any:
        held = ports.endpoints.lock(locks.Environment.PRODUCTION, work.run.circuit)
        if held and held.row.owner != work.release.release_id and held.row.owner_seq < work.release.seq:
            return LockWaits(owner=held.row.owner)
        return take(work, ports)

    patches.set(deploy, "take_lock", hoarding)


def older_releases_take_locks_too(patches: Patches) -> None:
    """A newer release has had the endpoint, and an older one takes it all the same."""
    look_newest(patches, locks.take_lock, used_in=deploy, owned_in=locks)


def look_newest(patches: Patches, use: Any, *, used_in: Any, owned_in: Any) -> None:
    """Whoever asks is taken for the newest release; what is written says the truth."""
    owned = owned_in.owned_lock

    def young(work: Any, ports: Any) -> Any:
        return use(replace(work, release=replace(work.release, seq=99_999_999_999_999)), ports)

    def honest(work: Any, environment: Any, held: Any) -> EndpointLock:
        return replace(owned(work, environment, held), owner_seq=release_seq(work.release.release_id))

    patches.set(used_in, use.__name__, young)
    patches.set(owned_in, "owned_lock", honest)


def holds_are_ignored(patches: Patches) -> None:
    patches.set(EndpointLock, "is_held", lambda _self, _now: False)


def a_rollback_sets_no_hold(patches: Patches) -> None:
    rolled_back = wants._rolled_back

    def free(work: Any, ports: Any, held: Any) -> EndpointLock:
        return replace(rolled_back(work, ports, held), hold_until=None)

    patches.set(wants, "_rolled_back", free)


def taking_a_lock_does_not_raise_the_fence(patches: Patches) -> None:
    owned = locks.owned_lock

    def flat(work: Any, environment: Any, held: Any) -> EndpointLock:
        lock = owned(work, environment, held)
        return replace(lock, fence=held.row.fence) if held else lock

    patches.set(locks, "owned_lock", flat)


def a_switch_under_way_is_skipped(patches: Patches) -> None:
    """What the simulation found in our own code: a first activation was left switched when its sibling failed."""

    def careless(work: Any, ports: Any) -> bool:
        held = ports.endpoints.lock(locks.Environment.PRODUCTION, work.run.circuit)
        if held and held.row.owner == work.release.release_id:
            ports.endpoints.write_lock(replace(held.row, fence=held.row.fence + 1), etag=held.etag)
        return True

    patches.set(activate, "raise_fence", careless)


def late_writers_are_not_put_right(patches: Patches) -> None:
    """Whoever stood still and wrote too late goes; nobody looks at what is live then."""
    patches.set(Worker, "_put_right", lambda *_args: None)


def want_is_not_read_again(patches: Patches) -> None:
    """The default is compared with what was wanted before it was looked at."""
    converge = convergence.converge

    def hasty(environment: Any, circuit: Any, name: str, ports: Any, **named: Any) -> Any:
        before = ports.endpoints.lock(environment, circuit)
        lock = before.row if before else None
        if lock is None or not (lock.want or lock.want_none):
            return converge(environment, circuit, name, ports, **named)
        endpoint = ports.models.endpoint(environment, name)
        if endpoint is None or endpoint.state is not convergence.ProvisioningState.SUCCEEDED:
            return converge(environment, circuit, name, ports, **named)
        if endpoint.default != lock.want:
            return convergence._switch(ports, lock, endpoint)
        return convergence.Converged(default=endpoint.default, lock=lock)

    for module in (activate, restore, convergence, worker_module):
        patches.set(module, "converge", hasty)


def late_deploys_are_not_put_right(patches: Patches) -> None:
    """What the simulation found in our own code: making an endpoint too late clears the default that came meanwhile."""
    patches.set(worker_module, "MAY_CHANGE_DEFAULTS", worker_module.WRITES_DEFAULTS)


def everybody_writes_his_own_default(patches: Patches) -> None:
    """No converge: a release PUTs its deployment, whatever is wanted by the time the PUT is made."""
    want = activate.want_live

    def own(work: Any, ports: Any) -> Any:
        wanted = want(work, ports)
        if isinstance(wanted, wants.Wanted):
            endpoint = ports.models.endpoint(locks.Environment.PRODUCTION, work.run.endpoint)
            if endpoint and endpoint.default != work.run.deployment:
                ports.models.set_default(locks.Environment.PRODUCTION, work.run.endpoint, work.run.deployment)
        return wanted

    patches.set(activate, "want_live", own)
    patches.set(Worker, "_put_right", lambda *_args: None)


def previous_is_what_the_approver_saw(patches: Patches) -> None:
    freeze = deploy._freeze

    def early(work: Any, ports: Any, taken: Any) -> Any:
        found = freeze(work, ports, taken)
        if isinstance(found, deploy.ProductionLocked):
            return replace(found, previous_deployment=work.run.live_deployment)
        return found

    patches.set(deploy, "_freeze", early)


def previous_is_read_after_the_switch(patches: Patches) -> None:
    """Known failure 7: on a second look the live default is the deployment itself."""
    wanted = activate.want_live

    def late(work: Any, ports: Any) -> Any:
        held = ports.endpoints.lock(locks.Environment.PRODUCTION, work.run.circuit)
        endpoint = ports.models.endpoint(locks.Environment.PRODUCTION, work.run.endpoint)
        if held and held.row.owner == work.release.release_id and endpoint and endpoint.default:
            found = ports.releases.release_and_run(work.release.release_id, work.run.circuit)
            row = replace(found[1].row, previous_deployment=endpoint.default)
            if row != found[1].row:
                ports.releases.commit(Update(row=row, etag=found[1].etag))
        return wanted(work, ports)

    patches.set(activate, "want_live", late)


def a_failed_activation_is_not_reverted(patches: Patches) -> None:
    def nothing(work: Any, ports: Any) -> Any:
        del work, ports
        return wants.NeverSwitched()

    patches.set(restore, "want_previous", nothing)


def the_earlier_rollback_wins(patches: Patches) -> None:
    """One that waited for its turn takes the endpoint from the correction that was asked for after it."""
    patches.set(wants, "_yields", lambda *_args: False)


def what_comes_back_is_not_live_again(patches: Patches) -> None:
    mark = rollback_records._Records._mark

    def forgetful(self: Any, maker: str, event: Any) -> None:
        if not isinstance(event, CircuitLiveAgain):
            mark(self, maker, event)

    patches.set(rollback_records._Records, "_mark", forgetful)


def a_way_back_is_never_seen_live(patches: Patches) -> None:
    """What is wanted was read as the default, and what it took away is still said to leave."""
    patches.set(restore, "note_seen_live", lambda *_args: None)


def drift_is_told_from_an_old_reading(patches: Patches) -> None:
    """What a reader found in our own code: rows read long before their endpoints, and told before they were written."""

    def hasty(drift: Any, stored: Any) -> Any:
        seen = None if stored.row.repair_by else drift._compare(stored)
        fresh = drift.ports.endpoints.lock(locks.Environment.PRODUCTION, stored.row.circuit)
        words = seen.difference.words if seen else fresh.row.drift
        if words == fresh.row.drift:
            return None
        lock = replace(fresh.row, drift=words, drift_since=drift.ports.clock.now() if words else None)
        drift.ports.endpoints.write_lock(lock, etag=fresh.etag)
        return lock if words else None

    patches.set(Drift, "_noted", hasty)


def activations_overwrite_what_somebody_changed(patches: Patches) -> None:
    """What was frozen is not compared with what is live when the switch begins."""
    want = activate.want_live

    def blind(work: Any, ports: Any) -> Any:
        wanted = want(work, ports)
        if not isinstance(wanted, wants.NotAsStaged):
            return wanted
        held = ports.endpoints.lock(locks.Environment.PRODUCTION, work.run.circuit)
        lock = replace(held.row, fence=held.row.fence + 1, want=work.run.deployment, want_none=False, leaves="")
        entry = locks.ledger_entry(
            ports, lock, previous=work.run.previous_deployment, release_id=work.release.release_id, by="nobody"
        )
        ports.endpoints.write_lock(lock, etag=held.etag, ledger=entry)
        return wants.Wanted(lock=lock)

    patches.set(activate, "want_live", blind)


DEFECTS = (
    Mutant.of("locks are taken from live releases", locks_are_taken_from_live_releases, "azure", "rough"),
    Mutant.of("locks are never released", locks_are_never_released, "quiet", "mild"),
    Mutant.of("older releases take locks too", older_releases_take_locks_too, "mild", "rough"),
    Mutant.of("holds are ignored", holds_are_ignored, "quiet", "mild"),
    Mutant.of("a rollback sets no hold", a_rollback_sets_no_hold, "quiet"),
    Mutant.of("taking a lock does not raise the fence", taking_a_lock_does_not_raise_the_fence, "quiet"),
    Mutant.of("a switch under way is skipped", a_switch_under_way_is_skipped, "stubborn"),
    Mutant.of("want is not read again", want_is_not_read_again, "standing", "freezing"),
    Mutant.of("late writers are not put right", late_writers_are_not_put_right, "standing", "overtaking"),
    Mutant.of("late deploys are not put right", late_deploys_are_not_put_right, "overtaking"),
    Mutant.of("everybody writes his own default", everybody_writes_his_own_default, "standing", "overtaking"),
    Mutant.of("the earlier rollback wins", the_earlier_rollback_wins, "quiet", "mild"),
    Mutant.of("what comes back is not live again", what_comes_back_is_not_live_again, "quiet", "mild"),
    Mutant.of("a way back is never seen live", a_way_back_is_never_seen_live, "quiet"),
    Mutant.of("previous is what the approver saw", previous_is_what_the_approver_saw, "quiet", "mild"),
    Mutant.of("previous is read after the switch", previous_is_read_after_the_switch, "mild"),
    Mutant.of("drift is told from an old reading", drift_is_told_from_an_old_reading, "azure", "rough"),
    Mutant.of("activations overwrite changes", activations_overwrite_what_somebody_changed, "quiet", "mild"),
    Mutant.of("a failed activation is not reverted", a_failed_activation_is_not_reverted, "azure", "rough"),
)
