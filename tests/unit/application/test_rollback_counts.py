"""Unit: what a rollback of many circuits costs, counted in virtual time (R44)."""

from collections import Counter
from datetime import timedelta

import pytest

from benchmarks.rollback_200 import (
    GOAL,
    MOST_CALLS,
    NEW_ID,
    OLD_ID,
    WRITES_LEFT_BY_OTHERS,
    an_estate,
    circuit,
    roll_back,
)
from shared.application.rollbacks import RollbackRequest, Rollbacks
from shared.domain.commands import FanOut
from shared.domain.naming import deployment_name
from tests.support.builders import a_run


@pytest.mark.parametrize("workers", [8, 24])
def test_two_hundred_circuits_are_back_within_two_minutes_by_one_write_each(workers: int) -> None:
    """At most five Azure ML calls per circuit, and the service never has to refuse one."""
    found = roll_back(workers=workers)
    assert found.back == found.restored == 200
    assert found.seconds <= GOAL.total_seconds()
    assert found.most_calls <= MOST_CALLS
    assert found.writes == {1: 200}
    assert found.refused == 0


def test_what_the_service_refuses_is_asked_for_again_until_everything_is_back() -> None:
    """Others use the same quota: 429 is waited for as the service says, and nothing is written twice."""
    found = roll_back(most_writes=WRITES_LEFT_BY_OTHERS)
    assert found.refused > 0
    assert found.back == found.restored == 200
    assert found.writes == {1: 200}
    assert found.seconds <= GOAL.total_seconds()


def test_one_circuit_is_back_as_soon_as_its_switch_has_ended() -> None:
    """A switch of twenty seconds is seen at its second look."""
    assert roll_back(circuits=1).seconds < 30


def test_switches_start_one_after_the_other_across_pages() -> None:
    """Two at once, then six a second; each circuit's deadline counts from its turn."""
    world, _ = an_estate(200)
    asked = world.clock.now()
    everything = tuple(map(circuit, range(200)))
    started = Rollbacks(world.ports).request(RollbackRequest(requested_by="ops", reason="test", circuits=everything))
    fan_outs = [command for command in world.bus.take() if isinstance(command, FanOut)]
    while fan_outs:
        world.handle(fan_outs.pop())
        fan_outs += [command for command in world.bus.take() if isinstance(command, FanOut)]
    since = sorted(run.since - asked for run in world.runs(started.rollback_id))
    assert timedelta(seconds=32) < since[-1] < timedelta(seconds=40)
    starts = [at.total_seconds() for at in since]
    assert max(sum(start <= other < start + 1 for other in starts) for start in starts) <= 9
    assert world.live_default(circuit(0)) != deployment_name(OLD_ID)


@pytest.mark.parametrize("circuits", [2, 200])
def test_a_request_reads_one_ledger_per_circuit_and_everything_else_in_one_go(circuits: int) -> None:
    """Of a release: its row and its circuits' rows before the locks and after them, whatever their number."""
    world, _ = an_estate(circuits)
    everything = tuple(map(circuit, range(circuits)))
    old, new = deployment_name(OLD_ID), deployment_name(NEW_ID)
    world.put(*(a_run(one, release_id=NEW_ID, deployment=new, previous_deployment=old) for one in everything))
    for request in (
        RollbackRequest(requested_by="ops", reason="test", release_id=NEW_ID),
        RollbackRequest(requested_by="ops", reason="test", circuits=everything),
    ):
        world.releases.requests.clear()
        world.endpoints.requests.clear()
        plan, notes = Rollbacks(world.ports).plan(request)
        assert (len(plan.targets), notes) == (circuits, ())
        assert world.endpoints.requests == Counter(locks_of=1, ledger=circuits)
        assert world.releases.requests == (Counter(release=2, runs=2) if request.release_id else Counter())
