"""Step: score the new deployment on the circuit's test data, and judge the job, its logs and its output (R23-R29)."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from shared.application.diagnosis import diagnose_timeout, failed
from shared.application.ports import TERMINAL_JOB_STATUSES, Job, JobOutput, LogLine, Ports
from shared.application.work import Work
from shared.domain.errors import PermanentError
from shared.domain.events import CircuitEvent, SmokeTestPassed, StepErrored, StepFailed, StillRunning
from shared.domain.model import CircuitRun
from shared.domain.naming import smoke_job_name
from shared.domain.smoke_verdict import JobVerdict, OutputVerdict, judge_job, judge_output, quoted

AT_ONCE = timedelta(milliseconds=1)
CLOCKS_DIFFER_BY = timedelta(seconds=10)
"""At most, between ours and the service's."""


def smoke_test(work: Work, ports: Ports) -> CircuitEvent | StillRunning:
    """One look at the one job that is kept and judged (D14)."""
    run = work.run
    name = smoke_job_name(run.release_id, run.gen, run.circuit)
    job = _remembered(run, ports, name)
    if job is None and run.job_name != name:
        return StillRunning(check_in=AT_ONCE, facts={"job_name": name})
    job = job or ports.models.job(name) or _unnamed(run, ports)
    if job is None:
        return _start(work, ports, name)
    match _verdict(work, ports, job):
        case JobVerdict.RUNNING:
            return StillRunning(facts={"job_name": job.name})
        case JobVerdict.TIMED_OUT:
            return _timed_out(work, ports, job)
        case JobVerdict.ENDED_BADLY:
            return _ended_badly(work, ports, job)
        case JobVerdict.COMPLETED:
            return _completed(work, ports, job)


# --------------------------------------------------------------------------------------------- the one job


def _limit(work: Work) -> datetime:
    return work.run.since + work.release.policy.smoke_limit


def _verdict(work: Work, ports: Ports, job: Job) -> JobVerdict:
    return judge_job(
        status=job.status,
        terminal=job.status in TERMINAL_JOB_STATUSES,
        ended_at=job.ended_at,
        now=ports.clock.now(),
        limit=_limit(work),
    )


def _start(work: Work, ports: Ports, name: str) -> CircuitEvent | StillRunning:
    run, now = work.run, ports.clock.now()
    if now >= _limit(work):
        limit = work.release.policy.smoke_limit
        return StepErrored(at=now, error=f"the smoke test could not be started within {limit}; retry")
    job = ports.models.start_smoke_job(
        endpoint=run.test_endpoint, deployment=run.deployment, circuit=run.circuit, job_name=name
    )
    return StillRunning(facts={"job_name": job.name})


def _remembered(run: CircuitRun, ports: Ports, name: str) -> Job | None:
    """The job this attempt remembers under a name of the service's own making."""
    if not run.job_name or run.job_name == name or run.job_name == _judged(run) or run.job_name.startswith("smoke-"):
        return None
    job = ports.models.job(run.job_name)
    return job if job and _is_of_this_attempt(run, job) else None


def _unnamed(run: CircuitRun, ports: Ports) -> Job | None:
    """Started by a try that could not remember it, on a service that ignores names: keep the oldest, cancel the rest."""
    jobs = ports.models.smoke_jobs(endpoint=run.test_endpoint, deployment=run.deployment)
    ours = [job for job in jobs if _is_of_this_attempt(run, job) and job.name != _judged(run)]
    for job in ours[1:]:
        _cancel(ports, job)
    return ours[0] if ours else None


def _is_of_this_attempt(run: CircuitRun, job: Job) -> bool:
    return job.created_at is None or job.created_at >= run.since - CLOCKS_DIFFER_BY


def _judged(run: CircuitRun) -> object:
    """The job an earlier attempt was judged by."""
    smoke = run.evidence.get("smoke")
    return smoke.get("job_name") if isinstance(smoke, Mapping) else None


def _cancel(ports: Ports, job: Job) -> None:
    if job.status in TERMINAL_JOB_STATUSES:
        return
    with suppress(PermanentError):  # it ended in this very moment
        ports.models.cancel_job(job.name)


# ---------------------------------------------------------------------------------------------- judgement


def _timed_out(work: Work, ports: Ports, job: Job) -> StepFailed:
    """Looked at before it is cancelled: what did it wait for?"""
    lines = diagnose_timeout(work.run, ports, job.name)
    _cancel(ports, job)
    limit = work.release.policy.smoke_limit
    said = f"smoke test failed: job {job.name} did not end within {limit} ({job.status}); investigate"
    return _with_facts(failed(ports, said, lines), job)


def _ended_badly(work: Work, ports: Ports, job: Job) -> StepFailed:
    errors = quoted([_quote(line) for line in _output(ports, job).error_lines])
    said = "; ".join((f"job {job.name} ended as {job.status}, not Completed", *errors))
    return _with_facts(failed(ports, f"smoke test failed: {said}; investigate"), job)


def _completed(work: Work, ports: Ports, job: Job) -> SmokeTestPassed | StepFailed:
    run = work.run
    output = ports.models.job_output(job.name)
    verdict = judge_output(
        error_lines=[_quote(line) for line in output.error_lines],
        predictions=output.predictions,
        predictions_size=output.predictions_size,
        mlmodel=ports.models.model_signature(run.model_name, run.model_version),
    )
    if verdict.failures:
        said = f"smoke test failed: {'; '.join(verdict.failures)}; investigate job {job.name}"
        return _with_facts(failed(ports, said), job, verdict)
    return SmokeTestPassed(at=ports.clock.now(), warnings=verdict.warnings, evidence=_evidence(job, verdict))


def _output(ports: Ports, job: Job) -> JobOutput:
    """A job that ended badly may have left nothing at all."""
    try:
        return ports.models.job_output(job.name)
    except PermanentError:
        return JobOutput(error_lines=(), predictions=None, predictions_size=0)


def _quote(line: LogLine) -> str:
    return f"{line.file}:{line.line}: {line.text}"


def _with_facts(event: StepFailed, job: Job, verdict: OutputVerdict | None = None) -> StepFailed:
    warnings = verdict.warnings if verdict else ()
    return replace(event, warnings=warnings, evidence={**event.evidence, **_evidence(job, verdict)})


def _evidence(job: Job, verdict: OutputVerdict | None) -> Mapping[str, object]:
    """D8: queued and running time apart. No log line is ever let pass, so the list of allowed ones is empty (D9)."""
    smoke: dict[str, object] = {
        "job_name": job.name,
        "studio_url": job.studio_url,
        "status": job.status,
        "seconds": _seconds(job.created_at, job.ended_at),
        "queued_seconds": _seconds(job.created_at, job.started_at),
        "running_seconds": _seconds(job.started_at, job.ended_at),
        "rows": verdict.rows if verdict else None,
        "allowed_log_lines": [],
    }
    return {"smoke": smoke, "schema": verdict.schema.as_json()} if verdict else {"smoke": smoke}


def _seconds(start: datetime | None, end: datetime | None) -> float | None:
    return round((end - start).total_seconds(), 1) if start and end else None
