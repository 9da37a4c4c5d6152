"""Nothing lost, nothing twice, every release ends: seeded runs of whole pipelines under faults."""

import json
import os
import subprocess
import sys

import pytest

from tests.simulation.faults import PROFILES
from tests.simulation.universe import Nets, simulate

AT_ONCE = 20
SEEDS = 300
FIRST_OF_OTHERS = 100_000


@pytest.mark.parametrize("first", range(0, SEEDS, AT_ONCE))
def test_every_invariant_holds_in_every_run(first: int) -> None:
    """I1-I10 at every write and at rest, with both nets up: the sweeper and redelivery."""
    for seed in range(first, first + AT_ONCE):
        result = simulate(seed)
        assert not result.violation, result.told()


@pytest.mark.parametrize("nets", [Nets.NO_REDELIVERY, Nets.NO_SWEEPER])
@pytest.mark.parametrize("first", range(FIRST_OF_OTHERS, FIRST_OF_OTHERS + 40, AT_ONCE))
def test_with_one_net_down_the_weaker_guarantee_holds(nets: Nets, first: int) -> None:
    """Without redelivery the sweeper still brings everything to its end; without the sweeper nothing wrong is done."""
    for seed in range(first, first + AT_ONCE):
        result = simulate(seed, nets=nets)
        assert not result.violation, result.told()


@pytest.mark.parametrize("profile", PROFILES)
def test_every_kind_of_weather_is_survived(profile: str) -> None:
    """Each profile of faults by itself, so that none is left to chance."""
    for seed in range(500_000, 500_003):
        result = simulate(seed, profile=profile)
        assert not result.violation, result.told()


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


def test_the_seeds_reach_every_end_and_every_fault() -> None:
    """A simulation that never fails a release would prove little."""
    results = [simulate(seed) for seed in range(60)]
    ends = {phase.split()[1] for result in results for phase in result.phases}
    told = "\n".join(line for result in results for line in result.trace)
    assert {"succeeded", "failed", "rejected", "expired", "cancelled", "superseded"} <= ends
    for fault in ("crash ", "freeze ", "lost answer", "overtaken", "conflict", "(copy)", "forged", "dead ", "(gen 2)"):
        assert fault in told, fault
