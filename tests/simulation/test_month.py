"""A month of nightly builds of twenty circuits: none is starved (issue 5.7, R58)."""

from shared.domain.model import CircuitPhase, ReleasePhase
from tests.simulation.month import (
    BROKEN,
    CANCELLED,
    DAY,
    EACH_NIGHT,
    NIGHTS,
    REFUSED,
    ROLLED_BACK,
    UNANSWERED,
    Month,
    longest_wait,
    name,
)

LIVE = CircuitPhase.LIVE


def test_in_a_month_of_nights_every_circuit_goes_live_at_least_every_three_days() -> None:
    """Each gate is answered after 18 hours; releases overlap, fail, are retried, cancelled and rolled back."""
    month = Month(1)
    result = month.run()

    assert not result.violation, result.told()
    assert [release for release in map(name, range(NIGHTS)) if month.releases.release(release) is None] == []
    waits = {c: longest_wait([month.began, *month.lives()[c], month.ended]) for c in EACH_NIGHT}
    assert {circuit: wait for circuit, wait in waits.items() if wait > 3 * DAY} == {}
    assert sum(others >= 1 for others in month.under_way) > NIGHTS * 0.8, "nearly every night another one is under way"
    # One after the other, since all of them are about the same month, and it takes ten seconds.
    a_broken_circuit_was_left_out_on_retry(month)
    a_cancelled_night_touched_nothing(month)
    a_refused_deployment_was_retried_behind_gate_2_asked_again(month)
    a_rolled_back_circuit_stayed_back_until_its_hold_was_lifted(month)
    what_was_overtaken_while_it_waited_is_superseded(month)


def a_broken_circuit_was_left_out_on_retry(month: Month) -> None:
    """R58: the others went on with the results they had; the next night it was back."""
    ended = phases(month, BROKEN)
    assert ended.pop(str(EACH_NIGHT[3])) is CircuitPhase.EXCLUDED
    assert set(ended.values()) == {LIVE}
    assert set(phases(month, BROKEN + 1).values()) == {LIVE}


def a_cancelled_night_touched_nothing(month: Month) -> None:
    """It waited at gate 1."""
    assert targets(month, CANCELLED)[-2:] == [ReleasePhase.AWAITING_REGISTRY_APPROVAL, ReleasePhase.CANCELLED]
    assert set(phases(month, CANCELLED + 1).values()) == {LIVE}


def a_refused_deployment_was_retried_behind_gate_2_asked_again(month: Month) -> None:
    """All of them went live in the end, in one release."""
    assert targets(month, REFUSED).count(ReleasePhase.AWAITING_PRODUCTION_APPROVAL) == 2
    assert set(phases(month, REFUSED).values()) == {LIVE}


def a_rolled_back_circuit_stayed_back_until_its_hold_was_lifted(month: Month) -> None:
    """Known failure 12; the next night found the hold lifted."""
    assert phases(month, ROLLED_BACK)[str(EACH_NIGHT[11])] is CircuitPhase.ROLLED_BACK
    assert phases(month, ROLLED_BACK + 1)[str(EACH_NIGHT[11])] is LIVE


def what_was_overtaken_while_it_waited_is_superseded(month: Month) -> None:
    """Gate 2 expired and was asked again; the next night had gone live meanwhile, and stays."""
    assert ReleasePhase.EXPIRED in targets(month, UNANSWERED)
    assert targets(month, UNANSWERED)[-1] == ReleasePhase.SUPERSEDED
    assert set(phases(month, UNANSWERED).values()) == {CircuitPhase.SUPERSEDED}
    assert set(phases(month, UNANSWERED + 1).values()) == {LIVE}


def phases(month: Month, night: int) -> dict[str, CircuitPhase]:
    """Where the circuits of a night's release stand in the end."""
    return {str(run.row.circuit): run.row.phase for run in month.releases.runs(name(night))}


def targets(month: Month, night: int) -> list[str]:
    """The phases a night's release went through."""
    stored = month.releases.release(name(night))
    assert stored is not None
    return [entry.target for entry in stored.row.hist]
