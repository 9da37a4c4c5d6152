"""A month of nightly builds: twenty circuits every night, each gate answered after 18 hours (issue 5.7)."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from itertools import pairwise

from shared.application.ports import GateClaim
from shared.application.rollbacks import RollbackRequest
from shared.domain.model import Circuit, CircuitPhase, CircuitRun, Environment, GateName
from shared.domain.naming import endpoint_name
from shared.domain.policy import Policy
from tests.simulation.engine import START
from tests.simulation.faults import NIGHTLY, Faults
from tests.simulation.universe import Universe

NIGHTS = 30
EACH_NIGHT = tuple(Circuit(plant_id=f"PLANT{n // 4:03d}", circuit_id=f"CIRCUIT{n % 4:02d}") for n in range(20))
ANSWERED_AFTER = timedelta(hours=18)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)

# The nights on which something happens to a release, and what.
BROKEN, CANCELLED, REFUSED, ROLLED_BACK, UNANSWERED = 5, 9, 13, 17, 21


class Month(Universe):
    """Everybody approves; what else people do is written down here, the weather is the seed's."""

    people_stop = DAY * (NIGHTS + 3)
    no_end = DAY * (NIGHTS + 12)
    most_steps = 2_000_000
    meddling = 0.0

    def __init__(self, seed: int, *, faults: Faults = NIGHTLY) -> None:
        # Evidence of open gates is looked at again every six hours; every 15 minutes is what other runs show.
        super().__init__(seed, profile="quiet", policy=Policy(gate_refresh=6 * HOUR))
        self.weather.faults = faults
        self.page, self.hasty = 8, False
        self.plan = self._nights
        self.under_way: list[int] = []
        """How many releases there were when the next night's came."""
        self._unanswered = ""

    @property
    def began(self) -> datetime:
        """When the first release can be expected to be live: its gates cost 36 hours."""
        return START + 2 * ANSWERED_AFTER

    @property
    def ended(self) -> datetime:
        """When the last one can."""
        return START + DAY * (NIGHTS - 1) + 2 * ANSWERED_AFTER

    # ------------------------------------------------------------------------------------------ what happens

    def _nights(self) -> None:
        for night in range(NIGHTS):
            self._upload_night(night)
        self._after(
            BROKEN, 8 * HOUR, lambda: self.operators.ask(name(BROKEN), "retry", {str(EACH_NIGHT[3]): "not validated"})
        )
        self._after(CANCELLED, 5 * HOUR, lambda: self.operators.ask(name(CANCELLED), "cancel"))
        self._refuse_a_deployment(EACH_NIGHT[7])
        self._roll_back_and_lift(EACH_NIGHT[11])
        self._after(UNANSWERED, 44 * HOUR, lambda: self.operators.ask(name(UNANSWERED), "retry"))

    def _after(self, night: int, wait: timedelta, action: Callable[[], None]) -> None:
        self.engine.at(START + DAY * night + wait, action)

    def _upload_night(self, night: int) -> None:
        broken = (EACH_NIGHT[3],) if night == BROKEN else ()

        def build() -> None:
            self.under_way.append(len(self.releases.listed))
            self.builds.upload(name(night), EACH_NIGHT, number=night, broken=broken)

        self._after(night, timedelta(), build)

    def _refuse_a_deployment(self, circuit: Circuit) -> None:
        """Production refuses one; it is mended, and the release retried: gate 2 is asked again."""
        endpoint = endpoint_name("be-{plant}-{circuit}", circuit)
        production = Environment.PRODUCTION
        self._after(REFUSED, 30 * HOUR, lambda: self.models.fail_deployments_on(production, endpoint, "no quota"))
        self._after(REFUSED, 38 * HOUR, lambda: self.models.heal_deployments_on(production, endpoint))
        self._after(REFUSED, 39 * HOUR, lambda: self.operators.ask(name(REFUSED), "retry"))

    def _roll_back_and_lift(self, circuit: Circuit) -> None:
        request = RollbackRequest(requested_by="ops", reason="bad predictions", circuits=(circuit,))
        self.operators.roll_back_later(DAY * ROLLED_BACK + 38 * HOUR, request)
        self.operators.lift_later(DAY * ROLLED_BACK + 44 * HOUR, circuit)

    # --------------------------------------------------------------------------------------------- people

    def script(self) -> str:
        return "approve"

    def starts_by_hand(self) -> bool:
        return False

    def waits(self, script: str, claim: GateClaim) -> timedelta | None:
        """One gate is answered by nobody, the first time it is asked."""
        del script
        if (claim.release_id, claim.gate) == (name(UNANSWERED), GateName.PRODUCTION):
            self._unanswered = self._unanswered or claim.nonce
            if claim.nonce == self._unanswered:
                return None
        return ANSWERED_AFTER

    # --------------------------------------------------------------------------------------------- what came of it

    def lives(self) -> Mapping[Circuit, list[datetime]]:
        """When each circuit went live."""
        found: dict[Circuit, list[datetime]] = defaultdict(list)
        for release_id in self.releases.rows:
            for stored in self.releases._of(CircuitRun, release_id):
                found[stored.row.circuit] += [e.at for e in stored.row.hist if e.target == CircuitPhase.LIVE]
        return {circuit: sorted(times) for circuit, times in found.items()}


def name(night: int) -> str:
    """The release of a night."""
    return f"{START + DAY * night:%Y%m%d}.1"


def longest_wait(times: list[datetime]) -> timedelta:
    """Between one moment and the next."""
    return max(b - a for a, b in pairwise(times))
