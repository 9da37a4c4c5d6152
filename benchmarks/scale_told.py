"""What was measured of a release of many circuits, told to people, and which goals it missed."""

from collections.abc import Sequence
from dataclasses import dataclass

MOST_CONFLICTS, LARGEST_DIFFERENCE = 10, 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One release of so many circuits."""

    circuits: int
    phase: str
    seconds: float
    rounds: dict[str, float]
    """Seconds from entering each phase to leaving it."""
    circuit_requests: float
    """Table requests per circuit while messages about it were handled: load, write, scan."""
    all_requests: float
    """Every table request of the release, divided by the circuits."""
    circuit_messages: float
    all_messages: float
    fan_outs: int
    release_conflicts: int
    circuit_conflicts: int
    pages: dict[str, tuple[int, int]]
    """Bytes of each gate's page and of the release's: of all of it, and of what stands before the first fold."""
    gate_mail: int
    summary_mail: int
    summary_mail_lines: int
    errors: Sequence[str]
    """Of messages that had to come again."""


def told(one: Measured) -> str:
    """For people, one release."""
    return "\n".join(
        [
            f"{one.circuits} circuits: {one.phase} after {one.seconds:.0f} s; by phase {one.rounds}",
            f"  table requests per circuit {one.circuit_requests} for its messages, {one.all_requests} with all else",
            f"  messages per circuit       {one.circuit_messages} about it, {one.all_messages} with all else",
            (
                f"  fan-out pages {one.fan_outs}; conflicts on the release's row {one.release_conflicts}, on circuits' rows "
                f"{one.circuit_conflicts}"
            ),
            f"  messages that had to come again {len(one.errors)} {list(one.errors[:3])}",
            (
                f"  pages (all, before the first fold) {one.pages} bytes, gate mail {one.gate_mail} bytes, "
                f"summary mail {one.summary_mail} bytes, {one.summary_mail_lines} lines"
            ),
        ]
    )


def missed(found: Sequence[Measured]) -> list[str]:
    """Goals that were not met."""
    problems = [f"{one.circuits} circuits ended {one.phase}" for one in found if one.phase != "succeeded"]
    problems += [
        f"{one.release_conflicts} conflicts on the release's row with {one.circuits} circuits"
        for one in found
        if one.release_conflicts > MOST_CONFLICTS
    ]
    for name in ("circuit_requests", "circuit_messages"):
        values = [getattr(one, name) for one in found]
        if max(values) > min(values) * (1 + LARGEST_DIFFERENCE):
            problems.append(f"{name} differ by more than 5 %: {values}")
    return problems
