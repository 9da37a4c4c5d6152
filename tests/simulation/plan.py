"""What is going to happen in a run: who builds what and when, what people do, and which services are out of reach."""

from typing import TYPE_CHECKING

from shared.domain.model import Circuit
from tests.simulation.engine import START

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
    universe.operators.reads_mail = True
    universe.operators.roll_back_sometimes(circuits)
    universe.outside.plan(circuits)
    universe.forger.forge_sometimes(ids, circuits)
    _outages(universe)


def _outages(universe: "Universe") -> None:
    for _ in range(universe.weather.faults.outages):
        start = START + universe.engine.seconds(10, 200_000)
        services = universe.engine.random.choice(
            [
                ["releases", "endpoints", "slots"],
                ["bus"],
                ["models"],
                ["mail"],
                ["releases", "endpoints", "slots", "bus"],
            ]
        )
        length = (
            universe.engine.seconds(1_200, 4_000) if universe.engine.chance(0.1) else universe.engine.seconds(20, 120)
        )
        universe.weather.outages += [(service, start, start + length) for service in services]
