"""Deliberate defects, each switched on by itself: the simulation must catch every one, or it proves little.

`python -m tests.simulation.mutants` prints which seed caught what; `--write` puts that table into the document.
"""

import argparse
import itertools
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

MOST_SEEDS = 600
LONGEST_TOLD = 110
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
    healthy = simulate(number, nets=nets, profile=profile).violation
    return Caught(
        mutant=mutant,
        seeds=0 if healthy else number,
        told=f"WITHOUT IT TOO: {healthy}" if healthy else result.violation,
        weather=result.profile,
        nets=nets,
        seconds=seconds,
    )


def row_of(caught: Caught, day: datetime) -> str:
    """Markdown."""
    cells = (
        caught.mutant.name,
        caught.nets,
        caught.weather,
        str(caught.seeds or "**no**"),
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
    said = f"{len(MUTANTS)} defects, each caught, each of these seeds quiet without its defect:"
    return "\n".join([f"{before}{BEGIN}", said, "", *table, "", f"{END}{rest.partition(END)[2]}"])


def main(arguments: Sequence[str] | None = None) -> int:
    """1 if a defect is missed; then nothing is written. Else the rows of this run are, so that `--only` does for new ones."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.mutants")
    parser.add_argument("--only", default="", help="mutants whose name contains this")
    parser.add_argument("--seeds", type=int, default=MOST_SEEDS, help="at most so many each")
    parser.add_argument(
        "--write", type=Path, help="the document whose table this run replaces, if it was of all of them"
    )
    chosen = parser.parse_args(arguments)
    found: list[Caught] = []
    asked = [mutant for mutant in MUTANTS if chosen.only in mutant.name]
    for number, mutant in enumerate(asked, 1):
        caught = hunt(mutant, chosen.seeds)
        found.append(caught)
        print(
            f"{number:>2}/{len(asked)} {mutant.name:<40} {caught.seeds or '-':>4} {caught.seconds:6.1f} s  "
            f"{caught.told[:150]}",
            flush=True,
        )
    missed = sum(not caught.seeds for caught in found)
    print(f"{len(found)} defects, all caught" if not missed else f"{missed} of {len(found)} not caught")
    if chosen.write and not missed:
        text = written_into(chosen.write.read_text(encoding="utf-8"), found, datetime.now(UTC))
        chosen.write.write_text(text, encoding="utf-8")
        print(f"{chosen.write} says so now")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
