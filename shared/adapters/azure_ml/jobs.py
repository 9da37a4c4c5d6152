"""Adapter: batch jobs of the Test workspace: start, look, cancel, and what they leave behind."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from threading import Lock
from typing import TYPE_CHECKING

from azure.core.exceptions import ResourceNotFoundError

from shared.adapters.azure_ml.blobs import StoredFile, datastore_path
from shared.adapters.azure_ml.clients import Clients, Workspace, sdk
from shared.adapters.azure_ml.errors import service_errors, unless_missing
from shared.adapters.azure_ml.logs import (
    ANY_LINE,
    ERROR_FILES,
    ERROR_LINE,
    USER_OUTPUT,
    LogSearch,
    Reading,
    job_log_folder,
)
from shared.adapters.azure_ml.workspaces import BLOB_STORE
from shared.application.ports import TERMINAL_JOB_STATUSES, Job
from shared.domain.errors import PermanentError, PipelineError
from shared.domain.log_lines import LogLine, sifted
from shared.domain.model import Circuit
from shared.domain.naming import test_data_path
from shared.domain.policy import AllowedLine
from shared.domain.predictions import RowScan, scan_content, scan_rows
from shared.domain.smoke_verdict import JobOutput

if TYPE_CHECKING:
    from azure.ai.ml import MLClient
    from azure.ai.ml.entities import Job as SdkJob

MOST_PREDICTION_BYTES = 1024 * 1024
LONG_AGO = datetime.min.replace(tzinfo=UTC)

_invoking = Lock()
"""The SDK keeps the headers of invoke in one global dictionary: two calls at once would mix their deployments."""


class Jobs:
    """Smoke jobs."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    def start_smoke_job(self, *, endpoint: str, deployment: str, circuit: Circuit, job_name: str) -> Job:
        """The job of this name if there is one, else a new one; the service may have named it otherwise (D14)."""
        if known := self.job(job_name):
            return known
        data = f"azureml://datastores/{BLOB_STORE}/paths/{test_data_path(circuit)}"
        try:
            with _invoking, service_errors(f"invoking deployment {deployment} of {endpoint} in Test"):
                started = self._client.batch_endpoints.invoke(
                    endpoint, deployment_name=deployment, input=sdk().folder_input(data), job_name=job_name
                )
        except PipelineError:
            if known := self.job(job_name):  # the answer was lost, the job was not
                return known
            raise
        return Job(
            name=str(started.name),
            status=sdk().plain(started.status),
            created_at=None,
            started_at=None,
            ended_at=None,
            studio_url=self._job_url(str(started.name)),
        )

    def smoke_jobs(self, *, endpoint: str, deployment: str) -> Sequence[Job]:
        """All jobs of the deployment, oldest first; the list itself shows no times, so each one is read."""
        deployments = self._client.batch_deployments
        listed = unless_missing(
            lambda: [str(job.name) for job in deployments.list_jobs(endpoint, name=deployment)],
            f"listing the jobs of deployment {deployment} of {endpoint}",
        )
        jobs = [job for name in listed or [] if (job := self.job(name)) is not None]
        return tuple(sorted(jobs, key=lambda job: job.created_at or LONG_AGO))

    def job(self, job_name: str) -> Job | None:
        client = self._client
        found = unless_missing(lambda: client.jobs.get(job_name), f"reading job {job_name}")
        if found is None:
            return None
        with service_errors(f"reading the run of job {job_name}"):
            return self._with_times(client, job_name, found)

    def job_output(self, job_name: str, *, allowed: Sequence[AllowedLine] = ()) -> JobOutput:
        """Raises PermanentError if the job has not ended."""
        job = self.job(job_name)
        if job is None or job.status not in TERMINAL_JOB_STATUSES:
            raise PermanentError(f"job {job_name} has not ended: {job.status if job else 'there is no such job'}")
        reading = Reading()
        with service_errors(f"reading the logs of job {job_name}"):
            logs = sifted(self._suspicious_lines(job_name, reading), allowed)
        with service_errors(f"reading the predictions of job {job_name}"):
            predictions, size, rows = self._predictions(job_name, reading)
        return JobOutput(logs=logs, predictions=predictions, predictions_size=size, rows=rows, unread=reading.unread())

    def cancel_job(self, job_name: str) -> None:
        """A job that has ended or was never there is fine."""
        try:
            with service_errors(f"cancelling job {job_name}"):
                self._client.jobs.begin_cancel(job_name)
        except PermanentError as error:
            if isinstance(error.__cause__, ResourceNotFoundError):
                return
            job = self.job(job_name)
            if job is None or job.status not in TERMINAL_JOB_STATUSES:
                raise

    @property
    def _client(self) -> "MLClient":
        return self._clients.workspace(Workspace.TEST)

    def _with_times(self, client: "MLClient", job_name: str, found: "SdkJob") -> Job:
        """Queued until its child run has started; ended when the run history says so."""
        status = sdk().plain(found.status)
        starts = [run.started_at for run in sdk().children(client, job_name) if run.started_at]
        ended_at = sdk().run(client, job_name).ended_at if status in TERMINAL_JOB_STATUSES else None
        return Job(
            name=job_name,
            status=status,
            created_at=sdk().moment(getattr(found.creation_context, "created_at", None)),
            started_at=min(starts, default=None),
            ended_at=ended_at,
            studio_url=str(found.studio_url or self._job_url(job_name)),
        )

    def _suspicious_lines(self, job_name: str, reading: Reading) -> Iterator[LogLine]:
        """All lines of the error files; of what the code printed, those that tell of an error."""
        runs = [child.id for child in sdk().children(self._client, job_name)]
        for run_id in (*runs, job_name):
            search = LogSearch(job_log_folder(self._clients, Workspace.TEST, run_id), reading)
            yield from search.lines(search.files(ERROR_FILES), ANY_LINE)
            yield from search.lines(search.files(USER_OUTPUT), ERROR_LINE)

    def _predictions(self, job_name: str, reading: Reading) -> tuple[bytes | None, int, RowScan]:
        """The file's beginning, its size, and what all its rows say of themselves."""
        uri = sdk().scoring_output(self._client, job_name)
        place = datastore_path(uri) if uri else None
        folder = self._clients.datastore(Workspace.TEST, *place) if place else None
        found = folder.head(sdk().PREDICTIONS, MOST_PREDICTION_BYTES) if folder else None
        if folder is None or found is None:
            return None, 0, RowScan()
        content, size = found
        whole = StoredFile(path=sdk().PREDICTIONS, size=size, md5="", etag="")
        if size <= len(content) or not reading.takes(whole):
            return content, size, scan_content(content)
        lines = folder.lines(sdk().PREDICTIONS, longest=MOST_PREDICTION_BYTES)
        return content, size, scan_rows(text for _, text in lines)

    def _job_url(self, job_name: str) -> str:
        return f"https://ml.azure.com/runs/{job_name}?wsid={self._clients.scope(Workspace.TEST).wsid}"
