"""The check that runs before anything is installed: one line, with the remedy."""

import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from local.stack.places import ROOT
from local.stack.ports import free_base

TOOLS_OF_THE_SCRIPT = ("sh", "cat", "dirname", "env")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The files that the check needs, without a `.venv`."""
    (tmp_path / "local" / "stack").mkdir(parents=True)
    for name in (".python-version", "local/preflight.sh", "local/stack/ports.py"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A PATH on which nothing but a shell is installed."""
    directory = tmp_path / "bin"
    directory.mkdir()
    for tool in TOOLS_OF_THE_SCRIPT:
        (directory / tool).symlink_to(str(shutil.which(tool)))
    return directory


def install(machine: Path, name: str, script: str) -> None:
    """Put a program on the machine."""
    program = machine / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def install_python(machine: Path) -> None:
    """The Python that runs this test, as its real path: a virtual environment's needs its neighbours."""
    python = ROOT / ".venv" / "bin" / "python"
    install(machine, "python3", f'exec "{python}" "$@"')


def preflight(clone: Path, machine: Path, what: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the check with nothing but this machine's PATH."""
    command = [str(machine / "sh"), str(clone / "local" / "preflight.sh"), what]
    return subprocess.run(
        command, env={"PATH": str(machine), **env}, capture_output=True, text=True, check=False, cwd=clone
    )


def test_a_machine_without_python_is_told_so_in_one_line(clone: Path, machine: Path) -> None:
    """The line names the version that is wanted and a way to get it."""
    done = preflight(clone, machine, "tools")
    assert done.returncode == 1
    assert "Python 3.13 is missing" in done.stderr
    assert "pyenv install 3.13" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_wrong_python_is_named_with_its_version(clone: Path, machine: Path) -> None:
    """A person sees which Python was found instead."""
    install(machine, "python3", '[ "$1" = --version ] && echo "Python 3.11.2" && exit 0; exit 1')
    done = preflight(clone, machine, "tools")
    assert done.returncode == 1
    assert "found: Python 3.11.2" in done.stderr


def test_a_machine_without_node_is_told_so_in_one_line(clone: Path, machine: Path) -> None:
    """Python alone is not enough."""
    install_python(machine)
    done = preflight(clone, machine, "tools")
    assert done.returncode == 1
    assert "Node is missing" in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_old_node_is_named_with_its_version(clone: Path, machine: Path) -> None:
    """Node 18 is there and still not enough."""
    install_python(machine)
    install(machine, "node", "echo v18.19.0")
    done = preflight(clone, machine, "tools")
    assert done.returncode == 1
    assert "v18.19.0" in done.stderr


def test_a_complete_machine_passes_in_silence(clone: Path, machine: Path) -> None:
    """Python, Node and npm are all that is asked for."""
    install_python(machine)
    install(machine, "node", "echo v20.11.0")
    install(machine, "npm", "echo 10.0.0")
    done = preflight(clone, machine, "tools")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_taken_port_stops_before_anything_starts(clone: Path, machine: Path) -> None:
    """The base comes from STACK_PORT_BASE, and the port is named."""
    install_python(machine)
    base = free_base()
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", base))
        holder.listen()
        done = preflight(clone, machine, "ports", STACK_PORT_BASE=str(base))
    assert done.returncode == 1
    assert f"port {base}." in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_check_needs_no_installed_package(clone: Path, machine: Path) -> None:
    """The ports script runs isolated from every site directory."""
    install_python(machine)
    done = preflight(clone, machine, "free-base", PYTHONNOUSERSITE="1", PYTHONPATH=os.devnull)
    assert done.returncode == 0
    assert done.stdout.strip().isdigit()
