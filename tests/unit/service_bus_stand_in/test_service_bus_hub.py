"""The turn of the loop: commit first, answer afterwards; deliver in turns."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from local.service_bus.engine.model import Incoming, Message, QueueSettings
from local.service_bus.engine.namespace import Namespace
from local.service_bus.engine.queue import Queue
from local.service_bus.engine.store import Store
from local.service_bus.wire.hub import Hub


def _now() -> datetime:
    return datetime.now(UTC)


class LoggingStore(Store):
    """A store in memory that tells when it commits, and can break."""

    def __init__(self, log: list[str]) -> None:
        super().__init__(None)
        self.log, self.broken = log, False

    def commit(self) -> None:
        if self.broken:
            raise sqlite3.OperationalError("database or disk is full")
        super().commit()
        self.log.append("commit")


class LoggingConnection:
    def __init__(self, log: list[str]) -> None:
        self.log = log

    def flush(self) -> None:
        self.log.append("flush")


class Receiver:
    """A consumer with so much credit."""

    def __init__(self, queue: Queue, credit: int) -> None:
        self.queue, self.credit = queue, credit
        self.got: list[bytes] = []
        self.drained = False
        self.satisfied = asyncio.Event()

    def can_take(self) -> bool:
        return len(self.got) < self.credit

    def next_message(self) -> Message | None:
        return self.queue.lock_next()

    def deliver(self, message: Message) -> None:
        self.got.append(message.payload)
        if not self.can_take():
            self.satisfied.set()

    def end_drain(self) -> None:
        self.drained = True


class Bench:
    def __init__(self) -> None:
        self.log: list[str] = []
        self.failures: list[Exception] = []
        self.store = LoggingStore(self.log)
        self.hub = Hub(store=self.store, clock=_now, on_failure=self.failures.append)
        settings = [QueueSettings(name="work", lock_duration=timedelta(milliseconds=30))]
        namespace = Namespace(settings, store=self.store, clock=_now, on_available=self.hub.wake)
        self.hub.serve(namespace)
        queue = namespace.find("work")
        assert queue is not None
        self.queue = queue

    def send(self, count: int) -> None:
        self.queue.send([Incoming(payload=b"%d" % number) for number in range(count)])

    async def turn(self) -> None:
        """Let the loop run what has been scheduled, and what that has scheduled."""
        for _ in range(3):
            await asyncio.sleep(0)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    await bench.turn()
    bench.log.clear()
    yield bench
    bench.store.broken = False
    bench.hub.close()
    bench.store.close()


async def test_many_answers_of_a_turn_wait_for_one_commit(bench: Bench) -> None:
    """However many connections have something to say, the disk is waited for once, and first."""
    for _ in range(3):
        bench.send(1)
        bench.hub.answer(LoggingConnection(bench.log))
    assert bench.log == []
    await bench.turn()
    assert bench.log == ["commit", "flush", "flush", "flush"]


async def test_no_answer_leaves_when_the_commit_fails(bench: Bench) -> None:
    """A full disk stops the broker; nobody is told yes."""
    bench.store.broken = True
    bench.send(1)
    bench.hub.answer(LoggingConnection(bench.log))
    await bench.turn()
    assert bench.log == []
    assert [str(failure) for failure in bench.failures] == ["database or disk is full"]


async def test_receivers_are_served_in_turns(bench: Bench) -> None:
    """Each gets its share, and whoever has no credit left is passed over."""
    small, large = Receiver(bench.queue, 1), Receiver(bench.queue, 10)
    bench.hub.add(small)
    bench.hub.add(large)
    bench.send(4)
    await bench.turn()
    assert (len(small.got), len(large.got)) == (1, 3)
    assert small.drained
    assert large.drained


async def test_a_removed_receiver_gets_nothing(bench: Bench) -> None:
    """What comes after the detach stays in the queue."""
    gone = Receiver(bench.queue, 5)
    bench.hub.add(gone)
    bench.hub.remove(gone)
    bench.send(1)
    await bench.turn()
    assert gone.got == []
    assert bench.queue.counts().active == 1


async def test_the_hub_wakes_up_when_a_lock_ends(bench: Bench) -> None:
    """Nobody has to come by: the deadline itself starts a turn and delivers again."""
    receiver = Receiver(bench.queue, 2)
    bench.hub.add(receiver)
    bench.send(1)
    await asyncio.wait_for(receiver.satisfied.wait(), timeout=5)
    assert receiver.got == [b"0", b"0"]
