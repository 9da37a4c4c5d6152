"""Unit: every dead letter ends visible, and none comes again for ever."""

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.application.dead_letters import DeadLetters
from shared.application.messages import message_id, to_json
from shared.application.ports import Ports, Sendable
from shared.application.queries import Queries
from shared.domain.commands import (
    FanOut,
    LookForDrift,
    NoteLedger,
    Prune,
    ReadArtifact,
    RefreshGate,
    RunStep,
    SendNotice,
    StepKind,
)
from shared.domain.errors import ConfigurationError, PermanentError, TransientError
from shared.domain.model import FANOUT_START, CircuitPhase, Environment, GateName, Moment, ReleasePhase, Round
from shared.domain.naming import deployment_name
from shared.domain.process import ROUND_ENTRIES, fan_out
from shared.triggers.dead_letters import record
from tests.support.builders import CIRCUIT, OTHER_CIRCUIT, RELEASE_ID, THIRD_CIRCUIT, a_release, a_run
from tests.support.pipeline_world import ALL_CIRCUITS, OPERATORS, PipelineWorld

REFUSED = "be-plant001-circuit02"
REASON = "MaxDeliveryCountExceeded"
FAN_OUT = FanOut(release_id=RELEASE_ID, gen=1, round=Round.INSPECTION, cursor=FANOUT_START)
STEP = RunStep(release_id=RELEASE_ID, circuit=CIRCUIT, gen=1, kind=StepKind.INSPECT, phase=CircuitPhase.INSPECTING, n=0)


def bury(world: PipelineWorld, command: Sendable | bytes) -> None:
    body = command if isinstance(command, bytes) else to_json(command).encode()
    DeadLetters(world.ports).handle(body, REASON)


@pytest.mark.parametrize(
    "body", [b"", b"\xff\xfe", b"[]", b'{"v":2}', b'{"v":1,"kind":"inspect"}', b"x" * 200_000, b"[" * 100_000]
)
def test_noise_is_logged_and_over(world: PipelineWorld, body: bytes) -> None:
    """Rule 9: it never comes again, whatever it holds."""
    bury(world, body)

    assert world.bus.sent == []
    assert world.releases.rows == {}


def test_a_dead_step_makes_its_circuit_errored_and_the_round_ends(world: PipelineWorld) -> None:
    """I10: a visible failure of the release, with the reason."""
    world.put(a_release(total=1), a_run())

    bury(world, STEP)

    assert world.circuit().phase is CircuitPhase.ERRORED
    assert world.phase() is ReleasePhase.FAILED
    assert REASON in world.release().reason


def test_a_dead_step_of_an_earlier_look_changes_nothing(world: PipelineWorld) -> None:
    """Rule 9: gen, phase and n must equal the row's."""
    world.put(a_release(total=1), a_run(poll_n=3))

    bury(world, STEP)

    assert world.circuit().phase is CircuitPhase.INSPECTING


@pytest.mark.parametrize(
    "command",
    [FAN_OUT, SendNotice(release_id=RELEASE_ID, row_key="n|x", n=0), ReadArtifact(path="a/changed_circuits.json")],
)
def test_a_dead_control_message_is_driven_three_times(world: PipelineWorld, command: Sendable) -> None:
    """Each time under a new id, half a minute later."""
    world.put(a_release(total=1, fanout_cursor=FANOUT_START))
    letters = [command]
    for _ in range(4):
        world.bus.take()
        bury(world, letters[-1])
        letters += [sent for sent in world.bus.take() if isinstance(sent, type(command))]

    assert [letter.revived for letter in letters] == [0, 1, 2, 3]
    assert {letter.delay for letter in letters[1:]} == {timedelta(seconds=30)}


def test_a_fan_out_that_dies_for_good_fails_the_release(world: PipelineWorld) -> None:
    """Nothing waits for ever: nobody has work, so the round ends in that moment, and says why."""
    world.put(a_release(fanout_cursor=FANOUT_START))

    for revived in range(4):
        bury(world, replace(FAN_OUT, revived=revived))

    assert world.phase() is ReleasePhase.FAILED
    assert "inspection work was given up" in world.release().reason


AFTER_TWO = "c|PLANT001|CIRCUIT02"


def lose_the_third_circuit(world: PipelineWorld, round_: Round, release_id: str = RELEASE_ID) -> None:
    """The page behind the first two circuits is never handed out."""
    world.change(world.circuit(THIRD_CIRCUIT, release_id), **as_before(round_))
    world.change(world.release(release_id), fanout_cursor=AFTER_TWO)
    bury(world, FanOut(release_id=release_id, gen=1, round=round_, cursor=AFTER_TWO, revived=3))


def as_before(round_: Round) -> dict[str, object]:
    [phase] = ROUND_ENTRIES[round_].after
    return {"phase": phase, "todo": Round.NONE, "due_at": None, "fence": 0}


@pytest.mark.parametrize(
    ("phase", "round_"),
    [
        (ReleasePhase.PROMOTING, Round.PROMOTION),
        (ReleasePhase.TESTING, Round.TEST),
        (ReleasePhase.STAGING_PRODUCTION, Round.STAGING),
    ],
)
def test_a_release_whose_fan_out_died_ends_when_the_circuits_at_work_have(
    world: PipelineWorld, phase: ReleasePhase, round_: Round
) -> None:
    """Known failure 2: an end with circuits still at work would let the next release take their endpoints."""
    world.start()
    world.to_phase(phase)
    world.run(lambda: all(run.todo is round_ for run in world.runs()))
    lose_the_third_circuit(world, round_)

    assert world.phase() is phase
    assert [run.todo for run in world.runs()] == [round_, round_, Round.NONE]
    world.run(lambda: world.release().is_terminal)

    assert [run.phase for run in world.runs()[:2]] == [ROUND_ENTRIES[round_].done] * 2
    assert world.phase() is ReleasePhase.FAILED
    assert f"{round_.name.lower()} work was given up" in world.release().reason


def test_a_retry_after_a_fan_out_that_died_takes_all_circuits_along(world: PipelineWorld) -> None:
    """R58: nobody is still at work in the generation before, so nobody is passed over."""
    world.start()
    world.to_phase(ReleasePhase.TESTING)
    world.run(lambda: all(run.todo is Round.TEST for run in world.runs()))
    lose_the_third_circuit(world, Round.TEST)
    world.run(lambda: world.release().is_terminal)

    world.operations().retry(RELEASE_ID, by="ops", reason="fixed", exclude={})
    world.to_phase(ReleasePhase.SUCCEEDED)

    assert world.phases() == [CircuitPhase.LIVE] * 3


def test_a_first_activation_does_not_wait_for_circuits_that_nobody_hands_out(world: PipelineWorld) -> None:
    """D11: those with a predecessor go first; here one of them never gets its work, and all stay as they were."""
    world.release_all(RELEASE_ID, OTHER_CIRCUIT, THIRD_CIRCUIT)
    second = "20251211.1"
    world.start(second, build="2")
    world.to_phase(ReleasePhase.ACTIVATING, second)
    world.run(lambda: all(run.todo is Round.ACTIVATION for run in world.runs(second)))
    lose_the_third_circuit(world, Round.ACTIVATION, second)

    world.run()

    assert world.phase(second) is ReleasePhase.FAILED
    assert "activation work was given up" in world.release(second).reason
    assert world.live_default(CIRCUIT) == ""
    assert world.live_default(OTHER_CIRCUIT) == world.live_default(THIRD_CIRCUIT) == deployment_name(RELEASE_ID)


def test_an_activation_that_can_not_be_handed_out_takes_back_what_it_began(world: PipelineWorld) -> None:
    """D11: circuits of earlier pages are still at it; all old, never in between."""
    world.release_all()
    world.clock.forward(timedelta(days=1))
    world.models.operation_time = timedelta(seconds=40)
    second = "20251211.1"
    world.start(second, build="2")
    world.to_phase(ReleasePhase.ACTIVATING, second)
    world.run(lambda: world.lock().want == deployment_name(second))
    world.change(world.release(second), fanout_cursor="c|PLANT001|CIRCUIT02")

    bury(
        world,
        FanOut(release_id=second, gen=1, round=Round.ACTIVATION, cursor="c|PLANT001|CIRCUIT02", revived=3),
    )
    world.run()

    assert world.phase(second) is ReleasePhase.FAILED
    assert [world.live_default(circuit) for circuit in ALL_CIRCUITS] == [deployment_name(RELEASE_ID)] * 3


def a_way_back(world: PipelineWorld, kind: str) -> str:
    """A release that reverts, or a rollback, before any of it is handed out."""
    world.release_all()
    world.clock.forward(timedelta(days=1))
    second = "20251211.1"
    if kind == "rollback":
        world.release_all(second, build="2")
        started = world.roll_back(*ALL_CIRCUITS)
        world.lose_messages()
        return started.rollback_id
    switch = world.models.set_default

    def refuse(environment: Environment, endpoint: str, deployment: str) -> None:
        if (environment, endpoint, deployment) == (Environment.PRODUCTION, REFUSED, deployment_name(second)):
            raise PermanentError("the service refuses this deployment")
        switch(environment, endpoint, deployment)

    world.models.set_default = refuse  # type: ignore[method-assign]  # the fake's own method, for one endpoint
    world.start(second, build="2")
    world.to_phase(ReleasePhase.REVERTING, second)
    world.lose_messages()
    return second


@pytest.mark.parametrize("kind", ["release", "rollback"])
def test_a_way_back_that_can_not_be_handed_out_is_told_and_driven_until_it_can(world: PipelineWorld, kind: str) -> None:
    """D11: its end would leave production half new, half old for ever."""
    way_back = a_way_back(world, kind)
    row = world.release(way_back)
    world.mail.letters.clear()
    bury(world, replace(fan_out(row), revived=3))
    world.run()

    assert world.phase(way_back) is row.phase
    told = [letter for letter in world.mail.letters if letter.notice.moment is Moment.WAY_BACK_STALLED]
    assert [letter.notice.recipient for letter in told] == list(OPERATORS)
    (line,) = Queries(world.ports).health()["stalled"]
    assert line.startswith(f"{way_back} is {row.phase} and does not go on")
    assert "was given up after 3 more tries" in line

    world.sweep_for(timedelta(minutes=10))
    assert world.release(way_back).is_terminal
    assert [world.live_default(circuit) for circuit in ALL_CIRCUITS] == [deployment_name(RELEASE_ID)] * 3
    assert Queries(world.ports).health() == {}


def test_the_sweepers_repeats_do_not_count_as_lives_of_a_fan_out(world: PipelineWorld) -> None:
    """An overdue page that was driven five times and then died once gets its three more tries."""
    world.put(a_release(fanout_cursor=FANOUT_START))

    bury(world, replace(FAN_OUT, redrive=5))

    [again] = world.bus.sent
    assert again.revived == 1
    assert world.phase() is ReleasePhase.INSPECTING


def test_a_revived_message_and_one_of_the_sweeper_have_different_ids(world: PipelineWorld) -> None:
    """Or duplicate detection would take the second for the first and drop it."""
    world.put(a_release(fanout_cursor=FANOUT_START, due_at=world.clock.now()))

    bury(world, FAN_OUT)
    world.sweep()

    assert len({message_id(command) for command in world.bus.sent}) == 2


DEAD = [
    STEP,
    replace(FAN_OUT, revived=3),
    SendNotice(release_id=RELEASE_ID, row_key="n|x", n=0),
    ReadArtifact(path="a/changed_circuits.json"),
    Prune(release_id=RELEASE_ID),
    LookForDrift(n=1),
    RefreshGate(release_id=RELEASE_ID, gate=GateName.REGISTRY, n=1),
    NoteLedger(release_id=RELEASE_ID, gen=1),
]


@pytest.mark.parametrize("command", DEAD, ids=lambda command: type(command).__name__)
def test_with_the_store_down_a_dead_letter_comes_again_later_and_never_at_once(
    world: PipelineWorld, command: Sendable
) -> None:
    """What raises on a dead-letter queue is delivered again immediately, without end; an outage lasts for hours."""
    world.put(a_release(total=1, fanout_cursor=FANOUT_START), a_run())
    world.break_store()
    times = []
    letter = command
    for _ in range(12):
        world.bus.take()
        bury(world, letter)
        letters = [sent for sent in world.bus.take() if type(sent) is type(command)]
        if not letters:  # it has come back often enough; its row or blob is what is left to see
            break
        [letter] = letters
        times.append(letter.delay)
        world.clock.forward(letter.delay)

    assert times
    assert min(times) >= timedelta(seconds=5)
    assert (
        isinstance(command, SendNotice | ReadArtifact | Prune | LookForDrift | RefreshGate | NoteLedger)
        or len(times) == 12
    )


def test_after_an_outage_the_dead_letter_is_recorded_after_all(world: PipelineWorld) -> None:
    """I10: it came back as an ordinary message, died again, and now its circuit says so."""
    world.put(a_release(total=1), a_run())
    world.break_store()
    bury(world, STEP)
    world.mend_store()

    [letter] = world.bus.take()
    bury(world, letter)

    assert world.circuit().phase is CircuitPhase.ERRORED
    assert world.phase() is ReleasePhase.FAILED


def test_with_state_and_bus_down_a_dead_letter_waits_before_it_is_delivered_again(world: PipelineWorld) -> None:
    """There is nowhere to put it: the host keeps it, and comes again not faster than once a second."""
    world.put(a_release(total=1), a_run())
    world.break_store()

    def bus_down(_request: str) -> None:
        raise TransientError("the bus is down")

    world.bus.on_request = bus_down

    with pytest.raises(TransientError, match="storage is down"):
        bury(world, STEP)
    assert world.clock.pauses == [timedelta(seconds=1)]


@pytest.mark.parametrize("command", [STEP, replace(FAN_OUT, revived=3)], ids=["step", "fan-out"])
def test_a_dead_letter_that_the_store_refuses_is_told_and_over(
    world: PipelineWorld, command: Sendable, caplog: pytest.LogCaptureFixture
) -> None:
    """A role that was taken away, say: the sweeper drives the row once it is back."""
    world.put(a_release(total=1, fanout_cursor=FANOUT_START), a_run())
    world.break_store(ConfigurationError("403"))

    bury(world, command)

    assert "dead_letter_unrecorded" in [record.__dict__["action"] for record in caplog.records]
    assert world.bus.sent == []


def test_a_fan_out_that_dies_behind_its_last_page_ends_a_round_that_nobody_else_ends(world: PipelineWorld) -> None:
    """The page was written and its circuits have ended; each delivery died before it looked."""
    world.put(a_release(total=1), a_run(phase=CircuitPhase.INSPECTED, todo=Round.NONE))

    bury(world, replace(FAN_OUT, revived=3))

    assert world.phase() is ReleasePhase.AWAITING_REGISTRY_APPROVAL


def test_a_defect_of_our_own_is_told_and_does_not_bring_the_dead_letter_back(
    world: PipelineWorld, caplog: pytest.LogCaptureFixture
) -> None:
    """The trigger is the last who can tell of it; what it raises comes again at once."""

    def defect(_request: str) -> None:
        raise KeyError("phase")

    world.releases.on_request = defect

    record(to_json(STEP).encode(), REASON, lambda: world.ports)

    assert [line.__dict__["action"] for line in caplog.records] == ["dead_letter", "dead_letter_unrecorded"]
    assert "KeyError" in caplog.records[-1].__dict__["error"]


def test_settings_that_nothing_can_be_built_from_do_not_bring_the_dead_letter_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With broken settings every queue runs into its dead letters, and each of those would come at once, without end."""

    def broken() -> Ports:
        raise ConfigurationError("set StateStorage")

    record(to_json(STEP).encode(), REASON, broken)

    assert [line.__dict__["action"] for line in caplog.records] == ["dead_letter_unrecorded"]
    assert "set StateStorage" in caplog.records[-1].__dict__["error"]


@pytest.mark.parametrize("columns", [{"gen": 2}, {"phase": ReleasePhase.SUCCEEDED}])
def test_a_dead_fan_out_of_the_past_fails_nothing(world: PipelineWorld, columns: dict[str, object]) -> None:
    """Its generation, or its round, is over."""
    release = a_release(**{"fanout_cursor": FANOUT_START, **columns})  # type: ignore[arg-type]  # columns
    world.put(release)

    bury(world, FanOut(release_id=RELEASE_ID, gen=1, round=Round.INSPECTION, cursor="", revived=3))

    assert world.release() == release


def test_a_dead_fan_out_of_an_earlier_round_fails_nothing(world: PipelineWorld) -> None:
    """The release has gone on in the same generation; what died is history."""
    world.put(a_release(phase=ReleasePhase.TESTING), a_run(phase=CircuitPhase.SMOKE_TESTING, todo=Round.TEST))

    bury(world, FanOut(release_id=RELEASE_ID, gen=1, round=Round.INSPECTION, cursor="", revived=3))

    assert world.phase() is ReleasePhase.TESTING
