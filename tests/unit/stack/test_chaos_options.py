"""`make chaos` before it starts a stack, and what it tells while it runs."""

from collections import Counter
from pathlib import Path

import pytest

from tests.chaos.__main__ import main
from tests.chaos.disturbances import BROKER, HOST
from tests.chaos.how_far import HowFar
from tests.chaos.ordeal import Plan, Report


@pytest.mark.parametrize("asked", ["0", "-1", "many"])
def test_no_circuits_are_refused_before_anything_starts(asked: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A release of nothing shows nothing."""

    def ordeal(plan: Plan, directory: Path) -> Report:
        raise AssertionError(f"{plan} was started in {directory}")

    with pytest.raises(SystemExit, match="2"):
        main(["--circuits", asked], ordeal)
    told = capsys.readouterr().err
    assert "at least 1 is needed" in told or "no whole number" in told


def test_how_far_it_is_tells_phase_circuits_and_blows() -> None:
    """What is under way before there is a release, where its circuits stand, and what was ended so far."""
    blows = Counter[str]()
    how_far = HowFar(circuits=4, blows=lambda: blows)
    assert "the stack starts: 0 of 4 circuits done; killed the host 0 times" in how_far.told()
    blows.update({HOST: 7, BROKER: 1})
    phases = ("live", "excluded", "activating", "live")
    how_far.saw({"phase": "activating", "circuits": [{"phase": phase} for phase in phases]})
    assert how_far.told().endswith(
        "activating: 3 of 4 circuits done (2 live, 1 excluded, 1 activating); "
        "killed the host 7 times, storage 0, the broker 1"
    )
    how_far.saw({})
    assert " activating: " in how_far.told()
