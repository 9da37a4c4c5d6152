"""Messages that nobody of ours has sent."""

import json
from datetime import timedelta
from typing import TYPE_CHECKING

from shared.application.messages import parse_message
from shared.domain.model import (
    Circuit,
)
from tests.simulation.bus import Message
from tests.support.poison import NOISE, broken

if TYPE_CHECKING:
    from tests.simulation.universe import Universe

KINDS = ["inspect", "promote", "deploy", "smoke-test", "activate", "restore"]


class Forger:
    """Messages that nobody of ours has sent."""

    def __init__(self, universe: "Universe") -> None:
        self.universe, self.engine = universe, universe.engine

    def forge_sometimes(self, ids: list[str], circuits: tuple[Circuit, ...]) -> None:
        for _ in range(self.universe.weather.faults.forged):
            self.engine.after(self.engine.seconds(60, 200_000), lambda: self._forge(ids, circuits))

    def _forge(self, ids: list[str], circuits: tuple[Circuit, ...]) -> None:
        """A message of the past once more, with other numbers, broken, or one that nobody of ours has sent."""
        seeded = self.engine.random
        if not self.universe.bus.history or seeded.random() < 0.15:
            self._slip_in("noise", seeded.choice(NOISE))
            return
        body = seeded.choice(self.universe.bus.history)
        match seeded.choice(["again", "again", "given up", "numbers", "generation", "broken"]):
            case "again":
                self._slip_in("stale", body)
            case "given up":
                self._slip_in("stale", body, dead=True)
            case "numbers":
                fields = json.loads(body)
                changed = {"gen": seeded.randint(1, 3), "n": seeded.randint(0, 3), "kind": seeded.choice(KINDS)}
                self._slip_in("numbers", json.dumps({**fields, **{k: v for k, v in changed.items() if k in fields}}))
            case "generation":
                fields = json.loads(self.universe.bus.history[-1])
                self._slip_in("of another generation", json.dumps({**fields, "gen": seeded.randint(1, 3)}))
            case _:
                what, broken_body = seeded.choice(list(broken(parse_message(body))))
                self._slip_in(what, broken_body)

    def _slip_in(self, what: str, body: bytes | str, *, dead: bool = False) -> None:
        body = body.encode() if isinstance(body, str) else body
        reason = "somebody moved it here" if dead else ""
        message = Message(
            name=f"forged {what}", body=body, born=self.engine.now(), dead=dead, reason=reason, is_forged=True
        )
        self.universe.bus.put(message, timedelta())
