"""Unit: every circuit phase meets every event; polls, deadlines and redrives."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.domain import events as e
from shared.domain.commands import FreeSlot, RunStep, StartQueued, StepKind
from shared.domain.errors import IllegalTransition
from shared.domain.model import Circuit, CircuitPhase, CircuitRun, Round
from shared.domain.policy import FROM_INVOCATION, FROM_RUNNING, Policy
from shared.domain.process import (
    CIRCUIT_EDGES,
    ROUND_ENTRIES,
    STEP_OF,
    WORKING_PHASES,
    decide_circuit,
    decide_poll,
    redrive_run,
    redrive_wait,
)

AT = datetime(2025, 12, 10, 12, tzinfo=UTC)
POLICY = Policy()
P = CircuitPhase

ROUND_OF_PHASE = {
    P.INSPECTING: Round.INSPECTION,
    P.PROMOTING: Round.PROMOTION,
    P.DEPLOYING_TEST: Round.TEST,
    P.QUEUED: Round.TEST,
    P.SMOKE_TESTING: Round.TEST,
    P.ACTIVATING_TEST: Round.TEST,
    P.LOCKING: Round.STAGING,
    P.STAGING: Round.STAGING,
    P.ACTIVATING: Round.ACTIVATION,
    P.RESTORING: Round.REVERSION,
}


def run(phase: CircuitPhase, **changes: object) -> CircuitRun:
    base = CircuitRun(
        release_id="20251210.1",
        circuit=Circuit(plant_id="PLANT001", circuit_id="CIRCUIT01"),
        phase=phase,
        todo=ROUND_OF_PHASE.get(phase, Round.NONE),
        cutoff_date="2025-11-01",
        model_name="plant001-circuit01",
        model_version="20251210-1",
        test_endpoint="be-plant001-circuit01",
        endpoint="be-plant001-circuit01",
        deployment="deployment-20251210-1",
        since=AT,
    )
    return replace(base, **changes)


EVENTS: tuple[e.CircuitEvent, ...] = (
    e.ModelChosen(at=AT, source_version="3", source_hash="abc", source_tags={}, live_deployment=""),
    e.ModelPromoted(at=AT, source_hash="abc", registry_tags={}),
    e.TestDeploymentReady(at=AT),
    e.SlotTaken(at=AT, slot=2),
    e.SmokeTestPassed(at=AT),
    e.RestoredTested(at=AT),
    e.RestoredUntestable(at=AT, why="not in Test"),
    e.TestDefaultSet(at=AT, live_deployment=""),
    e.ProductionLocked(at=AT, previous_deployment="deployment-20251203-5"),
    e.ProductionStaged(at=AT),
    e.CircuitActivated(at=AT, fence=4),
    e.ActivationSkipped(at=AT),
    e.CircuitRestored(at=AT),
    e.CircuitHeld(at=AT, why="held since yesterday"),
    e.EvidenceRefreshed(at=AT, live_deployment="deployment-20251203-5"),
    e.CircuitSuperseded(at=AT, why="20251211.1 holds it"),
    e.CircuitRolledBack(at=AT, why="rollback-1: wrong forecasts"),
    e.CircuitLiveAgain(at=AT, why="rollback-2: it was the wrong circuit"),
    e.StepFailed(at=AT, error="no"),
    e.StepErrored(at=AT, error="broke"),
)


# (where, what happened) -> where that leads, written down by hand; every pair that is not here must raise
WITH_WORK = frozenset(ROUND_OF_PHASE)
AT_A_GATE = (P.INSPECTED, P.TESTED)
LEFT_BY_AN_EARLIER_TRY = (P.STAGED, P.LIVE, P.RESTORED, P.FAILED, P.ERRORED)
EXPECTED: dict[tuple[CircuitPhase, type[e.CircuitEvent]], CircuitPhase] = {
    (P.INSPECTING, e.ModelChosen): P.INSPECTED,
    (P.PROMOTING, e.ModelPromoted): P.PROMOTED,
    (P.DEPLOYING_TEST, e.TestDeploymentReady): P.QUEUED,
    (P.QUEUED, e.SlotTaken): P.SMOKE_TESTING,
    (P.SMOKE_TESTING, e.SmokeTestPassed): P.ACTIVATING_TEST,
    (P.ACTIVATING_TEST, e.TestDefaultSet): P.TESTED,
    (P.LOCKING, e.ProductionLocked): P.STAGING,
    (P.STAGING, e.ProductionStaged): P.STAGED,
    (P.ACTIVATING, e.CircuitActivated): P.LIVE,
    (P.ACTIVATING, e.ActivationSkipped): P.STAGED,
    (P.RESTORING, e.CircuitRestored): P.RESTORED,
    (P.SMOKE_TESTING, e.RestoredTested): P.TESTED,
    (P.SMOKE_TESTING, e.RestoredUntestable): P.EXCLUDED,
    **{(phase, e.CircuitHeld): P.EXCLUDED for phase in (P.LOCKING, P.ACTIVATING)},
    **{(phase, e.CircuitSuperseded): P.SUPERSEDED for phase in (P.LOCKING, P.STAGING, P.ACTIVATING, P.RESTORING)},
    (P.LIVE, e.CircuitRolledBack): P.ROLLED_BACK,
    (P.ACTIVATING, e.CircuitRolledBack): P.SUPERSEDED,
    (P.ROLLED_BACK, e.CircuitLiveAgain): P.LIVE,
    **{(phase, e.EvidenceRefreshed): phase for phase in (*AT_A_GATE, *LEFT_BY_AN_EARLIER_TRY)},
    **{(phase, e.StepFailed): P.FAILED for phase in WITH_WORK},
    **{(phase, e.StepErrored): P.ERRORED for phase in WITH_WORK},
}


def expected(phase: CircuitPhase, event: e.CircuitEvent) -> CircuitPhase | None:
    return EXPECTED.get((phase, type(event)))


def test_the_table_has_no_other_edge_and_work_is_where_it_is_expected() -> None:
    """But those of failures, which lead from wherever there is work."""
    listed = {pair: target for pair, target in EXPECTED.items() if pair[1] not in {e.StepFailed, e.StepErrored}}
    assert dict(CIRCUIT_EDGES) == listed
    assert WORKING_PHASES == WITH_WORK
    assert {type(event) for event in EVENTS} >= {kind for _, kind in EXPECTED}


@pytest.mark.parametrize("phase", list(CircuitPhase))
@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_every_phase_meets_every_event(phase: CircuitPhase, event: e.CircuitEvent) -> None:
    """An event moves a circuit along its table's edge once, or raises and changes nothing."""
    target = expected(phase, event)
    if target is None:
        with pytest.raises(IllegalTransition):
            decide_circuit(run(phase), event, POLICY)
        return
    moved = decide_circuit(run(phase), event, POLICY).row
    assert moved.phase is target
    assert bool(moved.todo) == (target in WORKING_PHASES)
    assert (moved.due_at is not None) == (target in WORKING_PHASES)
    if expected(target, event) is None:
        with pytest.raises(IllegalTransition):
            decide_circuit(moved, event, POLICY)


@pytest.mark.parametrize("round_", list(ROUND_ENTRIES))
@pytest.mark.parametrize("phase", list(CircuitPhase))
@pytest.mark.parametrize(("gen", "again"), [(1, False), (2, True)])
def test_fan_out_moves_only_who_belongs_into_the_round(
    round_: Round, phase: CircuitPhase, gen: int, *, again: bool
) -> None:
    """The predecessor's green circuits, and on a retry the ones that did not make it."""
    entry = ROUND_ENTRIES[round_]
    allowed = entry.after | (entry.again if again else frozenset())
    row = replace(run(phase), todo=Round.NONE, error_round=Round.ACTIVATION)
    event = e.FannedOut(at=AT, round=round_, gen=gen)
    if phase not in allowed:
        with pytest.raises(IllegalTransition):
            decide_circuit(row, event, POLICY)
        return
    decision = decide_circuit(row, event, POLICY)
    assert (decision.row.phase, decision.row.todo, decision.row.gen) == (entry.phase, round_, gen)
    assert isinstance(decision.commands[0], RunStep)


def test_an_excluded_circuit_is_left_out_with_its_reason() -> None:
    """R58: it ends neutral, whatever the round would have asked of it."""
    event = e.FannedOut(at=AT, round=Round.PROMOTION, gen=1, exclude_reason="sensor broken")
    moved = decide_circuit(run(P.INSPECTED), event, POLICY).row
    assert moved.phase is P.EXCLUDED
    assert moved.hist[-1].why == "sensor broken"


def test_a_circuit_that_failed_before_activation_is_not_restored() -> None:
    """It was never switched: there is nothing to put back."""
    failed = replace(run(P.FAILED), error_round=Round.STAGING)
    with pytest.raises(IllegalTransition):
        decide_circuit(failed, e.FannedOut(at=AT, round=Round.REVERSION, gen=1), POLICY)


def test_a_failed_activation_keeps_its_error_while_it_is_restored() -> None:
    """The report needs both: what was tried and that it is back."""
    failed = replace(run(P.FAILED), error="would not switch", error_round=Round.ACTIVATION)
    moved = decide_circuit(failed, e.FannedOut(at=AT, round=Round.REVERSION, gen=1), POLICY).row
    assert (moved.phase, moved.error) == (P.RESTORING, "would not switch")


def test_what_is_learnt_at_a_gate_leaves_the_circuit_where_it_is_and_since_when() -> None:
    """The history says what was learnt, and nothing follows from it."""
    later = AT + timedelta(hours=1)
    event = e.EvidenceRefreshed(at=later, why="nothing is live now", live_deployment="", evidence={"drift": "gone"})
    decision = decide_circuit(run(P.TESTED, live_deployment="old", evidence={"smoke": {}}), event, POLICY)
    assert (decision.row.phase, decision.row.since, decision.row.due_at) == (P.TESTED, AT, None)
    assert (decision.row.live_deployment, decision.row.evidence) == ("", {"smoke": {}, "drift": "gone"})
    assert (decision.row.hist[-1].at, decision.row.hist[-1].why) == (later, "nothing is live now")
    assert decision.commands == ()


def test_a_ready_deployment_queues_for_a_slot_and_a_slot_starts_the_smoke_test() -> None:
    """D8: between the two there is no message, whoever frees a slot starts the next."""
    queued = decide_circuit(run(P.DEPLOYING_TEST), e.TestDeploymentReady(at=AT), POLICY)
    assert queued.commands == (StartQueued(),)
    started = decide_circuit(queued.row, e.SlotTaken(at=AT, slot=0), POLICY)
    assert started.row.slot == 0
    (message,) = started.commands
    assert isinstance(message, RunStep)
    assert message.kind is StepKind.SMOKE_TEST


@pytest.mark.parametrize("event", [e.SmokeTestPassed(at=AT), e.StepFailed(at=AT, error="no")])
def test_the_end_of_a_smoke_test_frees_its_slot(event: e.CircuitEvent) -> None:
    """Pass or fail, the next one starts."""
    decision = decide_circuit(run(P.SMOKE_TESTING, slot=3), event, POLICY)
    assert FreeSlot(slot=3, owner="20251210.1|1|PLANT001|CIRCUIT01") in decision.commands
    assert decision.row.slot == -1


def test_facts_of_an_event_become_columns_and_evidence_grows() -> None:
    """Evidence of earlier steps is never lost."""
    row = run(P.SMOKE_TESTING, evidence={"model": {"version": "3"}}, warnings=("a",))
    event = e.SmokeTestPassed(at=AT, warnings=("a", "b"), evidence={"smoke": {"rows": 48}})
    moved = decide_circuit(row, event, POLICY).row
    assert moved.evidence == {"model": {"version": "3"}, "smoke": {"rows": 48}}
    assert moved.warnings == ("a", "b")


def test_a_poll_counts_up_and_is_scheduled() -> None:
    """Every poll has its own n, so that its message id is its own."""
    decision = decide_poll(run(P.STAGING), e.StillRunning(), POLICY, AT)
    (message,) = decision.commands
    assert isinstance(message, RunStep)
    assert (message.n, message.delay, decision.row.poll_n) == (1, timedelta(seconds=30), 1)
    assert decision.row.due_at == AT + timedelta(seconds=30 + 90)
    assert decision.row.hist == ()


def test_a_poll_lands_on_the_deadline() -> None:
    """The last look comes when the time is up, not half a minute later."""
    at = AT + POLICY.deploy_limit - timedelta(seconds=7)
    (message,) = decide_poll(run(P.STAGING), e.StillRunning(), POLICY, at).commands
    assert isinstance(message, RunStep)
    assert message.delay == timedelta(seconds=7)


@pytest.mark.parametrize("phase", [p for p in STEP_OF if p is not P.SMOKE_TESTING])
def test_a_step_past_its_deadline_is_errored(phase: CircuitPhase) -> None:
    """Rule 8: it can be retried, and nothing waits for ever."""
    late = AT + timedelta(hours=2)
    decision = decide_poll(run(phase), e.StillRunning(transient="503"), POLICY, late)
    assert decision.row.phase is P.ERRORED
    assert decision.row.error.startswith(f"{phase} did not end within ")
    assert "503" in decision.row.error


@pytest.mark.parametrize(
    ("clock", "net"), [(FROM_INVOCATION, timedelta(minutes=35)), (FROM_RUNNING, timedelta(minutes=95))]
)
def test_a_smoke_test_that_can_not_be_judged_is_errored_when_even_its_net_is_past(clock: str, net: timedelta) -> None:
    """D8: the job's own times count as long as they can be read; I8: every run ends, with a job that queues as well."""
    policy = Policy(smoke_clock=clock)
    unread = e.StillRunning(transient="503")
    assert (
        decide_poll(run(P.SMOKE_TESTING), unread, policy, AT + net - timedelta(seconds=1)).row.phase is P.SMOKE_TESTING
    )
    decision = decide_poll(run(P.SMOKE_TESTING), unread, policy, AT + net)
    assert decision.row.phase is P.ERRORED
    assert decision.row.error.startswith(f"smoke_testing did not end within {net}; ")


def test_waiting_for_others_moves_the_deadline() -> None:
    """A circuit that waits for an older release has not started yet."""
    late = AT + timedelta(hours=5)
    decision = decide_poll(run(P.LOCKING), e.StillRunning(restart_clock=True), POLICY, late)
    assert (decision.row.phase, decision.row.since) == (P.LOCKING, late)


def test_transient_errors_back_off_and_keep_the_phase() -> None:
    """5, 10, 20 seconds ...; one good look starts the count again."""
    row, waits = run(P.PROMOTING), []
    for _ in range(4):
        decision = decide_poll(row, e.StillRunning(transient="429"), POLICY, AT)
        (message,) = decision.commands
        assert isinstance(message, RunStep)
        waits.append(message.delay.total_seconds())
        row = decision.row
    assert waits == [5, 10, 20, 40]
    assert decide_poll(row, e.StillRunning(), POLICY, AT).row.attempt == 0


def test_an_overdue_row_is_driven_with_a_new_message_id_and_growing_waits() -> None:
    """1, 2, 4, 8, then every 15 minutes."""
    row, waits = run(P.STAGING, poll_n=7), []
    for n in range(6):
        decision = redrive_run(row, AT)
        (message,) = decision.commands
        assert isinstance(message, RunStep)
        assert (message.n, message.redrive) == (7, n + 1)
        assert decision.row.due_at is not None
        waits.append((decision.row.due_at - AT).total_seconds() / 60)
        row = decision.row
    assert waits == [1, 2, 4, 8, 15, 15]
    assert redrive_wait(100) == timedelta(minutes=15)
