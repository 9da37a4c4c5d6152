"""Port: Azure ML, its models, endpoints, deployments and jobs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from shared.domain.model import Circuit, Environment
from shared.domain.policy import AllowedLine
from shared.domain.smoke_verdict import JobOutput


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVersion:
    """A registered model version, in Dev or in the Registry."""

    name: str
    version: str
    tags: Mapping[str, str]
    properties: Mapping[str, str] = field(default_factory=dict)
    created_at: datetime | None = None
    job_name: str = ""
    """The training job, if the service knows it."""
    studio_url: str = ""


class ProvisioningState(StrEnum):
    """Endpoint and deployment states as the service spells them; anything else it may say reads as RUNNING."""

    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    CANCELED = "Canceled"
    RUNNING = "Running"
    """Creating, Updating, Scaling, Deleting: not settled yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    name: str
    state: ProvisioningState
    default: str
    """The default deployment's name; empty: none."""
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    name: str
    state: ProvisioningState
    model_id: str
    tags: Mapping[str, str]
    failure: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionUse:
    """What counts towards the quotas of one region and subscription (D4), as far as we can see it."""

    region: str
    subscription: str
    endpoints: frozenset[str]
    """Names of the batch endpoints in Test and Production, where they lie in this region and subscription."""
    others: Mapping[str, str] = field(default_factory=dict)
    """What else of ours counts there, by name: online endpoints, and those of Dev; says what each one is, and where."""
    deployments: int | None
    """On all of them; None: not counted."""

    @property
    def endpoint_count(self) -> int:
        return len(self.endpoints) + len(self.others)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentSpec:
    """What a batch deployment is made from (R21, R35)."""

    endpoint: str
    name: str
    model_name: str
    model_version: str
    instance_count: int
    max_concurrency_per_instance: int
    mini_batch_size: int
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A batch job as the service reports it; `status` is the service's word (`Completed`, `Running`, ...)."""

    name: str
    status: str
    created_at: datetime | None
    started_at: datetime | None
    """When it left the queue."""
    ended_at: datetime | None
    studio_url: str = ""


TERMINAL_JOB_STATUSES = frozenset({"Completed", "Failed", "Canceled"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotedModel:
    version: ModelVersion
    content_hash: str
    mode: str
    """`copy` or `share`."""


class ModelGateway(Protocol):
    """Azure ML, in the pipeline's words. Names and versions are the service's own.

    Raises everywhere: TransientError, ConfigurationError, PermanentError (the service's message).
    """

    def dev_models(self, name: str) -> Sequence[ModelVersion]:
        """All versions of one model in the Dev workspace, newest first; empty if there is none."""

    def dev_content_hash(self, name: str, version: str) -> str:
        """SHA-256 over the model's files (paths, sizes and the storage's content hashes), without downloading."""

    def dev_signature(self, name: str, version: str) -> bytes | None:
        """The `MLmodel` file of a Dev model, where its input columns stand; None if it has none."""

    def training_warnings(self, model: ModelVersion) -> Sequence[str] | None:
        """Warning lines of the training job's logs; None: not available (R10)."""

    def region(self, environment: Environment) -> str:
        """The Azure region of the environment's workspace."""

    def compute_exists(self, environment: Environment) -> bool:
        """Does the workspace have the configured compute cluster?"""

    def smoke_input(self, circuit: Circuit) -> Sequence[str]:
        """Names of the files under the circuit's test-data folder in the Test workspace's blob store (R31)."""

    def test_file(self, path: str, *, limit: int) -> tuple[bytes, int] | None:
        """The first `limit` bytes of a file in the Test workspace's blob store, and its whole size; None: no such file."""

    def promote(
        self, *, name: str, source_version: str, version: str, tags: Mapping[str, str], mode: str
    ) -> PromotedModel:
        """Copy a Dev model into the Registry under `version`, and read tags and content back. Idempotent.

        Blocks while the Registry works. Source name, version and hash become properties (D12).

        Raises:
            Unalterable: the Registry holds this version with other content.
        """

    def registry_model(self, name: str, version: str) -> ModelVersion | None: ...

    def endpoint(self, environment: Environment, name: str) -> Endpoint | None: ...

    def deployment(self, environment: Environment, endpoint: str, name: str) -> Deployment | None: ...

    def deployment_names(self, environment: Environment, endpoint: str) -> Sequence[str]:
        """All deployments on this endpoint (D4); none if it does not exist."""

    def has_running_jobs(self, environment: Environment, endpoint: str, deployment: str) -> bool:
        """Does any job of this deployment still run, or wait to run?"""

    def region_use(self, environment: Environment, *, count_from: int) -> RegionUse:
        """How much of its region's quotas our workspaces use; may be a minute old.

        Deployments, of which each endpoint costs a request, are counted only from `count_from` endpoints on.
        """

    def create_endpoint(self, environment: Environment, name: str, tags: Mapping[str, str]) -> None:
        """Start creating an endpoint that does not exist, without a default; returns at once.

        Never called for an existing one: a PUT without defaults clears the live default.
        """

    def create_deployment(self, environment: Environment, spec: DeploymentSpec) -> None:
        """Start creating a deployment; returns at once. Never touches the default (D5)."""

    def delete_deployment(self, environment: Environment, endpoint: str, name: str) -> None:
        """Start deleting a deployment; returns at once. One that is gone is fine."""

    def set_default(self, environment: Environment, endpoint: str, deployment: str) -> None:
        """Start switching an existing endpoint's default; returns at once. Only `converge` may call this."""

    def clear_default(self, environment: Environment, endpoint: str) -> None:
        """Start taking an endpoint's default away: a PUT without defaults (D11). Only `converge` may call this."""

    def start_smoke_job(self, *, endpoint: str, deployment: str, circuit: Circuit, job_name: str) -> Job:
        """Invoke the named deployment in Test on the circuit's test data; returns the job at once."""

    def smoke_jobs(self, *, endpoint: str, deployment: str) -> Sequence[Job]:
        """All jobs of a deployment in Test, oldest first: how a job is found whose asked-for name was ignored (D14)."""

    def job(self, job_name: str) -> Job | None:
        """A job of the Test workspace."""

    def job_output(self, job_name: str, *, allowed: Sequence[AllowedLine] = ()) -> JobOutput:
        """Logs and predictions of a finished job of the Test workspace, read to their end; `allowed` lines are no errors."""

    def cancel_job(self, job_name: str) -> None:
        """Ask for cancellation; returns at once."""

    def model_signature(self, name: str, version: str) -> bytes | None:
        """The `MLmodel` file of a Registry model, where its input and output columns stand; None if absent."""

    def compute_state(self, environment: Environment) -> str:
        """For diagnosis: the cluster's state in words."""
