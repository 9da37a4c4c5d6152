"""Deliberate defects, each switched on by itself: the simulation must catch every one, or it proves little.

`python -m tests.simulation.mutants` prints which seed caught what.
"""

import argparse
import itertools
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from shared.application import dead_letters, endpoints, fanout, locks, messages, notices, settle
from shared.application import slots as slots_module
from shared.application import sweeper as sweeper_module
from shared.application import worker as worker_module
from shared.application.dispatcher import Dispatcher
from shared.application.fanout import FanOutPage
from shared.application.gates import Gates
from shared.application.locks import LockTaken, LockWaits
from shared.application.ports import Insert, Update, Versioned
from shared.application.steps import activate, deploy, promote, restore, smoke_test
from shared.application.sweeper import Sweeper
from shared.application.worker import Worker
from shared.domain import process
from shared.domain.errors import IllegalTransition
from shared.domain.events import FanOutAdvanced
from shared.domain.model import FANOUT_END, EndpointLock, GateState, Round
from shared.domain.process import RoundOutcome
from tests.simulation.bus import SimBus
from tests.simulation.universe import Nets, simulate
from tests.support.fakes_state import FakeEndpointStore, FakeReleaseStore, FakeSlotStore

C, R = process.C, process.R
MOST_SEEDS = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One defect, and the weather in which it shows soonest."""

    name: str
    patch: Callable[["Patches"], None]
    profiles: Sequence[str] = ("",)
    nets: Sequence[Nets] = (Nets.ALL,)


class Patches:
    """Attributes and table entries that are put back afterwards."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], None]] = []

    def set(self, owner: Any, name: str, value: Any) -> None:
        before = owner.__dict__[name] if isinstance(owner, type) else getattr(owner, name)
        self._undo.append(lambda: setattr(owner, name, before))
        setattr(owner, name, value)

    def entry(self, table: Any, key: Any, value: Any) -> None:
        before = table[key]
        self._undo.append(lambda: table.__setitem__(key, before))
        table[key] = value

    def undo(self) -> None:
        for undo in reversed(self._undo):
            undo()


@contextmanager
def switched_on(mutant: Mutant) -> Iterator[None]:
    patches = Patches()
    try:
        mutant.patch(patches)
        yield
    finally:
        patches.undo()


# ----------------------------------------------------------------------------------------------- state


def rows_without_etag(patches: Patches) -> None:
    patches.set(FakeReleaseStore, "_check", lambda _self, _change: None)


def locks_without_etag(patches: Patches) -> None:
    def write_lock(self: FakeEndpointStore, lock: EndpointLock, *, etag: str | None, ledger: Any = None) -> str:
        del etag
        place = (lock.environment, lock.circuit)
        self.locks[place] = Versioned(row=lock, etag=self.new_etag())
        if ledger is not None:
            self.ledgers[place].append(ledger)
        return self.locks[place].etag

    patches.set(FakeEndpointStore, "write_lock", write_lock)


def slots_without_etag(patches: Patches) -> None:
    def write_slot(self: FakeSlotStore, slot: Any, etag: str) -> None:
        del etag
        self.known[slot.number] = Versioned(row=slot, etag=self.new_etag())

    patches.set(FakeSlotStore, "write_slot", write_slot)


def gate_and_release_apart(patches: Patches) -> None:
    def commit_release(self: Dispatcher, stored: Any, decision: Any, *changes: Any) -> Any:
        row = decision.row
        belonging = [change for command in decision.commands for change in self._changes(row, command)]
        for change in (*changes, *belonging):
            self.ports.releases.commit(change)
        self.ports.releases.commit(Update(row=row, etag=stored.etag))
        self.send(row, decision.commands)
        return row

    patches.set(Dispatcher, "commit_release", commit_release)


# --------------------------------------------------------------------------------------------- transitions


def any_edge_but_to_itself(patches: Patches) -> None:
    """The guard `not already there`, which a frozen worker walks through backwards."""
    targets = {event: target for (_, event), target in process.CIRCUIT_EDGES.items()}

    class Anything(dict):  # type: ignore[type-arg]  # asked for one key only
        def get(self, key: Any, default: Any = None) -> Any:
            target = targets.get(key[1], default)
            return None if target is key[0] else target

    patches.set(process, "CIRCUIT_EDGES", Anything())
    patches.set(Dispatcher, "_same_state", _whatever_state)


def _whatever_state(self: Dispatcher, run: Any) -> Any:
    found = self.ports.releases.release_and_run(run.release_id, run.circuit)
    return found[1] if found else None


def state_not_compared_after_a_conflict(patches: Patches) -> None:
    patches.set(Dispatcher, "_same_state", _whatever_state)


def stale_messages_run_steps(patches: Patches) -> None:
    def is_current(command: Any, run: Any) -> bool:
        return process.STEP_OF.get(run.phase) is command.kind

    patches.set(worker_module, "is_current", is_current)


def round_ends_before_its_fan_out(patches: Patches) -> None:
    def fan_in(self: Dispatcher, release_id: str, round_: Round, read_before: Any = None) -> None:
        del read_before

        def attempt() -> None:
            stored = self.ports.releases.release(release_id)
            if stored is None or process.ROUND_OF.get(stored.row.phase) is not round_:
                return
            if self.ports.releases.any_pending(release_id, round_):
                return
            ended = Versioned(row=replace(stored.row, fanout_cursor=FANOUT_END), etag=stored.etag)
            decision = process.decide_release(ended.row, self._round_ended(ended.row, round_))
            self.commit_release(stored, decision)

        settle.settle(self.ports.clock, attempt)

    patches.set(Dispatcher, "fan_in", fan_in)


def scan_before_the_release_is_read(patches: Patches) -> None:
    def fan_in(self: Dispatcher, release_id: str, round_: Round, read_before: Any = None) -> None:
        del read_before

        def attempt() -> None:
            pending = self.ports.releases.any_pending(release_id, round_)
            event = None if pending else self.ports.releases.any_in(release_id, process.UNSUCCESSFUL)
            stored = self.ports.releases.release(release_id)
            if pending or stored is None or process.ROUND_OF.get(stored.row.phase) is not round_:
                return
            try:
                ended = replace(self._round_ended(stored.row, round_), any_unsuccessful=bool(event))
                self.commit_release(stored, process.decide_release(stored.row, ended))
            except IllegalTransition:
                return

        settle.settle(self.ports.clock, attempt)

    patches.set(Dispatcher, "fan_in", fan_in)


def a_failed_circuit_is_not_looked_for(patches: Patches) -> None:
    ended = Dispatcher._round_ended

    def blind(self: Dispatcher, release: Any, round_: Round) -> Any:
        return replace(ended(self, release, round_), any_unsuccessful=False, any_successful=True)

    patches.set(Dispatcher, "_round_ended", blind)


def cursor_before_the_page(patches: Patches) -> None:
    handle = FanOutPage.handle

    def early(self: FanOutPage, command: Any, *, redelivered: bool = False) -> None:
        stored = self.ports.releases.release(command.release_id)
        if stored is None or not fanout._is_current(command, stored.row):
            handle(self, command, redelivered=redelivered)
            return
        page, more = self._page(stored.row, command)
        last = fanout.run_key(page[-1].row.circuit) if more else FANOUT_END
        now = self.ports.clock.now()
        event = FanOutAdvanced(at=now, round=command.round, gen=command.gen, cursor=last)
        Dispatcher(self.ports).commit_release(stored, process.decide_release(stored.row, event))
        moved = self.ports.releases.release(command.release_id)
        assert moved is not None
        decisions = [(one, self._decide(stored.row, command, one)) for one in page]
        changes = [
            Insert(row=decision.row) if one.etag == "" else Update(row=decision.row, etag=one.etag)
            for one, decision in decisions
            if decision is not None and decision.row is not one.row
        ]
        self.ports.releases.commit(*changes)
        Dispatcher(self.ports).send(moved.row, [c for _, d in decisions if d is not None for c in d.commands])
        if last == FANOUT_END:
            Dispatcher(self.ports).fan_in(command.release_id, command.round)

    patches.set(FanOutPage, "handle", early)


def a_retry_keeps_its_generation(patches: Patches) -> None:
    retry = process._retry

    def same_gen(release: Any, event: Any) -> Any:
        return retry(replace(release, gen=release.gen - 1), event)

    patches.set(process, "_retry", same_gen)


# --------------------------------------------------------------------------------------------------- gates


def no_gate_before_the_registry(patches: Patches) -> None:
    patches.entry(process.ROUND_EDGES, (R.INSPECTING, RoundOutcome.GREEN), R.PROMOTING)


def no_gate_before_production(patches: Patches) -> None:
    patches.entry(process.ROUND_EDGES, (R.TESTING, RoundOutcome.GREEN), R.STAGING_PRODUCTION)


def late_answers_count(patches: Patches) -> None:
    standing = Gates._standing

    def timeless(self: Gates, gate: Any, claim: Any) -> Any:
        far = gate.expires_at + timedelta(days=99)
        return standing(self, replace(gate, expires_at=far) if gate.state is GateState.OPEN else gate, claim)

    patches.set(Gates, "_standing", timeless)
    patches.set(Gates, "expire", lambda _self, _release_id, _gate: None)


def the_digest_is_not_compared(patches: Patches) -> None:
    decide = Gates._decide

    def trusting(self: Gates, claim: Any, answer: Any, **named: Any) -> Any:
        found = self.ports.releases.release_and_gate(claim.release_id, claim.gate)
        if found and found[1]:
            seen = answer.digest
            object.__setattr__(answer, "digest", found[1].row.digest)
            try:
                outcome = decide(self, claim, answer, **named)
            finally:
                object.__setattr__(answer, "digest", seen)
            return outcome
        return decide(self, claim, answer, **named)

    patches.set(Gates, "_decide", trusting)


def changes_after_an_approval_do_not_matter(patches: Patches) -> None:
    patches.set(promote, "_change_since_approval", lambda _run, _ports: "")


# ------------------------------------------------------------------------------------------------ endpoints


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


def older_releases_take_locks_too(patches: Patches) -> None:
    take = locks.take_lock

    def young(work: Any, ports: Any) -> Any:
        return take(replace(work, release=replace(work.release, seq=99_999_999_999_999)), ports)

    owned = locks.owned_lock

    def honest(work: Any, environment: Any, held: Any) -> EndpointLock:
        seq = process.Release if False else None  # keep the stored seq of the release itself
        del seq
        lock = owned(work, environment, held)
        return replace(lock, owner_seq=int(_seq(work.release.release_id)))

    patches.set(deploy, "take_lock", young)
    patches.set(locks, "owned_lock", honest)


def _seq(release_id: str) -> int:
    day, _, number = release_id.partition(".")
    return int(day) * 1_000_000 + int(number)


def holds_are_ignored(patches: Patches) -> None:
    patches.set(EndpointLock, "is_held", lambda _self, _now: False)


def a_rollback_sets_no_hold(patches: Patches) -> None:
    rolled_back = endpoints._rolled_back

    def free(work: Any, ports: Any, held: Any) -> EndpointLock:
        return replace(rolled_back(work, ports, held), hold_until=None)

    patches.set(endpoints, "_rolled_back", free)


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
    """Want is not read again after a switch, and stale messages are dropped without a look."""
    converge = endpoints.converge

    def hasty(environment: Any, circuit: Any, name: str, ports: Any) -> Any:
        before = ports.endpoints.lock(environment, circuit)
        lock = before.row if before else None
        if lock is None or not (lock.want or lock.want_none):
            return converge(environment, circuit, name, ports)
        endpoint = ports.models.endpoint(environment, name)
        if endpoint is None or endpoint.state is endpoints.ProvisioningState.RUNNING or endpoint.default != lock.want:
            return converge(environment, circuit, name, ports)
        return endpoints.Converged(default=endpoint.default, lock=lock)

    for module in (activate, restore, endpoints):
        patches.set(module, "converge", hasty)
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
        return endpoints.NeverSwitched()

    patches.set(restore, "want_previous", nothing)


# ------------------------------------------------------------------------------------------------- messages


def a_redrive_keeps_its_id(patches: Patches) -> None:
    def same_id(command: Any) -> str:
        return messages.message_id(replace(command, redrive=0))

    patches.set(sys.modules[SimBus.__module__], "message_id", same_id)


def dead_letters_of_the_past_count(patches: Patches) -> None:
    def give_up(self: Worker, command: Any, reason: str) -> None:
        found = self.ports.releases.release_and_run(command.release_id, command.circuit)
        if found is None:
            return
        error = f"the message was dead-lettered ({reason})"
        event = worker_module.StepErrored(at=self.ports.clock.now(), error=error)
        Dispatcher(self.ports).to_run(*found, event)

    patches.set(Worker, "give_up", give_up)


def dead_letters_are_thrown_away(patches: Patches) -> None:
    patches.set(dead_letters.DeadLetters, "handle", lambda _self, _body, _reason: None)


def each_look_names_a_new_job(patches: Patches) -> None:
    tries = itertools.count()

    def fresh(release_id: str, gen: int, circuit: Any, attempt: int = 0) -> str:
        del attempt
        return f"smoke-{release_id}-{gen}-{circuit}-{next(tries)}".replace("/", "-")

    def start(work: Any, ports: Any) -> Any:
        name = fresh(work.run.release_id, work.run.gen, work.run.circuit)
        if work.run.job_name and (job := ports.models.job(work.run.job_name)):
            return smoke_test_judged(work, ports, job)
        job = ports.models.start_smoke_job(
            endpoint=work.run.test_endpoint, deployment=work.run.deployment, circuit=work.run.circuit, job_name=name
        )
        return smoke_test.StillRunning(facts={"job_name": job.name})

    def smoke_test_judged(work: Any, ports: Any, job: Any) -> Any:
        match smoke_test._verdict(work, ports, job):
            case smoke_test.JobVerdict.RUNNING:
                return smoke_test.StillRunning(facts={"job_name": job.name})
            case smoke_test.JobVerdict.COMPLETED:
                return smoke_test._completed(work, ports, job)
            case _:
                return smoke_test._ended_badly(work, ports, job)

    patches.entry(worker_module.STEPS, worker_module.StepKind.SMOKE_TEST, start)


# --------------------------------------------------------------------------------------------- safety nets


def overdue_circuits_are_not_driven(patches: Patches) -> None:
    patches.set(Sweeper, "_drive_run", lambda *_args: None)


def overdue_fan_outs_are_not_driven(patches: Patches) -> None:
    patches.set(Sweeper, "_drive_release", lambda *_args: None)


def gates_never_expire(patches: Patches) -> None:
    patches.set(Sweeper, "_look_at_gate", lambda *_args: None)


def interrupted_intakes_stay_so(patches: Patches) -> None:
    patches.set(sweeper_module.Intake, "complete", lambda *_args: None)


def releases_are_forgotten_before_people_are_told(patches: Patches) -> None:
    patches.set(Sweeper, "_has_pending", lambda *_args: False)


def a_sent_notice_is_not_marked(patches: Patches) -> None:
    patches.set(notices, "_write", lambda *_args: None)


def freed_slots_start_nobody(patches: Patches) -> None:
    patches.set(slots_module.Slots, "_release", lambda *_args: None)


ALL, NO_REDELIVERY = Nets.ALL, Nets.NO_REDELIVERY
MUTANTS = (
    Mutant(name="changes after an approval do not matter", patch=changes_after_an_approval_do_not_matter),
    Mutant(name="rows are written without their ETag", patch=rows_without_etag, profiles=("scattered", "freezing")),
    Mutant(name="locks are written without their ETag", patch=locks_without_etag, profiles=("scattered", "freezing")),
    Mutant(name="slots are written without their ETag", patch=slots_without_etag, profiles=("standing", "scattered")),
    Mutant(name="gate and release in two transactions", patch=gate_and_release_apart, profiles=("crashing", "rough")),
    Mutant(name="edges are not whitelisted", patch=any_edge_but_to_itself, profiles=("freezing",)),
    Mutant(
        name="state not compared after a conflict",
        patch=state_not_compared_after_a_conflict,
        profiles=("freezing", "losing"),
    ),
    Mutant(
        name="the cursor's end is not checked", patch=round_ends_before_its_fan_out, profiles=("scattered", "freezing")
    ),
    Mutant(
        name="scan before the release's ETag", patch=scan_before_the_release_is_read, profiles=("scattered", "standing")
    ),
    Mutant(
        name="a failed circuit is not looked for", patch=a_failed_circuit_is_not_looked_for, profiles=("azure", "rough")
    ),
    Mutant(name="the cursor is written before the page", patch=cursor_before_the_page, profiles=("crashing", "losing")),
    Mutant(name="gen does not grow on a retry", patch=a_retry_keeps_its_generation, profiles=("azure", "rough")),
    Mutant(name="no gate before the registry", patch=no_gate_before_the_registry),
    Mutant(name="no gate before production", patch=no_gate_before_production),
    Mutant(name="late answers count", patch=late_answers_count, profiles=("quiet", "mild")),
    Mutant(name="the digest is not compared", patch=the_digest_is_not_compared, profiles=("quiet", "mild")),
    Mutant(
        name="locks are taken from live releases", patch=locks_are_taken_from_live_releases, profiles=("azure", "rough")
    ),
    Mutant(name="older releases take locks too", patch=older_releases_take_locks_too, profiles=("mild", "rough")),
    Mutant(name="holds are ignored", patch=holds_are_ignored, profiles=("quiet", "mild")),
    Mutant(name="a rollback sets no hold", patch=a_rollback_sets_no_hold, profiles=("quiet",)),
    Mutant(
        name="taking a lock does not raise the fence",
        patch=taking_a_lock_does_not_raise_the_fence,
        profiles=("quiet",),
    ),
    Mutant(name="a switch under way is skipped", patch=a_switch_under_way_is_skipped, profiles=("azure",)),
    Mutant(
        name="late writers are not put right", patch=late_writers_are_not_put_right, profiles=("standing", "freezing")
    ),
    Mutant(
        name="previous is what the approver saw", patch=previous_is_what_the_approver_saw, profiles=("quiet", "mild")
    ),
    Mutant(name="previous is read after the switch", patch=previous_is_read_after_the_switch, profiles=("mild",)),
    Mutant(
        name="a failed activation is not reverted",
        patch=a_failed_activation_is_not_reverted,
        profiles=("azure", "rough"),
    ),
    Mutant(
        name="a redrive keeps its message id",
        patch=a_redrive_keeps_its_id,
        profiles=("crashing",),
        nets=(NO_REDELIVERY,),
    ),
    Mutant(name="dead letters of the past count", patch=dead_letters_of_the_past_count, profiles=("rough", "losing")),
    Mutant(name="dead letters are thrown away", patch=dead_letters_are_thrown_away, profiles=("dying",)),
    Mutant(name="each look starts a job of its own", patch=each_look_names_a_new_job, profiles=("crashing", "losing")),
    Mutant(
        name="overdue circuits are not driven",
        patch=overdue_circuits_are_not_driven,
        profiles=("crashing",),
        nets=(NO_REDELIVERY,),
    ),
    Mutant(
        name="overdue fan-outs are not driven",
        patch=overdue_fan_outs_are_not_driven,
        profiles=("crashing",),
        nets=(NO_REDELIVERY,),
    ),
    Mutant(name="gates never expire", patch=gates_never_expire, profiles=("quiet",)),
    Mutant(name="interrupted intakes stay so", patch=interrupted_intakes_stay_so, profiles=("crashing", "losing")),
    Mutant(
        name="releases are forgotten too early",
        patch=releases_are_forgotten_before_people_are_told,
        profiles=("losing", "rough"),
    ),
    Mutant(name="sent notices are not marked", patch=a_sent_notice_is_not_marked, profiles=("quiet",)),
    Mutant(name="slots are never freed", patch=freed_slots_start_nobody, profiles=("quiet",)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caught:
    seeds: int
    """How many it took; 0: never."""
    told: str


def hunt(mutant: Mutant, most: int = MOST_SEEDS) -> Caught:
    """Run seeds until one of them notices."""
    with switched_on(mutant):
        weathers = itertools.cycle([(nets, profile) for nets in mutant.nets for profile in mutant.profiles])
        for number, (nets, profile) in enumerate(itertools.islice(weathers, most), 1):
            result = simulate(number, nets=nets, profile=profile)
            if result.violation:
                found = (number, nets, profile, result.violation)
                break
        else:
            return Caught(seeds=0, told="NOT CAUGHT")
    number, nets, profile, told = found
    healthy = simulate(number, nets=nets, profile=profile).violation
    return Caught(seeds=number, told=told) if not healthy else Caught(seeds=0, told=f"WITHOUT IT TOO: {healthy}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.mutants")
    parser.add_argument("--only", default="", help="mutants whose name contains this")
    parser.add_argument("--seeds", type=int, default=MOST_SEEDS, help="at most so many each")
    chosen = parser.parse_args()
    missed = 0
    for mutant in MUTANTS:
        if chosen.only not in mutant.name:
            continue
        began = time.monotonic()
        caught = hunt(mutant, chosen.seeds)
        missed += not caught.seeds
        print(
            f"{mutant.name:<40} {caught.seeds or '-':>4} {time.monotonic() - began:6.1f} s  {caught.told[:150]}",
            flush=True,
        )
    print("all caught" if not missed else f"{missed} not caught")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
