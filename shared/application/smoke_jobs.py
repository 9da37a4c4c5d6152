"""Use cases: of the jobs that one try has started in Test one is kept, the oldest, and the others are cancelled (D14)."""

from contextlib import suppress
from datetime import timedelta

from shared.application.ports import TERMINAL_JOB_STATUSES, Job, Ports
from shared.domain.errors import PermanentError
from shared.domain.model import CircuitRun
from shared.domain.naming import is_job_of_ours

CLOCKS_DIFFER_BY = timedelta(seconds=10)
"""At most, between ours and the service's."""


def unnamed_job(run: CircuitRun, ports: Ports, *, deployment: str, judged: object = None) -> Job | None:
    """The job of this try on a service that ignores names, whichever invocation started it; others of it are cancelled.

    A job that has a name of our making is not meant: it is looked for by its name, and another one is somebody else's,
    for a rollback's check and the comparison of a newer release may score the same deployment.
    """
    jobs = ports.models.smoke_jobs(endpoint=run.test_endpoint, deployment=deployment)
    ours = [job for job in jobs if is_of_this_try(run, job) and job.name != judged and not is_job_of_ours(job.name)]
    for job in ours[1:]:
        cancel(ports, job)
    return ours[0] if ours else None


def is_of_this_try(run: CircuitRun, job: Job) -> bool:
    return job.created_at is None or job.created_at >= run.since - CLOCKS_DIFFER_BY


def cancel(ports: Ports, job: Job) -> None:
    if job.status in TERMINAL_JOB_STATUSES:
        return
    with suppress(PermanentError):  # it ended in this very moment
        ports.models.cancel_job(job.name)
