"""Two demos in one directory: the second is told which one runs, and touches nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from local.demo.main import UNEXPECTED, run_demo
from local.demo.only_one import the_only_demo
from local.demo.options import Options, Scenario
from local.stack.places import ROOT, Places
from local.stack.ports import Ports, free_base

HOLD = """
import sys
from pathlib import Path
from local.demo.only_one import the_only_demo
from local.demo.options import Scenario
from local.stack.places import Places
from local.stack.ports import Ports
with the_only_demo(Places(dir=Path(sys.argv[1]), ports=Ports(base=20000)), Scenario.QUOTA):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(dir=tmp_path, ports=Ports(base=free_base()))


def test_a_second_demo_in_the_same_directory_is_refused_in_one_line_that_names_the_first(
    places: Places, capsys: pytest.CaptureFixture[str]
) -> None:
    """It used to join the first one's stack, and lost it in the middle of its release."""
    with the_only_demo(places, Scenario.ROLLBACK):
        before = {path: path.read_bytes() for path in places.dir.iterdir()}
        assert run_demo(places, Options()) == UNEXPECTED
        assert {path: path.read_bytes() for path in places.dir.iterdir()} == before
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert f"A demo (SCENARIO=rollback, process {os.getpid()}, since " in said.err
    assert str(places.dir) in said.err


def test_a_demo_that_was_killed_does_not_stand_in_the_way_of_the_next(places: Places) -> None:
    """However it ends, its directory is free again."""
    command = [sys.executable, "-c", HOLD, str(places.dir)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout
        assert other.stdout.readline() == b"held\n"
        other.kill()
        other.wait()
    with the_only_demo(places, Scenario.SUCCESS):
        assert places.demo_lock.exists()
