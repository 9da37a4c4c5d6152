"""Unit: one job is started, kept and judged; every failing row of the validation table fails the circuit."""

import hashlib
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest

from shared.application.steps.smoke_test import smoke_test
from shared.domain.errors import PermanentError, TransientError
from shared.domain.events import CircuitEvent, SmokeTestPassed, StepFailed, StillRunning
from shared.domain.log_lines import LogLine
from shared.domain.naming import expected_data_path, smoke_job_name
from shared.domain.policy import AllowedLine, Policy
from shared.domain.remedy import Remedy
from tests.support.builders import CIRCUIT, NOW, RELEASE_ID
from tests.support.circuit_world import DEPLOYMENT, DEV_TAGS, ENDPOINT, MODEL, VERSION, World, found
from tests.support.fake_models import PREDICTIONS, TEST_INPUT, JobPlan

JOB = smoke_job_name(RELEASE_ID, 1, CIRCUIT)


@pytest.fixture
def deployed(world: World) -> World:
    """A circuit with a slot, its deployment standing in Test."""
    world.smoke_testing()
    return world


def plan(world: World, **how: object) -> None:
    world.models.plan_job(CIRCUIT, JobPlan(**how))  # type: ignore[arg-type]  # fields of the plan


def failed(outcome: CircuitEvent | StillRunning) -> StepFailed:
    assert isinstance(outcome, StepFailed), outcome
    return outcome


# ------------------------------------------------------------------------------------------------- green


def test_the_new_deployment_itself_is_scored_and_passes(deployed: World) -> None:
    """R23, R24, R26, D5, known failure 6: by name, not by way of the endpoint's old default."""
    plan(deployed, takes=timedelta(seconds=70))

    event = deployed.until_decided(smoke_test)

    assert isinstance(event, SmokeTestPassed), event
    [call] = deployed.models.calls("start_smoke_job")
    assert call.args == {"endpoint": ENDPOINT, "deployment": DEPLOYMENT, "circuit": CIRCUIT, "job_name": JOB}
    kept = "20251210.1/predictions/PLANT001/CIRCUIT01-e3536a390965.csv"
    assert event.evidence["smoke"] == {
        "job_name": JOB,
        "studio_url": f"https://ml.azure.com/runs/{JOB}",
        "status": "Completed",
        "seconds": 70.0,
        "queued_seconds": 0.0,
        "running_seconds": 70.0,
        "rows": 2,
        "allowed_log_lines": [],
        "predictions": kept,
        "predictions_sha256": hashlib.sha256(deployed.ports.evidence.get(kept) or b"").hexdigest(),
        "predictions_complete": True,
        "input_sha256": hashlib.sha256(TEST_INPUT).hexdigest(),
        "input_rows": 2,
    }
    assert event.evidence["schema"] == {"missing": [], "extra": [], "changed": [], "source": ""}
    assert event.warnings == ()


def test_it_is_polled_every_thirty_seconds(deployed: World) -> None:
    """R24: one look at the job per poll."""
    plan(deployed, takes=timedelta(seconds=100))
    deployed.until_decided(smoke_test)

    looks = len(deployed.models.calls("job"))

    assert looks == 1 + 4  # before the start; then at 30, 60, 90 and 120 seconds
    assert deployed.clock.now() - NOW < timedelta(seconds=121)


def test_queued_and_running_time_are_told_apart(deployed: World) -> None:
    """D8: a cold cluster is not a slow model."""
    plan(deployed, statuses=("Queued", "Queued", "Running", "Completed"))

    event = deployed.until_decided(smoke_test)

    smoke = event.evidence["smoke"]  # type: ignore[attr-defined]  # passed and failed both have it
    assert (smoke["seconds"], smoke["queued_seconds"], smoke["running_seconds"]) == (120.0, 90.0, 30.0)


# --------------------------------------------------------------------------- the validation table, row by row

TABLE = [
    pytest.param({"statuses": ("Running", "Failed")}, "ended as Failed, not Completed", id="status failed"),
    pytest.param({"statuses": ("Running", "Canceled")}, "ended as Canceled, not Completed", id="status canceled"),
    pytest.param({"takes": timedelta(hours=2)}, "did not end within 0:15:00", id="time"),
    pytest.param(
        {"error_lines": (LogLine(file="logs/user/error.txt", line=3, text="ValueError: no column flow"),)},
        "logs/user/error.txt:3: ValueError: no column flow",
        id="errors in logs",
    ),
    pytest.param({"predictions": None}, "no predictions.csv", id="no output"),
    pytest.param({"predictions": b""}, "holds no rows", id="empty output"),
    pytest.param({"predictions": b"0,1.5,failed,test_input.csv\n"}, "status failed", id="failed rows"),
]


@pytest.mark.parametrize(("how", "said"), TABLE)
def test_every_failing_row_of_the_table_fails_the_circuit_and_asks_to_investigate(
    deployed: World, how: dict[str, object], said: str
) -> None:
    """R25-R28, R30: and not one call writes to production."""
    plan(deployed, **how)

    event = failed(deployed.until_decided(smoke_test))

    assert event.error.startswith("smoke test failed: ")
    assert said in event.error
    assert "investigate" in event.error
    assert event.evidence["smoke"]["job_name"] == JOB  # type: ignore[index]  # JSON
    assert deployed.models.production_writes() == []


RAISED = (LogLine(file="logs/user/error.txt", line=3, text="ValueError: no column flow"),)


@pytest.mark.parametrize(
    ("how", "remedy"),
    [
        ({"statuses": ("Running", "Failed"), "error_lines": RAISED}, Remedy.MODEL),
        ({"error_lines": RAISED}, Remedy.MODEL),
        ({"predictions": None}, Remedy.MODEL),
        ({"predictions": b""}, Remedy.MODEL),
        ({"predictions": b"0,1.5,failed,test_input.csv\n"}, Remedy.MODEL),
        ({"statuses": ("Running", "Failed")}, Remedy.RETRY),
        ({"statuses": ("Running", "Canceled"), "error_lines": RAISED}, Remedy.RETRY),
        ({"takes": timedelta(hours=2)}, Remedy.RETRY),
    ],
)
def test_a_bad_model_needs_a_new_release_and_a_bad_day_of_the_service_a_retry(
    deployed: World, how: dict[str, object], remedy: Remedy
) -> None:
    """R50: a retry takes the model that was chosen; the job is named with a link to it."""
    plan(deployed, **how)

    lines = found(failed(deployed.until_decided(smoke_test)))

    assert lines.endswith(remedy.told())
    assert f"next: open job {JOB} in the Test workspace (https://ml.azure.com/runs/{JOB})" in lines


def test_a_schema_mismatch_only_warns(deployed: World) -> None:
    """R29: shown at gate 2."""
    mlmodel = b'signature:\n  outputs: \'[{"type": "double", "name": "heat"}]\'\n'
    deployed.models.add_dev_model(MODEL, "2", DEV_TAGS, files={"MLmodel": mlmodel})
    deployed.models.promote(name=MODEL, source_version="2", version="20251210-2", tags={}, mode="copy")
    deployed.change(model_version="20251210-2")
    plan(deployed, predictions=b"0,high,test_input.csv\n1,low,test_input.csv\n")

    event = deployed.until_decided(smoke_test)

    assert isinstance(event, SmokeTestPassed)
    assert event.evidence["schema"] == {
        "missing": [],
        "extra": [],
        "changed": ["heat: double expected, string found"],
        "source": "the model's signature",
    }


def test_strange_predictions_only_warn(deployed: World) -> None:
    """NaN deserves a person's look, not a stop."""
    plan(deployed, predictions=b"0,nan,test_input.csv\n1,2.5,test_input.csv\n")

    event = deployed.until_decided(smoke_test)

    assert isinstance(event, SmokeTestPassed)
    assert event.warnings == ("predictions: 1 of 2 values are empty, NaN or infinite",)


ESCAPE, RIGHT_TO_LEFT = "\x1b[31m", "\u202e"


def test_a_models_words_forge_nothing(deployed: World) -> None:
    """R27: an escape sequence, a direction of writing; in errors and in what only warns."""
    forged = f"ValueError: {ESCAPE}all{RIGHT_TO_LEFT} is well"
    plan(deployed, error_lines=(LogLine(file="logs/user/error.txt", line=3, text=forged),))

    error = failed(deployed.until_decided(smoke_test)).error

    assert "ValueError: [31mall is well" in error
    assert error.isprintable()


def test_a_models_predictions_forge_nothing(deployed: World) -> None:
    """Constant predictions and unknown columns are quoted at gate 2."""
    deployed.models.add_test_file(f"{expected_data_path(CIRCUIT)}expected_columns.json", b'["heat"]')
    plan(deployed, predictions=f"row,heat,{ESCAPE}x\n0,{ESCAPE},1\n1,{ESCAPE},2\n2,{ESCAPE},3\n".encode())

    event = deployed.until_decided(smoke_test)

    assert isinstance(event, SmokeTestPassed)
    assert event.evidence["schema"]["extra"] == ["[31mx"]  # type: ignore[index]  # JSON
    assert "column heat: all 3 values are equal ( [31m)" in event.warnings


@pytest.mark.parametrize("rows", [1, 3])
def test_another_number_of_rows_than_the_input_has_only_warns(deployed: World, rows: int) -> None:
    """R29: a model that loses rows is a person's business; one that sums them up may be right."""
    plan(deployed, predictions=b"".join(b"%d,1.%d,test_input.csv\n" % (n, n) for n in range(rows)))

    event = deployed.until_decided(smoke_test)

    assert isinstance(event, SmokeTestPassed)
    assert f"predictions.csv has {rows} rows, the test input 2" in event.warnings


def test_a_failed_jobs_own_errors_are_quoted(deployed: World) -> None:
    """R27: with file and line, also when the job itself failed."""
    lines = (LogLine(file="logs/user/error.txt", line=9, text="MemoryError"),)
    plan(deployed, statuses=("Running", "Failed"), error_lines=lines)

    assert "logs/user/error.txt:9: MemoryError" in failed(deployed.until_decided(smoke_test)).error


def test_a_failed_job_without_any_output_fails_all_the_same(deployed: World) -> None:
    """Nothing to quote is no excuse."""
    plan(deployed, statuses=("Running", "Failed"))
    deployed.models.fail_next("job_output", PermanentError("nothing there"))

    assert "ended as Failed" in failed(deployed.until_decided(smoke_test)).error


LOGGED = (
    LogLine(file="logs/user/error.txt", line=3, text="ValueError: no column flow"),
    LogLine(file="logs/user/error/node0/process000.txt", line=3, text="ValueError: no column flow"),
    LogLine(file="logs/user/stdout/node0/process000.stdout.txt", line=1, text="ERROR telemetry is switched off"),
)


def allow(world: World, text: str, reason: str) -> None:
    policy = Policy(allowed_log_lines=(AllowedLine(text=text, reason=reason),))
    world.put_release(replace(world.work().release, policy=policy))


def test_an_error_that_stands_in_several_files_is_told_once(deployed: World) -> None:
    """R27: the first place it stands at; two errors, not three."""
    plan(deployed, error_lines=LOGGED)

    error = failed(deployed.until_decided(smoke_test)).error

    assert "2 errors in the logs: logs/user/error.txt:3: ValueError: no column flow | " in error
    assert error.count("no column flow") == 1


def test_a_benign_log_line_passes_and_its_reason_is_shown(deployed: World) -> None:
    """D9: allowed by a setting that gives a reason; the approver sees line and reason."""
    allow(deployed, "telemetry is switched off", "says so on every node without internet")
    plan(deployed, error_lines=LOGGED[2:])

    event = deployed.until_decided(smoke_test)

    assert isinstance(event, SmokeTestPassed), event
    (line,) = event.evidence["smoke"]["allowed_log_lines"]  # type: ignore[index]  # JSON
    assert line.startswith("logs/user/stdout/node0/process000.stdout.txt:1: ERROR telemetry is switched off ")
    assert line.endswith("(allowed: says so on every node without internet)")


def test_how_many_lines_were_allowed_is_said_also_where_not_all_are_shown(deployed: World) -> None:
    """D9: 250 of them, and the error behind them still fails."""
    allow(deployed, "telemetry is switched off", "says so on every node without internet")
    harmless = tuple(replace(LOGGED[2], line=n, text=f"ERROR telemetry is switched off ({n})") for n in range(250))
    plan(deployed, error_lines=(*harmless, LOGGED[0]))

    event = failed(deployed.until_decided(smoke_test))

    assert "1 error in the logs: logs/user/error.txt:3: ValueError: no column flow; " in event.error
    assert event.evidence["smoke"]["allowed_log_lines"][-1] == "and 230 more lines that are allowed"  # type: ignore[index]  # JSON


def test_an_allowed_line_excuses_no_other(deployed: World) -> None:
    """D9: the list is about lines, not about jobs."""
    allow(deployed, "telemetry is switched off", "says so on every node without internet")
    plan(deployed, error_lines=LOGGED)

    event = failed(deployed.until_decided(smoke_test))

    assert "1 error in the logs: logs/user/error.txt:3: ValueError: no column flow; " in event.error
    assert event.evidence["smoke"]["allowed_log_lines"]  # type: ignore[index]  # JSON


def test_a_known_expected_output_is_compared(deployed: World) -> None:
    """R32: rows that differ, by how much; a warning, for the model may well have learned something."""
    deployed.models.add_test_file(f"{expected_data_path(CIRCUIT)}expected_output.csv", b"prediction\n1.5\n3.5\n")

    event = deployed.until_decided(smoke_test)

    assert isinstance(event, SmokeTestPassed)
    assert event.warnings == ("expected output: 1 of 2 rows differ, by 0.5 on average, by 1 at most",)
    assert event.evidence["expected"]["largest"] == 1.0  # type: ignore[index]  # JSON
    assert event.evidence["schema"]["source"] == "the expected output"  # type: ignore[index]  # JSON


def test_an_expected_output_that_is_met_is_evidence_and_no_warning(deployed: World) -> None:
    """R32: the approver sees that it was compared."""
    deployed.models.add_test_file(f"{expected_data_path(CIRCUIT)}expected_output.csv", PREDICTIONS)

    event = deployed.until_decided(smoke_test)

    assert isinstance(event, SmokeTestPassed)
    assert event.warnings == ()
    assert event.evidence["expected"]["told"] == "0 of 2 rows differ"  # type: ignore[index]  # JSON


def test_listed_columns_stand_in_for_a_missing_signature(deployed: World) -> None:
    """Issue 3: a model without a signature is compared with `expected_columns.json`."""
    listed = b'[{"name": "heat", "type": "double"}, "status_code"]'
    deployed.models.add_test_file(f"{expected_data_path(CIRCUIT)}expected_columns.json", listed)
    plan(deployed, predictions=b"row,heat\n0,1.5\n1,2.5\n")

    event = deployed.until_decided(smoke_test)

    assert isinstance(event, SmokeTestPassed)
    assert event.evidence["schema"] == {
        "missing": ["status_code"],
        "extra": [],
        "changed": [],
        "source": "expected_columns.json",
    }


def test_predictions_are_kept_for_the_next_release(deployed: World) -> None:
    """What gate 2 will lay beside the next candidate's."""
    event = deployed.until_decided(smoke_test)

    path = event.evidence["smoke"]["predictions"]  # type: ignore[attr-defined]  # JSON
    assert deployed.ports.evidence.get(path) == PREDICTIONS


# ------------------------------------------------------------------------------------------------ one job


def test_the_name_is_claimed_in_the_row_before_the_job_is_started(deployed: World) -> None:
    """D14: of two copies of one message only the one whose write stands goes on."""
    outcome = deployed.look(smoke_test)

    assert isinstance(outcome, StillRunning)
    assert outcome.facts == {"job_name": JOB}
    assert deployed.models.calls("start_smoke_job") == []


def test_a_job_started_by_a_try_that_crashed_is_found_by_its_name(deployed: World) -> None:
    """Known failure 11: a retried invocation starts no second job."""
    deployed.look(smoke_test)
    deployed.models.fail_next("start_smoke_job", TransientError("connection lost"), after_effect=True)
    with pytest.raises(TransientError):
        smoke_test(deployed.work(), deployed.ports)

    assert isinstance(deployed.until_decided(smoke_test), SmokeTestPassed)
    assert len(deployed.models.calls("start_smoke_job")) == 1


def test_a_service_that_ignores_the_name_is_remembered_by_its_own(deployed: World) -> None:
    """D14: whether it honours the name is an assumption."""
    plan(deployed, honour_name=False)

    event = deployed.until_decided(smoke_test)

    assert isinstance(event, SmokeTestPassed)
    assert deployed.run().job_name == "batchjob-0001"
    assert len(deployed.models.calls("start_smoke_job")) == 1


def test_a_nameless_job_that_had_ended_when_it_was_found_is_remembered_by_its_own_name(deployed: World) -> None:
    """D14: its starter died before it could write the name; behind gate 2 the job is looked for by what the row says."""
    plan(deployed, honour_name=False, takes=timedelta(minutes=2))
    deployed.look(smoke_test)
    deployed.models.start_smoke_job(endpoint=ENDPOINT, deployment=DEPLOYMENT, circuit=CIRCUIT, job_name=JOB)
    deployed.clock.forward(timedelta(minutes=3))
    deployed.models.job("batchjob-0001")  # the list tells what it was when it was looked at last

    event = deployed.until_decided(smoke_test)

    assert isinstance(event, SmokeTestPassed)
    assert deployed.run().job_name == "batchjob-0001"


def test_of_several_nameless_jobs_the_oldest_is_kept_and_the_others_are_cancelled(deployed: World) -> None:
    """Two invocations whose answers were lost, on a service that ignores the name."""
    plan(deployed, honour_name=False, takes=timedelta(minutes=2))
    deployed.look(smoke_test)
    for _ in range(2):
        deployed.models.start_smoke_job(endpoint=ENDPOINT, deployment=DEPLOYMENT, circuit=CIRCUIT, job_name=JOB)
        deployed.clock.forward(timedelta(seconds=1))

    event = deployed.until_decided(smoke_test)

    assert isinstance(event, SmokeTestPassed)
    assert event.evidence["smoke"]["job_name"] == "batchjob-0001"  # type: ignore[index]  # JSON
    assert deployed.models.cancelled_jobs == ["batchjob-0002"]
    assert len(deployed.models.calls("start_smoke_job")) == 2


def test_jobs_of_answers_that_the_sdk_lost_in_one_invocation_are_cancelled_too(deployed: World) -> None:
    """D14: it repeats a lost invocation by itself; on a service that ignores the name each of them made a job."""
    plan(deployed, honour_name=False, takes=timedelta(minutes=2))
    deployed.look(smoke_test)
    start = partial(deployed.models.start_smoke_job, endpoint=ENDPOINT, deployment=DEPLOYMENT, circuit=CIRCUIT)

    def lost_twice(method: str) -> None:
        if method != "start_smoke_job":
            return
        deployed.models.before = nothing
        for _ in range(2):
            start(job_name=JOB)
            deployed.clock.forward(timedelta(seconds=1))

    nothing, deployed.models.before = deployed.models.before, lost_twice

    event = deployed.until_decided(smoke_test)

    assert isinstance(event, SmokeTestPassed)
    assert event.evidence["smoke"]["job_name"] == "batchjob-0001"  # type: ignore[index]  # JSON
    assert deployed.models.cancelled_jobs == ["batchjob-0002", "batchjob-0003"]


def test_a_service_that_honours_the_name_is_not_asked_for_all_jobs_after_the_start(deployed: World) -> None:
    """D14: there is one job of a name; nothing is to be settled."""
    for _ in range(2):
        deployed.look(smoke_test)

    assert deployed.models.journal[-1].method == "start_smoke_job"


@pytest.mark.parametrize("honour_name", [True, False])
def test_a_retry_runs_a_job_of_its_own(deployed: World, *, honour_name: bool) -> None:
    """The earlier attempt's job has been judged; it is not judged again."""
    plan(deployed, honour_name=honour_name, predictions=b"")
    first = failed(deployed.until_decided(smoke_test))
    plan(deployed, honour_name=honour_name, predictions=PREDICTIONS)
    deployed.clock.forward(timedelta(seconds=1))
    deployed.change(gen=2, since=deployed.clock.now(), evidence=first.evidence)

    event = deployed.until_decided(smoke_test)

    assert isinstance(event, SmokeTestPassed), event
    assert event.evidence["smoke"]["job_name"] != first.evidence["smoke"]["job_name"]  # type: ignore[index]  # JSON
    assert len(deployed.models.calls("start_smoke_job")) == 2


def test_a_redelivered_judgement_is_the_same(deployed: World) -> None:
    """A crash between judging and writing."""
    deployed.until_decided(smoke_test)

    assert deployed.look(smoke_test) == deployed.look(smoke_test)
    assert len(deployed.models.calls("start_smoke_job")) == 1


def test_the_signature_is_that_of_the_promoted_model(deployed: World) -> None:
    """Not of whatever Dev has by now."""
    deployed.until_decided(smoke_test)

    [call] = deployed.models.calls("model_signature")
    assert call.args == {"name": MODEL, "version": VERSION}
