"""A compute cluster: jobs wait for free nodes, and for nodes to come up when it had scaled down."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from local.azure_ml.settings import Compute


class TooManyNodes(Exception):
    """More nodes are asked for than the cluster may ever have."""


class Cluster:
    """Nodes of one compute. Waiting jobs are served in the order in which they came."""

    def __init__(
        self,
        compute: Callable[[], Compute],
        durations: Callable[[], Mapping[str, float]],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._compute = compute
        self._durations = durations
        self._now = now
        self._turn = asyncio.Lock()
        self._freed = asyncio.Condition()
        self._busy = 0
        self._up = compute().min_nodes
        self._idle_since = now()

    @asynccontextmanager
    async def nodes(self, count: int) -> AsyncIterator[None]:
        """Hold `count` nodes for the length of the block.

        Raises:
            TooManyNodes: the cluster's maximum is smaller.
        """
        if count > self._compute().max_nodes:
            name, most = self._compute().name, self._compute().max_nodes
            raise TooManyNodes(f"The job asks for {count} nodes, but cluster '{name}' has at most {most}.")
        async with self._turn:
            async with self._freed:
                await self._freed.wait_for(lambda: self._busy + count <= self._compute().max_nodes)
            self._scale_down_if_idle()
            self._busy += count
        try:
            await self._scale_up()
            yield
        finally:
            self._busy -= count
            self._idle_since = self._now()
            async with self._freed:
                self._freed.notify_all()

    def _scale_down_if_idle(self) -> None:
        if self._now() - self._idle_since > self._durations()["cluster_idle"]:
            self._up = max(self._busy, self._compute().min_nodes)

    async def _scale_up(self) -> None:
        """Jobs that need new nodes at the same time wait side by side, not one after the other."""
        needed = self._busy
        if needed > self._up:
            await asyncio.sleep(self._durations()["cluster_scale_up"])
            self._up = max(self._up, needed)
