"""Adapter: the logs that a job leaves in its workspace's artifact store, and the search for lines in them."""

import re
from collections.abc import Iterable, Iterator, Sequence

from shared.adapters.azure_ml.blobs import BlobFolder, StoredFile
from shared.adapters.azure_ml.clients import Clients, Workspace
from shared.domain.log_lines import LogLine

ARTIFACT_STORE = "workspaceartifactstore"
ERROR_FILES = re.compile(r"logs/user/error\.txt|logs/user/error/.+")
"""Documented for batch jobs: absent or empty means no errors, so every line in them is one."""
USER_OUTPUT = re.compile(r"(logs/user/(?!error\.txt$|error/)|user_logs/|azureml-logs/|logs/azureml/).+\.(txt|log)")
"""What the job's own code and its driver printed; the service's notes under logs/sys are not the job's."""
ERROR_LINE = re.compile(
    r"\b(ERROR|CRITICAL|FATAL)\b|^Traceback \(most recent call last\)|^[\w.]+(Error|Exception)(:|$)"
)
ANY_LINE = re.compile(r"\S")
TRACEBACK = re.compile(r"Traceback \(most recent call last\):?\s*$")
BETWEEN_TRACEBACKS = re.compile(
    r"(During handling of the above exception, another exception occurred|"
    r"The above exception was the direct cause of the following exception):\s*$"
)
MOST_FILES, MOST_MEBIBYTES = 2_000, 256
"""Of one job, for reading takes time: a request a file, more than a second for ten MiB, in a function that has half an hour."""


def job_log_folder(clients: Clients, workspace: Workspace, run_id: str) -> BlobFolder:
    """Where the service keeps the artifacts of a run."""
    return clients.datastore(workspace, ARTIFACT_STORE, f"ExperimentRun/dcid.{run_id}")


class Reading:
    """How much of a job's files may still be read, and what was too much; shared by all folders of one job."""

    def __init__(self, *, files: int = MOST_FILES, mebibytes: int = MOST_MEBIBYTES) -> None:
        self._limits = f"{files} files and {mebibytes} MiB"
        self._files, self._bytes = files, mebibytes * 1024 * 1024
        self._left_out: list[StoredFile] = []

    def takes(self, file: StoredFile) -> bool:
        """Whether this file is to be read now; what is not is remembered."""
        fits = self._files > 0 and file.size <= self._bytes
        if fits:
            self._files, self._bytes = self._files - 1, self._bytes - file.size
        else:
            self._left_out.append(file)
        return fits

    def unread(self) -> tuple[str, ...]:
        """What was left out, as a finding; empty: nothing."""
        if not self._left_out:
            return ()
        size = sum(file.size for file in self._left_out)
        told = f"{len(self._left_out)} of the job's files were not read ({size} bytes, first {self._left_out[0].path})"
        return (f"{told}, errors may stand there: at most {self._limits} are read, let the model write less",)


class LogSearch:
    """Looks through all log files of one run."""

    def __init__(self, folder: BlobFolder, reading: Reading) -> None:
        self._folder = folder
        self._reading = reading
        self._all = folder.files()

    def files(self, wanted: re.Pattern[str]) -> Sequence[StoredFile]:
        """The run's files whose whole path fits and that are not empty."""
        return [file for file in self._all if file.size and wanted.fullmatch(file.path)]

    def lines(self, files: Sequence[StoredFile], pattern: re.Pattern[str]) -> Iterator[LogLine]:
        """Every line in which the pattern is found, with file and number."""
        for file in files:
            if not self._reading.takes(file):
                continue
            for number, text, raised in without_frames(self._folder.lines(file.path)):
                if raised or pattern.search(text):
                    yield LogLine(file=file.path, line=number, text=text.strip())


def without_frames(lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str, bool]]:
    """Numbered lines, each traceback reduced to its last one, marked True: what was raised, not by way of which files.

    A traceback that breaks off is still one line: an error never vanishes.
    """
    held: tuple[int, str] | None = None
    for number, text in lines:
        if held is not None and (not text.strip() or text[0].isspace()):
            continue
        if TRACEBACK.search(text):
            if held is not None:
                yield *held, True
            held = (number, text)
        elif not BETWEEN_TRACEBACKS.match(text):
            yield number, text, held is not None
            held = None
    if held is not None:
        yield *held, True
