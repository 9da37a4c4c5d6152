"""The document's validation table as a matrix: each failing row stops the whole release before production (R22-R30).

| check | passes | here fails by |
|---|---|---|
| job status | Completed | Failed, Canceled |
| time | below 15 minutes | never ending, never leaving the queue, ending at 15:00 |
| logs | no errors | a line in error.txt, on stdout of a Completed job, of a repeated try, among allowed ones; files nobody read |
| output | present and not empty | no file, an empty file, only a header, rows that say failed |
| schema | as expected | warns only |

and, before the job, the deployment in Test. `tests/e2e/test_validation_table.py` shows the checks on the local stack.
"""

from collections.abc import Callable
from datetime import timedelta

import pytest

from shared.domain.errors import PermanentError
from shared.domain.log_lines import LogLine
from shared.domain.model import CircuitPhase, Environment, GateName, ReleasePhase
from tests.support.builders import CIRCUIT
from tests.support.fake_models import JobPlan
from tests.support.pipeline_world import ALL_CIRCUITS, PipelineWorld

type Spoil = Callable[[PipelineWorld], None]

LOGGED = LogLine(file="logs/user/error.txt", line=3, text="ValueError: no column flow")
PRINTED = LogLine(file="logs/user/stdout/node0/process000.stdout.txt", line=9, text="ERROR disk is full")


def job(**how: object) -> Spoil:
    plan = JobPlan(**how)  # type: ignore[arg-type]  # fields of the plan
    return lambda world: world.models.plan_job(CIRCUIT, plan)


def deployment_fails(world: PipelineWorld) -> None:
    world.models.fail_deployments_on(Environment.TEST, "be-plant001-circuit01", "no quota for the node")


def invocation_is_refused(world: PipelineWorld) -> None:
    world.models.fail_next("start_smoke_job", PermanentError("the model can't be loaded"))


REPEATED = LogLine(
    file="azureml-logs/70_driver_log.txt", line=7, text="ERROR mini batch 0 (test_input.csv), attempt 1 of 4, failed"
)
UNREAD = "2 of the job's files were not read (9 bytes, first logs/user/a.txt), errors may stand there"
FAILING: dict[str, tuple[Spoil, str]] = {
    "the deployment fails": (deployment_fails, "no quota for the node"),
    "the invocation is refused": (invocation_is_refused, "the model can't be loaded"),
    "status Failed": (job(statuses=("Running", "Failed")), "ended as Failed, not Completed"),
    "status Canceled": (job(statuses=("Running", "Canceled")), "ended as Canceled, not Completed"),
    "never ends": (job(takes=timedelta(hours=3)), "did not end within 0:15:00"),
    "never leaves the queue": (job(queues=timedelta(hours=3), takes=timedelta()), "did not end within 0:15:00"),
    "Completed at 15:00": (job(takes=timedelta(minutes=15)), "did not end within 0:15:00"),
    "errors in error.txt": (job(error_lines=(LOGGED,)), "logs/user/error.txt:3: ValueError: no column flow"),
    "errors on stdout": (job(error_lines=(PRINTED,)), "process000.stdout.txt:9: ERROR disk is full"),
    "an error of a try that was repeated": (job(error_lines=(REPEATED,)), "attempt 1 of 4, failed"),
    "files that nobody read": (job(unread=(UNREAD,)), UNREAD),
    "no output": (job(predictions=None), "the job left no predictions.csv"),
    "empty output": (job(predictions=b""), "predictions.csv holds no rows"),
    "only a header": (job(predictions=b"row,prediction\n"), "predictions.csv holds no rows"),
    "rows that failed": (
        job(predictions=b"0,1.5,ok\n1,,failed\n"),
        "1 of 2 rows in predictions.csv has status failed",
    ),
}
PASSING: dict[str, Spoil] = {
    "all is well": job(),
    "Completed at 14:59": job(takes=timedelta(minutes=14, seconds=20)),
    "another schema": job(predictions=b"0,1.5,7\n1,2.5,7\n"),
    "NaN": job(predictions=b"0,nan\n1,2.5\n"),
    "constant": job(predictions=b"0,1\n1,1\n2,1\n"),
}


def through_test(spoil: Spoil) -> PipelineWorld:
    """Three circuits up to the end of Test, the first one spoilt; gate 1 approved."""
    world = PipelineWorld()
    world.start()
    spoil(world)
    world.to_phase(ReleasePhase.AWAITING_REGISTRY_APPROVAL)
    world.answer(GateName.REGISTRY)
    world.run()
    return world


@pytest.mark.parametrize("row", FAILING)
def test_each_failing_row_stops_the_release_before_production(row: str) -> None:
    """R22, R25-R28, R30: failed by name and reason, gate 2 never opens, not one call writes to mlw-prod."""
    spoil, said = FAILING[row]
    world = through_test(spoil)

    assert world.phase() is ReleasePhase.FAILED
    assert world.circuit(CIRCUIT).phase is CircuitPhase.FAILED
    assert said in world.circuit(CIRCUIT).error
    assert world.release().reason.startswith("PLANT001/CIRCUIT01: ")
    assert said in world.release().reason
    assert [stored.row.gate for stored in world.releases.gates("20251210.1")] == [GateName.REGISTRY]
    assert world.models.production_writes() == []


@pytest.mark.parametrize("row", FAILING)
def test_the_other_circuits_are_tested_to_their_end(row: str) -> None:
    """D3, known failure 2: a full report, and a failure that is not lost among green ones."""
    world = through_test(FAILING[row][0])

    others = [world.circuit(circuit).phase for circuit in ALL_CIRCUITS if circuit != CIRCUIT]
    assert others == [CircuitPhase.TESTED, CircuitPhase.TESTED]


@pytest.mark.parametrize("row", PASSING)
def test_each_passing_row_leads_to_gate_2_and_not_beyond(row: str) -> None:
    """R29, R33: warnings are for people, who are asked before anything is written to mlw-prod."""
    world = through_test(PASSING[row])

    assert world.phase() is ReleasePhase.AWAITING_PRODUCTION_APPROVAL
    assert world.models.production_writes() == []


def test_a_job_past_its_time_is_cancelled() -> None:
    """R25: it would go on costing money."""
    world = through_test(FAILING["never ends"][0])
    assert world.models.cancelled_jobs == [world.circuit(CIRCUIT).job_name]
