"""`python -m tests.simulation --seeds 2000`: run seeds until one violates an invariant; `--seed N --trace` replays one."""

import argparse
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext

from tests.simulation.defects import switched_on
from tests.simulation.faults import PROFILES
from tests.simulation.mutants import defect_named
from tests.simulation.summary import Summary
from tests.simulation.universe import Nets, simulate
from tests.support.arguments import at_least_one
from tests.support.progress import NowAndThen, to_stderr

END_OF_SCHEDULE = 40
WHOLE_SCHEDULE = 100_000
"""Lines."""


def main(arguments: Sequence[str] | None = None) -> int:
    """1 after a violation, 2 if what is asked for makes no sense."""
    chosen = _parser().parse_args(arguments)
    seeds = [chosen.seed] if chosen.seed is not None else range(chosen.first, chosen.first + chosen.seeds)
    with switched_on(chosen.defect) if chosen.defect else nullcontext():
        summary = _run(seeds, chosen)
    return 1 if summary.violations else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=at_least_one, default=300, help="how many; 300 unless told")
    parser.add_argument("--first", type=int, default=0, help="the first of them; 0 unless told")
    parser.add_argument("--seed", type=int, help="only this one, whatever --seeds and --first say")
    parser.add_argument(
        "--nets", default=Nets.ALL, choices=[str(nets) for nets in Nets], help="which safety nets are up"
    )
    parser.add_argument("--profile", default="", choices=list(PROFILES), help="of faults; else each seed chooses one")
    parser.add_argument(
        "--defect",
        type=defect_named,
        metavar="NAME",
        help="switch on this deliberate defect, as `make mutants` names it",
    )
    parser.add_argument("--trace", action="store_true", help="print the whole schedule of every run")
    parser.add_argument("--keep-going", action="store_true", help="do not stop at the first violation")
    return parser


def _run(seeds: Sequence[int], chosen: argparse.Namespace) -> Summary:
    summary, began, progress = Summary(), time.monotonic(), NowAndThen()
    defect = chosen.defect.name if chosen.defect else ""
    for seed in seeds:
        result = simulate(seed, nets=Nets(chosen.nets), profile=chosen.profile)
        summary.add(result)
        if result.violation or chosen.trace:
            print(result.told(WHOLE_SCHEDULE if chosen.trace else END_OF_SCHEDULE, defect=defect))
        if result.violation and not chosen.keep_going:
            break
        if progress.is_due():
            to_stderr(f"{summary.runs} of {len(seeds)} seeds, the last was {seed}, {summary.violations} violations")
    print(summary.told(time.monotonic() - began))
    return summary


if __name__ == "__main__":
    sys.exit(main())
