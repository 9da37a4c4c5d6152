"""Unit: rollbacks among releases, other rollbacks and workers that were frozen - who wins, and what stays true."""

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.application.ports import Ports, ProvisioningState
from shared.application.rollback_preview import Previews
from shared.application.rollbacks import RollbackRequest
from shared.application.steps.activate import activate
from shared.application.steps.restore import restore
from shared.application.work import Work
from shared.application.worker import Worker
from shared.domain.commands import RunStep, StepKind
from shared.domain.errors import RequestRefused, TransientError
from shared.domain.events import CircuitActivated, CircuitEvent, StillRunning
from shared.domain.model import CircuitPhase, Environment, GateName, ReleasePhase
from shared.domain.process import run_step
from shared.triggers.rollback_pages import _start as start_confirmed
from shared.triggers.rollback_visitor import Confirmation, RollbackVisitor
from tests.support.builders import CIRCUIT, OTHER_CIRCUIT, THIRD_CIRCUIT
from tests.support.pipeline_world import PipelineWorld
from tests.support.rolled import ENDPOINT, FIRST, IDS, PRODUCTION, SECOND, THIRD, released

ALL = (CIRCUIT, OTHER_CIRCUIT, THIRD_CIRCUIT)


@pytest.fixture
def twice(world: PipelineWorld) -> PipelineWorld:
    """Two releases of three circuits."""
    return released(world, 2)


def activating(world: PipelineWorld) -> PipelineWorld:
    """A third release has just begun to switch all circuits."""
    world.models.operation_time = timedelta(seconds=20)
    world.start(IDS[2], build="3")
    world.to_phase(ReleasePhase.ACTIVATING, IDS[2])
    world.run(lambda: world.lock().want == THIRD)
    return world


def test_a_late_put_of_the_release_that_lost_is_put_right_by_its_own_next_look(twice: PipelineWorld) -> None:
    """The worker froze before its PUT; the rollback was verified meanwhile; then the PUT lands."""
    twice.models.operation_time = timedelta(seconds=20)
    twice.start(IDS[2], build="3")
    twice.to_phase(ReleasePhase.ACTIVATING, IDS[2])
    rolled: list[str] = []
    switch = twice.models.set_default

    def freezes(environment: Environment, endpoint: str, deployment: str) -> None:
        if deployment == THIRD and endpoint == ENDPOINT and not rolled:
            rolled.append(twice.roll_back(CIRCUIT, to=FIRST).rollback_id)
            twice.run(lambda: twice.release(rolled[0]).is_terminal)
            assert twice.live_default() == FIRST
        switch(environment, endpoint, deployment)

    twice.models.set_default = freezes  # type: ignore[method-assign]  # the fake's own method, once frozen
    twice.run()

    assert rolled
    assert twice.phase(rolled[0]) is ReleasePhase.SUCCEEDED
    assert twice.circuit(CIRCUIT, IDS[2]).phase is CircuitPhase.SUPERSEDED
    assert twice.live_default() == FIRST == twice.lock().want
    assert twice.live_default(OTHER_CIRCUIT) == THIRD
    assert twice.phase(IDS[2]) is ReleasePhase.SUCCEEDED


def test_a_worker_that_stood_still_after_its_last_look_does_not_say_that_the_circuit_is_live(
    twice: PipelineWorld,
) -> None:
    """Found by the simulation: default and lock agreed, then a rollback came and went, then the fact was written."""
    activating(twice)
    switched: list[str] = []

    def stands_still(work: Work, ports: Ports) -> CircuitEvent | StillRunning:
        outcome = activate(work, ports)
        if isinstance(outcome, CircuitActivated):
            twice.lose_messages()
            rollback_id = twice.roll_back(CIRCUIT).rollback_id
            twice.run(lambda: twice.release(rollback_id).is_terminal)
            switched.append(rollback_id)
        return outcome

    twice.clock.forward(timedelta(minutes=1))
    look = run_step(twice.circuit(CIRCUIT, IDS[2]), StepKind.ACTIVATE)
    Worker(twice.ports, steps={StepKind.ACTIVATE: stands_still, StepKind.RESTORE: restore}).handle(look)

    assert switched
    assert twice.live_default() == SECOND
    assert twice.circuit(CIRCUIT, IDS[2]).phase is CircuitPhase.SUPERSEDED


def test_a_release_that_went_live_between_the_request_and_the_switch_says_that_it_was_taken_back(
    twice: PipelineWorld,
) -> None:
    """Found by the simulation: its record stayed live while nothing of it was."""
    twice.roll_back(CIRCUIT)
    held_up = twice.bus.take()
    twice.release_all(IDS[2], build="3")

    twice.bus.send(held_up)
    twice.run()

    assert twice.live_default() == FIRST
    assert [twice.circuit(CIRCUIT, release_id).phase for release_id in IDS[1:3]] == [CircuitPhase.ROLLED_BACK] * 2


def test_a_circuit_that_is_live_already_becomes_neutral_while_its_release_goes_on(twice: PipelineWorld) -> None:
    """D11: rolled-back circuits do not count, and are not reverted a second time."""
    activating(twice)
    twice.run(lambda: twice.circuit(CIRCUIT, IDS[2]).phase is CircuitPhase.LIVE)
    started = twice.roll_back(CIRCUIT)
    twice.run()

    run = twice.circuit(CIRCUIT, IDS[2])
    assert run.phase is CircuitPhase.ROLLED_BACK
    assert started.rollback_id in run.hist[-1].why
    assert run.hist[-1].by == "ops"
    assert twice.live_default() == SECOND
    assert twice.phase(IDS[2]) is ReleasePhase.SUCCEEDED


def test_a_release_whose_circuits_all_went_back_says_so_in_its_summary(twice: PipelineWorld) -> None:
    """Afterwards too: what it made live is live no more."""
    twice.roll_back(release_id=IDS[1])
    twice.run()
    assert {run.phase for run in twice.runs(IDS[1])} == {CircuitPhase.ROLLED_BACK}
    assert [twice.live_default(circuit) for circuit in ALL] == [FIRST] * 3


def test_a_rollback_whose_target_could_not_serve_may_be_asked_for_again_at_once(twice: PipelineWorld) -> None:
    """Nothing had changed, so the same request is a new try."""
    twice.models.delete_deployment(PRODUCTION, ENDPOINT, FIRST)
    first = twice.roll_back(CIRCUIT)
    twice.run()
    assert twice.phase(first.rollback_id) is ReleasePhase.FAILED
    assert twice.live_default() == SECOND
    again = twice.roll_back(CIRCUIT)
    assert again.rollback_id != first.rollback_id
    assert again.is_new


def test_repeating_a_rollback_that_failed_on_one_circuit_takes_no_other_further_back(twice: PipelineWorld) -> None:
    """D13: what was put back stays as it is; only the circuit on which nothing had changed is tried anew."""
    twice.models.delete_deployment(PRODUCTION, ENDPOINT, FIRST)
    first = twice.roll_back(CIRCUIT, OTHER_CIRCUIT)
    twice.run()
    assert twice.phase(first.rollback_id) is ReleasePhase.FAILED
    again = twice.roll_back(CIRCUIT, OTHER_CIRCUIT)
    twice.run()
    assert again.is_new
    assert [run.circuit for run in twice.runs(again.rollback_id)] == [CIRCUIT]
    assert again.notes[0].startswith(f"left out: {OTHER_CIRCUIT}: {first.rollback_id}, asked for at ")
    assert twice.live_default(OTHER_CIRCUIT) == FIRST


def test_the_target_is_looked_at_although_the_first_look_broke(twice: PipelineWorld) -> None:
    """A transient error must not let an unchecked target through."""
    twice.models.delete_deployment(PRODUCTION, ENDPOINT, FIRST)
    twice.clock.forward(timedelta(minutes=1))
    twice.models.fail_next("deployment", TransientError("503"))
    started = twice.roll_back(CIRCUIT)
    twice.run()
    assert "does not exist" in twice.circuit(CIRCUIT, started.rollback_id).error
    assert twice.lock().owner == IDS[1]


@pytest.mark.parametrize("state", [ProvisioningState.FAILED, ProvisioningState.RUNNING])
def test_a_target_that_can_not_serve_is_refused(twice: PipelineWorld, state: ProvisioningState) -> None:
    """It stands, but it is not Succeeded: nothing is switched to it."""
    held = twice.models._endpoints[PRODUCTION, ENDPOINT].deployments[FIRST]
    held.settling.ends = state
    started = twice.roll_back(CIRCUIT)
    twice.run()
    run = twice.circuit(CIRCUIT, started.rollback_id)
    assert run.error == f"{FIRST} on {ENDPOINT} is {state}, it can't serve; nothing was changed"
    assert (twice.live_default(), twice.lock().want, twice.lock().hold_until) == (SECOND, SECOND, None)


def test_a_target_of_another_circuit_is_refused(twice: PipelineWorld) -> None:
    """The right name, the wrong model: somebody made it by hand."""
    twice.models.add_endpoint(PRODUCTION, ENDPOINT, default=SECOND, deployments=[FIRST, SECOND])
    held = twice.models._endpoints[PRODUCTION, ENDPOINT].deployments[FIRST]
    object.__setattr__(held.spec, "model_name", "plant002-circuit01")
    started = twice.roll_back(CIRCUIT)
    twice.run()
    run = twice.circuit(CIRCUIT, started.rollback_id)
    assert run.phase is CircuitPhase.FAILED
    assert "which is not plant001-circuit01" in run.error
    assert twice.live_default() == SECOND


def test_of_a_release_the_circuits_that_can_go_back_do_and_the_others_are_named(world: PipelineWorld) -> None:
    """A new circuit must not keep fifty others from going back; asked for by name it is refused."""
    world.release_all(IDS[0], CIRCUIT)
    world.clock.forward(timedelta(days=1))
    world.release_all(IDS[1], CIRCUIT, OTHER_CIRCUIT, build="2")
    started = world.roll_back(release_id=IDS[1])
    world.run()
    assert world.live_default() == FIRST
    assert world.live_default(OTHER_CIRCUIT) == SECOND
    (note,) = started.notes
    assert note.startswith(f"left out: {OTHER_CIRCUIT}")
    with pytest.raises(RequestRefused, match="Nothing was changed"):
        world.roll_back(CIRCUIT, OTHER_CIRCUIT)


def test_a_circuit_on_which_a_newer_release_went_live_is_left_out_of_the_older_ones_rollback(
    twice: PipelineWorld,
) -> None:
    """Rolling the first release back must not take back what the second one brought."""
    with pytest.raises(RequestRefused, match=f"{SECOND} should be live, not {FIRST}"):
        twice.roll_back(release_id=IDS[0])


def test_a_drill_leaves_production_and_the_releases_rows_alone(twice: PipelineWorld) -> None:
    """The same path in Test: no write to production, no hold, the run stays live."""
    writes = len(twice.models.production_writes())
    started = twice.roll_back(release_id=IDS[1], environment=Environment.TEST)
    twice.run()
    assert twice.phase(started.rollback_id) is ReleasePhase.SUCCEEDED
    assert [twice.live_default(circuit, Environment.TEST) for circuit in ALL] == [FIRST] * 3
    assert len(twice.models.production_writes()) == writes
    assert [twice.live_default(circuit) for circuit in ALL] == [SECOND] * 3
    assert {run.phase for run in twice.runs(IDS[1])} == {CircuitPhase.LIVE}
    assert twice.lock().hold_until is None
    assert twice.lock(CIRCUIT, Environment.TEST).hold_until is None


def test_a_hold_is_told_at_inspection_at_gate_2_and_in_every_summary(twice: PipelineWorld) -> None:
    """Since when, by whom, because of what; and the circuit is left out."""
    twice.roll_back(CIRCUIT)
    twice.run()
    twice.start(IDS[2], build="3")
    twice.to_phase(ReleasePhase.AWAITING_REGISTRY_APPROVAL, IDS[2])
    assert "by ops, because bad predictions" in str(twice.circuit(CIRCUIT, IDS[2]).evidence["hold"])
    twice.to_phase(ReleasePhase.AWAITING_PRODUCTION_APPROVAL, IDS[2])
    frozen = twice.evidence.get(twice.gate(GateName.PRODUCTION, IDS[2]).evidence_blob)
    assert frozen is not None
    assert b"because bad predictions" in frozen
    twice.to_phase(ReleasePhase.SUCCEEDED, IDS[2])
    twice.run()
    assert twice.circuit(CIRCUIT, IDS[2]).phase is CircuitPhase.EXCLUDED
    (summary,) = {x.summary for x in twice.mail.letters if x.release.release_id == IDS[2] and x.rollback_link}
    assert "Open Holds" in summary
    assert f"{CIRCUIT}: held since" in summary
    assert twice.live_default() == FIRST


def test_a_hold_that_is_set_while_gate_2_is_open_reaches_its_evidence(twice: PipelineWorld) -> None:
    """The evidence is refreshed, so an approver of the old one is told what changed."""
    twice.start(IDS[2], build="3")
    twice.to_phase(ReleasePhase.AWAITING_PRODUCTION_APPROVAL, IDS[2])
    digest = twice.gate(GateName.PRODUCTION, IDS[2]).digest
    twice.holds().hold(CIRCUIT, until=None, by="ops", why="waits for a sensor")
    twice.sweep_for(timedelta(minutes=20))
    gate = twice.gate(GateName.PRODUCTION, IDS[2])
    assert gate.digest != digest
    assert b"waits for a sensor" in (twice.evidence.get(gate.evidence_blob) or b"")


def test_a_stale_restore_of_a_drill_converges_in_test_only(twice: PipelineWorld) -> None:
    """Late messages put the endpoint right that they are about."""
    started = twice.roll_back(CIRCUIT, environment=Environment.TEST)
    twice.run()
    writes = len(twice.models.production_writes())
    run = twice.circuit(CIRCUIT, started.rollback_id)
    late = RunStep(
        release_id=started.rollback_id, circuit=CIRCUIT, gen=1, kind=StepKind.RESTORE, phase=CircuitPhase.RESTORING, n=0
    )
    twice.models.set_default(Environment.TEST, run.endpoint, SECOND)
    twice.clock.forward(timedelta(minutes=1))
    Worker(twice.ports).handle(late)
    twice.run()
    assert twice.live_default(CIRCUIT, Environment.TEST) == FIRST
    assert len(twice.models.production_writes()) == writes


def test_a_release_that_failed_before_it_switched_anything_is_not_rolled_back(twice: PipelineWorld) -> None:
    """It still owns the lock, but what is live was live before it: a rollback would only set a hold."""
    twice.models.fail_deployments_on(PRODUCTION, ENDPOINT, "quota")
    twice.start(IDS[2], build="3")
    twice.to_phase(ReleasePhase.FAILED, IDS[2])
    assert twice.lock().owner == IDS[2]

    with pytest.raises(RequestRefused, match=f"{SECOND} should be live, not {THIRD}"):
        twice.roll_back(release_id=IDS[2])

    assert twice.lock().hold_until is None


# ------------------------------------------------------------------------- what the page shows is what happens


def test_circuits_chosen_of_a_release_go_where_its_page_showed(twice: PipelineWorld) -> None:
    """Staged and not switched yet: what is live stays, and does not go one further back."""
    twice.start(IDS[2], build="3")
    twice.to_phase(ReleasePhase.ACTIVATING, IDS[2])
    assert (twice.circuit(CIRCUIT, IDS[2]).phase, twice.lock().want) == (CircuitPhase.STAGED, SECOND)
    asked = RollbackRequest(requested_by="", reason="", release_id=IDS[2])
    shown = {seen.target.circuit: seen.target for seen in Previews(twice.ports).of(asked).circuits}[CIRCUIT]
    assert (shown.live, shown.to) == (SECOND, SECOND)

    started = twice.roll_back(release_id=IDS[2], only=(CIRCUIT,), seen={CIRCUIT: shown.live})
    twice.run()

    assert [run.circuit for run in twice.runs(started.rollback_id)] == [CIRCUIT]
    assert twice.live_default() == SECOND
    assert twice.circuit(CIRCUIT, IDS[2]).phase is CircuitPhase.SUPERSEDED
    assert twice.live_default(OTHER_CIRCUIT) == THIRD


def test_the_older_release_whose_deployment_stays_is_not_marked_as_rolled_back(twice: PipelineWorld) -> None:
    """Only a release that was taken back says so."""
    twice.start(IDS[2], build="3")
    twice.to_phase(ReleasePhase.ACTIVATING, IDS[2])
    assert twice.lock().want == SECOND
    started = twice.roll_back(release_id=IDS[2])
    twice.run()

    assert twice.circuit(CIRCUIT, started.rollback_id).phase is CircuitPhase.RESTORED
    assert twice.circuit(CIRCUIT, IDS[1]).phase is CircuitPhase.LIVE


def test_a_chosen_circuit_that_can_not_go_back_refuses_the_whole_confirmation(twice: PipelineWorld) -> None:
    """Who ticked it expects it to go back, as with circuits asked for by name."""
    twice.roll_back(CIRCUIT, to=FIRST)
    twice.run()
    twice.clock.forward(timedelta(minutes=10))
    with pytest.raises(RequestRefused, match="Nothing was changed"):
        twice.roll_back(release_id=IDS[1], only=(CIRCUIT, OTHER_CIRCUIT))


def test_a_form_that_does_not_say_what_it_showed_is_refused() -> None:
    """Without that, nobody could tell whether the page was outdated."""
    visitor = RollbackVisitor(request=RollbackRequest(requested_by="", reason="", release_id=IDS[1]), about="")
    said = Confirmation(circuits=(str(CIRCUIT),), seen={}, reason="bad", code="", csrf="")
    with pytest.raises(RequestRefused, match="does not say what was shown"):
        start_confirmed(visitor, said)


# ------------------------------------------------------------------------------- a rollback that did not succeed


@pytest.fixture
def unfinished(twice: PipelineWorld) -> PipelineWorld:
    """The third release is live; a rollback wants the second one's deployment, and its switch never worked."""
    twice.release_all(IDS[2], build="3")
    twice.models.fail_next("set_default", TransientError("503"), times=500)
    started = twice.roll_back(CIRCUIT)
    twice.run()
    assert twice.circuit(CIRCUIT, started.rollback_id).phase is CircuitPhase.ERRORED
    assert (twice.lock().want, twice.live_default()) == (SECOND, THIRD)
    twice.models._failures.clear()
    twice.clock.forward(timedelta(minutes=10))
    return twice


def test_a_rollback_that_ran_into_its_deadline_says_how_endpoint_and_target_stand(unfinished: PipelineWorld) -> None:
    """And asks for what helps a rollback; a release is not to be retried."""
    run = unfinished.circuit(CIRCUIT, unfinished.lock().owner)
    told = run.evidence["diagnosis"]
    assert isinstance(told, list)
    endpoint, target, following = told
    assert endpoint.startswith(f"endpoint {ENDPOINT} in production is Succeeded, default {THIRD}")
    assert target == f"deployment {SECOND} is Succeeded"
    assert following.endswith("then ask for the rollback again")
    assert "ask for the rollback again" in run.error


@pytest.mark.parametrize(
    "columns",
    [
        {"circuits": (CIRCUIT,)},
        {"circuits": (CIRCUIT,), "to": SECOND},
        {"circuits": (CIRCUIT,), "seen": {CIRCUIT: THIRD}},
        {"release_id": IDS[2], "only": (CIRCUIT,)},
    ],
)
def test_repeating_a_rollback_that_ran_into_its_deadline_goes_on_with_it(
    unfinished: PipelineWorld, columns: dict[str, object]
) -> None:
    """D13: one further back is for what has gone back; the release that is taken back says so."""
    again = unfinished.roll_back(**columns)  # type: ignore[arg-type]  # columns of the request
    unfinished.run()

    assert again.is_new
    assert unfinished.live_default() == SECOND == unfinished.lock().want
    assert unfinished.circuit(CIRCUIT, again.rollback_id).phase is CircuitPhase.RESTORED
    assert unfinished.circuit(CIRCUIT, IDS[2]).phase is CircuitPhase.ROLLED_BACK
    assert unfinished.circuit(CIRCUIT, IDS[1]).phase is CircuitPhase.LIVE


# ------------------------------------------------------------------------------------------- holds, late


def test_a_hold_that_is_set_after_staging_keeps_the_circuit_as_it_is(twice: PipelineWorld) -> None:
    """Nothing was wanted yet: it is left out, and the others go live."""
    twice.start(IDS[2], build="3")
    twice.to_phase(ReleasePhase.ACTIVATING, IDS[2])
    twice.holds().hold(CIRCUIT, until=None, by="ops", why="waits for a sensor")
    twice.run()

    run = twice.circuit(CIRCUIT, IDS[2])
    assert run.phase is CircuitPhase.EXCLUDED
    assert "waits for a sensor" in run.hist[-1].why
    assert (twice.live_default(), twice.lock().want) == (SECOND, SECOND)
    assert twice.live_default(OTHER_CIRCUIT) == THIRD
    assert twice.phase(IDS[2]) is ReleasePhase.SUCCEEDED


def test_a_hold_that_is_set_while_the_switch_is_under_way_lets_it_end(twice: PipelineWorld) -> None:
    """What is wanted already is seen through; the hold is for the next release."""
    activating(twice)
    twice.holds().hold(CIRCUIT, until=None, by="ops", why="waits for a sensor")
    twice.run()
    assert twice.circuit(CIRCUIT, IDS[2]).phase is CircuitPhase.LIVE


def test_a_late_activation_in_test_writes_nothing(twice: PipelineWorld) -> None:
    """A worker that was frozen until its circuit had moved on."""
    release, run = twice.release(IDS[1]), twice.circuit(CIRCUIT, IDS[1])
    late = Work(release=release, run=replace(run, phase=CircuitPhase.ACTIVATING_TEST, deployment=FIRST))
    before = twice.lock(CIRCUIT, Environment.TEST)

    assert activate(late, twice.ports) == StillRunning()

    assert twice.lock(CIRCUIT, Environment.TEST) == before
    assert twice.live_default(CIRCUIT, Environment.TEST) == SECOND
