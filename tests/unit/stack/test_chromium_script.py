"""Unit: what `make test` says where it may not install a browser; it goes on without, except in CI."""

import shutil
import subprocess
from pathlib import Path

import pytest

from local.stack.places import ROOT

SCRIPT = ROOT / "local" / "chromium.sh"
TOOLS = ("sh", "cat", "rm", "mktemp", "tail")


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A PATH with a shell, and no browser."""
    for tool in TOOLS:
        (tmp_path / tool).symlink_to(str(shutil.which(tool)))
    return tmp_path


def put(machine: Path, name: str, script: str) -> None:
    (machine / name).write_text(f"#!/bin/sh\n{script}\n")
    (machine / name).chmod(0o755)


def run(machine: Path, **env: str) -> subprocess.CompletedProcess[str]:
    command = [str(machine / "sh"), str(SCRIPT)]
    return subprocess.run(command, env={"PATH": str(machine), **env}, capture_output=True, text=True, check=False)


def nobody_in_particular(machine: Path) -> None:
    put(machine, "id", "echo 1000")
    put(machine, "apt-get", "exit 1")


def root_without_network(machine: Path) -> None:
    put(machine, "id", "echo 0")
    put(machine, "apt-get", 'echo "E: Failed to fetch http://deb.debian.org/"; exit 100')


def root_with_an_old_mirror(machine: Path) -> None:
    put(machine, "id", "echo 0")
    put(machine, "apt-get", '[ "$1" = update ] && exit 0; echo "E: Unable to locate package chromium"; exit 100')


def no_debian(machine: Path) -> None:
    put(machine, "id", "echo 0")


PLACES = {
    "not root": (nobody_in_particular, "sudo apt-get install chromium"),
    "no network": (root_without_network, "apt-get update && apt-get install chromium"),
    "not on the mirror": (root_with_an_old_mirror, "apt-get update && apt-get install chromium"),
    "no apt": (no_debian, "your system's package manager"),
}


@pytest.mark.parametrize("place", list(PLACES))
def test_where_it_cannot_be_installed_the_tests_go_on_and_say_how_to_get_it(machine: Path, place: str) -> None:
    """Exit code 0: what comes after it in `make test` runs; in CI it is an error."""
    prepare, remedy = PLACES[place]
    prepare(machine)
    done = run(machine)
    assert done.returncode == 0, done.stderr
    assert "the browser tests are skipped. Get it with: " in done.stdout
    assert remedy in done.stdout
    in_ci = run(machine, CI="1")
    assert in_ci.returncode == 1
    assert "in CI that is an error" in in_ci.stderr


def test_a_browser_that_is_there_is_enough(machine: Path) -> None:
    """Nobody is asked for anything."""
    put(machine, "chromium", "exit 0")
    done = run(machine, CI="1")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_root_with_a_network_installs_it(machine: Path) -> None:
    """With the font that the signs of the cards need."""
    asked = machine / "asked"
    put(machine, "id", "echo 0")
    put(machine, "apt-get", f'echo "$@" >> "{asked}"')
    done = run(machine, CI="1")
    assert (done.returncode, done.stdout) == (0, "== Chromium (once)\n")
    update, install = asked.read_text().splitlines()
    assert update.startswith("update")
    assert install.endswith("--no-install-recommends chromium fonts-noto-color-emoji")
