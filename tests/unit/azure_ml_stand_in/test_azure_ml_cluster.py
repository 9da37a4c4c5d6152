"""The stand-in's compute cluster: who waits for nodes, and for how long."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace

import pytest

from local.azure_ml.cluster import Cluster, TooManyNodes
from local.azure_ml.settings import Compute

DURATIONS: Mapping[str, float] = {"cluster_scale_up": 0.0, "cluster_idle": 120.0}


@dataclass(slots=True)
class Jobs:
    """Jobs that hold their nodes until they are told to end."""

    cluster: Cluster
    running: list[int]

    async def run(self, number: int, end: asyncio.Event, nodes: int = 1) -> None:
        async with self.cluster.nodes(nodes):
            self.running.append(number)
            await end.wait()
        self.running.remove(number)


def a_cluster(most: int) -> Cluster:
    compute = Compute(name="batch-cluster", max_nodes=most)
    return Cluster(lambda: compute, lambda: DURATIONS)


async def settle() -> None:
    """Let every task go as far as it can."""
    for _ in range(50):
        await asyncio.sleep(0)


async def test_the_sixth_job_on_five_nodes_waits_for_the_first_to_end() -> None:
    """Five run side by side; the sixth is served as soon as one node is free."""
    jobs, ends = Jobs(a_cluster(5), []), [asyncio.Event() for _ in range(6)]
    async with asyncio.TaskGroup() as group:
        for number, end in enumerate(ends):
            group.create_task(jobs.run(number, end))
        await settle()
        assert jobs.running == [0, 1, 2, 3, 4]
        ends[2].set()
        await settle()
        assert jobs.running == [0, 1, 3, 4, 5]
        for end in ends:
            end.set()


async def test_waiting_jobs_are_served_in_the_order_in_which_they_came() -> None:
    """A job that needs many nodes is not overtaken for ever by small ones."""
    jobs, ends = Jobs(a_cluster(2), []), [asyncio.Event() for _ in range(3)]
    async with asyncio.TaskGroup() as group:
        group.create_task(jobs.run(0, ends[0]))
        await settle()
        group.create_task(jobs.run(1, ends[1], nodes=2))
        await settle()
        group.create_task(jobs.run(2, ends[2]))
        await settle()
        assert jobs.running == [0]
        ends[0].set()
        await settle()
        assert jobs.running == [1]
        for end in ends:
            end.set()


async def test_a_job_larger_than_the_cluster_is_told_so() -> None:
    """It could never run."""
    with pytest.raises(TooManyNodes, match="at most 2"):
        async with a_cluster(2).nodes(3):
            pass


async def test_a_cluster_that_is_made_larger_serves_who_waits_next() -> None:
    """The size is read whenever nodes are given out."""
    size = [Compute(name="batch-cluster", max_nodes=1)]
    jobs = Jobs(Cluster(lambda: size[0], lambda: DURATIONS), [])
    end = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(jobs.run(0, end))
        await settle()
        size[0] = replace(size[0], max_nodes=2)
        group.create_task(jobs.run(1, end))
        await settle()
        assert jobs.running == [0, 1]
        end.set()
