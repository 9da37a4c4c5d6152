"""What a demo says at its end: where to look, how to go back, and what becomes of the stack."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from local.demo.access import key_flags
from local.demo.holds import Hold, lift_call
from local.demo.releases import Release
from local.demo.rollback_run import rollback_call
from local.stack.approvals import Approvals
from local.stack.description import Stack
from local.stack.places import DEFAULT_DIR, Places
from local.stack.ports import DEFAULT_BASE


class Fate(StrEnum):
    """What becomes of the stack when the demo has ended."""

    STAYS = "stays"
    """It was up before."""
    WAITS = "waits"
    """A person looks around; Ctrl-C stops it."""
    STOPS = "stops"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """The last lines of a demo on one stack."""

    places: Places
    stack: Stack
    fate: Fate

    def after_release(self, release: Release, holds: Sequence[Hold]) -> str:
        """What a person may want to do now: look, go back, lift a hold, stop or keep the stack."""
        back = "one circuit to the deployment before this release's (a first release has none: 409 says so):"
        return "\n".join(
            [
                self._look_around(),
                _line("Roll back", f"{self._first()}{back}"),
                _line("", rollback_call(self.stack, release)),
                *self._lift(holds),
                self._stop(),
            ]
        )

    def after_rollback(self, release: Release) -> str:
        """What a rollback leaves behind: a hold, and how to lift it."""
        circuit = release["circuits"][0]
        plant_id, circuit_id = circuit["plant_id"], circuit["circuit_id"]
        look = f"curl {key_flags(self.stack)} {self.stack.app_url}/api/circuits/"
        return "\n".join(
            [
                self._look_around(),
                _line(
                    "Held", f"{self._first()}no release activates the circuit now; who holds it, why and until when:"
                ),
                _line("", f"{look}{plant_id}/{circuit_id}"),
                _line("Lift it", "so that the next release may activate the circuit:"),
                _line("", lift_call(self.stack, plant_id, circuit_id)),
                self._stop(),
            ]
        )

    def after_failure(self, holds: Sequence[Hold] = ()) -> str:
        """Where to look for more when a release has not become live."""
        return "\n".join([self._look_around(), *self._lift(holds), self._stop()])

    def _look_around(self) -> str:
        again = f"{self._make('up')} starts the stack again with all that is in it; then "
        there = (
            f"the mails at {self.stack.mail_url} link to the release's page; the cards: {self.stack.teams_inbox_url}"
        )
        return _line("Look around", f"{again if self.fate is Fate.STOPS else ''}{there}")

    def _lift(self, holds: Sequence[Hold]) -> list[str]:
        """A held circuit is not deployed by any release: that is what comes next, before another one."""
        lines = []
        for hold in holds:
            lines.append(_line("Next", f"{self._first()}lift the hold, so that a release may activate {hold}"))
            lines.append(_line("", lift_call(self.stack, hold.plant_id, hold.circuit_id)))
        return lines

    def _stop(self) -> str:
        match self.fate:
            case Fate.STAYS:
                return _line("Stop", self._make("down"))
            case Fate.WAITS:
                return _line("Stop", "Ctrl-C here")
            case _:
                return _line(
                    "Stop",
                    f"it stops now; after {self._make('up')} a demo leaves the stack up until {self._make('down')}",
                )

    def _first(self) -> str:
        return f"after {self._make('up')}: " if self.fate is Fate.STOPS else ""

    def _make(self, target: str) -> str:
        """The make command for this very stack."""
        said = {
            "STACK_DIR": "" if self.places.dir == DEFAULT_DIR else shlex.quote(str(self.places.dir)),
            "STACK_PORT_BASE": "" if self.places.ports.base == DEFAULT_BASE else str(self.places.ports.base),
            "APPROVALS": "" if target != "up" or self.stack.approvals == Approvals.LINK else self.stack.approvals,
        }
        return " ".join(["make", target, *(f"{name}={value}" for name, value in said.items() if value)])


def _line(name: str, text: str) -> str:
    return f"{name:<12} {text}"
