"""One scoring of an input folder: mini batches, each in a process of its own; logs and predictions as the service does."""

import asyncio
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from azure.core.exceptions import AzureError

from local.azure_ml.asked import seconds_of
from local.azure_ml.processes import ScoringProcesses
from local.azure_ml.settings import Workspace
from local.azure_ml.storage import Blobs, Place, UnknownPlace
from local.azure_ml.store import Document


class RunFailed(Exception):
    """The run ends as Failed, for this reason."""


@dataclass(slots=True, kw_only=True)
class Progress:
    """What the logs tell about a run."""

    total: int = 0
    done: int = 0
    failed: int = 0
    rows: int = 0
    errors: list[str] = field(default_factory=list)
    stdout: dict[int, bytes] = field(default_factory=dict)
    stderr: dict[int, bytes] = field(default_factory=dict)
    parts: dict[int, bytes] = field(default_factory=dict)
    driver: list[str] = field(default_factory=list)

    def note(self, line: str) -> None:
        self.driver.append(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {line}")


class ScoringRun:
    """Scores the input of one job with its deployment's model and settings."""

    def __init__(
        self, job: Document, workspace: Workspace, blobs: Blobs, directory: Path, processes: ScoringProcesses
    ) -> None:
        self._job = job
        self._workspace = workspace
        self._blobs = blobs
        self._processes = processes
        self._directory = directory
        self._progress = Progress()
        self._properties: Mapping[str, Any] = job["deployment"]["properties"]

    async def score(self) -> bool:
        """Run to the end and write logs and predictions; says whether there is an output.

        Raises:
            RunFailed: no input, an unusable model, or more failed files than the error threshold allows.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        try:
            return await self._score()
        except RunFailed as failure:
            self._progress.note(f"ERROR {failure}")
            if not self._progress.errors:
                self._progress.errors.append(str(failure))
            raise
        finally:
            await asyncio.shield(asyncio.to_thread(self._write_logs))
            shutil.rmtree(self._directory, ignore_errors=True)

    async def _score(self) -> bool:
        progress = self._progress
        progress.note(f"INFO model {self._properties['model']['assetId']}")
        model = await self._fetch(self._job["model_uri"], "model")
        files = await self._fetch(self._job["input_uri"], "input")
        if not model:
            raise RunFailed("The model has no files.")
        if not files:
            raise RunFailed(f"No input: there are no files at '{self._job['input_uri']}'.")
        size = self._properties["miniBatchSize"]
        batches = [files[start : start + size] for start in range(0, len(files), size)]
        progress.total = len(batches)
        progress.note(f"INFO {len(files)} files in {len(batches)} mini batches of up to {size}")
        slots = self._properties["resources"]["instanceCount"] * self._properties["maxConcurrencyPerInstance"]
        gate = asyncio.Semaphore(slots)
        tasks = [asyncio.create_task(self._score_batch(gate, index, batch)) for index, batch in enumerate(batches)]
        try:
            await self._stop_beyond_threshold(tasks, batches)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return await self._write_predictions()

    async def _stop_beyond_threshold(self, tasks: list[asyncio.Task[bool]], batches: list[list[Path]]) -> None:
        """Count failed files as mini batches end; -1 allows any number."""
        threshold, failed = self._properties["errorThreshold"], 0
        sizes = dict(zip(tasks, map(len, batches), strict=True))
        pending = set(tasks)
        while pending:
            finished, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            failed += sum(sizes[task] for task in finished if not task.result())
            if 0 <= threshold < failed:
                raise RunFailed(f"{failed} input files failed; the error threshold is {threshold}.")

    async def _score_batch(self, gate: asyncio.Semaphore, index: int, batch: list[Path]) -> bool:
        """One mini batch, tried again as often as the deployment says."""
        names = ", ".join(path.name for path in batch)
        tries = 1 + self._properties["retrySettings"]["maxRetries"]
        async with gate:
            for attempt in range(1, tries + 1):
                trouble = await self._attempt(index, batch)
                if trouble is None:
                    self._progress.done += 1
                    self._progress.note(f"INFO mini batch {index} ({names}) done")
                    return True
                self._progress.note(f"ERROR mini batch {index} ({names}), attempt {attempt} of {tries}, failed")
        self._progress.failed += 1
        self._progress.errors.append(f"mini batch {index} ({names}) failed {tries} times\n{trouble}")
        return False

    async def _attempt(self, index: int, batch: list[Path]) -> str | None:
        """Score in a process; returns None, or what went wrong."""
        output, spec = self._directory / f"part-{index}.csv", self._directory / f"part-{index}.json"
        spec.write_text(
            json.dumps(
                {
                    "model": str(self._directory / "model"),
                    "files": [str(path) for path in batch],
                    "input": str(self._directory / "input"),
                    "output": str(output),
                }
            )
        )
        timeout = seconds_of(self._properties["retrySettings"]["timeout"])
        try:
            ended = await asyncio.wait_for(self._processes.run(spec), timeout)
        except TimeoutError:
            return f"The mini batch did not end within {timeout:g} seconds."
        self._progress.stdout[index] = self._progress.stdout.get(index, b"") + ended.stdout
        self._progress.stderr[index] = self._progress.stderr.get(index, b"") + ended.stderr
        if ended.code != 0:
            return ended.stderr.decode(errors="replace") or f"Exit code {ended.code}"
        if not output.exists():
            text = ended.stderr.decode(errors="replace")
            return f"{text}The process of the mini batch ended with exit code 0 before it had written any output."
        self._progress.parts[index] = output.read_bytes()
        return None

    async def _fetch(self, uri: str, folder: str) -> list[Path]:
        target = self._directory / folder
        try:
            return await asyncio.to_thread(self._blobs.download, self._blobs.locate(uri, self._workspace), target)
        except UnknownPlace as error:
            raise RunFailed(f"The {folder} cannot be reached: {error}.") from error
        except AzureError as error:
            raise RunFailed(f"The {folder} at '{uri}' cannot be read: {error}") from error

    async def _write_predictions(self) -> bool:
        parts = self._progress.parts
        if not parts:
            return False
        data = b"".join(parts[index] for index in sorted(parts))
        self._progress.rows = data.count(b"\n")
        if self._properties["outputAction"] != "AppendRow":
            return True
        path = f"azureml/{self._job['child']['id']}/score/{self._properties['outputFileName']}"
        container = self._workspace.datastores["workspaceblobstore"]
        place = Place(scope=self._workspace, container=container, path=path)
        await asyncio.to_thread(self._blobs.write, place, data)
        return True

    def _write_logs(self) -> None:
        folder = f"ExperimentRun/dcid.{self._job['child']['id']}"
        container = self._workspace.datastores["workspaceartifactstore"]
        for name, text in self._logs().items():
            place = Place(scope=self._workspace, container=container, path=f"{folder}/{name}")
            self._blobs.write(place, text)

    def _logs(self) -> dict[str, bytes]:
        """The documented files; without errors there is neither error.txt nor anything under error/."""
        progress = self._progress
        overview = (
            f"Total mini batches: {progress.total}\nProcessed mini batches: {progress.done}\n"
            f"Failed mini batches: {progress.failed}\n"
            f"Remaining mini batches: {progress.total - progress.done - progress.failed}\nOutput rows: {progress.rows}\n"
        )
        driver = "\n".join(progress.driver) + "\n"
        logs = {
            "logs/job_progress_overview.txt": overview,
            "logs/sys/master_role.txt": driver,
            "azureml-logs/70_driver_log.txt": driver,
        }
        if progress.errors:
            logs["logs/user/error.txt"] = "\n\n".join(progress.errors) + "\n"
        for number, error in enumerate(progress.errors):
            logs[f"logs/user/error/node0/process{number:03d}.txt"] = error + "\n"
        files = {name: text.encode() for name, text in logs.items()}
        for index, text in progress.stdout.items():
            files[f"logs/user/stdout/node0/process{index:03d}.stdout.txt"] = text
        for index in progress.parts:  # of one that failed, error.txt tells
            files[f"logs/user/stderr/node0/process{index:03d}.stderr.txt"] = progress.stderr[index]
        return files
