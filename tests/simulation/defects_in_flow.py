"""Defects in the tables, the rounds and the gates: each must be caught."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from shared.application import fanout, settle
from shared.application import worker as worker_module
from shared.application.dispatcher import Dispatcher
from shared.application.fanout import FanOutPage
from shared.application.gates import Gates
from shared.application.ports import Insert, Update, Versioned
from shared.application.steps import deploy, promote
from shared.application.sweeper import Sweeper
from shared.application.worker import Worker
from shared.domain import process
from shared.domain.errors import IllegalTransition
from shared.domain.events import FanOutAdvanced, GateApproved
from shared.domain.model import FANOUT_END, Gate, GateState, Round
from shared.domain.process import RoundOutcome
from tests.simulation.defects import NO_SWEEPER, Mutant, Patches
from tests.simulation.engine import START

C, R = process.C, process.R
NEVER = START + timedelta(days=999)
SWEPT_LATE = timedelta(hours=1)


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


def messages_of_the_past_run_steps(patches: Patches) -> None:
    def is_current(command: Any, run: Any) -> bool:
        return process.STEP_OF.get(run.phase) is command.kind

    patches.set(worker_module, "is_current", is_current)


def the_generation_is_ignored(patches: Patches) -> None:
    current = worker_module.is_current

    def is_current(command: Any, run: Any) -> bool:
        return current(replace(command, gen=run.gen), run)

    patches.set(worker_module, "is_current", is_current)


def redeliveries_heal_nothing(patches: Patches) -> None:
    patches.set(Worker, "_send_again", lambda *_args: None)
    patches.set(FanOutPage, "_heal", lambda *_args, **_named: None)


def cancellations_are_forgotten(patches: Patches) -> None:
    outcome = process.round_outcome
    patches.set(process, "round_outcome", lambda row, event: outcome(replace(row, cancel_requested_by=""), event))


def round_ends_before_its_fan_out(patches: Patches) -> None:
    def fan_in(self: Dispatcher, release_id: str, round_: Round, read_before: Any = None, **_named: Any) -> None:
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
    def fan_in(self: Dispatcher, release_id: str, round_: Round, read_before: Any = None, **_named: Any) -> None:
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


def no_gate_before_the_registry(patches: Patches) -> None:
    patches.entry(process.ROUND_EDGES, (R.INSPECTING, RoundOutcome.GREEN), R.PROMOTING)


def no_gate_before_production(patches: Patches) -> None:
    patches.entry(process.ROUND_EDGES, (R.TESTING, RoundOutcome.GREEN), R.STAGING_PRODUCTION)


def late_answers_count(patches: Patches) -> None:
    """The sweeper was late, and whoever answers in that hour is heard."""
    decide = Gates._decide

    def timeless(self: Gates, claim: Any, answer: Any, **named: Any) -> Any:
        found = self.ports.releases.release_and_gate(claim.release_id, claim.gate)
        if found is None or found[1] is None or found[1].row.state is not GateState.OPEN:
            return decide(self, claim, answer, **named)
        row = found[1].row
        gate = Versioned(row=replace(row, expires_at=NEVER), etag=found[1].etag)
        releases: Any = Showing(self.ports.releases, (found[0], gate), row.expires_at)
        return decide(Gates(replace(self.ports, releases=releases)), claim, answer, **named)

    look_at_gate = Sweeper._look_at_gate

    def late(self: Sweeper, release: Any, now: Any) -> None:
        look_at_gate(self, release, now - SWEPT_LATE)

    patches.set(Gates, "_decide", timeless)
    patches.set(Sweeper, "_look_at_gate", late)


class Showing:
    """The release store, but for one gate as a defect sees it; what is written keeps its real deadline."""

    def __init__(self, store: Any, found: Any, expires_at: datetime) -> None:
        self._store, self._found, self._expires_at = store, found, expires_at

    def release_and_gate(self, *_asked: Any) -> Any:
        return self._found

    def commit(self, *changes: Any) -> Any:
        return self._store.commit(*(self._as_it_was(change) for change in changes))

    def _as_it_was(self, change: Any) -> Any:
        if not isinstance(change.row, Gate):
            return change
        return replace(change, row=replace(change.row, expires_at=self._expires_at))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def approvals_come_from_anybody(patches: Patches) -> None:
    """The gate is answered by the release itself."""

    def open_and_go(self: Dispatcher, stored: Any, decision: Any, *changes: Any, **named: Any) -> Any:
        row = commit_release(self, stored, decision, *changes, **named)
        gate = process.GATE_OF.get(row.phase)
        found = self.ports.releases.release(row.release_id)
        if gate is None or found is None:
            return row
        event = GateApproved(at=self.ports.clock.now(), gate=gate)
        return commit_release(self, found, process.decide_release(found.row, event))

    commit_release = Dispatcher.commit_release
    patches.set(Dispatcher, "commit_release", open_and_go)


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


def changes_after_gate_1_do_not_matter(patches: Patches) -> None:
    patches.set(promote, "_change_since_approval", lambda _run, _ports: "")


def changes_after_gate_2_do_not_matter(patches: Patches) -> None:
    patches.set(deploy, "_change_since_approval", lambda _run, _ports: "")


DEFECTS = (
    Mutant.of("edges are not whitelisted", any_edge_but_to_itself, "freezing"),
    Mutant.of("state not compared after a conflict", state_not_compared_after_a_conflict, "freezing", "losing"),
    Mutant.of("messages of the past run steps", messages_of_the_past_run_steps, "mild", "rough"),
    Mutant.of("the generation is ignored", the_generation_is_ignored, "forged"),
    Mutant.of("gen does not grow on a retry", a_retry_keeps_its_generation, "azure", "rough"),
    Mutant.of("redeliveries heal nothing", redeliveries_heal_nothing, "crashing", nets=NO_SWEEPER),
    Mutant.of("cancellations are forgotten", cancellations_are_forgotten, "quiet", "mild"),
    Mutant.of("the cursor's end is not checked", round_ends_before_its_fan_out, "scattered", "freezing"),
    Mutant.of("the cursor is written before the page", cursor_before_the_page, "crashing", "losing"),
    Mutant.of("scan before the release's ETag", scan_before_the_release_is_read, "scattered"),
    Mutant.of("a failed circuit is not looked for", a_failed_circuit_is_not_looked_for, "azure", "rough"),
    Mutant.of("no gate before the registry", no_gate_before_the_registry),
    Mutant.of("no gate before production", no_gate_before_production),
    Mutant.of("approvals come from anybody", approvals_come_from_anybody, "quiet"),
    Mutant.of("late answers count", late_answers_count, "quiet", "mild"),
    Mutant.of("the digest is not compared", the_digest_is_not_compared, "quiet", "mild"),
    Mutant.of("changes after gate 1 do not matter", changes_after_gate_1_do_not_matter),
    Mutant.of("changes after gate 2 do not matter", changes_after_gate_2_do_not_matter),
)
