"""A rollback of 200 circuits: the app's real fan-out and worker over a stand-in Azure ML, in virtual time.

Reads take 150 ms, writes 1 s, a switch 20 s, our own storage 10 ms a request, and the service answers 429 above ten
writes a second. Eight messages are handled at once, as host.json has it for one instance. Goal: at most 120 s from the
request to the last verified default, at most five Azure ML calls and exactly one write per circuit.

The app begins six switches a second, so ten a second are never reached. A second run has the service refuse more than
four a second, as if others used the rest: what was refused is asked for again, and everything comes back by one write.

Calls are counted at the port. On the wire each is one request, too: a contract test and an end-to-end test count there
(`test_a_switch_of_a_default_is_a_read_and_a_put_on_the_wire`, `test_one_call_puts_a_circuit_back_...`). What is left
out of both numbers are the requests for a token, which all calls of an hour share.

    python -m benchmarks.rollback_200 [circuits] [workers]
"""

import heapq
import logging
import sys
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import cast

from shared.application.ports import ModelGateway, Sendable
from shared.application.rollbacks import RollbackRequest, Rollbacks
from shared.domain.errors import TransientError
from shared.domain.model import Circuit, CircuitPhase, Environment, ReleasePhase
from shared.domain.naming import deployment_name, endpoint_name, release_seq
from tests.support.builders import TEMPLATE, a_ledger_entry, a_lock, a_release
from tests.support.fake_models import FakeModels
from tests.support.pipeline_world import PipelineWorld

CIRCUITS, WORKERS = 200, 8
READ, WRITE, STORAGE = timedelta(milliseconds=150), timedelta(seconds=1), timedelta(milliseconds=10)
SWITCH = timedelta(seconds=20)
MOST_WRITES, WRITES_LEFT_BY_OTHERS = 10, 4
WRITES = frozenset({"set_default", "clear_default", "create_deployment", "delete_deployment", "create_endpoint"})
GOAL, MOST_CALLS = timedelta(seconds=120), 5
OLD_ID, NEW_ID = "20251203.5", "20251210.1"
PRODUCTION = Environment.PRODUCTION


class SlowModels(FakeModels):
    """Every call takes its time and counts; too many writes within a second are refused."""

    world: PipelineWorld

    def __init__(self, world: PipelineWorld, most_writes: int) -> None:
        super().__init__(clock=world.clock, operation_time=SWITCH)
        self.world = world
        self.most_writes = most_writes
        self.counted: Counter[tuple[str, str]] = Counter()
        self.refused = 0
        self._written: list[datetime] = []

    def _enter(self, method: str, **args: object) -> None:
        at = self.world.clock.now()
        self.counted[str(args.get("endpoint") or args.get("name")), method] += 1
        self.world.clock.forward(WRITE if method in WRITES else READ)
        if method in WRITES:
            if sum(abs(at - other) < timedelta(seconds=1) for other in self._written) >= self.most_writes:
                self.refused += 1
                self.counted[str(args.get("endpoint") or args.get("name")), method] -= 1
                raise TransientError("429 Too Many Requests", retry_after=timedelta(seconds=5))
            self._written.append(at)
        super()._enter(method, **args)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What the rollback took."""

    seconds: float
    most_calls: int
    """Azure ML calls of the circuit that needed most; a write that was refused is none."""
    writes: Counter[int]
    """How many circuits were written how often."""
    refused: int
    restored: int
    back: int
    """Defaults that a read finds at their target afterwards."""


def circuit(n: int) -> Circuit:
    return Circuit(plant_id=f"PLANT{n // 10:03}", circuit_id=f"CIRCUIT{n % 10:02}")


def an_estate(circuits: int, most_writes: int = MOST_WRITES) -> tuple[PipelineWorld, SlowModels]:
    """Endpoints on which two releases have gone live, as the ledger has it."""
    world = PipelineWorld()
    models = SlowModels(world, most_writes)
    old, new = deployment_name(OLD_ID), deployment_name(NEW_ID)
    for one in map(circuit, range(circuits)):
        models.add_endpoint(PRODUCTION, endpoint_name(TEMPLATE, one), default=new, deployments=[old, new])
        first = a_ledger_entry(one, fence=1, deployment=old, release_id=OLD_ID)
        etag = world.endpoints.write_lock(a_lock(one, owner=OLD_ID, fence=1, want=old), etag=None, ledger=first)
        lock = a_lock(one, owner=NEW_ID, owner_seq=release_seq(NEW_ID), fence=2, want=new)
        second = a_ledger_entry(one, fence=2, deployment=new, previous=old, release_id=NEW_ID)
        world.endpoints.write_lock(lock, etag=etag, ledger=second)
    world.releases.begin(a_release(NEW_ID, phase=ReleasePhase.SUCCEEDED))
    world.models = models
    object.__setattr__(world.ports, "models", cast("ModelGateway", models))
    for store in (world.releases, world.endpoints, world.evidence, world.bus):
        store.on_request = lambda _request: _takes_its_time(world)
    return world, models


def _takes_its_time(world: PipelineWorld) -> None:
    world.clock.forward(STORAGE)


def roll_back(circuits: int = CIRCUITS, workers: int = WORKERS, *, most_writes: int = MOST_WRITES) -> Measured:
    """All of them in one request, by so many messages at a time."""
    world, models = an_estate(circuits, most_writes)
    asked = world.clock.now()
    request = RollbackRequest(requested_by="ops", reason="benchmark", circuits=tuple(map(circuit, range(circuits))))
    started = Rollbacks(world.ports).request(request)
    _work(world, workers)
    rollback = world.release(started.rollback_id)
    assert rollback.ended_at is not None, f"{rollback.phase}: the rollback did not end"
    world.clock.forward(timedelta(minutes=1))
    calls: Counter[str] = Counter()
    writes: Counter[str] = Counter()
    for (endpoint, method), times in models.counted.items():
        calls[endpoint] += times
        writes[endpoint] += times if method in WRITES else 0
    old = deployment_name(OLD_ID)
    runs = world.runs(started.rollback_id)
    return Measured(
        seconds=(rollback.ended_at - asked).total_seconds(),
        most_calls=max(calls.values()),
        writes=Counter(writes.values()),
        refused=models.refused,
        restored=sum(run.phase is CircuitPhase.RESTORED for run in runs),
        back=sum(world.live_default(run.circuit) == old for run in runs),
    )


def _work(world: PipelineWorld, workers: int) -> None:
    """Messages in the order they are due, each by the worker that is free first, on its own stretch of the clock."""
    free = [world.clock.now()] * workers
    waiting: list[tuple[datetime, int, Sendable]] = []
    tie = count()
    while True:
        for command in world.bus.take():
            heapq.heappush(waiting, (world.clock.now() + command.delay, next(tie), command))
        if not waiting:
            return
        due, _, command = heapq.heappop(waiting)
        world.clock.set(max(due, heapq.heappop(free)))
        world.handle(command)
        heapq.heappush(free, world.clock.now())


def told(found: Measured, circuits: int, most_writes: int) -> str:
    return (
        f"{circuits} circuits, at most {most_writes} writes a second: {found.seconds:.1f} s from the request to the last "
        f"verified default; at most {found.most_calls} Azure ML calls per circuit, each one request on the wire; writes per "
        f"circuit {dict(found.writes)}, and {found.refused} answers 429; {found.restored} restored, {found.back} read back"
    )


def main(circuits: int, workers: int) -> int:
    """Prints the numbers; 1 if a goal is missed."""
    logging.disable(logging.WARNING)
    print(f"{workers} messages at a time; goals: {GOAL.total_seconds():g} s, {MOST_CALLS} calls, one write per circuit")
    found = roll_back(circuits, workers)
    print(told(found, circuits, MOST_WRITES))
    crowded = roll_back(circuits, workers, most_writes=WRITES_LEFT_BY_OTHERS)
    print(told(crowded, circuits, WRITES_LEFT_BY_OTHERS))
    good = found.seconds <= GOAL.total_seconds() and found.most_calls <= MOST_CALLS
    return 0 if good and all(one.writes == {1: circuits} and one.back == circuits for one in (found, crowded)) else 1


if __name__ == "__main__":
    sys.exit(main(*(int(text) for text in sys.argv[1:]), *(CIRCUITS, WORKERS)[len(sys.argv) - 1 :]))
