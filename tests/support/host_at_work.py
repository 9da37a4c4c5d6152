"""A host in virtual time: ten deliveries, then the dead-letter queue; a sweep every minute; nothing stops it."""

import heapq
from dataclasses import dataclass, field
from datetime import timedelta

from shared.application.messages import to_json
from shared.application.ports import Sendable
from shared.triggers.dead_letters import record
from tests.support.pipeline_world import SWEEP, PipelineWorld

MOST_DELIVERIES = 10


@dataclass
class HostAtWork:
    world: PipelineWorld
    deliveries: int = 0
    dead: list[Sendable] = field(default_factory=list)
    raised: list[Exception] = field(default_factory=list)
    """What handlers and sweeps raised, in order."""

    def run_for(self, time: timedelta) -> None:
        """Sweep every minute, and handle what falls due meanwhile."""
        world = self.world
        end = world.clock.now() + time
        while world.clock.now() < end:
            world.clock.set(min(end, world.clock.now() + SWEEP))
            try:
                world.sweep()
            except Exception as error:  # noqa: BLE001  # the host logs it, and comes again in a minute
                self.raised.append(error)
            world.collect()
            while world._heap and world._heap[0][0] <= world.clock.now():
                self._handle(heapq.heappop(world._heap)[2])
                world.collect()

    def _handle(self, command: Sendable) -> None:
        for number in range(MOST_DELIVERIES):
            self.deliveries += 1
            try:
                self.world.handle(command, redelivered=number > 0)
            except Exception as error:  # noqa: BLE001  # delivered again
                self.raised.append(error)
            else:
                return
        self.dead.append(command)
        record(to_json(command).encode(), "MaxDeliveryCountExceeded", lambda: self.world.ports)
