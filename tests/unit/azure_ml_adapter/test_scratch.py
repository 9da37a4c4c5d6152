"""Temporary folders of promotions: gone at the end, and cleared when their process was killed."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from shared.adapters.azure_ml.scratch import PREFIX, remove_left_behind, scratch_folder


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go in this test."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def a_folder(place: Path, pid: int) -> Path:
    folder = place / f"{PREFIX}-{pid}-x1y2"
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "weights").write_bytes(b"left behind")
    return folder


@pytest.fixture
def ended() -> int:
    """The number of a process that has ended."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_a_folder_is_gone_at_the_end_whatever_happens(place: Path) -> None:
    """Also when the copy fails."""

    def fail_half_way() -> None:
        with scratch_folder() as folder:
            (folder / "file").write_bytes(b"content")
            raise OSError("half way")

    with pytest.raises(OSError, match="half way"):
        fail_half_way()
    assert list(place.iterdir()) == []


def test_the_first_folder_of_a_process_clears_what_a_killed_one_left(place: Path, ended: int) -> None:
    """Flex has 0.8 GB for everybody: a model of a killed process must not stay in it."""
    left = a_folder(place, ended)
    with scratch_folder():
        assert not left.exists()


def test_a_restarted_process_may_have_the_number_of_the_killed_one(place: Path) -> None:
    """In a container it usually has: before the first folder of its own, all of that number are old."""
    left = a_folder(place, os.getpid())
    with scratch_folder() as first:
        assert not left.exists()
        with scratch_folder():
            assert first.exists()


def test_folders_of_running_processes_and_of_others_stay(place: Path, ended: int) -> None:
    """Another worker on this machine may be in the middle of its copy."""
    running, strange = a_folder(place, os.getppid()), place / "somebody-elses"
    strange.mkdir()
    a_folder(place, ended)
    remove_left_behind(place, own=os.getpid())
    assert sorted(place.iterdir()) == sorted([running, strange])
