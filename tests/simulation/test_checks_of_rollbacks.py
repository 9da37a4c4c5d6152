"""Rollbacks that ask for a smoke test, in every weather: each check ends, and nothing about the rollback changes."""

from datetime import timedelta

import pytest

from shared.application.rollbacks import RollbackRequest
from shared.domain.model import ProcessKind
from shared.domain.naming import check_id
from shared.domain.rows import RELEASE_KEY
from tests.simulation.engine import START
from tests.simulation.faults import PROFILES
from tests.simulation.plan import CIRCUITS
from tests.simulation.universe import Nets, Universe

RELEASES = ("20251210.1", "20251211.1")
SEEDS = (1, 2)


class TwiceAndBack(Universe):
    """Two releases that everybody approves, a day apart, and then one call puts a circuit back and has it tested."""

    def __init__(self, seed: int, *, nets: Nets, profile: str) -> None:
        super().__init__(seed, nets=nets, profile=profile)
        self.hasty = True
        self.plan = self._twice_and_back

    def _twice_and_back(self) -> None:
        for day, release_id in enumerate(RELEASES):
            self.builds.upload_later(timedelta(days=day, seconds=1), release_id, CIRCUITS[:2], day, ())
        request = RollbackRequest(requested_by="ops", reason="by script", circuits=CIRCUITS[:1], smoke_test=True)
        self.engine.at(START + timedelta(days=2), lambda: self.operators.roll_back_later(timedelta(), request))

    def script(self) -> str:
        return "approve"

    def starts_by_hand(self) -> bool:
        """A caller who is answered with an error asks again; an upload is found by itself."""
        return False


@pytest.mark.parametrize("nets", [Nets.ALL, Nets.NO_REDELIVERY])
def test_a_smoke_test_after_a_rollback_breaks_no_invariant(nets: Nets) -> None:
    """I1-I10 at every write and at rest; a killed process leaves no rollback without its check."""
    ends = list[str]()
    for profile in PROFILES:
        for seed in SEEDS:
            universe = TwiceAndBack(seed, nets=nets, profile=profile)
            result = universe.run()
            assert not result.violation, result.told()
            rows = [held[RELEASE_KEY].row for held in universe.releases.rows.values() if RELEASE_KEY in held]
            checks = {row.release_id: row.phase for row in rows if row.kind is ProcessKind.CHECK}
            assert set(checks) == {check_id(row.release_id) for row in rows if row.smoke_test}, result.told()
            ends += checks.values()
    assert set(ends) <= {"succeeded", "failed", "nothing_to_do"}
    assert ends.count("succeeded") >= len(PROFILES) // 2
