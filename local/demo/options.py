"""What the demo can be told, from the command line or from make's variables.

Needs the standard library only: `local/preflight.sh` runs this file before anything is installed.
"""

import argparse
import math
import os
import sys
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

DEFAULT_MINUTES = 6.0
MOST_MINUTES = 24 * 60.0


class Scenario(StrEnum):
    """Names as SCENARIO takes them."""

    SUCCESS = "success"
    SMOKE_FAILURE = "smoke-failure"
    NO_VALIDATED_MODEL = "no-validated-model"
    REJECTED = "rejected"
    ROLLBACK = "rollback"
    TIMEOUT = "timeout"
    LOG_ERRORS = "log-errors"
    EMPTY_OUTPUT = "empty-output"
    SCHEMA_WARNING = "schema-warning"
    REGION_COLLISION = "region-collision"
    QUOTA = "quota"
    BROWNFIELD = "brownfield"
    FLAKY_SERVICE = "flaky-service"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How one demo runs."""

    auto: bool = False
    stats: bool = False
    scenario: Scenario = Scenario.SUCCESS
    limit: timedelta = timedelta(minutes=DEFAULT_MINUTES)


class BadOptionError(Exception):
    """A value that is none of the possible ones; the message is one line and names them."""


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The demo's flags, whose defaults are the variables AUTO, STATS, SCENARIO and DEMO_MINUTES."""
    parser.add_argument("--auto", action="store_true", default=_is_on("AUTO"), help="answer both gates itself")
    parser.add_argument("--stats", action="store_true", default=_is_on("STATS"), help="print what the release cost")
    parser.add_argument("--scenario", default=os.environ.get("SCENARIO", ""), help=f"one of: {', '.join(Scenario)}")
    parser.add_argument(
        "--minutes", default=os.environ.get("DEMO_MINUTES", ""), help="give up after so many minutes of machine time"
    )


def options_from(args: argparse.Namespace) -> Options:
    """The parsed flags as options.

    Raises:
        BadOptionError: one of them has no such value.
    """
    return Options(auto=args.auto, stats=args.stats, scenario=scenario_of(args.scenario), limit=limit_of(args.minutes))


def scenario_of(text: str) -> Scenario:
    """The story of that name; empty: success. Raises: BadOptionError."""
    try:
        return Scenario(text or Scenario.SUCCESS)
    except ValueError:
        raise BadOptionError(f"SCENARIO is {text!r}: choose one of {', '.join(Scenario)}.") from None


def limit_of(text: str) -> timedelta:
    """So many minutes; empty: the default. Raises: BadOptionError."""
    try:
        minutes = float(text or DEFAULT_MINUTES)
    except ValueError:
        minutes = math.nan
    if not 0 < minutes <= MOST_MINUTES:
        allowed = f"a number above 0, at most {MOST_MINUTES:g}; without it {DEFAULT_MINUTES:g}"
        raise BadOptionError(f"DEMO_MINUTES is {text!r}: give minutes of machine time, {allowed}.")
    return timedelta(minutes=minutes)


def _is_on(name: str) -> bool:
    return os.environ.get(name, "").lower() not in {"", "0", "no", "false"}


def main() -> int:
    """Check make's variables; 1 and one line if one of them can't be used."""
    parser = argparse.ArgumentParser()
    add_flags(parser)
    try:
        options_from(parser.parse_args([]))
    except BadOptionError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
