"""The check that runs before anything is installed: one line, with the remedy."""

import os
import re
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from local.demo.options import Scenario
from local.stack.approvals import Approvals
from local.stack.places import ROOT
from local.stack.ports import free_base

TOOLS_OF_THE_SCRIPT = ("sh", "cat", "dirname", "env")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The files that the check needs, without a `.venv`."""
    for room in ("stack", "demo"):
        (tmp_path / "local" / room).mkdir(parents=True)
    for name in (".python-version", "local/preflight.sh", "local/stack/ports.py", "local/demo/options.py"):
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


@pytest.mark.parametrize(
    ("what", "variables", "says"),
    [
        ("options", {"APPROVALS": "teams"}, ("'teams'", *Approvals)),
        ("ports", {"APPROVALS": "ENTRA"}, ("'ENTRA'", *Approvals)),
        ("options", {"SCENARIO": "nonsense"}, ("'nonsense'", *Scenario)),
        ("options", {"DEMO_MINUTES": "soon"}, ("'soon'", "a number above 0", "1440")),
        ("options", {"DEMO_MINUTES": "-1"}, ("'-1'", "a number above 0")),
        ("options", {"DEMO_MINUTES": "nan"}, ("'nan'", "a number above 0")),
        ("ports", {"STACK_PORT_BASE": "here"}, ("'here'", "1024", "65524")),
        ("ports", {"STACK_PORT_BASE": "70000"}, ("'70000'", "1024", "65524")),
        ("ports", {"STACK_PORT_BASE": "-20000"}, ("'-20000'", "1024", "65524")),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_in_one_line_that_names_the_possible_ones(
    clone: Path, machine: Path, what: str, variables: dict[str, str], says: tuple[str, ...]
) -> None:
    """Issue 2, point 1: before anything is installed, and not as the usage of a command nobody typed."""
    install_python(machine)
    done = preflight(clone, machine, what, **variables)
    assert (done.returncode, done.stderr.count("\n"), done.stdout) == (1, 1, "")
    (variable,) = variables
    assert done.stderr.startswith(f"{variable} is ")
    assert all(word in done.stderr for word in says), done.stderr
    assert "usage" not in done.stderr


@pytest.mark.parametrize("scenario", ["", *Scenario])
def test_every_scenario_passes_in_silence(clone: Path, machine: Path, scenario: str) -> None:
    """The check knows the very names that the demo knows, with nothing installed."""
    install_python(machine)
    done = preflight(clone, machine, "options", SCENARIO=scenario, DEMO_MINUTES="0.5")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("approvals", ["", *Approvals])
@pytest.mark.parametrize("what", ["options", "ports"])
def test_every_way_to_approve_passes_in_silence(clone: Path, machine: Path, what: str, approvals: str) -> None:
    """The check knows the very values that the stack knows."""
    install_python(machine)
    done = preflight(clone, machine, what, APPROVALS=approvals, STACK_PORT_BASE=str(free_base()))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("target", ["demo", "up"])
def test_make_checks_before_it_installs(clone: Path, machine: Path, target: str) -> None:
    """A value that can't be used stops make in a clone without .venv, which stays without one."""
    install_python(machine)
    install(machine, "node", "echo v20.11.0")
    install(machine, "npm", "echo 10.0.0")
    (machine / "make").symlink_to(str(shutil.which("make")))
    for name in ("Makefile", "requirements.txt", "requirements-dev.txt", "package.json", "package-lock.json"):
        shutil.copy(ROOT / name, clone / name)
    done = subprocess.run(
        [str(machine / "make"), target],
        env={"PATH": str(machine), "SCENARIO": "nonsense", "STACK_PORT_BASE": "70000"},
        capture_output=True,
        text=True,
        check=False,
        cwd=clone,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("SCENARIO is 'nonsense'" if target == "demo" else "STACK_PORT_BASE is '70000'")
    assert not (clone / ".venv").exists()


def test_the_documents_name_every_scenario() -> None:
    """README and Makefile are written by hand: a new story must not be missing there."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    told = set(re.findall(r"`([a-z-]+)`", readme.partition("`SCENARIO=…`")[2].partition("`STATS=1`")[0]))
    assert told == set(Scenario) - {Scenario.SUCCESS}


def test_the_check_needs_no_installed_package(clone: Path, machine: Path) -> None:
    """The ports script runs isolated from every site directory."""
    install_python(machine)
    done = preflight(clone, machine, "free-base", PYTHONNOUSERSITE="1", PYTHONPATH=os.devnull)
    assert done.returncode == 0
    assert done.stdout.strip().isdigit()
