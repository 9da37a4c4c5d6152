"""One release of five circuits on a quiet day, whose process is killed right after its k-th effect."""

from shared.domain.model import Circuit
from tests.simulation.engine import START
from tests.simulation.universe import CIRCUITS, Nets, Result, Universe

FIVE = (*CIRCUITS, Circuit(plant_id="P3", circuit_id="C2"))
RELEASE = "20251210.1"
SEED = 7


class OneRelease(Universe):
    """Everybody approves; two of the circuits have a predecessor."""

    def __init__(self, crash_after_effect: int = 0, *, nets: Nets = Nets.ALL) -> None:
        super().__init__(SEED, nets=nets, profile="quiet")
        self.models._honours_names = True
        self.weather.crash_after_effect = crash_after_effect
        self.plan = self._one_release

    def _one_release(self) -> None:
        for circuit in FIVE[:2]:
            self.adopt(circuit)
        self.engine.at(START, lambda: self.upload(RELEASE, FIVE, number=0))

    def _script(self) -> str:
        return "approve"

    def _starts_by_hand(self) -> bool:
        """A caller who is answered with an error asks again; an upload is found by itself."""
        return False


def crash_after(effect: int, *, nets: Nets = Nets.ALL) -> Result:
    """The whole run; 0: nothing is killed."""
    return OneRelease(effect, nets=nets).run()
