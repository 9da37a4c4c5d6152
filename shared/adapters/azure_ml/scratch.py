"""Adapter: folders for the files of one promotion, in temporary storage; what a killed process left is cleared."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

PREFIX = "model-promotion"
OURS = re.compile(rf"{PREFIX}-(?P<pid>\d+)-.+")


class _FirstUse:
    """Clears once per process, before this process has folders of its own: a restarted one may have the old number."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._done: set[Path] = set()

    def clear(self, place: Path) -> None:
        with self._lock:
            if place not in self._done:
                self._done.add(place)
                remove_left_behind(place, own=os.getpid())


_first_use = _FirstUse()


def clear_left_behind() -> None:
    """Before space is counted: what a killed process left would be missing from it."""
    _first_use.clear(Path(tempfile.gettempdir()))


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A new folder, gone at the end."""
    clear_left_behind()
    with tempfile.TemporaryDirectory(prefix=f"{PREFIX}-{os.getpid()}-") as directory:
        yield Path(directory)


def remove_left_behind(place: Path, *, own: int) -> None:
    """Remove folders whose process is gone (killed in the middle of a copy), or had the number `own` before us."""
    for folder in place.iterdir():
        match = OURS.fullmatch(folder.name)
        if match and (int(match["pid"]) == own or not _runs(int(match["pid"]))):
            shutil.rmtree(folder, ignore_errors=True)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
