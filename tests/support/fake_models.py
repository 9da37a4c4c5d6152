"""A `ModelGateway` in memory: the service's rules in miniature, every call in a journal, failures on demand."""

import hashlib
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from shared.application.ports import (
    TERMINAL_JOB_STATUSES,
    Clock,
    Deployment,
    DeploymentSpec,
    Endpoint,
    Job,
    ModelVersion,
    PromotedModel,
    ProvisioningState,
    RegionUse,
)
from shared.domain.errors import PermanentError, PipelineError, TransientError, Unalterable
from shared.domain.log_lines import LogLine, sifted
from shared.domain.model import Circuit, Environment
from shared.domain.naming import name_problem, test_data_path
from shared.domain.policy import AllowedLine
from shared.domain.predictions import scan_content
from shared.domain.smoke_verdict import JobOutput

FIXED_NOW = datetime(2025, 12, 10, 9, 0, tzinfo=UTC)
DEPLOYMENTS_PER_ENDPOINT = 20
PREDICTIONS = b"row,prediction\n0,1.5\n1,2.5\n"
TEST_INPUT = b"x\n1\n2\n"
ML_MODEL = b"artifact_path: model\nflavors:\n  python_function:\n    loader_module: sample\n"

ENDPOINT_WRITES = frozenset(
    {"create_endpoint", "create_deployment", "delete_deployment", "set_default", "clear_default"}
)
REGISTRY_WRITES = frozenset({"promote"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One line of the journal."""

    method: str
    args: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPlan:
    """How a smoke job goes: by looks (`statuses`, one per look, the last one stays) or by the clock (`takes`)."""

    statuses: tuple[str, ...] = ("Running", "Completed")
    takes: timedelta | None = None
    """With a clock: Running for so long, after that the last of `statuses`."""
    queues: timedelta = timedelta()
    """With a clock: Queued for so long before."""
    error_lines: tuple[LogLine, ...] = ()
    predictions: bytes | None = PREDICTIONS
    unread: tuple[str, ...] = ()
    """What of the job's files was too much to be read."""
    honour_name: bool = True
    """False: the service ignores the asked-for name and makes a fresh job on each invocation (D14)."""


@dataclass(slots=True, kw_only=True)
class _Model:
    version: ModelVersion
    files: Mapping[str, bytes]
    warnings: tuple[str, ...] | None = None
    mode: str = ""


@dataclass(slots=True, kw_only=True)
class _Settling:
    """An operation under way: `looks` more looks until it is done, then `ends` is its state."""

    looks: int
    ready_at: datetime
    ends: ProvisioningState = ProvisioningState.SUCCEEDED
    failure: str = ""

    def is_over(self, now: datetime) -> bool:
        return self.looks <= 0 and now >= self.ready_at

    def look(self, now: datetime) -> ProvisioningState:
        if self.is_over(now):
            return self.ends
        self.looks -= 1
        return ProvisioningState.RUNNING


@dataclass(slots=True, kw_only=True)
class _Deployment:
    spec: DeploymentSpec
    settling: _Settling


@dataclass(slots=True, kw_only=True)
class _Endpoint:
    tags: Mapping[str, str]
    settling: _Settling
    default: str = ""
    next_default: str | None = None
    deployments: dict[str, _Deployment] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class _Job:
    name: str
    endpoint: str
    deployment: str
    plan: JobPlan
    created_at: datetime
    looks: int = 0
    status: str = "Queued"
    started_at: datetime | None = None
    ended_at: datetime | None = None


def content_hash(files: Mapping[str, bytes]) -> str:
    """Equal for equal files; the real one differs in form, not in meaning."""
    digest = hashlib.sha256()
    for path, content in sorted(files.items()):
        digest.update(f"{path}\0{hashlib.sha256(content).hexdigest()}\n".encode())
    return digest.hexdigest()


class FakeModels:
    """The port's fake. `looks` and `operation_time` say when endpoints and deployments are ready."""

    def __init__(self, *, clock: Clock | None = None, looks: int = 0, operation_time: timedelta = timedelta()) -> None:
        self.looks = looks
        self.operation_time = operation_time
        self.regions = {Environment.TEST: "northeurope", Environment.PRODUCTION: "westeurope"}
        self.computes = set(Environment)
        self.registry_name = "mlr-shared"
        self.others: dict[str, dict[str, str]] = defaultdict(dict)
        """By region what else counts there: name of each endpoint, and what it is."""
        self.busy: set[tuple[Environment, str, str]] = set()
        """Deployments with a job that runs, started by somebody else."""
        self.journal: list[Call] = []
        self.cancelled_jobs: list[str] = []
        self._clock = clock
        self._dev: dict[str, list[_Model]] = defaultdict(list)
        self._registry: dict[tuple[str, str], _Model] = {}
        self._test_files: dict[str, bytes] = {}
        self._endpoints: dict[tuple[Environment, str], _Endpoint] = {}
        self._jobs: dict[str, _Job] = {}
        self._job_plans: dict[Circuit, JobPlan] = {}
        self._deployment_failures: dict[tuple[Environment, str], str] = {}
        self._failures: dict[str, deque[tuple[PipelineError, bool]]] = defaultdict(deque)

    # ---------------------------------------------------------------------------------- knobs and looks behind

    def fail_next(self, method: str, error: PipelineError, *, times: int = 1, after_effect: bool = False) -> None:
        """Let the next calls of a method raise; `after_effect`: the work is done and only the answer is lost."""
        self._failures[method].extend([(error, after_effect)] * times)

    def add_dev_model(
        self,
        name: str,
        version: str,
        tags: Mapping[str, str],
        *,
        files: Mapping[str, bytes] | None = None,
        warnings: Sequence[str] | None = (),
        created_at: datetime | None = None,
        properties: Mapping[str, str] | None = None,
    ) -> ModelVersion:
        """A model as a training build leaves it in Dev; later ones are newer unless `created_at` says otherwise."""
        made = created_at or self._now() + timedelta(seconds=len(self._dev[name]))
        model = ModelVersion(
            name=name,
            version=version,
            tags=dict(tags),
            properties=dict(properties or {}),
            created_at=made,
            job_name=f"train-{name}-{version}",
            studio_url=f"https://ml.azure.com/model/{name}:{version}/details",
        )
        contents = (
            dict(files) if files is not None else {"MLmodel": ML_MODEL, "model.bin": f"{name}:{version}".encode()}
        )
        self._dev[name].append(
            _Model(version=model, files=contents, warnings=None if warnings is None else tuple(warnings))
        )
        return model

    def change_dev_model(self, name: str, version: str, *, tags: Mapping[str, str]) -> None:
        """Rewrite a Dev model's tags, as somebody might after an approval."""
        model = self._dev_model(name, version)
        model.version = replace(model.version, tags=dict(tags))

    def add_smoke_input(self, circuit: Circuit, *names: str, content: bytes = TEST_INPUT) -> None:
        """Files under the circuit's test-data folder; none given: `test_input.csv`."""
        for path in [path for path in self._test_files if path.startswith(test_data_path(circuit))]:
            del self._test_files[path]
        for name in names or ("test_input.csv",):
            self._test_files[f"{test_data_path(circuit)}{name}"] = content

    def add_test_file(self, path: str, content: bytes) -> None:
        """Any file in the Test workspace's blob store."""
        self._test_files[path] = content

    def add_endpoint(
        self,
        environment: Environment,
        name: str,
        *,
        default: str = "",
        deployments: Sequence[str] = (),
        tags: Mapping[str, str] | None = None,
        deployment_tags: Mapping[str, str] | None = None,
    ) -> None:
        """An endpoint from before this release, ready and with ready deployments; not in the journal."""
        made = _Endpoint(tags=dict(tags or {}), settling=self._settled(), default=default)
        for deployment in {*deployments, *([default] if default else [])}:
            spec = DeploymentSpec(
                endpoint=name,
                name=deployment,
                model_name=name.removeprefix("be-"),
                model_version="1",
                instance_count=1,
                max_concurrency_per_instance=1,
                mini_batch_size=10,
                tags=dict(deployment_tags or {}),
            )
            made.deployments[deployment] = _Deployment(spec=spec, settling=self._settled())
        self._endpoints[environment, name] = made

    def change_default(self, environment: Environment, endpoint: str, deployment: str) -> None:
        """What somebody does outside the pipeline: not in the journal."""
        self._endpoints[environment, endpoint].default = deployment

    def plan_job(self, circuit: Circuit, plan: JobPlan) -> None:
        """How this circuit's next smoke jobs go."""
        self._job_plans[circuit] = plan

    def fail_deployments_on(self, environment: Environment, endpoint: str, reason: str) -> None:
        """Deployments made on this endpoint end as Failed."""
        self._deployment_failures[environment, endpoint] = reason

    def heal_deployments_on(self, environment: Environment, endpoint: str) -> None:
        """The cause is gone: deployments made from now on succeed."""
        self._deployment_failures.pop((environment, endpoint), None)

    def spec(self, environment: Environment, endpoint: str, deployment: str) -> DeploymentSpec:
        """What a deployment was made from."""
        return self._endpoints[environment, endpoint].deployments[deployment].spec

    def calls(self, method: str) -> list[Call]:
        return [call for call in self.journal if call.method == method]

    def production_writes(self) -> list[Call]:
        """Calls that write to the Production workspace."""
        return [
            call
            for call in self.journal
            if call.method in ENDPOINT_WRITES and call.args.get("environment") is Environment.PRODUCTION
        ]

    def registry_writes(self) -> list[Call]:
        """Calls that write to the Registry."""
        return [call for call in self.journal if call.method in REGISTRY_WRITES]

    # ----------------------------------------------------------------------------------------- Dev and Registry

    def dev_models(self, name: str) -> Sequence[ModelVersion]:
        self._enter("dev_models", name=name)
        versions = [model.version for model in self._dev[name]]
        return tuple(sorted(versions, key=lambda version: version.created_at or FIXED_NOW, reverse=True))

    def dev_content_hash(self, name: str, version: str) -> str:
        self._enter("dev_content_hash", name=name, version=version)
        return content_hash(self._dev_model(name, version).files)

    def dev_signature(self, name: str, version: str) -> bytes | None:
        self._enter("dev_signature", name=name, version=version)
        return self._dev_model(name, version).files.get("MLmodel")

    def training_warnings(self, model: ModelVersion) -> Sequence[str] | None:
        self._enter("training_warnings", model=model)
        return self._dev_model(model.name, model.version).warnings

    def promote(
        self, *, name: str, source_version: str, version: str, tags: Mapping[str, str], mode: str
    ) -> PromotedModel:
        self._enter("promote", name=name, source_version=source_version, version=version, tags=dict(tags), mode=mode)
        source = self._dev_model(name, source_version)
        digest = content_hash(source.files)
        held = self._registry.get((name, version))
        if held is None:
            held = _Model(
                version=ModelVersion(
                    name=name,
                    version=version,
                    tags={},
                    properties={"source_name": name, "source_version": source_version, "content_hash": digest},
                    created_at=self._now(),
                ),
                files=dict(source.files),
                mode="copy" if mode == "auto" else mode,
            )
            self._registry[name, version] = held
        elif content_hash(held.files) != digest:
            raise Unalterable(
                f"the Registry already holds {name} version {version} with other content than "
                f"version {source_version} in Dev"
            )
        if "release_id" not in held.version.tags:
            held.version = replace(held.version, tags=dict(tags))
        self._leave("promote")
        return PromotedModel(version=held.version, content_hash=digest, mode=held.mode)

    def registry_model(self, name: str, version: str) -> ModelVersion | None:
        self._enter("registry_model", name=name, version=version)
        held = self._registry.get((name, version))
        return held.version if held else None

    def model_signature(self, name: str, version: str) -> bytes | None:
        self._enter("model_signature", name=name, version=version)
        held = self._registry.get((name, version))
        return held.files.get("MLmodel") if held else None

    # ---------------------------------------------------------------------------------------------- workspaces

    def region(self, environment: Environment) -> str:
        self._enter("region", environment=environment)
        return self.regions[environment]

    def compute_exists(self, environment: Environment) -> bool:
        self._enter("compute_exists", environment=environment)
        return environment in self.computes

    def compute_state(self, environment: Environment) -> str:
        self._enter("compute_state", environment=environment)
        return (
            "Succeeded" if environment in self.computes else f"mlw-{environment.value[:4]} has no compute batch-cluster"
        )

    def smoke_input(self, circuit: Circuit) -> Sequence[str]:
        self._enter("smoke_input", circuit=circuit)
        folder = test_data_path(circuit)
        return tuple(sorted(path.removeprefix(folder) for path in self._test_files if path.startswith(folder)))

    def test_file(self, path: str, *, limit: int) -> tuple[bytes, int] | None:
        self._enter("test_file", path=path, limit=limit)
        held = self._test_files.get(path)
        return None if held is None else (held[:limit], len(held))

    # ------------------------------------------------------------------------------- endpoints and deployments

    def endpoint(self, environment: Environment, name: str) -> Endpoint | None:
        self._enter("endpoint", environment=environment, name=name)
        held = self._endpoints.get((environment, name))
        if held is None:
            return None
        state = held.settling.look(self._now())
        if state is ProvisioningState.SUCCEEDED and held.next_default is not None:
            held.default, held.next_default = held.next_default, None
        return Endpoint(name=name, state=state, default=held.default, tags=held.tags)

    def deployment(self, environment: Environment, endpoint: str, name: str) -> Deployment | None:
        self._enter("deployment", environment=environment, endpoint=endpoint, name=name)
        parent = self._endpoints.get((environment, endpoint))
        held = parent.deployments.get(name) if parent else None
        if held is None:
            return None
        state = held.settling.look(self._now())
        return Deployment(
            name=name,
            state=state,
            model_id=f"azureml://registries/{self.registry_name}/models/{held.spec.model_name}/versions/{held.spec.model_version}",
            tags=held.spec.tags,
            failure=held.settling.failure if state is ProvisioningState.FAILED else "",
        )

    def deployment_names(self, environment: Environment, endpoint: str) -> Sequence[str]:
        self._enter("deployment_names", environment=environment, endpoint=endpoint)
        held = self._endpoints.get((environment, endpoint))
        return tuple(held.deployments) if held else ()

    def has_running_jobs(self, environment: Environment, endpoint: str, deployment: str) -> bool:
        self._enter("has_running_jobs", environment=environment, endpoint=endpoint, deployment=deployment)
        if (environment, endpoint, deployment) in self.busy:
            return True
        mine = [job for job in tuple(self._jobs.values()) if (job.endpoint, job.deployment) == (endpoint, deployment)]
        return environment is Environment.TEST and any(job.status not in TERMINAL_JOB_STATUSES for job in mine)

    def region_use(self, environment: Environment, *, count_from: int) -> RegionUse:
        self._enter("region_use", environment=environment, count_from=count_from)
        region = self.regions[environment]
        there = {place: held for place, held in tuple(self._endpoints.items()) if self.regions[place[0]] == region}
        counted = len(there) + len(self.others[region]) >= count_from
        return RegionUse(
            region=region,
            subscription="one",
            endpoints=frozenset(name for _, name in there),
            others=dict(self.others[region]),
            deployments=sum(len(held.deployments) for held in there.values()) if counted else None,
        )

    def create_endpoint(self, environment: Environment, name: str, tags: Mapping[str, str]) -> None:
        self._enter("create_endpoint", environment=environment, name=name, tags=dict(tags))
        if problem := name_problem(name):
            raise PermanentError(problem)
        for other, taken in tuple(self._endpoints):
            if taken == name and other is not environment and self.regions[other] == self.regions[environment]:
                raise PermanentError(f"the name {name} is taken in {self.regions[environment]} by another workspace")
        if name in self.others[self.regions[environment]]:
            raise PermanentError(f"the name {name} is taken in {self.regions[environment]}")
        held = self._endpoints.get((environment, name))
        if held is None:
            self._endpoints[environment, name] = _Endpoint(tags=dict(tags), settling=self._operation())
        else:
            held.tags, held.default, held.settling = dict(tags), "", self._operation()
        self._leave("create_endpoint")

    def create_deployment(self, environment: Environment, spec: DeploymentSpec) -> None:
        self._enter("create_deployment", environment=environment, spec=spec)
        parent = self._ready_endpoint(environment, spec.endpoint)
        if problem := name_problem(spec.name):
            raise PermanentError(problem)
        if spec.name not in parent.deployments and len(parent.deployments) >= DEPLOYMENTS_PER_ENDPOINT:
            raise PermanentError(f"{spec.endpoint} already has {DEPLOYMENTS_PER_ENDPOINT} deployments")
        if (spec.model_name, spec.model_version) not in self._registry:
            raise PermanentError(f"the Registry has no model {spec.model_name} version {spec.model_version}")
        failure = self._deployment_failures.get((environment, spec.endpoint), "")
        settling = self._operation()
        if failure:
            settling.ends, settling.failure = ProvisioningState.FAILED, failure
        parent.deployments[spec.name] = _Deployment(spec=spec, settling=settling)
        self._leave("create_deployment")

    def delete_deployment(self, environment: Environment, endpoint: str, name: str) -> None:
        self._enter("delete_deployment", environment=environment, endpoint=endpoint, name=name)
        held = self._endpoints.get((environment, endpoint))
        if held is not None:
            if held.default == name:
                raise PermanentError(f"{name} is the default of {endpoint} and can't be deleted")
            held.deployments.pop(name, None)
        self._leave("delete_deployment")

    def set_default(self, environment: Environment, endpoint: str, deployment: str) -> None:
        self._enter("set_default", environment=environment, endpoint=endpoint, deployment=deployment)
        held = self._ready_endpoint(environment, endpoint)
        if deployment not in held.deployments:
            raise PermanentError(f"{endpoint} has no deployment {deployment}")
        if not held.deployments[deployment].settling.is_over(self._now()):
            raise TransientError(f"{deployment} is still being created")
        held.next_default, held.settling = deployment, self._operation()
        self._leave("set_default")

    def clear_default(self, environment: Environment, endpoint: str) -> None:
        self._enter("clear_default", environment=environment, endpoint=endpoint)
        held = self._ready_endpoint(environment, endpoint)
        held.next_default, held.settling = "", self._operation()
        self._leave("clear_default")

    # ------------------------------------------------------------------------------------------------ smoke jobs

    def start_smoke_job(self, *, endpoint: str, deployment: str, circuit: Circuit, job_name: str) -> Job:
        self._enter("start_smoke_job", endpoint=endpoint, deployment=deployment, circuit=circuit, job_name=job_name)
        held = self._ready_endpoint(Environment.TEST, endpoint)
        if deployment not in held.deployments:
            raise PermanentError(f"{endpoint} has no deployment {deployment}")
        plan = self._job_plans.get(circuit, JobPlan())
        name = job_name if plan.honour_name else f"batchjob-{len(self._jobs) + 1:04d}"
        fresh = _Job(name=name, endpoint=endpoint, deployment=deployment, plan=plan, created_at=self._now())
        job = self._jobs.setdefault(name, fresh)
        self._leave("start_smoke_job")
        return self._as_job(job)

    def smoke_jobs(self, *, endpoint: str, deployment: str) -> Sequence[Job]:
        self._enter("smoke_jobs", endpoint=endpoint, deployment=deployment)
        found = [job for job in tuple(self._jobs.values()) if (job.endpoint, job.deployment) == (endpoint, deployment)]
        return tuple(self._as_job(job) for job in sorted(found, key=lambda job: job.created_at))

    def job(self, job_name: str) -> Job | None:
        self._enter("job", job_name=job_name)
        job = self._jobs.get(job_name)
        if job is None:
            return None
        self._advance(job)
        return self._as_job(job)

    def job_output(self, job_name: str, *, allowed: Sequence[AllowedLine] = ()) -> JobOutput:
        self._enter("job_output", job_name=job_name)
        job = self._jobs.get(job_name)
        if job is None or job.status not in TERMINAL_JOB_STATUSES:
            raise PermanentError(f"job {job_name} has not ended")
        predictions = job.plan.predictions if job.status == "Completed" else None
        return JobOutput(
            logs=sifted(job.plan.error_lines, allowed),
            predictions=predictions,
            predictions_size=len(predictions or b""),
            rows=scan_content(predictions or b""),
            unread=job.plan.unread,
        )

    def cancel_job(self, job_name: str) -> None:
        self._enter("cancel_job", job_name=job_name)
        self.cancelled_jobs.append(job_name)
        job = self._jobs.get(job_name)
        if job is not None and job.status not in TERMINAL_JOB_STATUSES:
            job.status, job.ended_at = "Canceled", self._now()
        self._leave("cancel_job")

    # --------------------------------------------------------------------------------------------------- inside

    def _enter(self, method: str, **args: object) -> None:
        self.journal.append(Call(method=method, args=args))
        waiting = self._failures[method]
        if waiting and not waiting[0][1]:
            raise waiting.popleft()[0]

    def _leave(self, method: str) -> None:
        waiting = self._failures[method]
        if waiting and waiting[0][1]:
            raise waiting.popleft()[0]

    def _now(self) -> datetime:
        return self._clock.now() if self._clock else FIXED_NOW

    def _operation(self) -> _Settling:
        return _Settling(looks=self.looks, ready_at=self._now() + self.operation_time)

    def _settled(self) -> _Settling:
        return _Settling(looks=0, ready_at=self._now())

    def _dev_model(self, name: str, version: str) -> _Model:
        for model in self._dev[name]:
            if model.version.version == version:
                return model
        raise PermanentError(f"Dev has no model {name} version {version}")

    def _ready_endpoint(self, environment: Environment, name: str) -> _Endpoint:
        held = self._endpoints.get((environment, name))
        if held is None:
            raise PermanentError(f"there is no endpoint {name} in {environment}")
        if not held.settling.is_over(self._now()):
            raise TransientError(f"another operation on {name} is under way")
        return held

    def _advance(self, job: _Job) -> None:
        if job.status in TERMINAL_JOB_STATUSES:
            return
        plan, now = job.plan, self._now()
        if plan.takes is None:
            job.status = plan.statuses[min(job.looks, len(plan.statuses) - 1)]
            ended = now
        else:
            starts = job.created_at + plan.queues
            ended = starts + plan.takes
            job.status = plan.statuses[-1] if now >= ended else "Running" if now >= starts else "Queued"
        job.looks += 1
        if job.status not in {"Queued", "NotStarted", "Preparing"}:
            job.started_at = job.started_at or (job.created_at + plan.queues if plan.takes is not None else now)
        if job.status in TERMINAL_JOB_STATUSES:
            job.ended_at = ended

    @staticmethod
    def _as_job(job: _Job) -> Job:
        return Job(
            name=job.name,
            status=job.status,
            created_at=job.created_at,
            started_at=job.started_at,
            ended_at=job.ended_at,
            studio_url=f"https://ml.azure.com/runs/{job.name}",
        )
