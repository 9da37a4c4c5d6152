"""One release of five circuits on a quiet day, whose process is killed right after its k-th effect."""

from shared.adapters.email.message import mime_message
from shared.application.ports import Letter
from shared.domain.errors import PermanentError
from shared.domain.model import Circuit, Environment
from shared.domain.naming import endpoint_name
from shared.domain.policy import Policy
from tests.simulation.engine import START
from tests.simulation.plan import CIRCUITS
from tests.simulation.universe import Nets, Result, Universe
from tests.support.circuit_world import ESTATE

FIVE = (*CIRCUITS, Circuit(plant_id="P3", circuit_id="C2"))
RELEASE = "20251210.1"
SEED = 7
SENDER = "releases@example.com"
BEFORE = "deployment-by-hand"
"""What is live on adopted endpoints."""


class OneRelease(Universe):
    """Everybody approves; two of the circuits have a predecessor."""

    meddling = 0.0

    def __init__(self, crash_after_effect: int = 0, *, nets: Nets = Nets.ALL) -> None:
        super().__init__(SEED, nets=nets, profile="quiet", policy=Policy(smoke_slots=2))
        self.models._honours_names = True
        self.weather.crash_after_effect = crash_after_effect
        self.plan = self._one_release
        self.inbox.known_by = self._message_id
        self.mail_effects: list[int] = []
        """Which effects were mails."""

    def _one_release(self) -> None:
        for circuit in FIVE[:2]:
            self.builds.adopt(circuit)
        self.engine.at(START, lambda: self.builds.upload(RELEASE, FIVE, number=0))

    def _message_id(self, letter: Letter) -> str:
        """As the mail adapter writes it: what a mail server or program knows two copies by."""
        self.mail_effects.append(self.weather.effects + 1)
        return str(mime_message(letter, sender=SENDER, estate=ESTATE)["Message-ID"])

    def script(self) -> str:
        return "approve"

    def starts_by_hand(self) -> bool:
        """A caller who is answered with an error asks again; an upload is found by itself."""
        return False


class OneThatGoesBack(OneRelease):
    """The service refuses to switch one of the two circuits that have a predecessor: what was switched is put back."""

    def __init__(self, crash_after_effect: int = 0) -> None:
        super().__init__(crash_after_effect)
        self.first_switch = 0
        """The effect before the first default was touched."""
        self._switch = self.models.set_default
        self.models.set_default = self._refusing  # type: ignore[method-assign]  # the service's answer, not our code

    def _refusing(self, environment: Environment, endpoint: str, deployment: str) -> None:
        if environment is Environment.PRODUCTION:
            self.first_switch = self.first_switch or self.weather.effects
            if endpoint == endpoint_name("be-{plant}-{circuit}", FIVE[1]) and deployment != BEFORE:
                raise PermanentError("this endpoint is not to be changed")
        self._switch(environment, endpoint, deployment)


def crash_after(effect: int, *, nets: Nets = Nets.ALL) -> Result:
    """The whole run; 0: nothing is killed."""
    return OneRelease(effect, nets=nets).run()
