"""Unit: one message, one look; late, repeated and dead messages change nothing they should not."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.application.dead_letters import DeadLetters
from shared.application.messages import message_id, to_json
from shared.application.ports import Ports
from shared.application.work import Work
from shared.application.worker import MOST_PUT_RIGHTS, Worker
from shared.domain.commands import RunStep, StepKind
from shared.domain.errors import ConfigurationError, PermanentError, PipelineError, StateRefused, TransientError
from shared.domain.events import CircuitEvent, ModelChosen, StillRunning
from shared.domain.model import FANOUT_START, CircuitPhase, Environment, ReleasePhase, Round
from shared.domain.naming import deployment_name
from shared.domain.process import fan_out, run_step
from tests.support.builders import CIRCUIT, NOW, OTHER_CIRCUIT, RELEASE_ID, a_release, a_run
from tests.support.pipeline_world import PipelineWorld

CHOSEN = ModelChosen(at=NOW, source_version="1", source_hash="h", source_tags={}, live_deployment="")


NEWER = "20251211.1"
ENDPOINT = "be-plant001-circuit01"


@pytest.fixture
def live_twice(world: PipelineWorld) -> PipelineWorld:
    """A release, and the newer one that went live after it."""
    world.release_all(RELEASE_ID, CIRCUIT)
    world.release_all(NEWER, CIRCUIT, build="2")
    return world


@pytest.fixture
def inspecting(world: PipelineWorld) -> PipelineWorld:
    world.put(a_release(total=2), a_run(), a_run(OTHER_CIRCUIT))
    return world


def message(world: PipelineWorld, kind: StepKind = StepKind.INSPECT) -> RunStep:
    return run_step(world.circuit(), kind)


def worker(world: PipelineWorld, step: Callable[[Work, Ports], CircuitEvent | StillRunning]) -> Worker:
    return Worker(world.ports, steps=dict.fromkeys(StepKind, step))


def gives(outcome: CircuitEvent | StillRunning) -> Callable[[Work, Ports], CircuitEvent | StillRunning]:
    return lambda _work, _ports: outcome


def raises(error: Exception) -> Callable[[Work, Ports], CircuitEvent | StillRunning]:
    def step(_work: Work, _ports: Ports) -> CircuitEvent:
        raise error

    return step


def never(_work: Work, _ports: Ports) -> CircuitEvent:
    raise AssertionError("the step must not run")


def test_a_fact_moves_the_circuit(inspecting: PipelineWorld) -> None:
    """The step gives the fact, the tables say what it means."""
    worker(inspecting, gives(CHOSEN)).handle(message(inspecting))

    assert inspecting.circuit().phase is CircuitPhase.INSPECTED


def test_what_still_runs_is_looked_at_again_in_thirty_seconds(inspecting: PipelineWorld) -> None:
    """R24, rule 6: nothing long blocks a function; the row says when it is due."""
    worker(inspecting, gives(StillRunning())).handle(message(inspecting))

    [command] = inspecting.bus.sent
    assert isinstance(command, RunStep)
    assert (command.n, command.delay) == (1, timedelta(seconds=30))
    assert inspecting.circuit().due_at == NOW + timedelta(seconds=120)


def test_a_poll_costs_one_read_and_one_write(inspecting: PipelineWorld) -> None:
    """Issue 2, counted: release and circuit come in one request."""
    command = message(inspecting)
    inspecting.releases.requests.clear()

    worker(inspecting, gives(StillRunning())).handle(command)

    assert dict(inspecting.releases.requests) == {"release_and_run": 1, "commit": 1}


def test_a_transition_costs_three_requests(inspecting: PipelineWorld) -> None:
    """Load, write, scan."""
    command = message(inspecting)
    inspecting.releases.requests.clear()

    worker(inspecting, gives(CHOSEN)).handle(command)

    assert dict(inspecting.releases.requests) == {"release_and_run": 1, "commit": 1, "any_pending": 1}


def test_a_transient_error_keeps_the_phase_and_backs_off(inspecting: PipelineWorld) -> None:
    """Rule 8: 5, 10, 20 seconds."""
    broken = worker(inspecting, raises(TransientError("429")))
    delays = []
    for _ in range(3):
        broken.handle(message(inspecting))
        delays.append(inspecting.bus.sent[-1].delay)

    assert delays == [timedelta(seconds=5), timedelta(seconds=10), timedelta(seconds=20)]
    assert (inspecting.circuit().phase, inspecting.circuit().attempt) == (CircuitPhase.INSPECTING, 3)


def test_the_services_own_wish_decides_when_to_come_back(inspecting: PipelineWorld) -> None:
    """Retry-After."""
    worker(inspecting, raises(TransientError("429", retry_after=timedelta(seconds=77)))).handle(message(inspecting))

    assert inspecting.bus.sent[-1].delay == timedelta(seconds=77)


def test_a_permanent_error_fails_the_circuit_with_its_words(inspecting: PipelineWorld) -> None:
    """The thing said no."""
    worker(inspecting, raises(PermanentError("quota exceeded"))).handle(message(inspecting))

    assert (inspecting.circuit().phase, inspecting.circuit().error) == (CircuitPhase.FAILED, "quota exceeded")


def test_a_role_on_our_own_state_that_is_taken_away_fails_no_circuit(inspecting: PipelineWorld) -> None:
    """Found by the simulation: a step met it, and its circuit failed with what it had switched left as it was."""
    worker(inspecting, raises(StateRefused("403: the role was taken away"))).handle(message(inspecting))

    assert (inspecting.circuit().phase, inspecting.circuit().attempt) == (CircuitPhase.INSPECTING, 1)
    assert inspecting.bus.sent[-1] == replace(message(inspecting), delay=timedelta(seconds=5))


@pytest.mark.parametrize(
    "step",
    [raises(TransientError("429")), raises(StateRefused("403")), gives(StillRunning(transient="the service says no"))],
    ids=["raised", "state", "returned"],
)
def test_what_a_step_is_tried_again_for_stands_in_the_log(
    inspecting: PipelineWorld,
    step: Callable[[Work, Ports], CircuitEvent | StillRunning],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Found by the simulation: what kept a switch from being made was told nowhere before its deadline."""
    worker(inspecting, step).handle(message(inspecting))

    assert [r.__dict__["action"] for r in caplog.records if r.levelname == "WARNING"] == ["step_transient"]


def test_past_its_deadline_a_circuit_is_errored_not_failed(inspecting: PipelineWorld) -> None:
    """Rule 8: inspection has ten minutes; technology broke, a retry can help."""
    inspecting.clock.forward(timedelta(minutes=10))

    worker(inspecting, raises(TransientError("503"))).handle(message(inspecting))

    run = inspecting.circuit()
    assert run.phase is CircuitPhase.ERRORED
    assert "did not end within 0:10:00" in run.error
    assert "503" in run.error


def test_the_last_look_lands_on_the_deadline(inspecting: PipelineWorld) -> None:
    """Sooner than thirty seconds, if that is what is left."""
    inspecting.clock.forward(timedelta(minutes=9, seconds=50))

    worker(inspecting, gives(StillRunning())).handle(message(inspecting))

    assert inspecting.bus.sent[-1].delay == timedelta(seconds=10)


@pytest.mark.parametrize("columns", [{"gen": 2}, {"poll_n": 1}, {"phase": CircuitPhase.INSPECTED}])
def test_a_message_about_the_past_is_dropped(inspecting: PipelineWorld, columns: dict[str, object]) -> None:
    """Another gen, another look, another phase: stale polls would breed chains."""
    command = message(inspecting)
    inspecting.change(inspecting.circuit(), **columns)

    worker(inspecting, never).handle(command)

    assert inspecting.bus.sent == []


def test_a_message_for_a_circuit_nobody_knows_is_dropped(world: PipelineWorld) -> None:
    """Forged, or older than our memory."""
    command = RunStep(
        release_id="20200101.1", circuit=CIRCUIT, gen=1, kind=StepKind.INSPECT, phase=CircuitPhase.INSPECTING, n=0
    )

    worker(world, never).handle(command, redelivered=True)

    assert world.bus.sent == []


def test_a_message_whose_kind_does_not_belong_to_its_phase_is_dropped(inspecting: PipelineWorld) -> None:
    """Forged: nobody sends an activation to a circuit under inspection, and it must not fail the circuit."""
    forged = message(inspecting, StepKind.ACTIVATE)

    worker(inspecting, never).handle(forged)
    Worker(inspecting.ports).give_up(forged, "MaxDeliveryCountExceeded")

    assert inspecting.circuit().phase is CircuitPhase.INSPECTING


def test_a_redelivered_stale_message_sends_again_what_the_state_implies(inspecting: PipelineWorld) -> None:
    """Rule 2: it may have died between commit and send."""
    command = message(inspecting)
    inspecting.change(inspecting.circuit(), phase=CircuitPhase.PROMOTING, todo=Round.PROMOTION)

    worker(inspecting, never).handle(command, redelivered=True)

    [again] = inspecting.bus.sent
    assert isinstance(again, RunStep)
    assert (again.kind, again.phase) == (StepKind.PROMOTE, CircuitPhase.PROMOTING)


def test_a_redelivered_stale_message_sends_the_fan_out_that_was_lost(inspecting: PipelineWorld) -> None:
    """It had moved the release into its next round and died before it handed that out."""
    command = message(inspecting)
    for run in inspecting.runs():
        inspecting.change(run, phase=CircuitPhase.PROMOTED, todo=Round.NONE)
    inspecting.change(inspecting.release(), phase=ReleasePhase.TESTING, fanout_cursor=FANOUT_START)

    worker(inspecting, never).handle(command, redelivered=True)

    [again] = inspecting.bus.sent
    assert again == fan_out(inspecting.release())


def test_what_was_lost_is_sent_again_though_the_endpoint_is_busy_for_hours(live_twice: PipelineWorld) -> None:
    """Found by the simulation: without a sweeper the circuit would wait for ever behind its endpoint."""
    live_twice.models.operation_time = timedelta(days=1)
    live_twice.models.create_endpoint(Environment.PRODUCTION, ENDPOINT, {})
    live_twice.change(live_twice.release(), phase=ReleasePhase.STAGING_PRODUCTION, gen=2)
    live_twice.change(live_twice.circuit(), phase=CircuitPhase.LOCKING, todo=Round.STAGING, gen=2, poll_n=3)
    live_twice.lose_messages()

    live_twice.handle(late(StepKind.ACTIVATE, CircuitPhase.ACTIVATING), redelivered=True)

    waiting = [command for command in live_twice.waiting() if isinstance(command, RunStep)]
    assert (StepKind.DEPLOY, 3) in [(command.kind, command.n) for command in waiting]


def test_a_dead_message_about_the_past_sends_again_what_was_lost_with_it(inspecting: PipelineWorld) -> None:
    """Ten deliveries died behind the write; without a sweeper the dead letter is the last who can."""
    command = message(inspecting)
    for run in inspecting.runs():
        inspecting.change(run, phase=CircuitPhase.INSPECTED, todo=Round.NONE)

    bury(inspecting, command)

    assert inspecting.phase() is ReleasePhase.AWAITING_REGISTRY_APPROVAL


def test_a_redelivered_stale_message_runs_a_fan_in_that_was_lost(inspecting: PipelineWorld) -> None:
    """It may have died between the circuit's row and the release's."""
    command = message(inspecting)
    for run in inspecting.runs():
        inspecting.change(run, phase=CircuitPhase.INSPECTED, todo=Round.NONE)

    worker(inspecting, never).handle(command, redelivered=True)

    assert inspecting.phase() is ReleasePhase.AWAITING_REGISTRY_APPROVAL


@pytest.mark.parametrize("error", [TransientError("storage is down"), ConfigurationError("403")])
def test_with_the_state_out_of_reach_the_message_comes_again_under_a_new_id(
    inspecting: PipelineWorld, error: PipelineError
) -> None:
    """Rule 8: our own storage is like any other service; a role that was taken away is given back some time."""
    command = message(inspecting)

    def down(_request: str) -> None:
        raise error

    inspecting.releases.on_request = down
    worker(inspecting, never).handle(replace(command, redrive=1, postponed=2))

    [again] = inspecting.bus.sent
    assert again == replace(command, redrive=again.redrive, postponed=3, delay=timedelta(seconds=20))
    assert again.redrive > 10**9, "the sweeper's own numbers are small"


def test_copies_that_are_put_off_while_the_first_waits_become_one_message(inspecting: PipelineWorld) -> None:
    """Rule 8: else each copy of a message breeds copies, wait after wait, for as long as an outage lasts."""
    copies = [replace(message(inspecting), redrive=redrive, postponed=6) for redrive in (0, 1, 1)]  # 5 min from now on

    def down(_request: str) -> None:
        raise TransientError("storage is down")

    inspecting.releases.on_request = down
    for copy in copies:
        worker(inspecting, never).handle(copy)
        inspecting.clock.forward(timedelta(seconds=99))
    [first, second, third] = map(message_id, inspecting.bus.sent)
    inspecting.clock.forward(timedelta(seconds=3))
    worker(inspecting, never).handle(copies[0])

    assert first == second == third
    assert message_id(inspecting.bus.sent[-1]) != first, "the first is due by now, and may have been handled already"


def test_with_the_bus_down_too_the_worker_waits_a_moment_and_raises(
    inspecting: PipelineWorld, caplog: pytest.LogCaptureFixture
) -> None:
    """Then the host delivers the message again. What the bus said stands in the log: raised is what state said."""

    def down(_request: str) -> None:
        raise TransientError("everything is down")

    inspecting.releases.on_request = inspecting.bus.on_request = down

    with pytest.raises(TransientError, match="everything is down"):
        worker(inspecting, never).handle(
            RunStep(
                release_id=RELEASE_ID, circuit=CIRCUIT, gen=1, kind=StepKind.INSPECT, phase=CircuitPhase.INSPECTING, n=0
            )
        )
    assert inspecting.clock.pauses == [timedelta(seconds=1)]
    assert "message_not_postponed" in [record.__dict__["action"] for record in caplog.records]


def test_a_dead_message_makes_its_circuit_errored(inspecting: PipelineWorld) -> None:
    """Rule 9: a dead message is a failed step, not a silent hang."""
    Worker(inspecting.ports).give_up(message(inspecting), "MaxDeliveryCountExceeded")

    run = inspecting.circuit()
    assert run.phase is CircuitPhase.ERRORED
    assert "MaxDeliveryCountExceeded" in run.error


def test_a_dead_message_about_an_earlier_look_changes_nothing(inspecting: PipelineWorld) -> None:
    """Rule 9: only if gen, phase and n equal the row's."""
    command = message(inspecting)
    inspecting.change(inspecting.circuit(), poll_n=1)

    Worker(inspecting.ports).give_up(command, "MaxDeliveryCountExceeded")

    assert inspecting.circuit().phase is CircuitPhase.INSPECTING


def test_a_late_message_that_may_have_written_a_default_puts_it_right(live_twice: PipelineWorld) -> None:
    """Rule 10: stale activate and restore messages run converge before they are dropped."""
    live_twice.models.change_default(Environment.PRODUCTION, ENDPOINT, deployment_name(RELEASE_ID))

    live_twice.handle(late(StepKind.ACTIVATE, CircuitPhase.ACTIVATING))
    live_twice.run()

    assert live_twice.live_default() == deployment_name(NEWER)


LATE_DEPLOYS = [(CircuitPhase.DEPLOYING_TEST, Environment.TEST), (CircuitPhase.STAGING, Environment.PRODUCTION)]


def test_what_can_not_be_put_right_because_state_refuses_comes_again(live_twice: PipelineWorld) -> None:
    """It is no answer of the endpoint's: the message is put off until the role is back."""

    def refused(request: str) -> None:
        if request == "lock":
            raise StateRefused("403")

    live_twice.endpoints.on_request = refused
    stale = late(StepKind.ACTIVATE, CircuitPhase.ACTIVATING)
    live_twice.lose_messages()
    live_twice.handle(stale)

    assert [command.postponed for command in live_twice.waiting() if isinstance(command, RunStep)] == [1]


@pytest.mark.parametrize(("phase", "environment"), LATE_DEPLOYS)
@pytest.mark.parametrize("came_again", ["redelivered", "postponed", "dead"])
def test_a_deploy_message_that_came_again_puts_right_what_its_first_run_may_have_cleared(
    live_twice: PipelineWorld, phase: CircuitPhase, environment: Environment, came_again: str
) -> None:
    """Rule 10: making an endpoint is a PUT without a default; a worker that stood still may do it too late."""
    live_twice.models.change_default(environment, ENDPOINT, "")
    command = late(StepKind.DEPLOY, phase)

    if came_again == "dead":
        bury(live_twice, command)
    else:
        postponed = replace(command, postponed=int(came_again == "postponed"))
        live_twice.handle(postponed, redelivered=came_again == "redelivered")
    live_twice.run()

    assert live_twice.live_default(environment=environment) == deployment_name(NEWER)


def test_a_mere_copy_of_an_old_deploy_message_asks_azure_ml_nothing(live_twice: PipelineWorld) -> None:
    """Nobody ran it before: there is nothing it can have left behind, and every look counts against a limit."""
    live_twice.models.journal.clear()

    live_twice.handle(late(StepKind.DEPLOY, CircuitPhase.STAGING))

    assert live_twice.models.journal == []


def test_an_old_look_at_a_switch_that_still_works_leaves_it_to_the_newer_look(live_twice: PipelineWorld) -> None:
    """Or every copy of a message would start a chain of looks of its own."""
    live_twice.change(live_twice.circuit(), phase=CircuitPhase.ACTIVATING, todo=Round.ACTIVATION, poll_n=4)
    live_twice.models.journal.clear()

    live_twice.handle(late(StepKind.ACTIVATE, CircuitPhase.ACTIVATING))

    assert live_twice.models.journal == []
    assert live_twice.waiting() == []


def test_a_deploy_step_that_ends_after_its_circuit_moved_on_is_put_right(live_twice: PipelineWorld) -> None:
    """It stood still between "there is no endpoint" and its PUT, while its message was delivered again."""
    run = live_twice.circuit(release_id=NEWER)
    live_twice.change(run, phase=CircuitPhase.STAGING, todo=Round.STAGING)

    def stood_still(work: Work, ports: Ports) -> StillRunning:
        live_twice.change(live_twice.circuit(release_id=NEWER), phase=CircuitPhase.LIVE, todo=Round.NONE)
        ports.models.create_endpoint(Environment.PRODUCTION, work.run.endpoint, {})
        return StillRunning()

    message = run_step(live_twice.circuit(release_id=NEWER), StepKind.DEPLOY)
    worker(live_twice, stood_still).handle(message)
    live_twice.run()

    assert live_twice.live_default() == deployment_name(NEWER)


def test_a_late_message_looks_thirty_times_whether_its_endpoint_is_right_and_no_more(
    live_twice: PipelineWorld,
) -> None:
    """An operation that never ends must not be asked about for ever; the hourly look for drift tells of it."""
    live_twice.models.operation_time = timedelta(days=30)
    live_twice.models.create_endpoint(Environment.PRODUCTION, ENDPOINT, {})
    live_twice.models.journal.clear()
    began = live_twice.clock.now()

    live_twice.handle(late(StepKind.RESTORE, CircuitPhase.RESTORING))
    live_twice.run()

    looks = [call for call in live_twice.models.journal if call.method == "endpoint"]
    assert len(looks) == MOST_PUT_RIGHTS + 1
    assert timedelta(hours=1) < live_twice.clock.now() - began < timedelta(hours=3)


def test_a_dead_letter_about_a_busy_endpoint_comes_again_later_not_at_once(live_twice: PipelineWorld) -> None:
    """A dead letter that raises is delivered again immediately, and no count of deliveries ever stops that."""
    live_twice.models.operation_time = timedelta(minutes=10)
    live_twice.models.create_endpoint(Environment.PRODUCTION, ENDPOINT, {})

    bury(live_twice, late(StepKind.ACTIVATE, CircuitPhase.ACTIVATING))

    [again] = live_twice.waiting()
    assert isinstance(again, RunStep)
    assert (again.kind, again.postponed, again.revived) == (StepKind.ACTIVATE, 1, 1)
    assert again.delay >= timedelta(seconds=5)
    live_twice.run()
    assert live_twice.live_default() == deployment_name(NEWER)


def test_a_postponed_message_that_has_become_stale_sends_again_what_the_state_implies(
    inspecting: PipelineWorld,
) -> None:
    """Rule 2: its row was written and the bus did not take what follows; nobody else may ever send it."""
    command = replace(message(inspecting), postponed=1)
    inspecting.change(inspecting.circuit(), phase=CircuitPhase.PROMOTING, todo=Round.PROMOTION)

    worker(inspecting, never).handle(command)

    [again] = inspecting.bus.sent
    assert isinstance(again, RunStep)
    assert (again.kind, again.phase) == (StepKind.PROMOTE, CircuitPhase.PROMOTING)


def bury(world: PipelineWorld, command: RunStep) -> None:
    DeadLetters(world.ports).handle(to_json(command).encode(), "MaxDeliveryCountExceeded")


def late(kind: StepKind, phase: CircuitPhase) -> RunStep:
    """A message of the first release, which has long been over."""
    return RunStep(release_id=RELEASE_ID, circuit=CIRCUIT, gen=1, kind=kind, phase=phase, n=0)
