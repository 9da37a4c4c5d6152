"""I1-I10, checked at every write and at rest. The allowed edges are copied from the tables when this is loaded."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from shared.application.dispatcher import is_current
from shared.application.locks import ACCEPTED
from shared.application.ports import DeploymentSpec, Insert, Letter, ProvisioningState, Sendable, Versioned
from shared.domain import process
from shared.domain.commands import FanOut, RunStep
from shared.domain.model import (
    FANOUT_END,
    NEUTRAL,
    UNSUCCESSFUL,
    Circuit,
    CircuitPhase,
    CircuitRun,
    EndpointLock,
    Environment,
    Gate,
    GateName,
    GateState,
    LedgerEntry,
    Moment,
    Notice,
    NoticeState,
    ProcessKind,
    Release,
    ReleasePhase,
    Round,
    Slot,
)
from shared.domain.naming import deployment_name, is_rollback, registry_version
from shared.domain.rows import RELEASE_KEY, gate_key, row_key, run_key
from tests.simulation.engine import START, Engine, Violation
from tests.simulation.faults import Watch
from tests.support.fake_models import FakeModels
from tests.support.fakes_state import FakeEndpointStore, FakeReleaseStore, FakeSlotStore

C, R = CircuitPhase, ReleasePhase

# ------------------------------------------------------------------------------------------ what may follow what

CIRCUIT_MOVES = frozenset(
    {(source, target) for (source, _), target in process.CIRCUIT_EDGES.items()}
    | {(source, target) for source in process.WORKING_PHASES for target in UNSUCCESSFUL}
    | {(source, entry.phase) for entry in process.ROUND_ENTRIES.values() for source in entry.after | entry.again}
    | {
        (source, C.EXCLUDED)
        for entry in process.ROUND_ENTRIES.values()
        for source in entry.after | entry.again | {entry.done}
    }
)
RELEASE_MOVES = frozenset(
    {(source, target) for (source, _), target in process.ROUND_EDGES.items()}
    | {(source, target) for (source, _), target in process.RELEASE_EDGES.items()}
    | {(source, target) for source in (R.FAILED, R.EXPIRED) for target in process.RESUME_AT.values()}
)
GATE_MOVES = frozenset((source, target) for (source, _), target in process.GATE_EDGES.items())
LONGEST_ABANDONED = timedelta(minutes=15)
"""Far below a lease; but for outages, which the sweeper sits out."""
LOOKED_AT_FOR = timedelta(hours=2)
"""How long a message about the past comes again."""
DEFAULTS = frozenset({"create_endpoint", "set_default", "clear_default"})
MEDDLED = "note"
"""A tag that somebody outside adds."""
STUCK = ("did not end within", "could not be unset", "was dead-lettered")


@dataclass
class Invariants(Watch):
    """Looks at every write; raises `Violation` with the number of the invariant."""

    engine: Engine
    releases: FakeReleaseStore
    endpoints: FakeEndpointStore
    slots: FakeSlotStore
    models: FakeModels
    changed: Callable[[], None] = lambda: None
    going_live: Callable[[Circuit], None] = lambda _circuit: None
    """A release wants its deployment as production's default: the moment in which a rollback hurts most."""
    stands: Callable[[Circuit], None] = lambda _circuit: None
    """A circuit is staged, live or restored: the moment in which somebody else may switch it."""
    release_of: dict[str, str] = field(default_factory=dict)
    """Deployment name -> the release that makes it."""
    promoted: dict[tuple[str, str], Mapping[str, str]] = field(default_factory=dict)
    wanted: dict[tuple[Environment, Circuit], set[str]] = field(default_factory=lambda: defaultdict(set))
    delivered: list[str] = field(default_factory=list)
    jobs_started: dict[tuple[str, str], set[str]] = field(default_factory=lambda: defaultdict(set))
    exempted: int = 0
    abandoned: dict[tuple[int, str], datetime] = field(default_factory=dict)
    swept_at: datetime = START
    touched: set[Circuit] = field(default_factory=set)
    """Circuits whose default in Production somebody outside, or a late writer of ours, has set beside what is wanted."""
    noted: Counter[str] = field(default_factory=Counter)
    """How often each difference was found."""
    overlong: dict[Environment, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Endpoints whose last change was one that did not end for a day."""

    def fail(self, invariant: str, told: str) -> None:
        raise Violation(f"{invariant}: {told}")

    # ------------------------------------------------------------------------------------------- watching

    def before(self, service: str, name: str, args: Any, named: Any) -> Any:
        match name:
            case "commit":
                return [self.releases.rows[c.row.release_id].get(row_key(c.row)) for c in args]
            case "write_lock":
                return self.endpoints.locks.get((args[0].environment, args[0].circuit))
            case _:
                return None

    def after(  # noqa: PLR0917  # one call, seen from both sides
        self, service: str, name: str, args: Any, named: Any, seen: Any, result: Any
    ) -> Callable[[], bool] | None:
        if service in {"releases", "endpoints", "slots"} and name not in {"finish", "forget"}:
            self.changed()
        match name:
            case "commit":
                self._committed(args, seen)
                if len(args) == 1:
                    row = args[0].row
                    etag = result[0]
                    return lambda: self.releases.rows[row.release_id][row_key(row)].etag != etag
            case "write_lock":
                self._locked(args[0], named.get("ledger"), seen.row if seen else None)
                place, etag = (args[0].environment, args[0].circuit), result
                return (lambda: self.endpoints.locks[place].etag != etag) if not named.get("ledger") else None
            case "begin":
                release = args[0]
                self.engine.note(f"begin {release.release_id}")
                self.release_of.setdefault(deployment_name(release.release_id), release.release_id)
            case "deliver":
                self._told(args[0])
            case _ if service == "models":
                self._wrote(name, args, named)
        return None

    # ------------------------------------------------------------------------------------------------ drift

    def changed_outside(self, circuit: Circuit) -> None:
        """Somebody has made another deployment of it the default, beside this app."""
        self.touched.add(circuit)

    def _drift_noted(self, lock: EndpointLock) -> None:
        """What the row says was true when it was looked at; whoever stood still since then may be late."""
        self.noted[f"{lock.circuit}: {lock.drift}"] += 1
        late = self.engine.current is None or self.engine.current.has_thread
        endpoint = self.models._endpoints.get((Environment.PRODUCTION, _endpoint_of(lock.circuit)))
        if not late and endpoint and endpoint.default == lock.want:
            self.fail("drift", f"{lock.circuit}: {lock.drift}, says its row, and {lock.want} is live")

    def _told(self, letter: Letter) -> None:
        """Nobody is told of a change that nobody made; a late writer of ours is as good as somebody outside."""
        if letter.notice.moment is not Moment.DRIFT_FOUND:
            return
        line = letter.release.warnings[0]
        if not any(line.startswith(f"{circuit}: ") for circuit in self.touched):
            self.fail("drift", f"{line}: told as changed outside, and nobody has changed it")

    def _told_once(self) -> None:
        """As often as it was found."""
        reports = (stored.row for stored in self._processes() if stored.row.kind is ProcessKind.DRIFT)
        for line, reported in Counter(row.warnings[0] for row in reports).items():
            if reported > self.noted[line]:
                self.fail("drift", f"{line}: found {self.noted[line]} times, and {reported} reports tell of it")

    def _marked(self, lock: EndpointLock, default: str) -> None:
        """After the last look the row says whether the default is what it should be."""
        if lock.environment is Environment.PRODUCTION and bool(lock.drift) is (default == lock.want):
            is_live = f"{default or '(none)'} is live, {lock.want or '(none)'} is wanted"
            self.fail("drift", f"at rest of {lock.circuit} {is_live}, and its row says {lock.drift or 'nothing'}")

    def _activated(self, entry: LedgerEntry) -> None:
        """Somebody wants another default in Production."""
        if entry.environment is not Environment.PRODUCTION:
            return
        if entry.release_id in self.releases.rows:
            self.going_live(entry.circuit)
            self._was_as_frozen(entry)
        if entry.release_id == ACCEPTED:
            self._accepted(entry)

    def _accepted(self, entry: LedgerEntry) -> None:
        late = self.engine.current is None or self.engine.current.has_thread
        endpoint = self.models._endpoints[Environment.PRODUCTION, _endpoint_of(entry.circuit)]
        if not late and endpoint.default != entry.deployment:
            self.fail("drift", f"{entry.circuit}: {entry.deployment} was accepted, and {endpoint.default} is live")

    def _was_as_frozen(self, entry: LedgerEntry) -> None:
        """R36: what somebody has changed since it was frozen is not overwritten by an activation."""
        frozen = self.engine.current is None or self.engine.current.has_thread
        endpoint = self.models._endpoints.get((Environment.PRODUCTION, _endpoint_of(entry.circuit)))
        if frozen or endpoint is None or entry.deployment != deployment_name(entry.release_id):
            return
        if endpoint.default not in {entry.previous, entry.deployment}:
            self.fail("R36", f"{entry.release_id} {entry.circuit}: {endpoint.default} is live, not {entry.previous}")

    # ---------------------------------------------------------------------------------- I3, I9: transitions

    def _committed(self, changes: Any, before: Any) -> None:
        for change, stored in zip(changes, before, strict=True):
            row = change.row
            if isinstance(change, Insert):
                self._inserted(row)
                continue
            match row:
                case CircuitRun():
                    self._moved_run(stored.row, row)
                case Release():
                    self._moved_release(stored.row, row)
                case Gate():
                    self._moved_gate(stored.row, row)
                case Notice():
                    if stored.row.state is not NoticeState.PENDING:
                        self.fail("I3", f"{row.release_id} {row_key(row)} was written after it was {stored.row.state}")

    def _inserted(self, row: Any) -> None:
        if isinstance(row, CircuitRun):
            if row.phase not in {C.INSPECTING, C.RESTORING, C.QUEUED, C.EXCLUDED}:
                self.fail("I3", f"{row.circuit} of {row.release_id} begins {row.phase}")
            self.engine.note(f"{row.release_id} {row.circuit} -> {row.phase}")

    def _moved_run(self, old: CircuitRun, new: CircuitRun) -> None:
        who = f"{new.release_id} {new.circuit}"
        self._was_not_past(old, who)
        if new.gen < old.gen:
            self.fail("I3", f"{who} went back from gen {old.gen} to {new.gen}")
        if new.previous_deployment and new.previous_deployment == new.deployment and not is_rollback(new.release_id):
            self.fail("previous", f"{who}: previous_deployment points at itself ({new.deployment})")
        if old.phase is new.phase and old.gen == new.gen:
            if new.poll_n < old.poll_n:
                self.fail("I3", f"{who} {new.phase} went back from look {old.poll_n} to {new.poll_n}")
            return
        self.engine.note(f"{who} {old.phase} -> {new.phase}{f': {new.error[:160]}' if new.error else ''}")
        if (old.phase, new.phase) not in CIRCUIT_MOVES:
            self.fail("I3", f"{who} moved {old.phase} -> {new.phase}")
        if new.hist[-1].source != old.phase or new.hist[-1].target != new.phase:
            self.fail("I3", f"{who}: the history does not say {old.phase} -> {new.phase}")
        self._round_fits(new)
        self._stands_now(old, new)

    def _stands_now(self, old: CircuitRun, new: CircuitRun) -> None:
        if new.phase in {C.STAGED, C.LIVE, C.RESTORED}:
            self.stands(new.circuit)
        match (old.phase, new.phase):
            case (_, C.SMOKE_TESTING):
                self._few_smoke_tests(new)
            case (_, C.LIVE | C.RESTORED):
                self._was_verified(new)
            case (C.LOCKING, C.STAGING):
                self._registry_is_as_approved(new)
            case _:
                pass

    def _was_not_past(self, old: CircuitRun, who: str) -> None:
        """Whatever a message of the past does, its circuit is none of its business; but a queued one may get a slot."""
        task = self.engine.current
        if task and task.past == (old.release_id, old.circuit) and old.phase is not C.QUEUED:
            what, invariant = ("a dead letter", "I10") if task.label.startswith("dead ") else ("a message", "I3")
            self.fail(
                invariant, f"{who}: {what} of the past moved it on from {old.phase}, gen {old.gen}, look {old.poll_n}"
            )

    def _was_verified(self, new: CircuitRun) -> None:
        """Rule of converge: the lock was read again after the default, so nobody else can have wanted something then."""
        task = self.engine.current
        if task is not None and "endpoint" in task.looks and task.looks[-1] != "lock":
            self.fail(
                "I4", f"{new.release_id} {new.circuit} is {new.phase}, and its lock was not read after its default"
            )

    def _few_smoke_tests(self, new: CircuitRun) -> None:
        """D8: as many as there are slots; a lease that ran out on a stuck one may be taken over."""
        stored = self.releases.rows[new.release_id][RELEASE_KEY].row
        since = self.engine.now() - stored.policy.smoke_net
        runs = [run.row for release_id in list(self.releases.rows) for run in self.releases._of(CircuitRun, release_id)]
        busy = [f"{r.release_id} {r.circuit}" for r in runs if r.phase is C.SMOKE_TESTING and r.since > since]
        if len(busy) > stored.policy.smoke_slots:
            self.fail("D8", f"{len(busy)} smoke tests at once on {stored.policy.smoke_slots} slots: {', '.join(busy)}")

    def abandoned_slots(self) -> list[Slot]:
        """Slots whose owner's row does not need them (any more)."""
        return [slot.row for slot in self.slots.known.values() if slot.row.owner and not self._is_needed(slot.row)]

    def _is_needed(self, slot: Slot) -> bool:
        release_id, gen, plant, name = slot.owner.split("|")
        stored = self.releases.rows[release_id].get(run_key(Circuit(plant_id=plant, circuit_id=name)))
        if stored is None or str(stored.row.gen) != gen:
            return False
        uses = stored.row.phase is C.SMOKE_TESTING and stored.row.slot == slot.number
        return uses or stored.row.phase is C.QUEUED

    def swept(self) -> None:
        """D8: a slot of somebody who died is free after the next sweep that nothing hinders, not when its lease ends."""
        now = self.engine.now()
        if now - self.swept_at > LONGEST_ABANDONED:  # nothing was under way that could want a slot
            self.abandoned = {}
        self.swept_at = now
        abandoned = {(slot.number, slot.owner) for slot in self.abandoned_slots()}
        self.abandoned = {slot: self.abandoned.get(slot, now) for slot in abandoned}
        for (number, owner), since in self.abandoned.items():
            if now - since > LONGEST_ABANDONED:
                self.fail("D8", f"slot {number} is {owner}'s since {since:%H:%M}, who needs it no more")

    def _round_fits(self, run: CircuitRun) -> None:
        """Work starts only in the round the release is in, or ends in it."""
        stored = self.releases.rows[run.release_id].get(RELEASE_KEY)
        if run.todo is Round.NONE or stored is None:
            return
        at = process.ROUND_OF.get(stored.row.phase)
        if at is not run.todo:
            self.fail("I3", f"{run.release_id} {run.circuit} works in {run.todo.name} while it is {stored.row.phase}")

    def _moved_release(self, old: Release, new: Release) -> None:
        who = new.release_id
        if new.gen < old.gen or new.gen > old.gen + 1:
            self.fail("I3", f"{who} went from gen {old.gen} to {new.gen}")
        if old.phase is new.phase and old.gen == new.gen:
            if new.fanout_cursor < old.fanout_cursor:
                self.fail("I3", f"{who}: the cursor went back to {new.fanout_cursor!r}")
            return
        self.engine.note(f"{who} {old.phase} -> {new.phase} (gen {new.gen}) {new.reason[:200]}")
        if (old.phase, new.phase) not in RELEASE_MOVES:
            self.fail("I3", f"{who} moved {old.phase} -> {new.phase}")
        if old.phase in process.ROUND_OF:
            if old.fanout_cursor != FANOUT_END:
                self.fail("I3", f"{who} left {old.phase} before its fan-out had ended")
            self._nobody_works(old, new)
        if old.cancel_requested_by and new.gen == old.gen and new.phase not in {R.CANCELLED, R.FAILED}:
            self.fail("I8", f"{who} was cancelled and went on to {new.phase}")

    def _nobody_works(self, old: Release, new: Release) -> None:
        runs = [stored.row for stored in self.releases._of(CircuitRun, new.release_id)]
        working = [str(run.circuit) for run in runs if run.todo is process.ROUND_OF[old.phase]]
        if working:
            self.fail("I3", f"{new.release_id} left {old.phase} while {', '.join(working)} worked in it")
        if new.phase in {R.FAILED, R.REVERTING}:
            return
        if new.phase not in {R.CANCELLED, R.SUPERSEDED} and any(run.phase in UNSUCCESSFUL for run in runs):
            self.fail("known failure 2", f"{new.release_id} went {old.phase} -> {new.phase} with a failed circuit")
        if len(runs) != new.total:
            self.fail("known failure 1", f"{new.release_id} went on with {len(runs)} of {new.total} circuits")

    def _moved_gate(self, old: Gate, new: Gate) -> None:
        who = f"{new.release_id} {new.gate}"
        if old.state is new.state:
            return
        if (old.state, new.state) not in GATE_MOVES:
            self.fail("I9", f"{who} moved {old.state} -> {new.state}")
        if new.state is GateState.OPEN and new.gen <= old.gen:
            self.fail("I9", f"{who} was opened again in gen {new.gen}")
        if new.state is GateState.APPROVED:
            vote = new.decisions[-1]
            if vote.at >= old.expires_at:
                self.fail("I1", f"{who} was approved at {vote.at}, after {old.expires_at}")
            if vote.digest != new.digest:
                self.fail("known failure 10", f"{who} was approved on other evidence")
        if new.state is GateState.EXPIRED and self.engine.now() < old.expires_at:
            self.fail("R8", f"{who} expired at {self.engine.now()}, before {old.expires_at}")

    # --------------------------------------------------------------------------- I4, I5, I6: locks and ledgers

    def _locked(self, new: EndpointLock, entry: LedgerEntry | None, old: EndpointLock | None) -> None:
        place = (new.environment, new.circuit)
        who = f"{new.environment} {new.circuit}"
        self.engine.note(f"lock {who}: {new.owner} fence {new.fence} want {new.want or '-'}")
        if new.want:
            self.wanted[place].add(new.want)
        if entry:
            self._chained(who, place, entry)
            self._activated(entry)
        if new.drift and not new.repair_by and new.drift != (old.drift if old else ""):
            self._drift_noted(new)
        if old is not None:
            self._moved_lock(who, new, old, entry)

    def _moved_lock(self, who: str, new: EndpointLock, old: EndpointLock, entry: LedgerEntry | None) -> None:
        if new.fence < old.fence:
            self.fail("I6", f"{who}: the fence fell from {old.fence} to {new.fence}")
        moved = (new.owner, new.want, new.want_none) != (old.owner, old.want, old.want_none)
        if moved and new.fence == old.fence:
            self.fail("I6", f"{who}: owner or want changed under the same fence {new.fence}")
        if new.want != old.want and entry is None:
            self.fail("I5", f"{who}: want changed to {new.want!r} without a ledger row")
        if new.owner != old.owner:
            self._taken_over(who, new, old)

    def _chained(self, who: str, place: tuple[Environment, Circuit], entry: LedgerEntry) -> None:
        rows = sorted(self.endpoints.ledgers[place], key=lambda row: row.fence)
        if len(rows) > 1 and rows[-1].previous != rows[-2].deployment:
            self.fail(
                "I5",
                f"{who}: {rows[-1].deployment} says previous {rows[-1].previous!r}, {rows[-2].deployment!r} was live",
            )
        if rows[-1] is not entry:
            self.fail("I6", f"{who}: a ledger row was written below the newest")

    def _taken_over(self, who: str, new: EndpointLock, old: EndpointLock) -> None:
        self._later_wish_won(who, new, old)
        if new.environment is Environment.TEST:
            return
        if is_rollback(new.owner):
            if not is_held(new, self.engine.now()):
                self.fail("known failure 12", f"{who}: {new.owner} rolled back and set no hold")
            return
        before = self.releases.rows[old.owner].get(RELEASE_KEY)
        if before is not None and not before.row.is_terminal:
            self.fail("I4", f"{who}: {new.owner} took the lock from {old.owner}, which is {before.row.phase}")
        if new.owner_seq < old.owner_seq:
            self.fail("I4", f"{who}: the older {new.owner} took the lock from {old.owner}")
        if is_held(old, self.engine.now()):
            self.fail("known failure 12", f"{who}: {new.owner} took a held endpoint")

    def _later_wish_won(self, who: str, new: EndpointLock, old: EndpointLock) -> None:
        """D13: of two rollbacks the one that was asked for later has its way."""
        if not (is_rollback(new.owner) and is_rollback(old.owner)):
            return
        asked = [self.releases.rows[owner][RELEASE_KEY].row.created_at for owner in (old.owner, new.owner)]
        if asked[0] > asked[1]:
            self.fail("D13", f"{who}: {new.owner} took the endpoint from {old.owner}, which was asked for later")

    # --------------------------------------------------------------------------------- I1, I2: Azure ML writes

    def _wrote(self, name: str, args: Any, named: Any) -> None:
        if name in DEFAULTS:
            self._may_take_long(args[0], args[1])
        match name:
            case "promote":
                self._promoted(named)
            case "create_deployment":
                self._deployed(args[0], args[1])
            case "create_endpoint" if args[0] is Environment.PRODUCTION:
                self._some_approved(args[1])
                self._wrote_late(args[0], args[1], "")
            case "clear_default":
                self._wrote_late(args[0], args[1], "")
            case "set_default":
                self._switched(args[0], args[1], args[2])
            case "start_smoke_job":
                self.engine.note(f"smoke job {named['job_name']} on {named['deployment']}")
                self.jobs_started[named["endpoint"], named["deployment"]].add(named["job_name"])

    def _may_take_long(self, environment: Environment, name: str) -> None:
        over_at = self.models._endpoints[environment, name].settling.ready_at
        if over_at - self.engine.now() > LOOKED_AT_FOR:
            self.overlong[environment].add(name)
        else:
            self.overlong[environment].discard(name)

    def was_approved(self, release_id: str, gate: GateName) -> bool:
        stored = self.releases.rows[release_id].get(gate_key(gate))
        return stored is not None and any(entry.target == GateState.APPROVED for entry in stored.row.hist)

    def _promoted(self, named: Any) -> None:
        release_id = named["tags"]["release_id"]
        key = (named["name"], named["version"])
        self.engine.note(f"promote {key[0]} {key[1]}")
        if not self.was_approved(release_id, GateName.REGISTRY):
            self.fail("I1", f"{key} was promoted without an approval")
        held = self.models._registry[key].version
        ours = {name: value for name, value in held.tags.items() if name != MEDDLED}
        if ours != self.promoted.setdefault(key, ours):
            self.fail("I2", f"{key} got other tags on a second try")
        self._source_is_as_approved(release_id, named)
        if (len(held.tags) != 7 and "note" not in held.tags) or key[1] != registry_version(release_id):
            self.fail("R15", f"{key} has tags {held.tags}")

    def _source_is_as_approved(self, release_id: str, named: Any) -> None:
        """What the approver saw is what is copied; a change in the very moment is not looked at here."""
        frozen = self.engine.current is None or self.engine.current.has_thread
        runs = [stored.row for stored in self.releases._of(CircuitRun, release_id)]
        run = next(run for run in runs if run.model_name == named["name"])
        source = self.models._dev_model(named["name"], named["source_version"]).version
        if not frozen and dict(source.tags) != dict(run.source_tags):
            self.fail("R10", f"{named['name']} was promoted although its tags changed after the approval")

    def _registry_is_as_approved(self, run: CircuitRun) -> None:
        """The first step after gate 2 reads the model again; a change in the very moment is not looked at here."""
        frozen = self.engine.current is None or self.engine.current.has_thread
        tags = self.models._registry[run.model_name, run.model_version].version.tags
        if not frozen and dict(tags) != dict(run.registry_tags):
            self.fail("R10", f"{run.circuit} is staged although its Registry tags changed after the approval")

    def _deployed(self, environment: Environment, spec: DeploymentSpec) -> None:
        release_id = spec.tags["release_id"]
        self.engine.note(f"deploy {environment} {spec.name}")
        gate = GateName.PRODUCTION if environment is Environment.PRODUCTION else GateName.REGISTRY
        if not self.was_approved(release_id, gate):
            self.fail("I1", f"{spec.name} was deployed to {environment} without an approval")
        if len(spec.tags) != 4:
            self.fail("R37", f"{spec.name} has tags {spec.tags}")

    def _some_approved(self, endpoint: str) -> None:
        for release_id in list(self.releases.rows):
            for stored in self.releases._of(CircuitRun, release_id):
                if stored.row.endpoint == endpoint and self.was_approved(release_id, GateName.PRODUCTION):
                    return
        self.fail("I1", f"{endpoint} was made in production without an approval")

    def _switched(self, environment: Environment, endpoint: str, deployment: str) -> None:
        self.engine.note(f"default {environment} {endpoint} := {deployment}")
        places = [place for place in self.wanted if f"be-{place[1].plant_id}-{place[1].circuit_id}".lower() == endpoint]
        if not any(deployment in self.wanted[place] for place in places if place[0] is environment):
            self.fail("I4", f"{endpoint} in {environment} was switched to {deployment}, which nobody wanted")
        self._wrote_late(environment, endpoint, deployment)
        release_id = self.release_of.get(deployment)
        if environment is Environment.PRODUCTION and release_id:
            if not self.was_approved(release_id, GateName.PRODUCTION):
                self.fail("I1", f"{deployment} went live without an approval")
            held = self.models._endpoints[environment, endpoint].deployments[deployment]
            if not held.settling.is_over(self.engine.now()):
                self.fail("known failure 5", f"{deployment} went live before it stood")

    def _wrote_late(self, environment: Environment, endpoint: str, deployment: str) -> None:
        """Whoever stood still before its write leaves a default that nobody wants any more."""
        for (where, circuit), stored in self.endpoints.locks.items():
            is_here = where is environment is Environment.PRODUCTION and _endpoint_of(circuit) == endpoint
            if is_here and stored.row.want != deployment:
                self.touched.add(circuit)

    # ------------------------------------------------------------------------------------------- at rest

    def at_rest(self, *, live: bool = True, quiet: bool = False) -> None:
        """Nothing is left to do. `live`: everything must have ended; `quiet`: nothing went wrong on the way."""
        for release_id in list(self.releases.rows):
            stored = self.releases.rows[release_id].get(RELEASE_KEY)
            if stored is None:
                if self.releases.rows[release_id]:
                    self.fail("I8", f"{release_id} has rows and no release")
                continue
            if live:
                self._ended(stored.row)
            if stored.row.is_terminal:
                self._all_or_nothing(stored.row)
            if live:
                self._live_is_live(stored.row)
        if live:
            self._nothing_left(quiet=quiet)
        for place in list(self.endpoints.locks):
            self._default_is_want(*place, live=live)
            if live:
                self._nothing_leaves(self.endpoints.locks[place].row)
        self._told_once()
        self._kept_jobs()

    def all_driven(self, waiting: Sequence[Sendable]) -> None:
        """What holds without the sweeper too: work is lost only where no message leads to it.

        Every round that was begun by a message is driven by one that waits, or has ended. Excused are gates (nobody
        closes one), and what is begun beside somebody else's work, whose message does not lead back to it: a check
        after its rollback, a slot freed for another release, and the first look of whoever got one.
        """
        for release_id in list(self.releases.rows):
            stored = self.releases.rows[release_id].get(RELEASE_KEY)
            if stored is not None and stored.row.phase in process.ROUND_OF and stored.row.kind is not ProcessKind.CHECK:
                self._driven(stored.row, waiting)

    def _driven(self, release: Release, waiting: Sequence[Sendable]) -> None:
        round_ = process.ROUND_OF[release.phase]
        who = f"{release.release_id} ({release.phase})"
        if release.fanout_cursor != FANOUT_END:
            at = (release.release_id, release.gen, round_, release.fanout_cursor)
            is_told = release.phase in process.WAYS_BACK and release.reason  # and the sweeper's to drive on
            if not is_told and not any(
                isinstance(c, FanOut) and (c.release_id, c.gen, c.round, c.cursor) == at for c in waiting
            ):
                self.fail("I7", f"{who}: nobody hands out the page after {release.fanout_cursor!r}")
            return
        runs = [stored.row for stored in self.releases._of(CircuitRun, release.release_id)]
        working = [run for run in runs if run.todo is round_]
        if not working:
            self.fail("I7", f"{who}: every circuit has ended in the round, and nobody ends it")
        steps = [command for command in waiting if isinstance(command, RunStep)]
        for run in working:
            if (run.phase, run.poll_n) == (C.SMOKE_TESTING, 0):
                continue
            if run.phase is C.QUEUED:
                others = len(list(self._processes())) > 1
                if not others and not all(slot.row.owner for slot in self.slots.known.values()):
                    self.fail("I7", f"{who}: {run.circuit} is queued, a slot is free, and nobody gives it")
            elif not any(
                c.release_id == run.release_id and c.circuit == run.circuit and is_current(c, run) for c in steps
            ):
                self.fail("I7", f"{who}: {run.circuit} is {run.phase} (look {run.poll_n}), and no message leads there")

    def _ended(self, release: Release) -> None:
        if not release.is_terminal:
            self.fail("I8", f"{release.release_id} is {release.phase} for ever")
        for stored in self.releases._of(CircuitRun, release.release_id):
            if stored.row.todo:
                self.fail("I7", f"{release.release_id} {stored.row.circuit} is {stored.row.phase} for ever")
        for stored in self.releases._of(Notice, release.release_id):
            if stored.row.state is NoticeState.PENDING:
                self.fail("I7", f"{row_key(stored.row)} was never sent")
        if len(self.releases._of(CircuitRun, release.release_id)) != release.total and release.phase is R.SUCCEEDED:
            self.fail("known failure 1", f"{release.release_id} has not all its circuits")

    def _nothing_left(self, *, quiet: bool) -> None:
        if self.releases.listed:
            self.fail("I8", f"still active: {sorted(self.releases.listed)}")
        taken = [stored.row.number for stored in self.slots.known.values() if stored.row.owner]
        if taken and quiet:  # otherwise its owner may have died; the lease runs out by itself
            self.fail("I7", f"slots {taken} were never freed")

    def _all_or_nothing(self, release: Release) -> None:
        """D11, I4: after the end no circuit is in between."""
        if release.kind is not ProcessKind.RELEASE:
            return
        runs = [stored.row for stored in self.releases._of(CircuitRun, release.release_id)]
        if release.phase is R.SUCCEEDED:
            odd = [f"{run.circuit} {run.phase}" for run in runs if run.phase not in NEUTRAL | {C.LIVE}]
            if odd or not any(run.phase in {C.LIVE, C.ROLLED_BACK} for run in runs):
                self.fail("D11", f"{release.release_id} succeeded with {odd or 'nobody live'}")
            return
        for run in runs:
            stored = self.endpoints.locks.get((Environment.PRODUCTION, run.circuit))
            mine = stored is not None and (stored.row.owner, stored.row.want) == (release.release_id, run.deployment)
            if mine and not is_stuck(run) and not self._was_accepted(run.circuit):
                self.fail("D11", f"{release.release_id} is {release.phase}, and {run.circuit} wants {run.deployment}")

    def _was_accepted(self, circuit: Circuit) -> bool:
        """An operator keeps what is live: it is no release's doing any more."""
        newest = max(self.endpoints.ledgers[Environment.PRODUCTION, circuit], key=lambda row: row.fence, default=None)
        return newest is not None and newest.release_id == ACCEPTED

    def _live_is_live(self, release: Release) -> None:
        """What a rollback has taken back does not stand as live in the release that had made it so, and vice versa."""
        for run in (stored.row for stored in self.releases._of(CircuitRun, release.release_id)):
            stored = self.endpoints.locks.get((Environment.PRODUCTION, run.circuit))
            is_wanted = stored is not None and stored.row.want == run.deployment and not stored.row.leaves
            if run.phase is C.ROLLED_BACK and is_wanted:
                self.fail("R42", f"{release.release_id} {run.circuit} is rolled back, and {run.deployment} is wanted")
            if run.phase is not C.LIVE:
                continue
            ledger = sorted(self.endpoints.ledgers[Environment.PRODUCTION, run.circuit], key=lambda row: -row.fence)
            mine = next((row.fence for row in ledger if row.deployment == run.deployment), 0)
            for row in ledger:
                taken_back = is_rollback(row.release_id) and row.previous == run.deployment and row.fence > mine
                if taken_back and self._restored(row.release_id, run.circuit):
                    self.fail("R42", f"{release.release_id} {run.circuit} is live, and {row.release_id} took it back")

    def _restored(self, rollback_id: str, circuit: Circuit) -> bool:
        stored = self.releases.rows[rollback_id].get(run_key(circuit))
        return stored is not None and stored.row.phase is C.RESTORED

    def _default_is_want(self, environment: Environment, circuit: Circuit, *, live: bool) -> None:
        lock = self.endpoints.locks[environment, circuit].row
        if not lock.want and not lock.want_none:
            return
        name = f"be-{circuit.plant_id}-{circuit.circuit_id}".lower()
        endpoint = self.models.endpoint(environment, name)
        if endpoint is None:
            return
        if live and endpoint.state is not ProvisioningState.RUNNING:
            self._marked(lock, endpoint.default)
        if endpoint.default == lock.want:
            return
        if circuit in self.touched or self._is_excused(lock) or self._took_too_long(environment, name) or not live:
            self.exempted += 1
            return
        self.fail(
            "I4",
            f"at rest {name} in {environment} has {endpoint.default or '(none)'}, "
            f"wanted is {lock.want or '(none)'} by {lock.owner}",
        )

    def _nothing_leaves(self, lock: EndpointLock) -> None:
        """D11: a way back that has ended well was seen live; who did not get there says so."""
        if lock.leaves and not self._is_excused(lock):
            self.fail("D11", f"at rest {lock.circuit} in {lock.environment} still leaves {lock.leaves} for {lock.want}")

    def _took_too_long(self, environment: Environment, name: str) -> bool:
        """A late writer's operation went on for longer than messages about it come again: the look for drift tells."""
        return name in self.overlong[environment]

    def _is_excused(self, lock: EndpointLock) -> bool:
        """Whoever wanted it ended errored at its deadline, and says so; the lock may have gone on to another since."""
        ledger = sorted(self.endpoints.ledgers[lock.environment, lock.circuit], key=lambda row: -row.fence)
        wanted_by = {lock.owner, *(row.release_id for row in ledger[:1])}
        runs = (self.releases.rows[owner].get(run_key(lock.circuit)) for owner in wanted_by)
        return any(
            entry.target in UNSUCCESSFUL and any(words in entry.why for words in STUCK)
            for stored in runs
            if stored is not None
            for entry in stored.row.hist
        )

    def _processes(self) -> Iterator[Versioned[Release]]:
        return (rows[RELEASE_KEY] for rows in self.releases.rows.values() if RELEASE_KEY in rows)

    def _kept_jobs(self) -> None:
        """Known failure 11, D14: one job per try; and one per check of what a rollback has restored."""
        for (endpoint, deployment), names in self.jobs_started.items():
            release_id = self.release_of[deployment]
            gen = self.releases.rows[release_id][RELEASE_KEY].row.gen
            checks = sum(stored.row.gen for stored in self._processes() if stored.row.kind is ProcessKind.CHECK)
            if len(names) > gen + checks:
                self.fail("D14", f"{endpoint} {deployment} was tested by {len(names)} jobs in {gen} tries")


def _endpoint_of(circuit: Circuit) -> str:
    return f"be-{circuit.plant_id}-{circuit.circuit_id}".lower()


def is_held(lock: EndpointLock, now: datetime) -> bool:
    """By the row alone: what the app makes of it is what is being looked at."""
    return lock.hold_until is not None and now < lock.hold_until


def is_stuck(run: CircuitRun) -> bool:
    """D11's named cases: it could not be put right within its deadline."""
    return run.phase in UNSUCCESSFUL and any(words in run.error for words in STUCK)
