"""`python -m tests.simulation --seeds 2000`: run seeds until one violates an invariant; `--seed N --trace` replays it."""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence

from tests.simulation.faults import PROFILES
from tests.simulation.universe import Nets, simulate

TOLD_EVERY = 250
"""Seeds."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seeds", type=int, default=300, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--seed", type=int, help="only this one")
    parser.add_argument("--nets", type=Nets, default=Nets.ALL, choices=list(Nets))
    parser.add_argument("--profile", default="", choices=["", *PROFILES], help="of faults; else each seed chooses")
    parser.add_argument("--trace", action="store_true", help="print the whole schedule")
    parser.add_argument("--keep-going", action="store_true", help="do not stop at the first violation")
    chosen = parser.parse_args(arguments)
    seeds = [chosen.seed] if chosen.seed is not None else range(chosen.first, chosen.first + chosen.seeds)
    ends: Counter[str] = Counter()
    runs = bad = 0
    began = time.monotonic()
    for seed in seeds:
        result = simulate(seed, nets=chosen.nets, profile=chosen.profile)
        runs += 1
        ends.update(phase.split()[1] for phase in result.phases)
        ends["dead letters"] += result.dead_letters
        ends.update(f"excused: {why}" for why in result.excused)
        if result.violation or chosen.trace:
            print(result.told(100_000 if chosen.trace else 40))
        if result.violation:
            bad += 1
            if not chosen.keep_going:
                break
        if runs % TOLD_EVERY == 0:
            print(f"{runs} seeds, the last was {seed}, {bad} violations", file=sys.stderr, flush=True)
    took = time.monotonic() - began
    print(f"{runs} seeds, {bad} violations, {took:.1f} s; {dict(ends.most_common())}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
