"""Unit: no state and no event was forgotten in the tables, for releases, rollbacks, checks, circuit runs and gates."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from itertools import product

import pytest

from shared.domain import events as e
from shared.domain import process
from shared.domain.commands import FanOut, OpenGate, Tell
from shared.domain.errors import IllegalTransition
from shared.domain.model import (
    FANOUT_END,
    FANOUT_START,
    NEUTRAL,
    TERMINAL_RELEASE_PHASES,
    UNSUCCESSFUL,
    CircuitPhase,
    GateName,
    GateState,
    Moment,
    ProcessKind,
    Release,
    ReleasePhase,
    Round,
)
from shared.domain.policy import Policy
from tests.support.builders import NOW, a_release, a_run

ROUNDS = [round_ for round_ in Round if round_]
CURSORS = (FANOUT_START, "c|P|C", FANOUT_END)
LATER = NOW + timedelta(minutes=1)


def release_events() -> Iterator[e.ReleaseEvent]:
    """Every kind of event, in every form that matters to a decision."""
    found = (
        *(
            e.RoundEnded(
                at=LATER, round=round_, gen=gen, any_unsuccessful=bad, any_successful=good, any_overtaken=overtaken
            )
            for round_, bad, good, overtaken, gen in product(ROUNDS, *[(False, True)] * 3, (1, 2))
        ),
        *(e.FanOutAdvanced(at=LATER, round=round_, gen=1, cursor=c) for round_, c in product(ROUNDS, CURSORS)),
        *(e.FanOutDied(at=LATER, round=round_, gen=1, cursor=c) for round_, c in product(ROUNDS, CURSORS)),
        *(kind(at=LATER, gate=g) for kind, g in product((e.GateApproved, e.GateRejected, e.GateExpired), GateName)),
        *(e.RoundStuck(at=LATER, round=round_, gen=1, why="stuck") for round_ in ROUNDS),
        *(e.LedgerNoted(at=LATER, gen=1, cursor=cursor) for cursor in CURSORS),
        e.CancelRequested(at=LATER, by="ops", why="because"),
        e.RetryRequested(at=LATER, by="ops", why="because"),
    )
    assert {type(event) for event in found} == set(subclasses(e.ReleaseEvent)), "an event is missing here"
    yield from found


def circuit_events() -> Iterator[e.CircuitEvent]:
    """Every kind of event a circuit can meet, each round's fan-out among them."""
    required: Mapping[str, object] = {
        "source_version": "3",
        "source_hash": "h",
        "source_tags": {},
        "registry_tags": {},
        "live_deployment": "",
        "previous_deployment": "deployment-1",
        "slot": 1,
        "fence": 3,
        "error": "no",
    }
    for kind in subclasses(e.CircuitEvent):
        if kind is e.FannedOut:
            for round_, gen, reason in product(ROUNDS, (1, 2), ("", "broken")):
                yield e.FannedOut(at=LATER, round=round_, gen=gen, exclude_reason=reason)
            continue
        own = {name: value for name, value in required.items() if name in kind.__dataclass_fields__}
        yield kind(at=LATER, **own)  # type: ignore[arg-type]  # the fields it has


def subclasses[Event](base: type[Event]) -> list[type[Event]]:
    return [kind for kind in vars(e).values() if isinstance(kind, type) and base in kind.__bases__]


def releases() -> Iterator[Release]:
    """Every phase of every kind of process, as far as fan-out can have come, asked to stop or not."""
    kinds = (ProcessKind.RELEASE, ProcessKind.ROLLBACK, ProcessKind.CHECK)
    for phase, kind, cursor, cancelled_by, died in product(ReleasePhase, kinds, CURSORS, ("", "ops"), ("", "died")):
        yield a_release(phase=phase, kind=kind, fanout_cursor=cursor, cancel_requested_by=cancelled_by, died=died)


# ------------------------------------------------------------------------- releases, rollbacks and checks


def test_every_release_meets_every_event_and_moves_along_the_tables_or_not_at_all() -> None:
    """Phase x event, with everything else that a decision looks at: no other error than `IllegalTransition`."""
    listed = {(source, target) for (source, _), target in process.ROUND_EDGES.items()}
    listed |= {(source, target) for (source, _), target in process.RELEASE_EDGES.items()}
    listed |= {
        (source, row) for source in (ReleasePhase.FAILED, ReleasePhase.EXPIRED) for row in process.RESUME_AT.values()
    }
    moves, events = 0, list(release_events())
    for release in releases():
        for event in events:
            try:
                moved = process.decide_release(release, event).row
            except IllegalTransition:
                continue
            moves += 1
            assert moved.phase is release.phase or (release.phase, moved.phase) in listed, (release.phase, event)
    assert moves > 500


@pytest.mark.parametrize("phase", process.ROUND_OF)
def test_every_end_of_a_round_leads_somewhere(phase: ReleasePhase) -> None:
    """Green, red, neutral, empty, cancelled or not: no release waits behind a round that has ended."""
    for bad, good, overtaken, cancelled_by in product(*[(False, True)] * 3, ("", "ops")):
        release = a_release(phase=phase, cancel_requested_by=cancelled_by)
        event = e.RoundEnded(
            at=LATER,
            round=process.ROUND_OF[phase],
            gen=1,
            any_unsuccessful=bad,
            any_successful=good,
            any_overtaken=overtaken,
        )
        assert process.decide_release(release, event).row.phase is not phase


@pytest.mark.parametrize("phase", ReleasePhase)
def test_every_phase_is_a_round_a_gate_or_an_end(phase: ReleasePhase) -> None:
    """Nothing else: whatever is not driven by messages is driven by people, or is over."""
    kinds = (phase in process.ROUND_OF, phase in process.GATE_OF, phase in TERMINAL_RELEASE_PHASES)
    assert kinds.count(True) == 1


@pytest.mark.parametrize("phase", [*process.ROUND_OF, *process.GATE_OF])
def test_every_phase_that_is_no_end_comes_to_one(phase: ReleasePhase) -> None:
    """I8, read off the tables; a fan-out that dies for good is no dead end either, nor an excuse to leave D11."""
    edges = {*process.ROUND_EDGES.items(), *process.RELEASE_EDGES.items()}
    reached, before = {phase}, set[ReleasePhase]()
    while reached != before:
        before = set(reached)
        reached |= {target for (source, _), target in edges if source in reached}
    assert reached & TERMINAL_RELEASE_PHASES
    assert (phase in process.GATE_OF) != ((phase, e.FanOutDied) in process.RELEASE_EDGES)


def test_entering_a_phase_starts_what_it_waits_for() -> None:
    """A round has its fan-out and is watched by the sweeper, a gate is opened and told, an end says when it was."""
    for release, event in product(releases(), list(release_events())):
        try:
            decision = process.decide_release(release, event)
        except IllegalTransition:
            continue
        row, commands = decision.row, decision.commands
        if row.phase is release.phase:
            continue
        fan_outs = [command for command in commands if isinstance(command, FanOut)]
        if row.phase in process.ROUND_OF:
            assert [command.cursor for command in fan_outs] == [FANOUT_START]
            assert row.due_at is not None
        elif row.phase in process.GATE_OF:
            assert OpenGate(gate=process.GATE_OF[row.phase]) in commands
            assert row.kind is not ProcessKind.RELEASE or Tell(moment=Moment.GATE_OPENED) in commands
        else:
            assert fan_outs == []
            assert row.ended_at == LATER


REPEATED = (e.FanOutAdvanced, e.RoundStuck)
"""One names its page, the other is counted: both may come more than once."""


@pytest.mark.parametrize("event", [event for event in release_events() if not isinstance(event, REPEATED)])
def test_an_event_for_a_release_counts_once(event: e.ReleaseEvent) -> None:
    """Whatever it did, delivered again it does nothing; a retry may follow a retry that has failed."""
    for release in releases():
        try:
            once = process.decide_release(release, event).row
        except IllegalTransition:
            continue
        with pytest.raises(IllegalTransition):
            process.decide_release(once, event)


@pytest.mark.parametrize("kind", [kind for kind in ProcessKind if kind is not ProcessKind.RELEASE])
def test_only_releases_are_retried(kind: ProcessKind) -> None:
    """A rollback is asked for again."""
    for phase in ReleasePhase:
        with pytest.raises(IllegalTransition):
            process.decide_release(a_release(phase=phase, kind=kind), e.RetryRequested(at=LATER))


# ----------------------------------------------------------------------------------------------- circuit runs


@pytest.mark.parametrize("phase", CircuitPhase)
def test_every_circuit_meets_every_event_and_moves_along_the_tables_or_not_at_all(phase: CircuitPhase) -> None:
    """Phase x event, in both generations, with work of every round, after an error in every round."""
    events = list(circuit_events())
    todos = ROUNDS if phase in process.WORKING_PHASES else [Round.NONE]
    for todo, error_round, gen, event in product(todos, Round, (1, 2), events):
        run = a_run(phase=phase, todo=todo, error_round=error_round, gen=gen, slot=1)
        try:
            moved = process.decide_circuit(run, event, Policy()).row
        except IllegalTransition:
            continue
        assert moved.phase in allowed(phase, event)
        assert bool(moved.todo) == (moved.phase in process.WORKING_PHASES) or moved.phase is phase
        assert (moved.due_at is not None) == (moved.phase in process.WORKING_PHASES) or moved.phase is phase


def allowed(phase: CircuitPhase, event: e.CircuitEvent) -> set[CircuitPhase]:
    if isinstance(event, e.FannedOut):
        entry = process.ROUND_ENTRIES[event.round]
        here = phase in entry.after | entry.again | {entry.done} | UNSUCCESSFUL
        return {entry.phase, CircuitPhase.EXCLUDED} if here else set()
    if isinstance(event, e.StepFailed | e.StepErrored) and phase in process.WORKING_PHASES:
        return {CircuitPhase.FAILED if isinstance(event, e.StepFailed) else CircuitPhase.ERRORED}
    target = process.CIRCUIT_EDGES.get((phase, type(event)))
    return set() if target is None else {target}


def test_every_phase_with_work_has_its_step_and_its_deadline() -> None:
    """But the wait for a smoke-test slot, which is no step and is bounded by its siblings' deadlines."""
    assert process.STEP_OF.keys() == process.LIMIT_OF.keys()
    assert process.WORKING_PHASES - process.STEP_OF.keys() == {CircuitPhase.QUEUED}


def test_whoever_waits_at_a_gate_can_be_looked_at_again() -> None:
    """Also circuits that failed behind gate 2: a retry asks there again, and the round after it takes them up."""
    behind_gates = [process.ROUND_ENTRIES[round_] for round_ in (Round.PROMOTION, Round.STAGING)]
    waiting = behind_gates[0].after | behind_gates[1].after | behind_gates[1].again
    assert {phase for phase, kind in process.CIRCUIT_EDGES if kind is e.EvidenceRefreshed} == waiting


@pytest.mark.parametrize("round_", ROUNDS)
def test_every_round_can_be_done_and_failed(round_: Round) -> None:
    """From its first phase, along the table, to where it has done its part."""
    entry = process.ROUND_ENTRIES[round_]
    reached, before = {entry.phase}, set[CircuitPhase]()
    while reached != before:
        before = set(reached)
        reached |= {target for (source, _), target in process.CIRCUIT_EDGES.items() if source in reached}
    assert entry.done in reached
    assert entry.phase in process.WORKING_PHASES
    assert round_ in process.ROUND_OF.values()


@pytest.mark.parametrize("phase", CircuitPhase)
def test_every_circuit_phase_is_reached_and_left_or_an_end(phase: CircuitPhase) -> None:
    """No state that nothing leads to, and none with work that nothing leads out of."""
    entered = {entry.phase for entry in process.ROUND_ENTRIES.values()}
    reached = entered | set(process.CIRCUIT_EDGES.values()) | UNSUCCESSFUL | NEUTRAL
    assert phase in reached
    if phase in process.WORKING_PHASES:
        assert any(source is phase for source, _ in process.CIRCUIT_EDGES)


@pytest.mark.parametrize("event", [event for event in circuit_events() if not isinstance(event, e.EvidenceRefreshed)])
def test_an_event_for_a_circuit_counts_once(event: e.CircuitEvent) -> None:
    """Delivered again it does nothing, from wherever it led."""
    for phase, error_round in product(CircuitPhase, Round):
        run = a_run(phase=phase, todo=todo_in(phase), error_round=error_round)
        try:
            once = process.decide_circuit(run, event, Policy()).row
        except IllegalTransition:
            continue
        with pytest.raises(IllegalTransition):
            process.decide_circuit(replace(once), event, Policy())


def todo_in(phase: CircuitPhase) -> Round:
    """Some round in which a circuit can stand there with work; only whether there is one matters."""
    return Round.TEST if phase in process.WORKING_PHASES else Round.NONE


# ------------------------------------------------------------------------------------------------------ gates


def test_every_state_of_a_gate_is_reached_and_an_open_one_is_left_by_every_answer() -> None:
    """It opens with its row; what is decided for good has no edge out."""
    assert set(process.GATE_EDGES.values()) == set(GateState)
    assert {kind for state, kind in process.GATE_EDGES if state is GateState.OPEN} == {
        e.GateApproved,
        e.GateRejected,
        e.GateExpired,
        e.GateVoided,
    }
    for decided in (GateState.REJECTED, GateState.VOID):
        assert not [state for state, _ in process.GATE_EDGES if state is decided]


@pytest.mark.parametrize("kind", [e.GateApproved, e.GateRejected, e.GateExpired])
def test_what_closes_a_gate_moves_its_release(kind: type[e.ReleaseEvent]) -> None:
    """Both change in one transaction, so both tables must know it, at both gates."""
    assert (GateState.OPEN, kind) in process.GATE_EDGES
    assert {phase for phase, event in process.RELEASE_EDGES if event is kind} == set(process.GATE_OF)
