"""What many runs came to, for people."""

from collections import Counter
from dataclasses import dataclass, field

from shared.domain.naming import is_rollback
from tests.simulation.result import Result

EXCUSED = (
    "Excused: at rest another default is live than the one that is wanted, and why is known: somebody switched it by hand; "
    "its switch ended errored at its deadline, or was refused in Test, and its row says so (stuck); "
    "Azure ML took a day for it; no sweeper ran. Without such a reason it is a violation."
)


@dataclass(slots=True)
class Summary:
    """Counts over all runs so far."""

    runs: int = 0
    violations: int = 0
    releases: Counter[str] = field(default_factory=Counter)
    rollbacks: Counter[str] = field(default_factory=Counter)
    dead_letters: int = 0
    excused: Counter[str] = field(default_factory=Counter)

    def add(self, result: Result) -> None:
        """One more run."""
        self.runs += 1
        self.violations += bool(result.violation)
        for line in result.phases:
            process, phase = line.split()
            (self.rollbacks if is_rollback(process) else self.releases)[phase] += 1
        self.dead_letters += result.dead_letters
        self.excused.update(result.excused)

    def told(self, seconds: float) -> str:
        """A line each; what excused means only if something was."""
        lines = [
            f"{self.runs} seeds, {self.violations} violations, {seconds:.1f} s",
            f"releases ended     {counted(self.releases)}",
            f"rollbacks ended    {counted(self.rollbacks)}",
            f"dead letters       {self.dead_letters}",
            f"excused defaults   {counted(self.excused)}",
        ]
        return "\n".join([*lines, *([EXCUSED] if self.excused else [])])


def counted(counts: Counter[str]) -> str:
    """The most frequent first."""
    return ", ".join(f"{what} {count}" for what, count in counts.most_common()) or "none"
