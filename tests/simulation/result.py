"""How a run ended, and how it is told."""

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

    def told(self, lines: int = 60) -> str:
        """For people: the seed, how to replay it, and the end of the schedule."""
        head = f"seed {self.seed} ({self.profile}, nets: {self.nets}): {self.violation or 'ok'}"
        profile = f" --profile {self.profile}" if self.was_chosen else ""
        again = f"replay: .venv/bin/python -m tests.simulation --seed {self.seed} --nets {self.nets}{profile} --trace"
        return "\n".join([head, again, *(f"  {line}" for line in self.trace[-lines:])])
