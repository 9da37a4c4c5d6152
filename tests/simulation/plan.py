"""What is going to happen in a run: who builds what and when, what people do, and which services are out of reach."""

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from shared.domain.model import Circuit
from shared.domain.policy import Policy
from tests.simulation.engine import START, Engine

if TYPE_CHECKING:
    from tests.simulation.universe import Universe

CIRCUITS = tuple(
    Circuit(plant_id=plant, circuit_id=circuit)
    for plant, circuit in (
        ("PLANT001", "CIRCUIT01"),
        ("PLANT001", "CIRCUIT02"),
        ("PLANT002", "CIRCUIT01"),
        ("P3", "C1"),
    )
)


SHORT = {
    "inspect_limit": timedelta(minutes=4),
    "promote_limit": timedelta(minutes=6),
    "deploy_limit": timedelta(minutes=8),
    "smoke_limit": timedelta(minutes=6),
    "activate_limit": timedelta(minutes=4),
    "restore_limit": timedelta(minutes=4),
}
"""Limits that a slow service, or a worker that stands still for minutes, does not keep."""


def seeded_policy(engine: Engine) -> Policy:
    """In every fourth run each step has minutes instead of an hour."""
    quorum, slots = 2 if engine.chance(0.1) else 1, engine.random.choice([1, 2, 5])
    mode = engine.random.choice(["auto", "auto", "share"])
    policy = Policy(min_approvers=quorum, smoke_slots=slots, promotion_mode=mode)
    return replace(policy, **SHORT) if engine.chance(0.25) else policy


def seeded_plan(universe: "Universe") -> None:
    """Builds, people and outages, all from the seed."""
    seeded, chance = universe.engine.random, universe.engine.chance
    circuits = tuple(seeded.sample(CIRCUITS, seeded.randint(1, len(CIRCUITS))))
    for circuit in circuits:
        if chance(0.3):
            universe.builds.adopt(circuit)
    ids = [f"202512{10 + day}.{n}" for day, n in ((0, 1), (0, 2), (1, 1))][: seeded.choice([1, 1, 2, 2, 3])]
    latest = 300 if universe.hasty else seeded.choice([60, 6 * 3_600, 40 * 3_600])
    times = [universe.engine.seconds(0, latest) for _ in ids]
    if not chance(0.2):
        times.sort()
    for number, (release_id, wait) in enumerate(zip(ids, times, strict=True)):
        mine = tuple(c for c in circuits if chance(0.8)) or circuits[:1]
        broken = tuple(c for c in mine if chance(0.06))
        universe.builds.upload_later(wait, release_id, mine, number, broken)
        universe.operators.operate(release_id, wait, mine)
    universe.operators.improvise = True
    if chance(0.15):
        universe.inbox.unreachable = frozenset(universe.ports.audience.operators)
    universe.operators.roll_back_sometimes(circuits)
    universe.outside.plan(circuits)
    universe.forger.forge_sometimes(ids, circuits)
    _outages(universe)
    if universe.weather.faults.refusing:
        latest = 4_000 if universe.hasty else 100_000
        universe.weather.refusals.plan(START, circuits, latest=latest, nets=universe.nets)
        if any(refusal.circuit for refusal in universe.weather.refusals.planned):
            universe.watch.seen.refused.add(circuits[0])


def _outages(universe: "Universe") -> None:
    for _ in range(universe.weather.faults.outages):
        start = START + universe.engine.seconds(10, 200_000)
        services = universe.engine.random.choice(
            [
                ["releases", "endpoints", "slots", "evidence"],
                ["bus"],
                ["models"],
                ["mail", "teams"],
                ["releases", "endpoints", "slots", "evidence", "bus"],
            ]
        )
        length = (
            universe.engine.seconds(1_200, 4_000) if universe.engine.chance(0.1) else universe.engine.seconds(20, 120)
        )
        universe.weather.outages += [(service, start, start + length) for service in services]
