"""Use cases: the live model scores today's test input too, when what is kept of it came from another one.

It runs as its Test deployment, which pruning keeps. For the comparison at gate 2 and nothing else: it is waited for as
long as that fits well into the step's deadline, and whatever goes wrong is a reason, never a failure.
"""

from collections.abc import Mapping
from datetime import timedelta

from shared.application.live import Live
from shared.application.ports import TERMINAL_JOB_STATUSES, Job, Ports
from shared.application.side_by_side import AGAIN, Facts, is_of_this_input, keep_predictions, run_of
from shared.application.work import Work
from shared.domain.errors import PermanentError
from shared.domain.events import StillRunning
from shared.domain.naming import beside_job_name
from shared.domain.smoke_verdict import COMPLETED

AT_ONCE = timedelta(milliseconds=1)
SHARE_OF_THE_DEADLINE = 0.5


def score_live_again(work: Work, ports: Ports, live: Live) -> StillRunning | None:
    """One look at the live model's job; None: there is none to wait for."""
    known = _known(work, live)
    if "job_name" in known and not known.keys() & {"predictions", "absent"}:
        return _safely(work, ports, live, str(known["job_name"]))
    if known or not _is_needed(work, ports, live):
        return None
    return _safely(work, ports, live, "")


def _known(work: Work, live: Live) -> Facts:
    """What is remembered of it, if it is about this deployment and this try's input."""
    known = work.run.evidence.get(AGAIN)
    if not isinstance(known, Mapping) or known.get("deployment") != live.name or known.get("gen") != work.run.gen:
        return {}
    return known


def _is_needed(work: Work, ports: Ports, live: Live) -> bool:
    """Not if nothing is live, or not of ours, or what is kept came from the very input of this try."""
    earlier = run_of(live, work.run, ports)
    return earlier is not None and live.name != work.run.deployment and not is_of_this_input(work.run, earlier, ports)


def _safely(work: Work, ports: Ports, live: Live, job_name: str) -> StillRunning:
    try:
        return _look(work, ports, live, job_name)
    except PermanentError as error:
        return _remember(work, live, {"job_name": job_name, "absent": str(error)})


def _look(work: Work, ports: Ports, live: Live, job_name: str) -> StillRunning:
    run = work.run
    name = job_name or beside_job_name(run.release_id, run.gen, run.circuit)
    job = ports.models.job(name)
    if job is None:
        job = ports.models.start_smoke_job(
            endpoint=run.test_endpoint, deployment=live.name, circuit=run.circuit, job_name=name
        )
        return _remember(work, live, {"job_name": job.name}, check_in=None)
    if job.status in TERMINAL_JOB_STATUSES:
        return _remember(work, live, {"job_name": job.name, **_outcome(work, ports, job)})
    limit = work.release.policy.activate_limit * SHARE_OF_THE_DEADLINE
    if ports.clock.now() - run.since < limit:
        return StillRunning()
    ports.models.cancel_job(job.name)
    return _remember(work, live, {"job_name": job.name, "absent": f"job {job.name} did not end within {limit}"})


def _outcome(work: Work, ports: Ports, job: Job) -> Facts:
    if job.status != COMPLETED:
        return {"absent": f"job {job.name} ended as {job.status}"}
    output = ports.models.job_output(job.name)
    if not output.predictions:
        return {"absent": f"job {job.name} left no predictions"}
    return keep_predictions(work.run, ports, output.predictions, output.predictions_size)


def _remember(work: Work, live: Live, facts: Facts, *, check_in: timedelta | None = AT_ONCE) -> StillRunning:
    about = {"deployment": live.name, "gen": work.run.gen}
    return StillRunning(check_in=check_in, facts={"evidence": {AGAIN: {**about, **facts}}})
