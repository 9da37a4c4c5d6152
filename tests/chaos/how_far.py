"""How far an ordeal is, for whoever waits for it."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from shared.domain.model import NEUTRAL, CircuitPhase
from tests.chaos.disturbances import BROKER, HOST, STORAGE
from tests.support.pipeline import Json

DONE = NEUTRAL | {CircuitPhase.LIVE}


@dataclass(slots=True)
class HowFar:
    """What is under way, what was seen of the release last, and what was done to it."""

    circuits: int
    at: str = "the stack starts"
    """The phase of the release, once there is one."""
    blows: Callable[[], Counter[str]] = Counter
    """How often each part was ended so far."""
    _standing: Counter[str] = field(default_factory=Counter)
    _began: float = field(default_factory=time.monotonic)

    def saw(self, release: Json) -> None:
        """As the app tells it; nothing if it never was up to tell."""
        self.at = release.get("phase", self.at)
        self._standing = Counter(circuit["phase"] for circuit in release.get("circuits", ()))

    def told(self) -> str:
        """One line."""
        blows = self.blows()
        standing = ", ".join(f"{count} {phase}" for phase, count in self._standing.most_common())
        done = sum(self._standing[phase] for phase in DONE)
        return (
            f"{time.monotonic() - self._began:5.0f} s  {self.at}: {done} of {self.circuits} circuits done"
            f"{f' ({standing})' if standing else ''}; "
            f"killed the host {blows[HOST]} times, storage {blows[STORAGE]}, the broker {blows[BROKER]}"
        )
