"""Step: score the new deployment on the circuit's test data, and judge the job, its logs and its output (R23-R29)."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from shared.application.diagnosis import diagnose_timeout, failed, job_told
from shared.application.plans import restored_model
from shared.application.ports import TERMINAL_JOB_STATUSES, Job, Ports, ProvisioningState
from shared.application.side_by_side import INPUT_ROWS, keep_predictions
from shared.application.smoke_jobs import cancel, is_of_this_try, unnamed_job
from shared.application.work import Work
from shared.domain.comparison import Comparison, compare
from shared.domain.errors import PermanentError
from shared.domain.events import (
    CircuitEvent,
    RestoredTested,
    RestoredUntestable,
    SmokeTestPassed,
    StepErrored,
    StepFailed,
    StillRunning,
)
from shared.domain.log_lines import LogFindings
from shared.domain.model import CircuitRun, Environment, ProcessKind
from shared.domain.naming import TEST_INPUT, expected_data_path, is_job_of_ours, smoke_job_name
from shared.domain.predictions import RowScan, Table, read_predictions
from shared.domain.remedy import Remedy
from shared.domain.smoke_verdict import (
    JobOutput,
    JobVerdict,
    OutputVerdict,
    TimeLimit,
    expected_columns,
    judge_job,
    judge_output,
    quoted,
    time_limit,
)

AT_ONCE = timedelta(milliseconds=1)
FAILED = "Failed"
EXPECTED_OUTPUT, EXPECTED_COLUMNS = "expected_output.csv", "expected_columns.json"
MOST_EXPECTED_BYTES = 1024 * 1024


def smoke_test(work: Work, ports: Ports) -> CircuitEvent | StillRunning:
    """One look at the one job that is kept and judged (D14)."""
    return _of_restored(work, ports) if work.release.kind is ProcessKind.CHECK else _look(work, ports)


def _of_restored(work: Work, ports: Ports) -> CircuitEvent | StillRunning:
    """After a rollback, if Test has what it takes; nothing follows from how it ends."""
    if not work.run.job_name and (why := _untestable(work.run, ports)):
        return RestoredUntestable(at=ports.clock.now(), why=f"not tested: {why}")
    outcome = _look(work, ports)
    if isinstance(outcome, SmokeTestPassed):
        return RestoredTested(at=outcome.at, warnings=outcome.warnings, evidence=outcome.evidence)
    return outcome


def _untestable(run: CircuitRun, ports: Ports) -> str:
    """Why the restored deployment can't be scored in Test; empty: it can."""
    there = ports.models.deployment(Environment.TEST, run.test_endpoint, run.deployment)
    if there is None:
        return f"{run.deployment} is not on {run.test_endpoint} in Test"
    if there.state is not ProvisioningState.SUCCEEDED:
        return f"{run.deployment} on {run.test_endpoint} in Test is {there.state}"
    if there.model_id != restored_model(run):
        return f"{run.deployment} in Test runs {there.model_id}, what was restored runs {restored_model(run) or '?'}"
    if TEST_INPUT not in ports.models.smoke_input(run.circuit):
        return f"the test data of {run.circuit} are gone"
    return ""


def _look(work: Work, ports: Ports) -> CircuitEvent | StillRunning:
    run = work.run
    name = smoke_job_name(run.release_id, run.gen, run.circuit)
    job = _remembered(run, ports, name)
    if job is None and run.job_name != name:
        return StillRunning(check_in=AT_ONCE, facts={"job_name": name})
    job = job or ports.models.job(name) or _unnamed(run, ports)
    if job is None:
        return _start(work, ports, name)
    limit = _limit(work, job)
    match _verdict(ports, job, limit):
        case JobVerdict.RUNNING:
            return _running(work, ports, job, limit)
        case JobVerdict.TIMED_OUT:
            return _timed_out(work, ports, job, limit)
        case JobVerdict.ENDED_BADLY:
            return _ended_badly(work, ports, job)
        case JobVerdict.COMPLETED if job.name != run.job_name:
            return StillRunning(check_in=AT_ONCE, facts={"job_name": job.name})  # production looks for the job by it
        case JobVerdict.COMPLETED:
            return _completed(work, ports, job)


# --------------------------------------------------------------------------------------------- the one job


def _limit(work: Work, job: Job) -> TimeLimit:
    """D8: by what the service says of the job; one that tells no time of its own counts from when it got its slot."""
    return time_limit(
        policy=work.release.policy,
        status=job.status,
        invoked_at=job.created_at or work.run.since,
        started_at=job.started_at,
    )


def _verdict(ports: Ports, job: Job, limit: TimeLimit) -> JobVerdict:
    return judge_job(
        status=job.status,
        terminal=job.status in TERMINAL_JOB_STATUSES,
        ended_at=job.ended_at,
        now=ports.clock.now(),
        limit=limit.at,
    )


def _start(work: Work, ports: Ports, name: str) -> CircuitEvent | StillRunning:
    run, now = work.run, ports.clock.now()
    limit = work.release.policy.smoke_limit
    if now >= run.since + limit:
        return StepErrored(at=now, error=f"the smoke test could not be started within {limit}; retry")
    job = ports.models.start_smoke_job(
        endpoint=run.test_endpoint, deployment=run.deployment, circuit=run.circuit, job_name=name
    )
    if job.name != name:  # then each invocation makes a job, and the SDK repeats one whose answer was lost
        job = _unnamed(run, ports) or job
    return _running(work, ports, job, _limit(work, replace(job, created_at=job.created_at or now)))


def _running(work: Work, ports: Ports, job: Job, limit: TimeLimit) -> StillRunning:
    """R24: every 30 s, and the last look when the time is over."""
    left = max(limit.at - ports.clock.now(), AT_ONCE)
    return StillRunning(check_in=min(work.release.policy.poll, left), facts={"job_name": job.name})


def _remembered(run: CircuitRun, ports: Ports, name: str) -> Job | None:
    """The job this attempt remembers under a name of the service's own making."""
    if not run.job_name or run.job_name == name or run.job_name == _judged(run) or is_job_of_ours(run.job_name):
        return None
    job = ports.models.job(run.job_name)
    return job if job and is_of_this_try(run, job) else None


def _unnamed(run: CircuitRun, ports: Ports) -> Job | None:
    """Started by a try that could not remember it."""
    return unnamed_job(run, ports, deployment=run.deployment, judged=_judged(run))


def _judged(run: CircuitRun) -> object:
    """The job an earlier attempt was judged by."""
    smoke = run.evidence.get("smoke")
    return smoke.get("job_name") if isinstance(smoke, Mapping) else None


# ---------------------------------------------------------------------------------------------- judgement


def _timed_out(work: Work, ports: Ports, job: Job, limit: TimeLimit) -> StepFailed:
    """Looked at before it is cancelled: what did it wait for?"""
    lines = diagnose_timeout(work.run, ports, job.name, job.studio_url)
    cancel(ports, job)
    then = (
        f"it is {job.status} by now"
        if job.status in TERMINAL_JOB_STATUSES
        else f"it was {job.status}, and has been cancelled"
    )
    said = f"smoke test failed: job {job.name} {limit.missed}: {then}; investigate"
    return _with_facts(failed(ports, said, lines), job)


def _ended_badly(work: Work, ports: Ports, job: Job) -> StepFailed:
    output = _output(work, ports, job)
    said = "; ".join((f"job {job.name} ended as {job.status}, not Completed", *quoted(output.logs), *output.unread))
    return _with_facts(
        failed(ports, f"smoke test failed: {said}; investigate", _next(work, job, _remedy(job, output))), job
    )


def _remedy(job: Job, output: JobOutput) -> Remedy:
    """A job that says nothing of its own, or that somebody cancelled, may do better the next time."""
    said = output.logs.error_count or output.unread
    return Remedy.MODEL if said and job.status == FAILED else Remedy.RETRY


def _completed(work: Work, ports: Ports, job: Job) -> SmokeTestPassed | StepFailed:
    run = work.run
    output = ports.models.job_output(job.name, allowed=work.release.policy.allowed_log_lines)
    known = _known_output(run, ports)
    expected = expected_columns(
        mlmodel=ports.models.model_signature(run.model_name, run.model_version),
        listed=_test_file(ports, f"{expected_data_path(run.circuit)}{EXPECTED_COLUMNS}"),
        output=known,
    )
    verdict = judge_output(output, expected.columns)
    evidence = _evidence(job, verdict, output.logs) | {"schema": verdict.schema.as_json() | {"source": expected.source}}
    if verdict.failures:
        said = f"smoke test failed: {'; '.join(verdict.failures)}; investigate job {job.name}"
        return _with_facts(failed(ports, said, _next(work, job, Remedy.MODEL)), job, evidence, verdict.warnings)
    compared = compare(verdict.table, known) if known else None
    kept = keep_predictions(run, ports, output.predictions, output.predictions_size)
    return SmokeTestPassed(
        at=ports.clock.now(),
        warnings=(*verdict.warnings, *_other_number(verdict.rows, kept[INPUT_ROWS]), *_unexpected(compared)),
        evidence=evidence
        | {
            "smoke": {**_facts(job, verdict, output.logs), **kept},
            "expected": compared.as_json() if compared else None,
        },
    )


def _known_output(run: CircuitRun, ports: Ports) -> Table | None:
    """R32: what this input should give, where somebody has left it."""
    content = _test_file(ports, f"{expected_data_path(run.circuit)}{EXPECTED_OUTPUT}")
    table = read_predictions(content) if content else None
    return table if table and table.rows else None


def _test_file(ports: Ports, path: str) -> bytes | None:
    found = ports.models.test_file(path, limit=MOST_EXPECTED_BYTES)
    return found[0] if found else None


def _other_number(rows: int, of_input: object) -> tuple[str, ...]:
    """A model may sum up its input; one that loses rows looks the same."""
    return (f"predictions.csv has {rows} rows, the test input {of_input}",) if of_input and rows != of_input else ()


def _unexpected(compared: Comparison | None) -> tuple[str, ...]:
    return () if compared is None or compared.is_equal else (f"expected output: {compared}",)


def _next(work: Work, job: Job, remedy: Remedy) -> tuple[str, ...]:
    then = "" if work.release.kind is ProcessKind.CHECK else f"; {remedy.told()}"
    return (f"next: open {job_told(job.name, job.studio_url)}{then}",)


def _output(work: Work, ports: Ports, job: Job) -> JobOutput:
    """A job that ended badly may have left nothing at all."""
    try:
        return ports.models.job_output(job.name, allowed=work.release.policy.allowed_log_lines)
    except PermanentError:
        return JobOutput(logs=LogFindings(), predictions=None, predictions_size=0, rows=RowScan())


def _allowed(logs: LogFindings) -> list[str]:
    """D9: with the reason; also how many are not shown."""
    more = logs.allowed_count - len(logs.allowed)
    told = [f"{line} (allowed: {reason})" for line, reason in logs.allowed]
    return [*told, f"and {more} more lines that are allowed"] if more else told


def _with_facts(
    event: StepFailed, job: Job, evidence: Mapping[str, object] | None = None, warnings: tuple[str, ...] = ()
) -> StepFailed:
    return replace(event, warnings=warnings, evidence={**event.evidence, **(evidence or _evidence(job))})


def _evidence(job: Job, verdict: OutputVerdict | None = None, logs: LogFindings | None = None) -> dict[str, object]:
    return {"smoke": _facts(job, verdict, logs)}


def _facts(job: Job, verdict: OutputVerdict | None = None, logs: LogFindings | None = None) -> dict[str, object]:
    """D8: queued and running time apart; D9: what was let pass, and why."""
    return {
        "job_name": job.name,
        "studio_url": job.studio_url,
        "status": job.status,
        "seconds": _seconds(job.created_at, job.ended_at),
        "queued_seconds": _seconds(job.created_at, job.started_at),
        "running_seconds": _seconds(job.started_at, job.ended_at),
        "rows": verdict.rows if verdict else None,
        "allowed_log_lines": _allowed(logs) if logs else [],
    }


def _seconds(start: datetime | None, end: datetime | None) -> float | None:
    return round((end - start).total_seconds(), 1) if start and end else None
