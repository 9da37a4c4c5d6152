"""Unit: the time a smoke job has, to the second, from its invocation or from its start (R25, D8)."""

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.application.steps.smoke_test import smoke_test
from shared.domain.errors import PermanentError
from shared.domain.events import CircuitEvent, SmokeTestPassed, StepErrored, StepFailed, StillRunning
from shared.domain.naming import smoke_job_name
from shared.domain.policy import FROM_INVOCATION, FROM_RUNNING, Policy
from tests.support.builders import CIRCUIT, NOW, RELEASE_ID
from tests.support.circuit_world import World, found
from tests.support.fake_models import JobPlan

JOB = smoke_job_name(RELEASE_ID, 1, CIRCUIT)
ALMOST, FULL = timedelta(minutes=14, seconds=59), timedelta(minutes=15)
A_SECOND = timedelta(seconds=1)
FOR_EVER = timedelta(days=1)
CLOCKS = (FROM_INVOCATION, FROM_RUNNING)
BETWEEN = timedelta(minutes=4)
"""From the taking of the slot to the invocation: the service was busy."""


@pytest.fixture
def deployed(world: World) -> World:
    """A circuit with a slot, its deployment standing in Test."""
    world.smoke_testing()
    return world


def failed(outcome: CircuitEvent | StillRunning) -> StepFailed:
    assert isinstance(outcome, StepFailed), outcome
    return outcome


def run_by(world: World, clock: str) -> None:
    """As the release has it in its copy of the policy."""
    world.put_release(replace(world.work().release, policy=Policy(smoke_clock=clock)))


def started(world: World, *, queues: timedelta = timedelta(), takes: timedelta = FOR_EVER) -> None:
    """Claim and invoke, some minutes after the slot was taken; the clock stands at the invocation."""
    world.models.plan_job(CIRCUIT, JobPlan(queues=queues, takes=takes))
    world.clock.set(NOW + BETWEEN)
    for _ in range(2):
        outcome = smoke_test(world.work(), world.ports)
        assert isinstance(outcome, StillRunning)
        world.change(**outcome.facts)


def looked_at(world: World, after: timedelta) -> CircuitEvent | StillRunning:
    """The first look this long after the invocation."""
    world.clock.set(NOW + BETWEEN + after)
    return world.look(smoke_test)


# ------------------------------------------------------------------------------------------ from where it counts


@pytest.mark.parametrize(("takes", "passes"), [(ALMOST, True), (FULL, False)])
@pytest.mark.parametrize("clock", CLOCKS)
def test_completed_at_14_59_passes_and_at_15_00_fails(
    deployed: World, clock: str, takes: timedelta, *, passes: bool
) -> None:
    """R25, to the second; what went by between slot and invocation does not count (D8)."""
    run_by(deployed, clock)
    started(deployed, takes=takes)

    assert isinstance(looked_at(deployed, FULL), SmokeTestPassed) is passes


QUEUED = timedelta(minutes=10)


@pytest.mark.parametrize(
    ("clock", "takes", "passes"),
    [
        (FROM_INVOCATION, ALMOST - QUEUED, True),
        (FROM_INVOCATION, FULL - QUEUED, False),
        (FROM_RUNNING, ALMOST, True),
        (FROM_RUNNING, FULL, False),
    ],
)
def test_time_in_the_queue_counts_or_does_not_as_the_setting_says(
    deployed: World, clock: str, takes: timedelta, *, passes: bool
) -> None:
    """D8: ten minutes behind a cold cluster, then to the second."""
    run_by(deployed, clock)
    started(deployed, queues=QUEUED, takes=takes)

    assert isinstance(looked_at(deployed, QUEUED + takes), SmokeTestPassed) is passes


@pytest.mark.parametrize("clock", CLOCKS)
def test_completed_at_minute_3_passes_although_first_looked_at_in_minute_20(deployed: World, clock: str) -> None:
    """D8: the job's own end counts, however long the host was down."""
    run_by(deployed, clock)
    started(deployed, takes=timedelta(minutes=3))

    assert isinstance(looked_at(deployed, timedelta(minutes=20)), SmokeTestPassed)


# ------------------------------------------------------------------------------------------------- the last look


@pytest.mark.parametrize(("clock", "queues"), [(FROM_INVOCATION, timedelta()), (FROM_RUNNING, QUEUED)])
def test_a_job_still_running_at_14_59_is_let_run_and_looked_at_again_on_the_limit(
    deployed: World, clock: str, queues: timedelta
) -> None:
    """The last poll lands on the deadline."""
    run_by(deployed, clock)
    started(deployed, queues=queues)

    assert isinstance(looked_at(deployed, queues + ALMOST), StillRunning)
    assert deployed.clock.now() == NOW + BETWEEN + queues + FULL
    assert deployed.models.cancelled_jobs == []


@pytest.mark.parametrize(
    ("clock", "queues", "of"),
    [(FROM_INVOCATION, timedelta(), "invocation"), (FROM_RUNNING, QUEUED, "start")],
)
def test_a_job_still_running_at_15_00_is_cancelled_and_diagnosed(
    deployed: World, clock: str, queues: timedelta, of: str
) -> None:
    """R25, R50: job status, compute state, test data."""
    run_by(deployed, clock)
    started(deployed, queues=queues)

    event = failed(looked_at(deployed, queues + FULL))

    assert (
        f"job {JOB} did not end within 0:15:00 of its {of}: it was Running, and has been cancelled; investigate"
        in event.error
    )
    assert deployed.models.cancelled_jobs == [JOB]
    assert f"job {JOB} was Running; it left the queue at 2025-12-10T09:" in found(event)
    assert "compute in test: Succeeded" in found(event)
    assert "test-data/PLANT001/CIRCUIT01/ holds test_input.csv" in found(event)
    assert f"next: open job {JOB}" in found(event)


def test_a_job_that_queues_for_ever_has_an_hour_if_its_clock_starts_with_running(deployed: World) -> None:
    """D8: SMOKE_QUEUE_LIMIT_SECONDS; to the second, cancelled, and told as what it is."""
    run_by(deployed, FROM_RUNNING)
    started(deployed, queues=FOR_EVER)
    hour = Policy().smoke_queue_limit

    assert isinstance(looked_at(deployed, hour - A_SECOND), StillRunning)
    event = failed(looked_at(deployed, hour))

    assert (
        f"job {JOB} was not started within 1:00:00 of its invocation: it was Queued, and has been cancelled;"
        in event.error
    )
    assert f"job {JOB} was Queued; it never left the queue" in found(event)
    assert deployed.models.cancelled_jobs == [JOB]


@pytest.mark.parametrize("clock", CLOCKS)
def test_a_job_that_queues_for_ever_ends_its_run(deployed: World, clock: str) -> None:
    """D8: looked at every 30 s until its time is over, whichever clock counts."""
    run_by(deployed, clock)
    deployed.models.plan_job(CIRCUIT, JobPlan(queues=FOR_EVER, takes=FOR_EVER))

    event = failed(deployed.until_decided(smoke_test))

    assert "of its invocation: it was Queued, and has been cancelled; investigate" in event.error
    assert deployed.clock.now() - NOW < Policy(smoke_clock=clock).smoke_net


@pytest.mark.parametrize("clock", CLOCKS)
def test_a_timeout_redelivered_after_the_cancellation_is_still_a_timeout(deployed: World, clock: str) -> None:
    """Not `ended as Canceled`: that was us."""
    run_by(deployed, clock)
    started(deployed)
    deployed.clock.set(NOW + BETWEEN + FULL)
    smoke_test(deployed.work(), deployed.ports)

    assert "did not end within" in failed(looked_at(deployed, FULL + timedelta(seconds=5))).error
    assert deployed.models.cancelled_jobs == [JOB]


def test_a_job_that_ends_in_the_moment_of_its_cancellation_has_timed_out_all_the_same(deployed: World) -> None:
    """The service refuses to cancel what has ended."""
    started(deployed)
    deployed.models.fail_next("cancel_job", PermanentError("the job has ended"))

    assert "did not end within" in failed(looked_at(deployed, FULL)).error


def test_a_job_that_could_not_be_started_in_time_is_an_error_and_no_failure(deployed: World) -> None:
    """Technology broke: the model was never asked."""
    deployed.change(job_name=JOB)
    deployed.clock.set(NOW + FULL)

    event = deployed.look(smoke_test)

    assert isinstance(event, StepErrored)
    assert deployed.models.calls("start_smoke_job") == []
