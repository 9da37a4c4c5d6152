"""Step: endpoint and deployment, first in Test, then in Production next to the live one; defaults stay untouched."""

from collections.abc import Sequence
from datetime import datetime

from shared.application.diagnosis import ASK_AGAIN, diagnose_deployment, failed, next_line
from shared.application.differences import AS_LEFT, on_endpoint
from shared.application.locks import (
    LockLost,
    LockOnHold,
    LockTaken,
    LockWaits,
    activation_by,
    import_default,
    take_lock,
    was_set_by_older_release,
)
from shared.application.ports import Deployment, DeploymentSpec, Endpoint, Ports, ProvisioningState
from shared.application.settle import settle
from shared.application.work import Work
from shared.domain.errors import ConfigurationError, IllegalTransition, PermanentError
from shared.domain.events import (
    CircuitEvent,
    CircuitHeld,
    CircuitSuperseded,
    ProductionLocked,
    ProductionStaged,
    StillRunning,
    TestDeploymentReady,
)
from shared.domain.model import CircuitPhase, CircuitRun, Environment, LedgerEntry
from shared.domain.naming import deployment_tags, endpoint_tags
from shared.domain.remedy import Remedy
from shared.domain.smoke_verdict import COMPLETED

CONTENT_HASH = "content_hash"
"""The Registry property that holds the SHA-256 of a model's content (D12)."""


def deploy(work: Work, ports: Ports) -> CircuitEvent | StillRunning:
    """One look at one circuit's deployment: start what is missing, say when it stands."""
    match work.run.phase:
        case CircuitPhase.DEPLOYING_TEST:
            return _diagnosed(work, ports, Environment.TEST)
        case CircuitPhase.LOCKING:
            return _lock(work, ports)
        case CircuitPhase.STAGING:
            return _diagnosed(work, ports, Environment.PRODUCTION)
        case phase:
            raise IllegalTransition(f"{work.run.circuit} is {phase}: there is nothing to deploy")


# ---------------------------------------------------------------------------------- endpoint and deployment


def _diagnosed(work: Work, ports: Ports, environment: Environment) -> CircuitEvent | StillRunning:
    try:
        found = _stand(work, ports, environment)
    except ConfigurationError:
        raise
    except PermanentError as error:
        found = str(error)
    if isinstance(found, str):
        lines = diagnose_deployment(work.run, ports, environment)
        return failed(ports, f"deployment in {environment} failed: {found}", lines)
    return found or _stands(work, ports, environment)


def _stands(work: Work, ports: Ports, environment: Environment) -> CircuitEvent:
    now, run = ports.clock.now(), work.run
    facts = {
        "endpoint": _endpoint_name(run, environment),
        "deployment": run.deployment,
        "seconds": round((now - run.since).total_seconds(), 1),
    }
    if environment is Environment.TEST:
        return TestDeploymentReady(at=now, evidence={"test_deployment": facts})
    return ProductionStaged(at=now, evidence={"staged": facts})


def _stand(work: Work, ports: Ports, environment: Environment) -> str | StillRunning | None:
    """A problem in words, or an operation under way, or None: all is as it should be."""
    name = _endpoint_name(work.run, environment)
    endpoint = ports.models.endpoint(environment, name)
    if endpoint is None:
        ports.models.create_endpoint(environment, name, endpoint_tags(work.run.circuit))
        return StillRunning()
    if endpoint.state is ProvisioningState.RUNNING:
        return StillRunning()
    if problem := _endpoint_problem(work.run, endpoint):
        return problem
    deployment = ports.models.deployment(environment, name, work.run.deployment)
    if deployment is None:
        ports.models.create_deployment(environment, _spec(work, ports, environment, endpoint))
        return StillRunning()
    return _deployment_state(work, ports, environment, endpoint, deployment)


def _endpoint_name(run: CircuitRun, environment: Environment) -> str:
    return run.test_endpoint if environment is Environment.TEST else run.endpoint


def _endpoint_problem(run: CircuitRun, endpoint: Endpoint) -> str:
    if endpoint.state is not ProvisioningState.SUCCEEDED:
        return f"endpoint {endpoint.name} is {endpoint.state}; delete it if it never served, then retry"
    ours = endpoint_tags(run.circuit)
    if any(endpoint.tags.get(tag, value) != value for tag, value in ours.items()):
        return f"endpoint {endpoint.name} is tagged for another circuit"
    return ""


def _deployment_state(
    work: Work, ports: Ports, environment: Environment, endpoint: Endpoint, deployment: Deployment
) -> str | StillRunning | None:
    what = f"{deployment.name} on {endpoint.name}"
    if deployment.tags.get("release_id") != work.release.release_id:
        return f"{what} exists and is not of this release"
    match deployment.state:
        case ProvisioningState.RUNNING:
            return StillRunning()
        case ProvisioningState.SUCCEEDED:
            ours = _is_our_model(work.run, deployment, ports.estate.registry_name)
            return None if ours else f"{what} runs another model: {deployment.model_id}"
        case _ if _is_of_earlier_attempt(work.run, endpoint, deployment):
            ports.models.delete_deployment(environment, endpoint.name, deployment.name)
            return StillRunning()
        case state:
            return f"{what} is {state}{f': {deployment.failure}' if deployment.failure else ''}"


def _is_our_model(run: CircuitRun, deployment: Deployment, registry: str) -> bool:
    """R21: by its path in our Registry, whether it is told as a short id or a long one; Azure's names have no case."""
    path = f"/registries/{registry}/models/{run.model_name}/versions/{run.model_version}"
    return deployment.model_id.casefold().endswith(path.casefold())


def _is_of_earlier_attempt(run: CircuitRun, endpoint: Endpoint, deployment: Deployment) -> bool:
    """Was this failed deployment made before the circuit entered its phase, and is it neither live nor previous?"""
    if deployment.name in {endpoint.default, run.previous_deployment}:
        return False
    try:
        deployed_at = datetime.fromisoformat(deployment.tags.get("deployed_at", ""))
    except ValueError:
        return False
    return deployed_at < run.since.replace(microsecond=0)


def _spec(work: Work, ports: Ports, environment: Environment, endpoint: Endpoint) -> DeploymentSpec:
    run, policy = work.run, work.release.policy
    in_test = environment is Environment.TEST
    previous = endpoint.default if in_test and endpoint.default != run.deployment else run.previous_deployment
    return DeploymentSpec(
        endpoint=endpoint.name,
        name=run.deployment,
        model_name=run.model_name,
        model_version=run.model_version,
        instance_count=policy.test_instance_count if in_test else policy.production_instance_count,
        max_concurrency_per_instance=policy.test_concurrency if in_test else policy.production_concurrency,
        mini_batch_size=policy.mini_batch_size,
        tags=deployment_tags(
            cutoff_date=run.cutoff_date,
            release_id=work.release.release_id,
            deployed_at=ports.clock.now(),
            previous_deployment=previous,
        ),
    )


# ------------------------------------------------------------------------------------- lock, then freeze


def _lock(work: Work, ports: Ports) -> CircuitEvent | StillRunning:
    changed = _change_since_approval(work.run, ports)
    if changed:
        told = f"changed since approval: {changed}; production was not touched, start a new release"
        return failed(ports, told, (next_line(Remedy.CHANGED),))
    return settle(ports.clock, lambda: _lock_and_freeze(work, ports))


def _change_since_approval(run: CircuitRun, ports: Ports) -> str:
    """What is no longer as the approver of gate 2 saw it, apart from what is live; empty: nothing."""
    what = f"Registry model {run.model_name} version {run.model_version}"
    model = ports.models.registry_model(run.model_name, run.model_version)
    if model is None:
        return f"{what} is gone"
    if dict(model.tags) != dict(run.registry_tags):
        return f"{what} has other tags: {dict(model.tags)} instead of {dict(run.registry_tags)}"
    if model.properties.get(CONTENT_HASH) != run.source_hash:
        return f"{what} has another content hash"
    job = ports.models.job(run.job_name)
    if job is None or job.status != COMPLETED:
        return f"smoke job {run.job_name} is {job.status if job else 'gone'}, not {COMPLETED}"
    return ""


def _lock_and_freeze(work: Work, ports: Ports) -> CircuitEvent | StillRunning:
    match take_lock(work, ports):
        case LockOnHold(why=why):
            return CircuitHeld(at=ports.clock.now(), why=why)
        case LockLost(owner=owner):
            return CircuitSuperseded(at=ports.clock.now(), why=f"release {owner} is newer and holds the endpoint")
        case LockWaits():
            return StillRunning(restart_clock=True)
        case LockTaken() as taken:
            return _freeze(work, ports, taken)


def _freeze(work: Work, ports: Ports, taken: LockTaken) -> CircuitEvent | StillRunning:
    """R36: only now, with the lock ours, is the live default worth reading."""
    run = work.run
    endpoint = ports.models.endpoint(Environment.PRODUCTION, run.endpoint)
    if endpoint and endpoint.state is ProvisioningState.RUNNING:
        return StillRunning()
    default = endpoint.default if endpoint else ""
    settled = default == run.live_deployment == taken.lock.row.want != run.deployment
    ledger = () if settled else ports.endpoints.ledger(Environment.PRODUCTION, run.circuit)
    warnings: tuple[str, ...] = ()
    if default not in {run.live_deployment, run.deployment}:
        was = f"{run.live_deployment or '(none)'} was live at approval, now {default or '(none)'} is"
        if not was_set_by_older_release(ledger, default, work.release.seq):
            told = f"changed since approval: {was}; production was not touched"
            return failed(ports, told, (f"next: find out who changed {run.endpoint}, {ASK_AGAIN}",))
        warnings = (f"{was}: release {ledger[0].release_id} has gone live meanwhile",)
    found = AS_LEFT if default == run.deployment else on_endpoint(taken.lock.row, endpoint, ports)
    if found.words:
        cause = "" if found.is_ours else ": it was changed outside this app"
        told = f"{found.words}{cause}; production was not touched"
        return failed(ports, told, (f"next: {found.ways(run.circuit)}, {ASK_AGAIN}",))
    if default and not settled and not ledger and default != run.deployment:
        import_default(ports, taken, default)
    previous = _before_ours(run, ledger) if default == run.deployment else default
    return ProductionLocked(at=ports.clock.now(), previous_deployment=previous, warnings=warnings)


def _before_ours(run: CircuitRun, ledger: Sequence[LedgerEntry]) -> str:
    """Our own deployment is live already, from an earlier try: what was live before it? Never itself."""
    row = activation_by(ledger, run.release_id, run.deployment)
    previous = row.previous if row else run.previous_deployment
    return previous if previous != run.deployment else ""
