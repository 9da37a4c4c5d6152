"""How a run ended, how it is told, and how it is run again."""

import shlex
from dataclasses import dataclass

from tests.simulation.nets import Nets


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How a run ended."""

    seed: int
    profile: str
    was_chosen: bool
    """The profile was asked for; otherwise the seed chose it."""
    nets: Nets
    violation: str
    trace: tuple[str, ...]
    phases: tuple[str, ...]
    effects: int
    steps: int
    dead_letters: int
    excused: tuple[str, ...] = ()
    """Why defaults that nobody wants could stay."""
    promoted: frozenset[tuple[str, str]] = frozenset()
    deployments: frozenset[str] = frozenset()
    defaults: frozenset[str] = frozenset()
    jobs: frozenset[str] = frozenset()
    mails: tuple[str, ...] = ()
    """What each is known by, as often as it went out."""

    def told(self, lines: int = 60, *, defect: str = "") -> str:
        """For people: the seed, how to replay it, and the end of the schedule; `defect`: the one that was switched on."""
        with_it = f", with the defect {defect!r}" if defect else ""
        head = f"seed {self.seed} ({self.profile}, nets: {self.nets}{with_it}): {self.violation or 'ok'}"
        return "\n".join([head, f"replay: {self.replay(defect)}", *(f"  {line}" for line in self.trace[-lines:])])

    def replay(self, defect: str = "") -> str:
        """The command that makes the same run again and prints all of it.

        A profile that was asked for is named and one that the seed chose is not: choosing takes a number from the seed.
        """
        chosen = [
            "--seed",
            str(self.seed),
            "--nets",
            self.nets,
            *(["--profile", self.profile] if self.was_chosen else []),
        ]
        return shlex.join(
            [
                ".venv/bin/python",
                "-m",
                "tests.simulation",
                *chosen,
                *(["--defect", defect] if defect else []),
                "--trace",
            ]
        )
