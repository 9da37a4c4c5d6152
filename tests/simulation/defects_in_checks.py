"""Defects in what a decision rests on, and in what counts as done: each must be caught."""

from dataclasses import fields, replace
from typing import Any

from shared.application import convergence, gate_opening, gate_refresh, wants
from shared.application import worker as worker_module
from shared.application.ports import Update, Versioned
from shared.application.steps import activate, restore, smoke_test
from shared.domain.model import EndpointLock
from tests.simulation.defects import Mutant, Patches
from tests.simulation.defects_in_flow import NEVER


def a_gate_asked_again_shows_what_it_showed_before(patches: Patches) -> None:
    change = gate_opening.open_change

    def stale(release: Any, gate: Any, ports: Any) -> Any:
        opened = change(release, gate, ports)
        found = ports.releases.release_and_gate(release.release_id, gate)
        if found is None or found[1] is None:
            return opened
        shown = found[1].row
        row = replace(opened.row, digest=shown.digest, evidence_blob=shown.evidence_blob)
        return Update(row=row, etag=found[1].etag)

    patches.set(gate_opening, "open_change", stale)


def newer_evidence_is_not_shown(patches: Patches) -> None:
    """The gate's row names the digest of the new document, and where the old one lies."""
    fresh = gate_refresh._with_evidence

    def half(gate: Any, *facts: Any) -> Any:
        return replace(fresh(gate, *facts), evidence_blob=gate.evidence_blob)

    patches.set(gate_refresh, "_with_evidence", half)


def a_job_may_take_as_long_as_it_likes(patches: Patches) -> None:
    judge = smoke_test.judge_job
    patches.set(smoke_test, "judge_job", lambda **facts: judge(**{**facts, "limit": NEVER}))


def what_a_job_leaves_is_not_judged(patches: Patches) -> None:
    judge = smoke_test.judge_output
    patches.set(smoke_test, "judge_output", lambda *args: replace(judge(*args), failures=()))


def first_activations_do_not_wait(patches: Patches) -> None:
    patches.set(activate, "_not_yet", lambda *_args: None)


class Unheld(EndpointLock):
    """A lock whose hold is not seen."""

    def is_held(self, _now: Any) -> bool:
        return False


class Unholding:
    """The endpoint store, but for holds."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def lock(self, *place: Any) -> Any:
        stored = self._store.lock(*place)
        if stored is None:
            return None
        row = Unheld(**{f.name: getattr(stored.row, f.name) for f in fields(stored.row)})
        return Versioned(row=row, etag=stored.etag)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def a_hold_that_is_set_late_is_overlooked(patches: Patches) -> None:
    """It is looked for when the lock is taken, and not before the switch."""
    want = activate.want_live

    def sure(work: Any, ports: Any) -> Any:
        unholding: Any = Unholding(ports.endpoints)
        return want(work, replace(ports, endpoints=unholding))

    patches.set(activate, "want_live", sure)


def a_rollback_shortens_a_hold(patches: Patches) -> None:
    rolled_back = wants._rolled_back

    def short(work: Any, ports: Any, held: Any) -> EndpointLock:
        lock = rolled_back(work, ports, held)
        return replace(lock, hold_until=ports.clock.now() + work.release.policy.hold) if lock.hold_until else lock

    patches.set(wants, "_rolled_back", short)


def what_is_wanted_counts_as_live(patches: Patches) -> None:
    """The switch is begun, the lock is read again, and nobody looks whether the service has done it."""

    def trusting(environment: Any, circuit: Any, name: str, ports: Any, **_seen: Any) -> Any:
        before = ports.endpoints.lock(environment, circuit)
        if before is None or not (before.row.want or before.row.want_none):
            return convergence.Converged(default="", lock=before.row if before else None)
        endpoint = ports.models.endpoint(environment, name)
        if endpoint.default != before.row.want:
            convergence._switch(ports, before.row, endpoint)
        after = ports.endpoints.lock(environment, circuit)
        return convergence.Converged(default=after.row.want, lock=after.row)

    for module in (activate, restore, convergence, worker_module):
        patches.set(module, "converge", trusting)


DEFECTS = (
    Mutant.of("a gate asked again shows what it showed", a_gate_asked_again_shows_what_it_showed_before, "azure"),
    Mutant.of("newer evidence is not shown", newer_evidence_is_not_shown, "quiet", "mild"),
    Mutant.of("a job may take as long as it likes", a_job_may_take_as_long_as_it_likes, "azure"),
    Mutant.of("what a job leaves is not judged", what_a_job_leaves_is_not_judged, "azure"),
    Mutant.of("first activations do not wait", first_activations_do_not_wait, "quiet", "mild"),
    Mutant.of("a hold that is set late is overlooked", a_hold_that_is_set_late_is_overlooked, "mild", "quiet"),
    Mutant.of("a rollback shortens a hold", a_rollback_shortens_a_hold, "quiet"),
    Mutant.of("what is wanted counts as live", what_is_wanted_counts_as_live, "quiet"),
)
