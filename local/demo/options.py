"""What the demo can be told, from the command line or from make's variables."""

import argparse
import os
from dataclasses import dataclass
from datetime import timedelta

from local.demo.scenarios import Scenario

DEFAULT_MINUTES = 6.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How one demo runs."""

    auto: bool = False
    stats: bool = False
    scenario: Scenario = Scenario.SUCCESS
    limit: timedelta = timedelta(minutes=DEFAULT_MINUTES)


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The demo's flags, whose defaults are the variables AUTO, STATS, SCENARIO and DEMO_MINUTES."""
    parser.add_argument("--auto", action="store_true", default=_is_on("AUTO"), help="answer both gates itself")
    parser.add_argument("--stats", action="store_true", default=_is_on("STATS"), help="print what the release cost")
    parser.add_argument(
        "--scenario",
        choices=list(Scenario),
        type=_scenario,
        default=os.environ.get("SCENARIO") or Scenario.SUCCESS,
        help="a story that ends otherwise",
    )
    parser.add_argument(
        "--minutes",
        type=float,
        default=os.environ.get("DEMO_MINUTES") or DEFAULT_MINUTES,
        help="give up after so many minutes of machine time",
    )


def options_from(args: argparse.Namespace) -> Options:
    """The parsed flags as options."""
    return Options(auto=args.auto, stats=args.stats, scenario=args.scenario, limit=timedelta(minutes=args.minutes))


def _scenario(name: str) -> Scenario:
    try:
        return Scenario(name)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{name!r} is none of: {', '.join(Scenario)}") from None


def _is_on(name: str) -> bool:
    return os.environ.get(name, "") not in {"", "0", "no", "false"}
