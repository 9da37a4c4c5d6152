"""People who cancel, retry, roll back and lift holds, alone or against each other."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from shared.application.holds import Holds
from shared.application.operations import Operations
from shared.application.ports import Letter
from shared.application.rollbacks import RollbackRequest, Rollbacks
from shared.domain.errors import RequestRefused
from shared.domain.model import (
    Circuit,
    Environment,
)

if TYPE_CHECKING:
    from tests.simulation.universe import Universe

MOST_HURRIED = 2
"""Retries of one release without a thought."""


class Operators:
    """People who cancel, retry, roll back and lift holds, alone or against each other."""

    def __init__(self, universe: "Universe") -> None:
        self.universe, self.engine = universe, universe.engine
        self.improvise = False
        """In runs whose plan is the seed's."""
        self.hurried = Counter[str]()
        """How often somebody has retried a release as soon as it failed."""

    def told(self, letter: Letter) -> None:
        """A release has failed: who is in a hurry retries it at once, while others are still at work on its end."""
        release_id = letter.notice.release_id
        may = self.improvise and self.universe.hasty and self.hurried[release_id] < MOST_HURRIED
        if may and self.engine.chance(0.4):
            self.hurried[release_id] += 1
            self._retry_later(release_id, self.engine.seconds(1, self.engine.random.choice([10, 60])), {})

    def operate(self, release_id: str, wait: timedelta, circuits: tuple[Circuit, ...]) -> None:
        """An operator watches it, sometimes cancels, often retries what failed."""
        if self.engine.chance(0.1):
            later = wait + self.engine.seconds(1, self.engine.random.choice([600, 7_200, 100_000]))
            self.engine.after(later, lambda: self.ask(release_id, "cancel"))
        for _ in range(self.engine.random.choice([0, 1, 1, 2, 3])):
            later = wait + self.engine.seconds(60, self.engine.random.choice([7_200, 86_400, 300_000]))
            leave_out = {str(self.engine.random.choice(circuits)): "by the operator"} if self.engine.chance(0.4) else {}
            self._retry_later(release_id, later, leave_out)

    def _retry_later(self, release_id: str, later: timedelta, leave_out: dict[str, str]) -> None:
        self.engine.after(later, lambda: self.ask(release_id, "retry", leave_out))

    def ask(self, release_id: str, what: str, leave_out: dict[str, str] | None = None) -> None:
        def ask() -> None:
            operations = Operations(self.universe.ports)
            try:
                if what == "cancel":
                    operations.cancel(release_id, by="ops", reason="by script")
                else:
                    operations.retry(release_id, by="ops", reason="by script", exclude=leave_out or {})
            except RequestRefused as refused:
                self.engine.note(f"refused: {refused.detail}")

        self.universe.host.do(f"operator asks to {what} {release_id} {leave_out or ''}", ask, tries=2)

    def roll_back_sometimes(self, circuits: tuple[Circuit, ...]) -> None:
        seeded = self.engine.random
        for _ in range(seeded.choice([0, 0, 1, 1, 2, 3])):
            longest = 4_000 if self.universe.hasty else seeded.choice([10_000, 90_000, 300_000])
            wait = self.engine.seconds(60, longest)
            chosen = tuple(seeded.sample(circuits, seeded.randint(1, len(circuits))))
            request = RollbackRequest(
                requested_by="ops", reason="bad predictions", circuits=chosen, smoke_test=seeded.random() < 0.4
            )
            match seeded.randint(0, 5):
                case 0:
                    request = replace(request, circuits=(), plant_id="PLANT001")
                case 1:
                    request = replace(request, circuits=(), release_id="20251210.1")
                case 2:
                    request = replace(request, environment=Environment.TEST)
                case _:
                    pass
            self.roll_back_later(wait, request)
            if self.engine.chance(0.4):
                self.roll_back_later(wait + self.engine.seconds(0, 900), request)
            if self.engine.chance(0.4):
                self._compete(wait + self.engine.seconds(0, seeded.choice([3, 60, 900])), request, chosen[0])
            if self.engine.chance(0.5):
                self.lift_later(wait + self.engine.seconds(60, 7_200), chosen[0])

    def roll_back_at_once(self, circuit: Circuit) -> None:
        """Somebody sees the first bad prediction at once."""
        if self.universe.hasty and self.universe.weather.is_bad() and self.engine.chance(0.2):
            request = RollbackRequest(requested_by="ops", reason="at once", circuits=(circuit,))
            wait = self.engine.seconds(1, self.engine.random.choice([15, 200]))
            self.roll_back_later(wait, request)
            if self.engine.chance(0.3):
                self._compete(wait + self.engine.seconds(0, 30), request, circuit)

    def _compete(self, wait: timedelta, request: RollbackRequest, circuit: Circuit) -> None:
        """A second person, or a change of mind: by another way, to a named deployment, or from what is seen."""

        def ask() -> None:
            self.roll_back_later(timedelta(), self._otherwise(request, circuit))

        self.engine.after(wait, ask)

    def _otherwise(self, request: RollbackRequest, circuit: Circuit) -> RollbackRequest:
        """As the endpoint stands when it is asked; what is `seen` may be old, or have been gone back from since."""
        place, seeded = (request.environment, circuit), self.engine.random
        ledger = sorted(self.universe.endpoints.ledgers.get(place, []), key=lambda row: -row.fence)
        names = sorted({row.deployment for row in ledger if row.deployment})
        alone = replace(request, circuits=(circuit,), plant_id="", release_id="", reason="otherwise")
        if not names:
            return alone
        match seeded.choice(["to", "to", "from", "from", "to from", "only", "only from"]):
            case "to":
                return replace(alone, to=seeded.choice(names))
            case "from":
                return replace(alone, seen={circuit: seeded.choice([ledger[0].deployment, seeded.choice(names)])})
            case "to from":
                return replace(alone, to=seeded.choice(names), seen={circuit: ledger[0].deployment})
            case "only":
                return replace(alone, circuits=(), plant_id=circuit.plant_id, only=(circuit,))
            case _:
                maker = seeded.choice([row.release_id for row in ledger])
                of_release = replace(alone, circuits=(), release_id=maker, only=(circuit,))
                return replace(of_release, seen={circuit: seeded.choice(names)})

    def roll_back_later(self, wait: timedelta, request: RollbackRequest) -> None:
        def ask() -> None:
            try:
                ways_back = self.universe.watch.ways_back
                expected = ways_back.expected(request)
                started = Rollbacks(self.universe.ports).request(request)
                if started.is_new:
                    ways_back.asked(started.rollback_id, expected)
                self.engine.note(f"{started.rollback_id} {'new' if started.is_new else 'known'} {started.notes}")
            except RequestRefused as refused:
                self.engine.note(f"refused: {refused.detail}")

        self.engine.after(wait, lambda: self.universe.host.do("operator rolls back", ask, tries=3))

    def hold_sometimes(self, circuit: Circuit) -> None:
        """Somebody has doubts when it is staged, or sees something when it is live."""
        if not (self.improvise and self.universe.weather.is_bad() and self.engine.chance(0.08)):
            return
        wait = self.engine.seconds(0.1, self.engine.random.choice([5, 60, 3_600]))
        length = timedelta(hours=self.engine.random.choice([1, 48, 480]))
        self.engine.after(wait, lambda: self._hold(circuit, length))
        if self.engine.chance(0.5):
            self.lift_later(wait + self.engine.seconds(60, 90_000), circuit)
        if self.engine.chance(0.4):
            request = RollbackRequest(requested_by="ops", reason="after all", circuits=(circuit,))
            self.roll_back_later(wait + self.engine.seconds(60, 3_600), request)

    def _hold(self, circuit: Circuit, length: timedelta) -> None:
        holds, until = Holds(self.universe.ports), self.engine.now() + length

        def ask() -> None:
            try:
                holds.hold(circuit, until=until, by="ops", why="by script")
            except RequestRefused as refused:
                self.engine.note(f"refused: {refused.detail}")

        self.universe.host.do(f"operator holds {circuit} for {length}", ask, tries=3)

    def lift_later(self, wait: timedelta, circuit: Circuit) -> None:
        def ask() -> None:
            try:
                Holds(self.universe.ports).lift(circuit, by="ops", why="by script")
            except RequestRefused as refused:
                self.engine.note(f"refused: {refused.detail}")

        self.engine.after(wait, lambda: self.universe.host.do(f"operator lifts the hold of {circuit}", ask, tries=3))
