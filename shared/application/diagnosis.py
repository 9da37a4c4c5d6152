"""Use cases: the document's troubleshooting recipes, run by themselves on a failure (R49-R51).

A look that fails becomes a line that says so: a diagnosis never hides the failure it explains.
"""

from collections.abc import Callable, Sequence

from shared.application.ports import Ports, ProvisioningState
from shared.application.work import Work
from shared.domain.choice import Candidate, listed
from shared.domain.errors import PipelineError
from shared.domain.events import StepFailed
from shared.domain.model import CircuitPhase, CircuitRun, Environment, Round
from shared.domain.naming import test_data_path, timestamp
from shared.domain.process import DIAGNOSIS
from shared.domain.remedy import Remedy
from shared.domain.words import clean

type Lines = tuple[str, ...]

ASK_AGAIN = "then retry the release: gate 2 is asked again, about what is live now"


def failed(ports: Ports, error: str, lines: Sequence[str] = ()) -> StepFailed:
    """The circuit failed, and what a look around found; which circuit, its row says: whoever shows an error names it."""
    evidence = {DIAGNOSIS: list(map(clean, lines))} if lines else {}
    return StepFailed(at=ports.clock.now(), error=clean(error), evidence=evidence)


def next_line(remedy: Remedy) -> str:
    """How a diagnosis ends."""
    return f"next: {remedy.told()}"


def diagnose(work: Work, ports: Ports) -> Lines:
    """The recipe for wherever the circuit stands: for a step that ran out of time, or was refused without a look."""
    run = work.run
    match run.phase:
        case CircuitPhase.RESTORING if run.todo is Round.ROLLBACK:
            return diagnose_rollback(run, ports, work.release.environment)
        case CircuitPhase.PROMOTING:
            return diagnose_promotion(run, ports)
        case CircuitPhase.DEPLOYING_TEST | CircuitPhase.ACTIVATING_TEST:
            return diagnose_deployment(run, ports, Environment.TEST)
        case CircuitPhase.SMOKE_TESTING:
            return diagnose_timeout(run, ports, run.job_name)
        case CircuitPhase.LOCKING | CircuitPhase.STAGING | CircuitPhase.ACTIVATING | CircuitPhase.RESTORING:
            return diagnose_deployment(run, ports, Environment.PRODUCTION)
        case _:
            return ()


def diagnose_promotion(run: CircuitRun, ports: Ports, remedy: Remedy = Remedy.RETRY) -> Lines:
    """R49: is the model in the Registry, and if not, what does Dev offer?"""
    return (*_registry(run, ports), next_line(remedy))


def diagnose_timeout(run: CircuitRun, ports: Ports, job_name: str, studio_url: str = "") -> Lines:
    """R50: job status, compute state, test data."""
    then = "the rollback stands" if run.todo is Round.CHECK else Remedy.RETRY.told()
    return (
        _look("job", lambda: _job(ports, job_name)),
        _compute(ports, Environment.TEST),
        _look("test data", lambda: _test_data(run, ports)),
        f"next: open {job_told(job_name, studio_url)} and look what held it up; {then}",
    )


def job_told(job_name: str, studio_url: str) -> str:
    """Where to look at a job."""
    return f"job {job_name} in the Test workspace{f' ({studio_url})' if studio_url else ''}"


def diagnose_deployment(run: CircuitRun, ports: Ports, environment: Environment) -> Lines:
    """R51: endpoint provisioning, compute, model present in the Registry."""
    name = run.test_endpoint if environment is Environment.TEST else run.endpoint
    return (
        _look("endpoint", lambda: _endpoint(ports, environment, name)),
        _look("deployment", lambda: _deployment(ports, environment, name, run.deployment)),
        _compute(ports, environment),
        *_registry(run, ports),
        f"next: look at {name} in the {environment} workspace; {Remedy.RETRY.told()}",
    )


def _registry(run: CircuitRun, ports: Ports) -> Lines:
    wanted = f"{run.model_name} version {run.model_version}"
    try:
        present = ports.models.registry_model(run.model_name, run.model_version) is not None
    except PipelineError as error:
        return (f"the Registry could not be looked at ({error})",)
    if present:
        return (f"the Registry has {wanted}",)
    return (f"the Registry does not have {wanted}", _look("Dev", lambda: _dev(run, ports)))


def _dev(run: CircuitRun, ports: Ports) -> str:
    models = ports.models.dev_models(run.model_name)
    return f"Dev's {listed([Candidate(version=model.version, tags=model.tags) for model in models])}"


def diagnose_rollback(run: CircuitRun, ports: Ports, environment: Environment) -> Lines:
    """The endpoint and what it was to go back to; compute and Registry have no part in a switch."""
    return (
        _look("endpoint", lambda: _endpoint(ports, environment, run.endpoint)),
        _look("deployment", lambda: _deployment(ports, environment, run.endpoint, run.previous_deployment)),
        f"next: look at {run.endpoint} in the {environment} workspace, remove the cause, then ask for the rollback again",
    )


def _deployment(ports: Ports, environment: Environment, endpoint: str, name: str) -> str:
    found = ports.models.deployment(environment, endpoint, name)
    if found is None:
        return f"deployment {name} does not exist"
    is_settled = found.state is not ProvisioningState.RUNNING
    return f"deployment {name} is {found.state if is_settled else 'still being made or changed'}"


def _compute(ports: Ports, environment: Environment) -> str:
    return _look("compute", lambda: f"compute in {environment}: {ports.models.compute_state(environment)}")


def _endpoint(ports: Ports, environment: Environment, name: str) -> str:
    endpoint = ports.models.endpoint(environment, name)
    if endpoint is None:
        return f"endpoint {name} does not exist in {environment}"
    return f"endpoint {name} in {environment} is {endpoint.state}, default {endpoint.default or '(none)'}"


def _job(ports: Ports, job_name: str) -> str:
    job = ports.models.job(job_name)
    if job is None:
        return f"the Test workspace has no job {job_name}"
    started = f"it left the queue at {timestamp(job.started_at)}" if job.started_at else "it never left the queue"
    return f"job {job_name} was {job.status}; {started}"


def _test_data(run: CircuitRun, ports: Ports) -> str:
    files = ports.models.smoke_input(run.circuit)
    return f"{test_data_path(run.circuit)} holds {', '.join(files) or 'nothing'}"


def _look(what: str, line: Callable[[], str]) -> str:
    try:
        return line()
    except PipelineError as error:
        return f"{what} could not be looked at ({error})"
