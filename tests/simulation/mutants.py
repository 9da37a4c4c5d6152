"""Deliberate defects, each switched on by itself: the simulation must catch every one, or it proves little.

`python -m tests.simulation.mutants` prints which seed caught what and how to see that again; `--write` puts it into the document.
"""

import argparse
import itertools
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.simulation import (
    defects_in_bounds,
    defects_in_checks,
    defects_in_decisions,
    defects_in_endpoints,
    defects_in_flow,
    defects_in_messages,
    defects_in_ports,
    defects_in_state,
)
from tests.simulation.defects import Mutant, switched_on
from tests.simulation.universe import Nets, simulate
from tests.support.arguments import at_least_one
from tests.support.progress import NowAndThen, to_stderr

MOST_SEEDS = 600
LONGEST_TOLD = 110
NOT_CAUGHT = "**no**"
DAY = re.compile(r"\| (\d{4}-\d{2}-\d{2}) \|$")
HEAD = ("| defect | nets | weather | caught at seed | by | on |", "| --- | --- | --- | --- | --- | --- |")
BEGIN, END = "<!-- What follows was written by `make mutants`. -->\n", "<!-- Here ends what `make mutants` wrote. -->\n"
"""Marks in the document."""
MUTANTS = (
    *defects_in_state.DEFECTS,
    *defects_in_flow.DEFECTS,
    *defects_in_endpoints.DEFECTS,
    *defects_in_messages.DEFECTS,
    *defects_in_bounds.DEFECTS,
    *defects_in_checks.DEFECTS,
    *defects_in_decisions.DEFECTS,
    *defects_in_ports.DEFECTS,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caught:
    mutant: Mutant
    seeds: int
    """How many it took; 0: never."""
    told: str
    weather: str = ""
    nets: Nets = Nets.ALL
    seconds: float = 0.0
    replay: str = ""
    """The command that shows it again, if it was caught."""


def defect_named(name: str) -> Mutant:
    """ArgumentTypeError, with all names: there is none of this one."""
    found = [mutant for mutant in MUTANTS if mutant.name == name]
    if not found:
        raise argparse.ArgumentTypeError(f"no defect is called {name!r}; there are:\n{all_names()}")
    return found[0]


def defects_with(part: str) -> Sequence[Mutant]:
    """Those whose name contains it. ArgumentTypeError, with all names: none does."""
    found = [mutant for mutant in MUTANTS if part in mutant.name]
    if not found:
        raise argparse.ArgumentTypeError(f"no defect's name contains {part!r}; there are:\n{all_names()}")
    return found


def all_names() -> str:
    return "\n".join(f"  {mutant.name}" for mutant in MUTANTS)


def hunt(mutant: Mutant, most: int = MOST_SEEDS) -> Caught:
    """Run seeds until one of them notices; the same seed without the defect must be quiet."""
    began, progress = time.monotonic(), NowAndThen()
    with switched_on(mutant):
        weathers = itertools.cycle([(nets, profile) for nets in mutant.nets for profile in mutant.profiles])
        for number, (nets, profile) in enumerate(itertools.islice(weathers, most), 1):
            result = simulate(number, nets=nets, profile=profile)
            if result.violation:
                break
            if progress.is_due():
                to_stderr(f"   {mutant.name}: {number} of {most} seeds, not caught yet")
        else:
            return Caught(mutant=mutant, seeds=0, told="NOT CAUGHT", seconds=time.monotonic() - began)
    seconds = time.monotonic() - began
    healthy = simulate(number, nets=nets, profile=profile).violation
    return Caught(
        mutant=mutant,
        seeds=0 if healthy else number,
        told=f"WITHOUT IT TOO: {healthy}" if healthy else result.violation,
        weather=result.profile,
        nets=nets,
        seconds=seconds,
        replay="" if healthy else result.replay(mutant.name),
    )


def row_of(caught: Caught, day: datetime) -> str:
    """Markdown."""
    cells = (
        caught.mutant.name,
        caught.nets,
        caught.weather,
        str(caught.seeds or NOT_CAUGHT),
        shortened(caught.told),
        f"{day:%Y-%m-%d}",
    )
    return f"| {' | '.join(cells)} |"


def shortened(told: str) -> str:
    """The invariant and what it said, as far as it fits into a line."""
    told = told.replace("|", "/").replace("<", "").replace(">", "")
    return told if len(told) <= LONGEST_TOLD else f"{told[: LONGEST_TOLD - 1]}…"


def rows_in(text: str) -> dict[str, str]:
    """The table of a document: its rows by the name of the defect."""
    lines = text.partition(BEGIN)[2].partition(END)[0].splitlines()
    rows = [line for line in lines if line.startswith("| ")][len(HEAD) :]
    return {row.split(" | ")[0].removeprefix("| "): row for row in rows}


def written_into(text: str, found: Sequence[Caught], day: datetime) -> str:
    """The document with the rows of this run in place of those it had; rows of defects that are no more are gone.

    Raises:
        KeyError: a defect was hunted neither now nor before.
    """
    rows = rows_in(text) | {caught.mutant.name: row_of(caught, day) for caught in found}
    table = [*HEAD, *(rows[mutant.name] for mutant in MUTANTS)]
    before, _, rest = text.partition(BEGIN)
    return "\n".join(
        [f"{before}{BEGIN}", said_of(table[len(HEAD) :]), "", *table, "", f"{END}{rest.partition(END)[2]}"]
    )


def never_hunted(text: str, asked: Sequence[Mutant]) -> Sequence[str]:
    """Defects without a row in the document that are not asked for either: the table could not be written in the end."""
    known = {*rows_in(text), *(mutant.name for mutant in asked)}
    return [mutant.name for mutant in MUTANTS if mutant.name not in known]


def said_of(rows: Sequence[str]) -> str:
    """What is true of these rows: how many were caught, and when."""
    caught = sum(f"| {NOT_CAUGHT} |" not in row for row in rows)
    days = sorted({found[1] for row in rows if (found := DAY.search(row))})
    when = f"all written on {days[0]}" if len(days) == 1 else f"written on different days, {days[0]} to {days[-1]}"
    number = f"{len(rows)} defects, each" if caught == len(rows) else f"{len(rows)} defects, {caught} of them"
    return (
        f"{number} caught on the day in its row, by the code of that day, at a seed that was quiet without the defect.\n"
        f"The rows were {when}; a run that misses a defect writes none:"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """1 if a defect is missed; then nothing is written. Else the rows of this run are, so that `--only` does for new ones."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    if chosen.write and (unknown := never_hunted(chosen.write.read_text(encoding="utf-8"), chosen.only)):
        parser.error(f"{chosen.write} has no row of these, and this run hunts others only: {', '.join(unknown)}")
    found: list[Caught] = []
    for number, mutant in enumerate(chosen.only, 1):
        found.append(hunt(mutant, chosen.seeds))
        print(f"{number:>2}/{len(chosen.only)} {told(found[-1])}", flush=True)
    missed = sum(not caught.seeds for caught in found)
    print(f"{len(found)} defects, all caught" if not missed else f"{missed} of {len(found)} not caught")
    if chosen.write and not missed:
        text = written_into(chosen.write.read_text(encoding="utf-8"), found, datetime.now(UTC))
        chosen.write.write_text(text, encoding="utf-8")
        print(f"{chosen.write} says so now")
    return 1 if missed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.mutants", description=__doc__)
    parser.add_argument(
        "--only", type=defects_with, default="", metavar="PART", help="only defects whose name contains this; else all"
    )
    parser.add_argument(
        "--seeds", type=at_least_one, default=MOST_SEEDS, help=f"at most so many for each; {MOST_SEEDS} unless told"
    )
    parser.add_argument(
        "--write",
        type=Path,
        metavar="DOCUMENT",
        help="put the rows of this run's defects into its table; other rows stay, and all do if one defect is missed",
    )
    return parser


def told(caught: Caught) -> str:
    """For people; what was caught with the command that shows it again."""
    line = f"{caught.mutant.name:<40} {caught.seeds or '-':>4} {caught.seconds:6.1f} s  {caught.told[:150]}"
    return f"{line}\n      replay: {caught.replay}" if caught.replay else line


if __name__ == "__main__":
    sys.exit(main())
