"""Unit: a decision counts on what is true when it is made: holds, rollbacks and newer releases since the evidence."""

import json
from datetime import timedelta

import pytest

from shared.application.gates import Gates, Verdict
from shared.domain.errors import TransientError
from shared.domain.model import Circuit, CircuitPhase, Environment, GateName, ReleasePhase
from shared.domain.policy import Policy
from tests.support.builders import CIRCUIT, OTHER_CIRCUIT, RELEASE_ID
from tests.support.fakes_state import nothing
from tests.support.pipeline_world import ALL_CIRCUITS, PipelineWorld

PRODUCTION = GateName.PRODUCTION
SECOND, THIRD = "20251210.2", "20251210.3"
MINUTE = timedelta(minutes=1)


def at_gate_2(*circuits: Circuit) -> PipelineWorld:
    """Two releases are live one after the other, the third one waits for production."""
    world = PipelineWorld(policy=Policy(endpoint_quota=1_000, deployment_quota=5_000))
    for number, release_id in enumerate((RELEASE_ID, SECOND)):
        world.release_all(release_id, *circuits, build=str(number))
    world.start(THIRD, *circuits, build="3")
    world.to_phase(ReleasePhase.AWAITING_PRODUCTION_APPROVAL, THIRD)
    world.run()
    return world


@pytest.fixture
def asked() -> PipelineWorld:
    return at_gate_2()


def roll_back(world: PipelineWorld, *circuits: Circuit) -> str:
    """One rollback from the request to its end; nothing looks at gates meanwhile."""
    rollback_id = world.roll_back(*circuits).rollback_id
    world.run(lambda: world.release(rollback_id).is_terminal)
    return rollback_id


def test_an_approval_after_a_rollback_is_told_of_it_and_nothing_is_decided(asked: PipelineWorld) -> None:
    """Known failure 10: the evidence was frozen before, so whoever approves it saw another world."""
    roll_back(asked, CIRCUIT)
    outcome = asked.answer(PRODUCTION, release_id=THIRD)
    assert outcome.verdict is Verdict.CHANGED
    told = "; ".join(outcome.changes)
    assert f"{CIRCUIT} hold: was absent, is held since" in told
    assert "by ops, because bad predictions" in told
    assert f"{CIRCUIT} wanted: was deployment-20251210-2, is deployment-20251210-1" in told
    assert asked.phase(THIRD) is ReleasePhase.AWAITING_PRODUCTION_APPROVAL
    assert asked.gate(PRODUCTION, THIRD).decisions == ()


def test_after_that_the_evidence_is_made_anew_and_can_be_decided_on(asked: PipelineWorld) -> None:
    """Issue 4.3: the hold stands in it, and what is live is what the rollback left."""
    roll_back(asked, CIRCUIT)
    before = asked.gate(PRODUCTION, THIRD).digest
    asked.answer(PRODUCTION, release_id=THIRD)
    asked.run(lambda: asked.gate(PRODUCTION, THIRD).digest != before)
    gate = asked.gate(PRODUCTION, THIRD)
    shown = json.loads(asked.evidence.blobs[gate.evidence_blob])["circuits"][0]
    assert shown["live_deployment"] == "deployment-20251210-1"
    assert "because bad predictions" in shown["hold"]
    assert asked.answer(PRODUCTION, release_id=THIRD).verdict is Verdict.APPROVED


def test_within_a_minute_open_gates_know_of_a_hold_without_anybody_asking(asked: PipelineWorld) -> None:
    """Set by an operator, then lifted: both times only the circuit it is about is looked at."""
    calls = len(asked.models.journal)
    asked.holds().hold(CIRCUIT, until=None, by="ops", why="sensor swap")
    asked.sweep_for(MINUTE)
    assert "because sensor swap" in str(asked.circuit(CIRCUIT, THIRD).evidence["hold"])
    assert len(asked.models.journal) - calls <= 4
    asked.holds().lift(CIRCUIT, by="ops", why="sensor is fine")
    asked.sweep_for(MINUTE)
    assert asked.circuit(CIRCUIT, THIRD).evidence["hold"] == ""
    assert len(asked.gate(PRODUCTION, THIRD).earlier_digests) == 2


def test_what_was_being_switched_is_looked_at_until_its_end_is_seen(asked: PipelineWorld) -> None:
    """The evidence made in the middle of a rollback says so, and the one a minute after its end is right."""
    asked.models.operation_time = timedelta(minutes=3)
    rollback_id = asked.roll_back(CIRCUIT).rollback_id
    asked.sweep_for(2 * MINUTE)
    run = asked.circuit(CIRCUIT, THIRD)
    assert (run.evidence["wanted"], run.live_deployment) == ("deployment-20251210-1", "deployment-20251210-2")
    shown = asked.evidence.blobs[asked.gate(PRODUCTION, THIRD).evidence_blob].decode()
    assert "deployment-20251210-1 should be live, deployment-20251210-2 was when this was looked at" in shown
    asked.sweep_for(3 * MINUTE)
    assert asked.release(rollback_id).is_terminal
    assert asked.circuit(CIRCUIT, THIRD).live_deployment == "deployment-20251210-1"
    asked.run()
    looked = len(asked.models.journal)
    asked.sweep_for(2 * MINUTE)
    assert len(asked.models.journal) == looked


def test_a_hold_that_has_run_out_is_a_change_as_well(asked: PipelineWorld) -> None:
    """The evidence still says held: the circuit would now be activated."""
    asked.holds().hold(CIRCUIT, until=asked.clock.now() + timedelta(minutes=5), by="ops", why="sensor swap")
    asked.sweep_for(MINUTE)
    asked.clock.forward(timedelta(minutes=5))
    outcome = asked.answer(PRODUCTION, release_id=THIRD)
    assert outcome.verdict is Verdict.CHANGED
    assert any("is no longer" in change for change in outcome.changes)


def test_a_rejection_on_outdated_evidence_is_told_as_well(asked: PipelineWorld) -> None:
    """It is a decision like any other; its reasons may be gone."""
    asked.holds().hold(CIRCUIT, until=None, by="ops", why="sensor swap")
    assert asked.answer(PRODUCTION, "reject", release_id=THIRD).verdict is Verdict.CHANGED


def test_a_hold_set_while_the_answer_is_on_its_way_counts(asked: PipelineWorld) -> None:
    """What counts is the state at the answer: it is read after the gate, right before the write."""

    def hold(_request: str) -> None:
        asked.evidence.on_request = nothing
        asked.holds().hold(CIRCUIT, until=None, by="ops", why="sensor swap")

    asked.evidence.on_request = hold
    assert asked.answer(PRODUCTION, release_id=THIRD).verdict is Verdict.CHANGED


def test_looking_at_the_gate_shows_what_has_changed_and_changes_nothing(asked: PipelineWorld) -> None:
    """GET has no side effect, ever; it tells what the evidence does not know yet."""
    asked.holds().hold(OTHER_CIRCUIT, until=None, by="ops", why="sensor swap")
    rows, sent = dict(asked.releases.rows[THIRD]), len(asked.bus.sent)
    view = Gates(asked.ports).view(asked.claim(PRODUCTION, release_id=THIRD))
    (change,) = view.outdated
    assert change.startswith(f"{OTHER_CIRCUIT} hold: was absent, is held since")
    assert (dict(asked.releases.rows[THIRD]), len(asked.bus.sent)) == (rows, sent)


def test_a_circuit_that_is_left_out_is_nobodys_concern(asked: PipelineWorld) -> None:
    """Its hold changes nothing about what is decided."""
    asked.holds().hold(CIRCUIT, until=None, by="ops", why="sensor swap")
    run = asked.circuit(CIRCUIT, THIRD)
    asked.change(run, phase=CircuitPhase.EXCLUDED)
    asked.sweep_for(timedelta(minutes=16))
    digest = asked.gate(PRODUCTION, THIRD).digest
    asked.holds().lift(CIRCUIT, by="ops", why="fine")
    assert asked.answer(PRODUCTION, release_id=THIRD, digest=digest).verdict is Verdict.APPROVED


def test_when_azure_ml_is_down_the_tables_still_bring_the_evidence_up_to_date(asked: PipelineWorld) -> None:
    """What is known of a hold does not wait for what can't be seen."""
    asked.holds().hold(CIRCUIT, until=None, by="ops", why="sensor swap")
    asked.models.fail_next("endpoint", TransientError("503"))
    asked.sweep_for(MINUTE)
    assert "sensor swap" in str(asked.circuit(CIRCUIT, THIRD).evidence["hold"])
    assert asked.circuit(CIRCUIT, THIRD).live_deployment == "deployment-20251210-2"
    assert asked.answer(PRODUCTION, release_id=THIRD).verdict is Verdict.APPROVED


def test_many_outdated_circuits_are_looked_at_page_by_page() -> None:
    """Each page makes the evidence right about twenty more; a message that comes twice finds nothing to do."""
    circuits = [Circuit(plant_id="P", circuit_id=f"C{number:02d}") for number in range(25)]
    world = at_gate_2(*circuits)
    roll_back(world, *circuits)
    world.sweep()
    (look,) = world.waiting()[-1:]
    world.run()
    assert {run.live_deployment for run in world.runs(THIRD)} == {"deployment-20251210-1"}
    gate = world.gate(PRODUCTION, THIRD)
    assert len(gate.earlier_digests) == 2
    world.handle(look, redelivered=True)
    assert world.gate(PRODUCTION, THIRD) == gate


def test_the_check_costs_one_request_for_two_hundred_circuits() -> None:
    """No call of Azure ML, and no request per circuit."""
    circuits = [Circuit(plant_id="P", circuit_id=f"C{number:03d}") for number in range(200)]
    world = at_gate_2(*circuits)
    calls, requests = len(world.models.journal), world.endpoints.requests.copy()
    assert world.answer(PRODUCTION, release_id=THIRD).verdict is Verdict.APPROVED
    assert len(world.models.journal) == calls
    assert world.endpoints.requests - requests == {"locks_of": 1}


def test_a_release_whose_circuits_were_never_live_is_not_outdated() -> None:
    """No lock row is no change."""
    world = PipelineWorld()
    world.start(RELEASE_ID, *ALL_CIRCUITS)
    world.to_phase(ReleasePhase.AWAITING_PRODUCTION_APPROVAL)
    world.run()
    assert world.endpoints.locks_of(Environment.PRODUCTION, ALL_CIRCUITS) == {}
    assert world.answer(PRODUCTION).verdict is Verdict.APPROVED
