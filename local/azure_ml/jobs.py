"""Batch jobs as documents, and the runner that takes each through its states and really scores."""

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any

from azure.core.exceptions import AzureError

from local.azure_ml.cluster import Cluster, TooManyNodes
from local.azure_ml.processes import ScoringProcesses
from local.azure_ml.scoring_run import RunFailed, ScoringRun
from local.azure_ml.settings import Compute, SettingsBook, Workspace
from local.azure_ml.storage import Blobs
from local.azure_ml.store import Document, Store

log = logging.getLogger(__name__)

JOBS, RUNS = "jobs", "runs"


class Status(StrEnum):
    """The states that jobs pass through here."""

    PREPARING = "Preparing"
    QUEUED = "Queued"
    RUNNING = "Running"
    FINALIZING = "Finalizing"
    CANCEL_REQUESTED = "CancelRequested"
    COMPLETED = "Completed"
    FAILED = "Failed"
    CANCELED = "Canceled"


TERMINAL = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """What a scoring request asks for. `model_uri` is where the model's files lie."""

    name: str
    display_name: str
    endpoint: str
    deployment: Mapping[str, Any]
    model_uri: str
    input_uri: str
    input_type: str
    created_by: str


def fresh_job(workspace: Workspace, asked: Invocation, now: float) -> Document:
    """The document of a job that was just asked for, and of its one child run."""
    return {
        "key": f"{workspace.name}/{asked.name}",
        "name": asked.name,
        "display_name": asked.display_name,
        "endpoint": asked.endpoint,
        "deployment": dict(asked.deployment),
        "model_uri": asked.model_uri,
        "input_uri": asked.input_uri,
        "input_type": asked.input_type,
        "created_by": asked.created_by,
        "created_at": now,
        "started_at": None,
        "ended_at": None,
        "status": Status.PREPARING,
        "error": None,
        "child": {
            "id": str(uuid.uuid4()),
            "created_at": None,
            "started_at": None,
            "ended_at": None,
            "status": "NotStarted",
            "error": None,
            "has_output": False,
        },
    }


class JobRunner:
    """Runs jobs as tasks; after a restart it runs those again that had not ended."""

    def __init__(
        self, store: Store, blobs: Blobs, book: SettingsBook, directory: Path, now: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._book = book
        self._directory = directory
        self._now = now
        self._processes = ScoringProcesses()
        self._clusters: dict[str, Cluster] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._cancelled: dict[str, asyncio.Event] = {}

    def submit(self, job: Document) -> None:
        """Take a new job on."""
        self._save(job)
        self._store.put(RUNS, f"{job['key'].partition('/')[0]}/{job['child']['id']}", {"job": job["key"]})
        self._start(job)

    def resume(self) -> None:
        """Run again, from the start, what an earlier process left unfinished."""
        for job in self._store.find_all(JOBS):
            if job["status"] not in TERMINAL:
                self._start(job)

    def cancel(self, job: Document) -> None:
        """Ask a job to stop; it is Canceled a moment later."""
        job["status"] = Status.CANCEL_REQUESTED
        self._save(job)
        self._cancelled[job["key"]].set()

    async def stop(self) -> None:
        """End all tasks and their processes; the documents stay as they are."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._processes.stop()

    def _start(self, job: Document) -> None:
        key = job["key"]
        self._cancelled[key] = asyncio.Event()
        if job["status"] == Status.CANCEL_REQUESTED:
            self._cancelled[key].set()
        task = asyncio.create_task(self._run_until_cancelled(job), name=key)
        self._tasks[key] = task
        task.add_done_callback(lambda _: self._tasks.pop(key, None))

    async def _run_until_cancelled(self, job: Document) -> None:
        work = asyncio.create_task(self._run(job))
        asked = asyncio.create_task(self._cancelled[job["key"]].wait())
        try:
            await asyncio.wait({work, asked}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)
                await self._pause("job_cancel")
                self._finish(job, Status.CANCELED)
        finally:
            work.cancel()
            asked.cancel()
            await asyncio.gather(work, asked, return_exceptions=True)

    async def _run(self, job: Document) -> None:
        try:
            await asyncio.gather(self._pause("job_prepare"), self._processes.prepare())
            job["started_at"] = job["started_at"] or self._now()
            job["child"]["created_at"] = job["started_at"]
            self._enter(job, Status.RUNNING, Status.QUEUED)
            await self._score(job)
            self._enter(job, Status.RUNNING, Status.FINALIZING)
            await self._pause("job_finalize")
            self._finish(job, Status.COMPLETED)
        except (RunFailed, TooManyNodes) as failure:
            self._finish(job, Status.FAILED, str(failure))
        except (AzureError, OSError) as error:
            log.exception("job %s broke", job["key"])
            self._finish(job, Status.FAILED, f"The job's storage could not be used: {error}")

    async def _score(self, job: Document) -> None:
        """Wait for nodes, then let the model run over the input."""
        workspace = self._workspace(job)
        properties = job["deployment"]["properties"]
        cluster = self._cluster(workspace, properties["compute"].rpartition("/")[2])
        async with cluster.nodes(properties["resources"]["instanceCount"]):
            job["child"]["started_at"] = self._now()
            self._enter(job, Status.RUNNING, Status.RUNNING)
            directory = self._directory / job["child"]["id"]
            run = ScoringRun(job, workspace, self._blobs, directory, self._processes)
            job["child"]["has_output"] = await run.score()

    def _cluster(self, workspace: Workspace, name: str) -> Cluster:
        compute = workspace.compute(name)
        if compute is None:
            raise RunFailed(f"The compute '{name}' no longer exists in workspace '{workspace.name}'.")
        key = f"{workspace.name}/{name}"
        if key not in self._clusters:
            now = partial(self._compute, workspace.name, compute)
            self._clusters[key] = Cluster(now, lambda: self._book.current.durations)
        return self._clusters[key]

    def _compute(self, workspace: str, last_known: Compute) -> Compute:
        """The cluster as the settings have it now: an admin may make it larger or smaller."""
        for one in self._book.current.workspaces:
            if one.name == workspace:
                return one.compute(last_known.name) or last_known
        return last_known

    def _workspace(self, job: Document) -> Workspace:
        name = job["key"].partition("/")[0]
        return next(one for one in self._book.current.workspaces if one.name == name)

    async def _pause(self, duration: str) -> None:
        await asyncio.sleep(self._book.current.durations[duration])

    def _enter(self, job: Document, status: Status, child: Status) -> None:
        job["status"], job["child"]["status"] = status, child
        self._save(job)

    def _finish(self, job: Document, status: Status, message: str | None = None) -> None:
        now = self._now()
        job["ended_at"] = now
        child = job["child"]
        child["ended_at"] = now
        child["created_at"] = child["created_at"] or now
        if message is not None:
            job["error"] = child["error"] = {"code": "UserError", "message": message}
        self._enter(job, status, status)
        log.info("job %s ended as %s%s", job["key"], status, f": {message}" if message else "")

    def _save(self, job: Document) -> None:
        self._store.put(JOBS, job["key"], job)
