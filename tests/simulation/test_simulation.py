"""Nothing lost, nothing twice, every release ends: seeded runs of whole pipelines under faults (issue 5.2)."""

import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.simulation.__main__ import main
from tests.simulation.defects import switched_on
from tests.simulation.faults import PROFILES, Faults
from tests.simulation.meddlers import AT_GATE
from tests.simulation.mutants import defect_named
from tests.simulation.summary import EXCUSED, Summary
from tests.simulation.universe import Nets, Universe, simulate

ROOT = Path(__file__).resolve().parents[2]
SEEDS = 300
SHARES = {Nets.ALL: 0.6, Nets.NO_REDELIVERY: 0.2, Nets.NO_SWEEPER: 0.2}
EACH = {nets: round(SEEDS * share / len(PROFILES)) for nets, share in SHARES.items()}
"""Seeds of each profile, so that no kind of weather is left to chance."""


def keeps_its_time(faults: Faults) -> bool:
    """No operation of Azure ML takes as long as a circuit may wait for it."""
    return not (faults.slow or faults.endless or faults.stubborn)


def test_the_seeds_are_three_hundred() -> None:
    """In every `make test`; `make simulate` looks at more."""
    assert sum(EACH.values()) * len(PROFILES) >= SEEDS


@pytest.mark.parametrize("nets", EACH)
@pytest.mark.parametrize("profile", PROFILES)
def test_every_invariant_holds_in_every_weather(profile: str, nets: Nets) -> None:
    """I1-I10 at every write, I4 at rest.

    Without redelivery the sweeper still brings everything to its end. Without the sweeper nothing wrong is done, and
    every round that messages have begun is led on by one. Where Azure ML keeps its time, nothing but somebody's hand leaves
    another default than the one that is wanted.
    """
    for seed in range(EACH[nets]):
        result = simulate(seed, nets=nets, profile=profile)
        assert not result.violation, result.told()
        if nets is not Nets.NO_SWEEPER and keeps_its_time(PROFILES[profile]):
            assert set(result.excused) <= {"by hand"}, result.told()


def test_a_seed_gives_the_same_run_in_every_process() -> None:
    """Or a violation could not be replayed: the hash seed of strings must not matter."""
    script = (
        "import hashlib, json; from tests.simulation.universe import simulate;"
        "runs = [simulate(seed, profile='rough') for seed in (1, 2, 3)];"
        "print(json.dumps([hashlib.sha256('\\n'.join(run.trace).encode()).hexdigest() for run in runs]))"
    )
    traces = [
        json.loads(
            subprocess.run(
                [sys.executable, "-c", script],
                env={**os.environ, "PYTHONHASHSEED": hash_seed},
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        )
        for hash_seed in ("1", "2")
    ]
    assert traces[0] == traces[1]


@pytest.mark.parametrize("chosen", [[], ["--profile", "azure"]])
def test_a_violation_prints_its_seed_and_schedule_and_the_printed_command_replays_it(
    chosen: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """`make simulate`, with a defect that every seed shows."""
    with switched_on(defect_named("no gate before the registry")):
        assert main(["--first", "3", "--seeds", "20", *chosen]) == 1
        found = capsys.readouterr().out.splitlines()
        violation = next(line for line in found if line.startswith("seed "))
        command = next(line for line in found if line.startswith("replay: ")).removeprefix("replay: ")
        assert command.startswith(".venv/bin/python -m tests.simulation --seed ")
        schedule = [line for line in found if line.startswith("  ")]
        assert main(shlex.split(command)[3:]) == 1
    replayed = capsys.readouterr().out.splitlines()
    assert violation in replayed
    assert schedule
    assert [line for line in replayed if line.startswith("  ")][-len(schedule) :] == schedule


def test_what_meddlers_refusals_and_late_deploys_are_there_for_happens() -> None:
    """A weather that is a quiet day by another name would prove nothing."""
    told = {
        profile: "\n".join(line for seed in range(8) for line in simulate(seed, profile=profile).trace)
        for profile in ("meddled", "overtaking")
    }
    met = set[str]()
    for seed in range(30):
        universe = Universe(seed, profile="refusing")
        universe.run()
        met |= universe.weather.refusals.met_at
    for what in {name for names in AT_GATE.values() for name in names}:
        assert f"somebody changes the {what}" in told["meddled"]
    assert met >= {"releases", "endpoints", "evidence", "bus", "models", "mail", "teams"}
    assert re.search(r"freeze \S+\|(deploying_test|staging)\|", told["overtaking"])


@pytest.mark.parametrize(
    "asked", [["--seeds", "0"], ["--seeds", "-3"], ["--seeds", "many"], ["--profile", "sunny"], ["--nets", "none"]]
)
def test_what_would_show_nothing_is_refused(asked: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """No seeds are no violations either; it says what would do."""
    with pytest.raises(SystemExit, match="2"):
        main(asked)
    told = capsys.readouterr().err
    assert any(text in told for text in ("at least 1 is needed", "no whole number", *PROFILES, *Nets)), told


def test_the_weather_that_is_asked_for_reaches_every_run() -> None:
    """`make simulate PROFILE=azure`."""
    made = subprocess.run(
        ["make", "--dry-run", "simulate", "SEEDS=7", "PROFILE=azure"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    command = next(line for line in made.replace("\\\n", " ").splitlines() if "-m tests.simulation" in line)
    assert shlex.split(command)[1:] == [
        *("-m", "tests.simulation", "--seeds", "7", "--first", "0", "--nets", "all", "--profile", "azure")
    ]


def test_a_summary_tells_releases_dead_letters_and_excuses_apart() -> None:
    """And what an excuse is, if there was one."""
    summary = Summary()
    result = simulate(1, profile="quiet")
    summary.add(result)
    assert "dead letters       0\nexcused defaults   none" in summary.told(1.0)
    assert EXCUSED not in summary.told(1.0)
    ends = ("20251210.1 succeeded", "20251210.2 failed", "20251211.1 succeeded", "rollback-6faf1fa9b06ed134 failed")
    summary = Summary()
    summary.add(
        replace(result, violation="I1: it", phases=ends, dead_letters=3, excused=("by hand", "stuck", "by hand"))
    )
    assert summary.told(61.24).splitlines() == [
        "1 seeds, 1 violations, 61.2 s",
        "releases ended     succeeded 2, failed 1",
        "rollbacks ended    failed 1",
        "dead letters       3",
        "excused defaults   by hand 2, stuck 1",
        EXCUSED,
    ]


def test_the_seeds_reach_every_end_and_every_fault() -> None:
    """A simulation that never fails a release would prove little."""
    results = [simulate(seed) for seed in range(60)]
    ends = {phase.split()[1] for result in results for phase in result.phases}
    told = "\n".join(line for result in results for line in result.trace)
    assert {"succeeded", "failed", "rejected", "expired", "cancelled", "superseded"} <= ends
    faults = (
        "crash ",
        "freeze ",
        "lost answer",
        "overtaken",
        "repeated",
        "conflict",
        "transient",
        "out of reach",
        "(copy)",
        "deliver forged stale",
        "deliver forged of another generation",
        "deliver forged noise",
        "deliver dead forged stale",
        "deliver dead ",
        "gets other tags",
        "operator rolls back",
        "operator asks to cancel",
        "operator asks to retry",
        "by the operator",
        "(gen 2)",
        "-> expired",
        "-> reverting",
        "-> rolled_back",
    )
    assert [fault for fault in faults if fault not in told] == []
