"""A release on a stack of its own while everything is ended again and again; prints a report, and meanwhile how far it is."""

import argparse
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.chaos.disturbances import BROKER, HOST, STORAGE, Blow
from tests.chaos.ordeal import Plan, Report, run
from tests.support.arguments import at_least_one

WITHIN_SECONDS = 1800
WITHOUT_END = (
    Blow(part=HOST, signal=signal.SIGKILL, pause_seconds=(2, 10)),
    Blow(part=STORAGE, signal=signal.SIGTERM, pause_seconds=(30, 60)),
    Blow(part=BROKER, signal=signal.SIGTERM, pause_seconds=(30, 60)),
)


def main(arguments: Sequence[str] | None = None, ordeal: Callable[[Plan, Path], Report] = run) -> int:
    """1 if anything is wrong afterwards, 2 if what is asked for makes no sense; then no stack is started."""
    asked = _parser().parse_args(arguments)
    blows = () if asked.calm else WITHOUT_END
    plan = Plan(circuits=asked.circuits, seed=asked.seed, blows=blows, within_seconds=WITHIN_SECONDS)
    with tempfile.TemporaryDirectory(prefix="chaos-") as scratch:
        report = ordeal(plan, asked.keep or Path(scratch))
    print(report.told())
    return 1 if report.findings else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--circuits", type=at_least_one, default=50, help="how many the release has; 50 unless told")
    parser.add_argument(
        "--seed", type=int, default=1, help="of when what is ended and which requests to Azure ML fail; 1 unless told"
    )
    parser.add_argument("--calm", action="store_true", help="end nothing, for comparison; Azure ML still fails")
    parser.add_argument(
        "--keep",
        type=Path,
        metavar="DIRECTORY",
        help="where the stack keeps its files and logs, which stay afterwards; else they are removed",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
