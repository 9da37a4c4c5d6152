"""Deliberate defects, each switched on by itself: the simulation must catch every one, or it proves little.

`python -m tests.simulation.mutants` prints which seed caught what.
"""

import argparse
import itertools
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tests.simulation import defects_in_endpoints, defects_in_flow, defects_in_messages, defects_in_state
from tests.simulation.defects import Mutant, switched_on
from tests.simulation.universe import Nets, simulate

MOST_SEEDS = 600
LONGEST_TOLD = 110
MUTANTS = (
    *defects_in_state.DEFECTS,
    *defects_in_flow.DEFECTS,
    *defects_in_endpoints.DEFECTS,
    *defects_in_messages.DEFECTS,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caught:
    mutant: Mutant
    seeds: int
    """How many it took; 0: never."""
    told: str
    how: str = ""
    """The weather and the nets in which it was."""
    seconds: float = 0.0


def hunt(mutant: Mutant, most: int = MOST_SEEDS) -> Caught:
    """Run seeds until one of them notices; the same seed without the defect must be quiet."""
    began = time.monotonic()
    with switched_on(mutant):
        weathers = itertools.cycle([(nets, profile) for nets in mutant.nets for profile in mutant.profiles])
        for number, (nets, profile) in enumerate(itertools.islice(weathers, most), 1):
            result = simulate(number, nets=nets, profile=profile)
            if result.violation:
                break
        else:
            return Caught(mutant=mutant, seeds=0, told="NOT CAUGHT", seconds=time.monotonic() - began)
    seconds = time.monotonic() - began
    how = result.profile if nets is Nets.ALL else f"{result.profile}, {nets}"
    if healthy := simulate(number, nets=nets, profile=profile).violation:
        return Caught(mutant=mutant, seeds=0, told=f"WITHOUT IT TOO: {healthy}", how=how, seconds=seconds)
    return Caught(mutant=mutant, seeds=number, told=result.violation, how=how, seconds=seconds)


def table(found: Sequence[Caught]) -> str:
    """Markdown: one row per defect."""
    rows = [f"| {c.mutant.name} | {c.seeds or '**no**'} | {c.how} | {shortened(c.told)} |" for c in found]
    return "\n".join(["| defect | caught at seed | in | by |", "| --- | --- | --- | --- |", *rows])


def shortened(told: str) -> str:
    """The invariant and what it said, as far as it fits into a line."""
    told = told.replace("|", "/").replace("<", "").replace(">", "")
    return told if len(told) <= LONGEST_TOLD else f"{told[: LONGEST_TOLD - 1]}…"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.mutants")
    parser.add_argument("--only", default="", help="mutants whose name contains this")
    parser.add_argument("--seeds", type=int, default=MOST_SEEDS, help="at most so many each")
    parser.add_argument("--markdown", action="store_true", help="print the table that stands in the docs as well")
    chosen = parser.parse_args()
    found: list[Caught] = []
    for mutant in MUTANTS:
        if chosen.only not in mutant.name:
            continue
        caught = hunt(mutant, chosen.seeds)
        found.append(caught)
        seeds = caught.seeds or "-"
        print(f"{mutant.name:<40} {seeds:>4} {caught.seconds:6.1f} s  {caught.told[:150]}", flush=True)
    missed = sum(not caught.seeds for caught in found)
    if chosen.markdown:
        print(table(found))
    print(f"{len(found)} defects, all caught" if not missed else f"{missed} of {len(found)} not caught")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
