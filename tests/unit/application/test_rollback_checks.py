"""Unit: the smoke test of what a rollback restored - a result of its own, in Test, by the deployment's name (issue 4.4)."""

from datetime import timedelta

import pytest

from shared.application.queries import Queries
from shared.domain.commands import FanOut
from shared.domain.errors import TransientError
from shared.domain.model import CircuitPhase, Environment, Moment, ReleasePhase, Round
from shared.domain.naming import beside_job_name, check_id, smoke_job_name
from shared.domain.rows import RELEASE_KEY
from tests.support.builders import CIRCUIT, OTHER_CIRCUIT, THIRD_CIRCUIT
from tests.support.fake_models import JobPlan
from tests.support.pipeline_world import OPERATORS, PipelineWorld
from tests.support.rolled import ENDPOINT, FIRST, IDS, PRODUCTION, released

SECOND_ID = IDS[1]
TEST = Environment.TEST
LONG = JobPlan(statuses=("Completed",), takes=timedelta(minutes=8))
FAILING = JobPlan(statuses=("Running", "Failed"))


@pytest.fixture
def twice(world: PipelineWorld) -> PipelineWorld:
    """Two releases of three circuits, all live; nobody has been told of anything yet."""
    released(world, 2)
    world.mail.letters.clear()
    world.models.journal.clear()
    return world


def rolled_back(world: PipelineWorld, *circuits: object, **columns: object) -> str:
    """The id of a rollback that asked for a smoke test and, like its check, has ended."""
    started = world.roll_back(*(circuits or (CIRCUIT,)), smoke_test=True, **columns)  # type: ignore[arg-type]
    world.run()
    return started.rollback_id


def smoke_test(world: PipelineWorld, rollback_id: str) -> dict[str, object]:
    """What the API says of it."""
    found = Queries(world.ports).rollback(rollback_id)["smoke_test"]
    assert isinstance(found, dict)
    return found


def the_circuit(world: PipelineWorld, rollback_id: str) -> dict[str, object]:
    circuits = smoke_test(world, rollback_id)["circuits"]
    assert isinstance(circuits, list)
    (circuit,) = circuits
    assert isinstance(circuit, dict)
    return circuit


def test_what_was_restored_is_scored_in_test_by_its_name(twice: PipelineWorld) -> None:
    """R43: no deployment, no model and, beyond the one switch, no default is written."""
    defaults = {c: twice.live_default(c, TEST) for c in (CIRCUIT, OTHER_CIRCUIT, THIRD_CIRCUIT)}
    twice.models.journal.clear()
    rollback_id = rolled_back(twice)

    assert smoke_test(twice, rollback_id)["phase"] == "succeeded"
    circuit = the_circuit(twice, rollback_id)
    assert (circuit["deployment"], circuit["phase"], circuit["rows"], circuit["error"]) == (FIRST, "tested", 2, "")
    (job,) = twice.models.calls("start_smoke_job")
    assert (job.args["endpoint"], job.args["deployment"]) == (ENDPOINT, FIRST)
    assert [call.method for call in twice.models.production_writes()] == ["set_default"]
    made = {"create_endpoint", "create_deployment", "delete_deployment", "promote"}
    assert not made & {call.method for call in twice.models.journal}
    assert {c: twice.live_default(c, TEST) for c in defaults} == defaults


def test_the_rollback_ends_before_its_smoke_test_begins(twice: PipelineWorld) -> None:
    """Neither its seconds nor its mail wait for a job of eight minutes."""
    twice.models.plan_job(CIRCUIT, LONG)
    started = twice.roll_back(CIRCUIT, smoke_test=True)
    assert smoke_test(twice, started.rollback_id)["phase"] == "waiting"
    twice.run(lambda: bool(twice.models.calls("start_smoke_job")))

    rollback = twice.release(started.rollback_id)
    assert rollback.phase is ReleasePhase.SUCCEEDED
    assert smoke_test(twice, started.rollback_id)["phase"] == "checking"
    twice.run()
    assert twice.release(started.rollback_id) == rollback
    assert the_circuit(twice, started.rollback_id)["phase"] == "tested"


def test_what_somebody_else_scores_on_the_same_deployment_is_neither_judged_nor_cancelled(twice: PipelineWorld) -> None:
    """D14: a newer release may compare itself with what was restored; its job has another name of our making."""
    theirs = beside_job_name("20251212.1", 1, CIRCUIT)
    started = twice.roll_back(CIRCUIT, smoke_test=True)
    twice.run(lambda: twice.phase(started.rollback_id) is ReleasePhase.SUCCEEDED)
    twice.models.plan_job(CIRCUIT, JobPlan(statuses=("Running", "Failed"), takes=timedelta(hours=1)))
    twice.models.start_smoke_job(endpoint=ENDPOINT, deployment=FIRST, circuit=CIRCUIT, job_name=theirs)
    twice.models.plan_job(CIRCUIT, JobPlan())
    twice.run()
    circuit = the_circuit(twice, started.rollback_id)
    assert (circuit["phase"], circuit["job_name"]) == (
        "tested",
        smoke_job_name(check_id(started.rollback_id), 1, CIRCUIT),
    )
    assert twice.models.cancelled_jobs == []


def test_a_check_cancels_jobs_whose_answers_were_lost_like_any_smoke_test(twice: PipelineWorld) -> None:
    """D14: the oldest is kept and judged."""
    twice.models.plan_job(CIRCUIT, JobPlan(honour_name=False, takes=timedelta(minutes=2)))
    started = twice.roll_back(CIRCUIT, smoke_test=True)
    twice.run(lambda: twice.phase(started.rollback_id) is ReleasePhase.SUCCEEDED)
    lost = [
        twice.models.start_smoke_job(endpoint=ENDPOINT, deployment=FIRST, circuit=CIRCUIT, job_name="lost").name
        for _ in range(2)
    ]
    twice.run()
    circuit = the_circuit(twice, started.rollback_id)
    assert (circuit["phase"], circuit["job_name"]) == ("tested", lost[0])
    assert twice.models.cancelled_jobs == lost[1:]


def test_a_failed_smoke_test_changes_nothing_about_the_rollback_and_is_told(twice: PipelineWorld) -> None:
    """A mail of its own, which leads to the rollback's page."""
    twice.models.plan_job(CIRCUIT, FAILING)
    rollback_id = rolled_back(twice)

    assert twice.phase(rollback_id) is ReleasePhase.SUCCEEDED
    assert twice.circuit(CIRCUIT, rollback_id).phase is CircuitPhase.RESTORED
    assert twice.live_default() == FIRST
    assert "ended as Failed, not Completed" in str(the_circuit(twice, rollback_id)["error"])
    told = [letter for letter in twice.mail.letters if letter.notice.moment is Moment.CHECK_FAILED]
    assert OPERATORS[0] in {letter.notice.recipient for letter in told}
    assert f"/rollbacks/{rollback_id}?view=" in told[0].view_url


def test_a_smoke_test_that_passes_costs_nobody_a_mail(twice: PipelineWorld) -> None:
    """It stands on the page."""
    rolled_back(twice)
    assert {letter.notice.moment for letter in twice.mail.letters} == {Moment.ROLLBACK_ENDED}


def test_without_asking_there_is_none(twice: PipelineWorld) -> None:
    """It is optional."""
    started = twice.roll_back(CIRCUIT)
    twice.run()
    assert Queries(twice.ports).rollback(started.rollback_id)["smoke_test"] is None
    assert twice.models.calls("start_smoke_job") == []
    assert twice.releases.release(check_id(started.rollback_id)) is None


def test_a_drill_tests_the_very_deployment(twice: PipelineWorld) -> None:
    """In Test both are the same."""
    rollback_id = rolled_back(twice, environment=TEST)
    assert the_circuit(twice, rollback_id)["phase"] == "tested"
    assert twice.models.production_writes() == []


@pytest.mark.parametrize("missing", ["deployment", "model", "state", "data"])
def test_what_test_can_not_score_is_said_and_is_no_failure(twice: PipelineWorld, missing: str) -> None:
    """Somebody has deleted or replaced it there: no job, no mail, and the reason."""
    there = twice.models._endpoints[TEST, ENDPOINT].deployments
    match missing:
        case "deployment":
            del there[FIRST]
        case "model":
            object.__setattr__(there[FIRST].spec, "model_version", "by-hand")
        case "state":
            there[FIRST].settling.looks = 99
        case _:
            twice.models._test_files.clear()
    rollback_id = rolled_back(twice)

    assert twice.phase(rollback_id) is ReleasePhase.SUCCEEDED
    assert smoke_test(twice, rollback_id)["phase"] == "nothing_to_do"
    circuit = the_circuit(twice, rollback_id)
    assert (circuit["phase"], str(circuit["error"]).partition(":")[0]) == ("excluded", "not tested")
    assert twice.models.calls("start_smoke_job") == []
    assert Moment.CHECK_FAILED not in {letter.notice.moment for letter in twice.mail.letters}


def test_only_what_was_restored_is_tested(twice: PipelineWorld) -> None:
    """A rollback that failed on one circuit; the other one's smoke test runs."""
    twice.models.delete_deployment(PRODUCTION, ENDPOINT, FIRST)
    rollback_id = rolled_back(twice, CIRCUIT, OTHER_CIRCUIT)
    assert twice.phase(rollback_id) is ReleasePhase.FAILED
    assert the_circuit(twice, rollback_id)["circuit_id"] == OTHER_CIRCUIT.circuit_id


def test_where_nothing_was_restored_nothing_is_tested(twice: PipelineWorld) -> None:
    """The check says so and ends."""
    twice.models.delete_deployment(PRODUCTION, ENDPOINT, FIRST)
    rollback_id = rolled_back(twice)
    assert smoke_test(twice, rollback_id) == {"phase": "nothing_to_do", "reason": "", "circuits": []}


def test_smoke_tests_after_a_rollback_wait_for_slots_too(twice: PipelineWorld) -> None:
    """D8: five at once, also with the circuits of releases."""
    started = twice.roll_back(release_id=SECOND_ID, smoke_test=True)
    object.__setattr__(twice.release(started.rollback_id).policy, "smoke_slots", 1)
    running: list[int] = []

    def look() -> bool:
        phases = twice.phases(check_id(started.rollback_id))
        running.append(phases.count(CircuitPhase.SMOKE_TESTING))
        return False

    twice.run(look)
    assert max(running) == 1
    assert set(twice.phases(check_id(started.rollback_id))) == {CircuitPhase.TESTED}


@pytest.mark.parametrize("dies_at", ["begin", "send"])
def test_a_process_that_dies_before_the_check_begins_is_healed_by_the_sweeper(
    twice: PipelineWorld, dies_at: str
) -> None:
    """The rollback stays on the list of active ones until its check has rows of its own."""
    started = twice.roll_back(CIRCUIT, smoke_test=True)
    twice.run(lambda: CircuitPhase.RESTORING in twice.phases(started.rollback_id))
    died: list[str] = []

    def dies(request: str) -> None:
        begun = RELEASE_KEY in twice.releases.rows[check_id(started.rollback_id)]
        if request == dies_at and begun is (dies_at == "send"):
            twice.releases.on_request = twice.bus.on_request = lambda _request: None
            died.append(request)
            raise TransientError("killed")

    twice.releases.on_request = twice.bus.on_request = dies
    twice.run(lambda: bool(died))
    assert died == [dies_at]
    twice.lose_messages()
    assert twice.phase(started.rollback_id) is ReleasePhase.SUCCEEDED
    twice.sweep_for(timedelta(minutes=10))
    assert the_circuit(twice, started.rollback_id)["phase"] == "tested"
    assert len(twice.models.calls("start_smoke_job")) == 1


def test_the_same_request_again_starts_no_second_check(twice: PipelineWorld) -> None:
    """D13: nor does asking for a smoke test make another rollback of it, which would go further back."""
    plain = twice.roll_back(CIRCUIT)
    again = twice.roll_back(CIRCUIT, smoke_test=True)
    twice.run()
    assert (again.rollback_id, again.is_new) == (plain.rollback_id, False)
    assert "without a smoke test" in again.notes[-1]
    assert twice.live_default() == FIRST


def test_a_repeated_fan_out_of_a_check_starts_no_second_job(twice: PipelineWorld) -> None:
    """Redelivered after it was handled."""
    rollback_id = rolled_back(twice)
    first = FanOut(release_id=check_id(rollback_id), gen=1, round=Round.CHECK, cursor="")
    twice.handle(first, redelivered=True)
    twice.run()
    assert len(twice.models.calls("start_smoke_job")) == 1
