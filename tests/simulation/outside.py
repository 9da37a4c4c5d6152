"""What happens beside releases: somebody switches a default by hand; operators look for that, decide, and hold circuits."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING

from shared.application.drift import Drift
from shared.application.holds import Holds
from shared.application.ports import Letter, ProvisioningState
from shared.domain.errors import RequestRefused
from shared.domain.model import Circuit, Environment
from shared.domain.naming import endpoint_name

if TYPE_CHECKING:
    from tests.simulation.universe import Universe

PRODUCTION = Environment.PRODUCTION
BY_SOMEBODY = "deployment-by-somebody"


@dataclass
class Outside:
    """Has chances of its own, so that runs in which nothing of this happens stay as they were."""

    universe: "Universe"
    random: Random
    is_busy: bool = False
    is_about: bool = False
    """In every third run; the other seeds show that nothing is found where nothing was changed."""

    def plan(self, circuits: tuple[Circuit, ...]) -> None:
        self.is_busy, self.is_about = True, self.random.random() < 0.4
        for _ in range(self.random.choice([0, 1, 2])):
            self._later(self._some_time(), self.look)
        if self.is_about and self.random.random() < 0.5:
            circuit = self.random.choice(circuits)
            self._later(self._some_time(), lambda: self._hold(circuit))

    def stands(self, circuit: Circuit) -> None:
        """Something new can be made the default, or has just become it: now a look hurts most, or another's wish."""
        if not (self.is_busy and self.universe.weather.is_bad()):
            return
        if self.random.random() < 0.3:
            self._later(self._seconds(0.1, 60), self.look)
        if self.is_about and self.random.random() < 0.5:
            wait = self._seconds(0.1, self.random.choice([3, 20, 300, 7_200]))
            self._later(wait, lambda: self._change(circuit))
            self._later(wait + self._seconds(1, 3_600), self.look)

    def look(self) -> None:
        """What the timer does."""
        self.universe.host.do("timer looks for drift", Drift(self.universe.ports).look, tries=3)

    def told(self, letter: Letter) -> None:
        """An operator reads of a default that was changed, and decides or does not."""
        plant, _, name = letter.release.warnings[0].partition(":")[0].partition("/")
        circuit = Circuit(plant_id=plant, circuit_id=name)
        decision = self.random.choice(["repair", "repair", "accept", "accept", "nothing"])
        if decision != "nothing":
            self._later(self._seconds(30, self.random.choice([120, 7_200])), lambda: self._decide(circuit, decision))

    # ------------------------------------------------------------------------------------------ what they do

    def _change(self, circuit: Circuit) -> None:
        """At the studio, to any deployment that stands there, or one of their own; not while the service is at work."""
        models, name = self.universe.models, endpoint_name("be-{plant}-{circuit}", circuit)
        endpoint = models.endpoint(PRODUCTION, name)
        if endpoint is None or endpoint.state is ProvisioningState.RUNNING:
            return
        held = models._endpoints[PRODUCTION, name]
        if held.deployments:
            held.deployments.setdefault(BY_SOMEBODY, next(iter(held.deployments.values())))
        ready = [d for d, one in held.deployments.items() if one.settling.is_over(self.universe.engine.now())]
        others = sorted(set(ready) - {held.default})
        if others:
            models.change_default(PRODUCTION, name, self.random.choice(others))
            self.universe.watch.drift_told.changed_outside(circuit, held.default)
            self.universe.engine.note(f"somebody makes {held.default} the default of {name}")

    def _decide(self, circuit: Circuit, decision: str) -> None:
        drift = Drift(self.universe.ports)
        decide = {"repair": drift.repair, "accept": drift.accept}[decision]
        self._asked(f"operator decides to {decision} {circuit}", lambda: decide(circuit, by="ops", why="by script"))

    def _hold(self, circuit: Circuit) -> None:
        holds, until = Holds(self.universe.ports), self.universe.engine.now() + timedelta(days=20)
        what = f"operator holds {circuit}"
        self._asked(what, lambda: holds.hold(circuit, until=until, by="ops", why="by script"))

    def _asked(self, label: str, call: Callable[[], object]) -> None:
        def ask() -> None:
            try:
                call()
            except RequestRefused as refused:
                self.universe.engine.note(f"refused: {refused.detail}")

        self.universe.host.do(label, ask, tries=3)

    def _some_time(self) -> timedelta:
        longest = 4_000 if self.universe.hasty else self.random.choice([10_000, 90_000, 300_000])
        return self._seconds(300, longest)

    def _seconds(self, least: float, most: float) -> timedelta:
        return timedelta(milliseconds=self.random.randint(int(least * 1000), int(most * 1000)))

    def _later(self, wait: timedelta, action: Callable[[], None]) -> None:
        self.universe.engine.after(wait, action)
