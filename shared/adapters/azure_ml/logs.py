"""Adapter: the logs that a job leaves in its workspace's artifact store, and the search for lines in them."""

import re
from collections.abc import Iterable, Iterator, Sequence

from shared.adapters.azure_ml.blobs import BlobFolder, StoredFile
from shared.adapters.azure_ml.clients import Clients, Workspace
from shared.application.ports import LogLine

ARTIFACT_STORE = "workspaceartifactstore"
ERROR_FILES = re.compile(r"logs/user/error\.txt|logs/user/error/.+")
"""Documented for batch jobs: absent or empty means no errors, so every line in them is one."""
USER_OUTPUT = re.compile(r"(logs/user/(?!error)|user_logs/|azureml-logs/|logs/azureml/).+\.(txt|log)")
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
MOST_FILES = 200
MOST_BYTES = 16 * 1024 * 1024
MOST_TEXT = 500


def job_log_folder(clients: Clients, workspace: Workspace, run_id: str) -> BlobFolder:
    """Where the service keeps the artifacts of a run."""
    return clients.datastore(workspace, ARTIFACT_STORE, f"ExperimentRun/dcid.{run_id}")


class LogSearch:
    """Looks through a job's log files until it has found `most` lines."""

    def __init__(self, folder: BlobFolder, *, most: int) -> None:
        self._folder = folder
        self._all = folder.files()[:MOST_FILES]
        self._left = most

    def files(self, wanted: re.Pattern[str]) -> Sequence[StoredFile]:
        """The job's files whose whole path fits and that are not empty."""
        return [file for file in self._all if file.size and wanted.fullmatch(file.path)]

    def lines(self, files: Sequence[StoredFile], pattern: re.Pattern[str]) -> Iterator[LogLine]:
        """Lines in which the pattern is found, with file and number."""
        for file in files:
            numbered = enumerate(self._folder.lines(file.path, MOST_BYTES), start=1)
            for number, text, raised in without_frames(numbered):
                if self._left <= 0:
                    return
                if raised or pattern.search(text):
                    self._left -= 1
                    yield LogLine(file=file.path, line=number, text=text.strip()[:MOST_TEXT])


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
