"""The failing rows of the document's validation table, as things that really happen on a stack.

| check | fails here by |
|---|---|
| deployment in Test | an operation that ends as Failed, an invocation that is refused |
| job status | Failed, Canceled by somebody |
| time | a job that never ends, one that has Completed when its time was over |
| logs | a line in error.txt of a Completed job, a line that the model printed |
| output | no file, an empty one, only a header, a row with status failed |
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from local.samples.dev_build import Trait
from shared.domain.model import Circuit
from shared.domain.naming import smoke_job_name
from tests.support.hands_in_test import ERROR_FILE, PREDICTIONS
from tests.support.pipeline import Pipeline
from tests.support.waiting import wait_until

type Act = Callable[[Pipeline, str, str], None]
"""What happens to a release (second) because of its circuit (third)."""

HELD_SECONDS = 20.0
"""Between two looks of the app: time enough to do something to a job that has completed."""
TIGHT_SECONDS = 6.0
"""The time of a job that shall miss it."""


def nothing(_pipeline: Pipeline, _release_id: str, _circuit: str) -> None:
    """All is left as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One way to fail: with which model, what is done before gate 1 is answered and after it, and what is said."""

    said: str
    trait: Trait = Trait.ORDINARY
    before: Act = nothing
    after: Act = nothing


def endpoint(circuit: str) -> str:
    return f"be-{circuit.replace('/', '-').lower()}"


def job_of(release_id: str, circuit: str) -> str:
    plant_id, _, circuit_id = circuit.partition("/")
    return smoke_job_name(release_id, 1, Circuit(plant_id=plant_id, circuit_id=circuit_id))


def deployment_fails(pipeline: Pipeline, _release_id: str, circuit: str) -> None:
    path = f"mlw-test/batchEndpoints/{endpoint(circuit)}/"
    pipeline.fault(match={"operation": "deployments.put", "path_regex": path}, action="fail_lro")


def invocation_is_refused(pipeline: Pipeline, _release_id: str, circuit: str) -> None:
    match = {"operation": "jobs.invoke", "path_regex": endpoint(circuit)}
    pipeline.fault(match=match, action="status", status=400, count=None)


def has_little_time(pipeline: Pipeline, release_id: str, _circuit: str) -> None:
    pipeline.change_policy(release_id, smoke_limit=TIGHT_SECONDS)


def is_looked_at_rarely(pipeline: Pipeline, release_id: str, _circuit: str) -> None:
    pipeline.change_policy(release_id, poll=HELD_SECONDS)


def invoked(pipeline: Pipeline, circuit: str) -> None:
    """Wait until the circuit's job has been started: gate 1 was answered a moment ago, the model is not even promoted."""
    before = pipeline.azure_ml_position()

    def look() -> bool:
        entries = pipeline.azure_ml(before)
        return any(e["operation"] == "jobs.invoke" and e["host"].startswith(f"{endpoint(circuit)}.") for e in entries)

    wait_until(look, f"the job of {circuit} is invoked", within_seconds=240)


def somebody_cancels(pipeline: Pipeline, release_id: str, circuit: str) -> None:
    invoked(pipeline, circuit)
    pipeline.client.cancel(job_of(release_id, circuit))


def is_looked_at_too_late(pipeline: Pipeline, release_id: str, circuit: str) -> None:
    """The service takes its time to answer the next look: by then the job has completed, after its limit."""
    invoked(pipeline, circuit)
    match = {"operation": "jobs.get", "path_regex": f"mlw-test/jobs/{job_of(release_id, circuit)}$"}
    pipeline.fault(match=match, action="delay", seconds=HELD_SECONDS)


def leaves(file: tuple[str, str], text: str) -> Act:
    """The job's file is another one when the app comes to look."""

    def act(pipeline: Pipeline, release_id: str, circuit: str) -> None:
        invoked(pipeline, circuit)
        run = pipeline.client.completed_run(job_of(release_id, circuit))
        datastore, path = file
        pipeline.client.put_file(datastore, path.format(run=run), text)

    return act


def leaves_no_predictions(pipeline: Pipeline, release_id: str, circuit: str) -> None:
    """The storage does not have the file when the app comes to look."""
    invoked(pipeline, circuit)
    path = PREDICTIONS[1].format(run=pipeline.client.completed_run(job_of(release_id, circuit)))
    pipeline.fault(match={"method": "GET", "path_regex": f"{path}$"}, action="status", status=404, count=None)


RAISED = 'Traceback (most recent call last):\n  File "driver.py", line 1\nOSError: the disk of node 0 is full\n'
IN_TIME = f"did not end within 0:00:{TIGHT_SECONDS:02.0f} of its invocation"

ROWS: Mapping[str, Row] = {
    "PLANT410/CIRCUIT01": Row(before=deployment_fails, said="deployment-RELEASE on be-plant410-circuit01 is Failed"),
    "PLANT411/CIRCUIT01": Row(
        before=invocation_is_refused, said="invoking deployment deployment-RELEASE of be-plant411"
    ),
    "PLANT101/CIRCUIT01": Row(trait=Trait.RAISES_ON_ITS_DATA, said="ended as Failed, not Completed"),
    "PLANT412/CIRCUIT01": Row(trait=Trait.NEVER_ENDS, after=somebody_cancels, said="ended as Canceled, not Completed"),
    "PLANT413/CIRCUIT01": Row(
        trait=Trait.NEVER_ENDS, before=has_little_time, said=f"{IN_TIME}: it was Running, and has been cancelled"
    ),
    "PLANT414/CIRCUIT01": Row(
        trait=Trait.TAKES_ITS_TIME,
        before=has_little_time,
        after=is_looked_at_too_late,
        said=f"{IN_TIME}: it is Completed by now",
    ),
    "PLANT415/CIRCUIT01": Row(
        before=is_looked_at_rarely,
        after=leaves(ERROR_FILE, RAISED),
        said="1 error in the logs: logs/user/error.txt:3: OSError: the disk of node 0 is full; investigate",
    ),
    "PLANT401/CIRCUIT01": Row(trait=Trait.LOGS_ERRORS, said="ERROR calibration of the flow sensor is missing"),
    "PLANT416/CIRCUIT01": Row(
        before=is_looked_at_rarely, after=leaves_no_predictions, said="the job left no predictions.csv"
    ),
    "PLANT402/CIRCUIT01": Row(trait=Trait.WRITES_NOTHING, said="predictions.csv holds no rows"),
    "PLANT417/CIRCUIT01": Row(
        before=is_looked_at_rarely,
        after=leaves(PREDICTIONS, "row,prediction,file\n"),
        said="predictions.csv holds no rows",
    ),
    "PLANT418/CIRCUIT01": Row(
        trait=Trait.MARKS_ROWS_FAILED, said="1 of 168 rows in predictions.csv has status failed (row 168)"
    ),
}
