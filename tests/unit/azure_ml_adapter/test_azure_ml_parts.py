"""Pieces of the Azure ML adapter that need no service."""

import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from shared.adapters.azure_ml.blobs import StoredFile, content_hash, datastore_path, path_in_container
from shared.adapters.azure_ml.logs import ERROR_FILES, ERROR_LINE, USER_OUTPUT, without_frames
from shared.adapters.azure_ml.models import WARNING_LINE
from shared.adapters.azure_ml.promotion import SPARE_BYTES, TemporarySpace, Turns
from shared.domain.errors import Occupied

ROOT = Path(__file__).parents[3]


def a_file(path: str, md5: str = "0" * 32, size: int = 1, etag: str = "e") -> StoredFile:
    return StoredFile(path=path, size=size, md5=md5, etag=etag)


def test_importing_the_gateway_does_not_load_the_sdk() -> None:
    """Two seconds and 105 MB that no approval click should pay."""
    check = "import sys, shared.adapters.azure_ml.gateway; sys.exit('azure.ai.ml' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], cwd=ROOT, check=False).returncode == 0


def test_the_content_hash_depends_on_paths_sizes_and_md5s_only() -> None:
    """Not on the order of a listing, nor on ETags, which differ from place to place."""
    first = content_hash([a_file("a"), a_file("b", md5="1" * 32)])
    assert first == content_hash([a_file("b", md5="1" * 32, etag="other"), a_file("a")])
    assert len({
        first,
        content_hash([a_file("a"), a_file("b")]),
        content_hash([a_file("a"), a_file("c", md5="1" * 32)]),
        content_hash([a_file("a"), a_file("b", md5="1" * 32, size=2)]),
        content_hash([a_file("a")]),
    }) == 5  # fmt: skip


@pytest.mark.parametrize(
    ("uri", "place"),
    [
        ("azureml://datastores/store/paths/a/b", ("store", "a/b")),
        ("azureml://subscriptions/s/resourcegroups/g/workspaces/w/datastores/store/paths/a/b/", ("store", "a/b/")),
        ("azureml://datastores/store/ExperimentRun/dcid.1/model", ("store", "ExperimentRun/dcid.1/model")),
        ("azureml://jobs/j/outputs/artifacts/paths/model", None),
        ("https://account.blob.core.windows.net/c/model", None),
    ],
)
def test_datastore_uris_are_understood_in_all_their_forms(uri: str, place: tuple[str, str] | None) -> None:
    """Short, long and the artifact store's own; what is something else is not guessed."""
    assert datastore_path(uri) == place


def test_the_path_of_a_blob_url_is_decoded() -> None:
    """The Registry gives URLs, the storage wants names."""
    assert path_in_container("https://a.blob.core.windows.net:443/container/my%20model/sub") == "my model/sub"


@pytest.mark.parametrize(
    ("line", "tells"),
    [
        ("2025-12-10 09:00:00 ERROR no calibration", True),
        ("CRITICAL:root:stopped", True),
        ("Traceback (most recent call last):", True),
        ("ValueError: unknown step", True),
        ("sklearn.exceptions.NotFittedError: call fit first", True),
        ("error_threshold=0", False),
        ("ERROR_THRESHOLD is 0", False),
        ("0 errors", False),
        ("INFO all rows scored", False),
    ],
)
def test_lines_that_tell_of_an_error(line: str, tells: bool) -> None:
    """Levels and exceptions, not every mention of the word."""
    assert bool(ERROR_LINE.search(line)) is tells


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        (ERROR_FILES, "logs/user/error.txt", True),
        (ERROR_FILES, "logs/user/error/node0/process001.txt", True),
        (ERROR_FILES, "logs/user/stdout/node0/process000.stdout.txt", False),
        (USER_OUTPUT, "logs/user/stdout/node0/process000.stdout.txt", True),
        (USER_OUTPUT, "azureml-logs/70_driver_log.txt", True),
        (USER_OUTPUT, "user_logs/std_log.txt", True),
        (USER_OUTPUT, "logs/user/error.txt", False),
        (USER_OUTPUT, "logs/user/error/node0/process001.txt", False),
        (USER_OUTPUT, "logs/user/errors.txt", True),
        (USER_OUTPUT, "logs/user/error_log.txt", True),
        (USER_OUTPUT, "logs/sys/master_role.txt", False),
        (USER_OUTPUT, "logs/job_progress_overview.txt", False),
    ],
)
def test_which_log_files_are_searched(pattern: re.Pattern[str], path: str, fits: bool) -> None:
    """The documented places; the service's own notes are not the model's errors."""
    assert bool(pattern.fullmatch(path)) is fits


CHAINED = """\
scoring test_input.csv
Traceback (most recent call last):
  File "/opt/scorer/driver.py", line 88, in score
    rows += rows_of(model.predict(frame))
KeyError: 'flush'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/opt/scorer/driver.py", line 90, in score
    raise Unusable("no category flush") from error
Unusable: no category flush
done
"""


def test_of_a_traceback_only_what_was_raised_is_left() -> None:
    """R27: the exception's own line with its number; no path of the machine that scored, and no frame."""
    told = list(without_frames(enumerate(CHAINED.splitlines(), start=1)))
    assert [line for line in told if line[1].strip()] == [
        (1, "scoring test_input.csv", False),
        (5, "KeyError: 'flush'", True),
        (12, "Unusable: no category flush", True),
        (13, "done", False),
    ]


def test_a_traceback_that_breaks_off_is_still_an_error() -> None:
    """A process that was killed while it wrote its log has failed all the same."""
    broken = CHAINED.splitlines()[1:4]
    assert list(without_frames(enumerate(broken, start=1))) == [(1, "Traceback (most recent call last):", True)]


@pytest.mark.parametrize(
    ("line", "warns"),
    [
        ("WARNING 3 rows dropped", True),
        ("root - WARN - few samples", True),
        ("model.py:7: UserWarning: few samples", True),
        ("warnings: none", False),
    ],
)
def test_lines_that_warn(line: str, warns: bool) -> None:
    """What approvers see at gate 1 (R10)."""
    assert bool(WARNING_LINE.search(line)) is warns


def test_space_reserved_by_one_promotion_is_not_there_for_another() -> None:
    """Two models that fit one after the other, but not together; the second is told that it may fit later."""
    space = TemporarySpace(lambda: 100 + SPARE_BYTES)
    with space.reserve(60) as first:
        assert first.folder
        with space.reserve(60) as second:
            assert (second.folder, second.is_shared) == (None, True)
        with space.reserve(40) as third:
            assert third.folder
    with space.reserve(100) as last:
        assert last.folder
    with space.reserve(101) as never:
        assert (never.folder, never.is_shared) == (None, False)


def test_what_is_written_already_is_not_counted_twice() -> None:
    """It is missing from what is free as soon as it lies there; only the rest is still to come."""
    disk = [100 + SPARE_BYTES]
    space = TemporarySpace(lambda: disk[0])
    with space.reserve(60) as first:
        assert first.folder
        (first.folder / "weights").write_bytes(b"." * 50)
        disk[0] -= 50
        with space.reserve(41) as second:
            assert second.folder is None
        with space.reserve(40) as third:
            assert third.folder


def test_few_promotions_of_a_process_work_at_once() -> None:
    """Rule 6: who finds no turn in time has not begun, and comes again; a turn that ends is free."""
    turns = Turns(2, wait=timedelta())
    with turns.turn("one"):
        with turns.turn("two"), pytest.raises(Occupied, match="three waits: 2 promotions"), turns.turn("three"):
            raise AssertionError("there is no third turn")
        with turns.turn("four"):
            pass
