"""`python -m tests.chaos --circuits 50 --seed 1`: a release while everything is ended again and again; prints a report."""

import argparse
import signal
import sys
import tempfile
from pathlib import Path

from tests.chaos.disturbances import BROKER, HOST, STORAGE, Blow
from tests.chaos.ordeal import Plan, run

WITHIN_SECONDS = 1800
WITHOUT_END = (
    Blow(part=HOST, signal=signal.SIGKILL, pause_seconds=(2, 10)),
    Blow(part=STORAGE, signal=signal.SIGTERM, pause_seconds=(30, 60)),
    Blow(part=BROKER, signal=signal.SIGTERM, pause_seconds=(30, 60)),
)


def main() -> int:
    """1 if anything is wrong afterwards."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--circuits", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--calm", action="store_true", help="end nothing, for comparison; Azure ML still fails")
    parser.add_argument("--keep", type=Path, help="a directory for the stack, kept afterwards")
    asked = parser.parse_args()
    blows = () if asked.calm else WITHOUT_END
    plan = Plan(circuits=asked.circuits, seed=asked.seed, blows=blows, within_seconds=WITHIN_SECONDS)
    with tempfile.TemporaryDirectory(prefix="chaos-") as scratch:
        report = run(plan, asked.keep or Path(scratch))
    print(report.told())
    return 1 if report.findings else 0


if __name__ == "__main__":
    sys.exit(main())
