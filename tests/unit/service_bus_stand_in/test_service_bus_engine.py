"""What a queue does with messages, on a clock the test moves."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from local.service_bus.engine.model import (
    Incoming,
    LockLost,
    Message,
    MessageNotFound,
    QueueFull,
    QueueSettings,
    State,
)
from local.service_bus.engine.namespace import Namespace
from local.service_bus.engine.queue import Queue
from local.service_bus.engine.store import Store

_START = datetime(2026, 1, 1, tzinfo=UTC)
_MINUTE = timedelta(minutes=1)


class Bench:
    """A namespace of one queue, a clock to move, and a crash that forgets what was not committed."""

    def __init__(self, path: Path | None = None, **settings: Any) -> None:
        self.now = _START
        self._path, self._settings = path, settings
        self._open()

    def _open(self) -> None:
        self.woken: list[str] = []
        self.store = Store(self._path)
        self.namespace = Namespace(
            [QueueSettings(name="work", **self._settings)],
            store=self.store,
            clock=lambda: self.now,
            on_available=lambda queue: self.woken.append(queue.name),
        )
        self.queue, self.dead = self._find("work"), self._find("WORK/$DeadLetterQueue")

    def _find(self, name: str) -> Queue:
        queue = self.namespace.find(name)
        assert queue is not None
        return queue

    def restart(self) -> None:
        self.store.close()
        self._open()

    def send(self, *bodies: str, **fields: Any) -> list[int]:
        return self.queue.send([Incoming(payload=body.encode(), **fields) for body in bodies])

    def lock(self) -> Message:
        message = self.queue.lock_next()
        assert message is not None
        assert message.lock is not None
        return message

    def token(self) -> UUID:
        message = self.lock()
        assert message.lock is not None
        return message.lock.token

    def wait(self, duration: timedelta) -> None:
        self.now += duration
        self.namespace.tick()

    def ops(self) -> list[str]:
        self.store.commit()
        return [entry["op"] for entry in self.store.journal(0)]


type MakeBench = Callable[..., Bench]


@pytest.fixture
def a_bench() -> Iterator[MakeBench]:
    with ExitStack() as opened:

        def make(**settings: Any) -> Bench:
            bench = Bench(**settings)
            opened.callback(bench.store.close)
            return bench

        yield make


def test_messages_are_handed_out_in_order(a_bench: MakeBench) -> None:
    """First in, first out; a locked message is not handed out again."""
    bench = a_bench()
    assert bench.send("a", "b") == [1, 2]
    assert [bench.lock().payload, bench.lock().payload] == [b"a", b"b"]
    assert bench.queue.lock_next() is None


def test_an_abandoned_message_goes_back_to_its_place(a_bench: MakeBench) -> None:
    """It is older than what came after it, so it comes first again, counted."""
    bench = a_bench()
    bench.send("a", "b")
    bench.queue.abandon(bench.token())
    again = bench.lock()
    assert (again.payload, again.delivery_count) == (b"a", 1)


def test_a_released_message_is_not_counted(a_bench: MakeBench) -> None:
    """Giving back is no failure."""
    bench = a_bench(max_delivery_count=1)
    bench.send("a")
    bench.queue.release(bench.token())
    assert bench.lock().delivery_count == 0


@pytest.mark.parametrize("way", ["abandon", "expire"])
def test_the_last_failed_delivery_leads_to_the_dead_letter_queue(a_bench: MakeBench, way: str) -> None:
    """Abandoned or left to expire, after max_delivery_count failures a message is dead."""
    bench = a_bench(max_delivery_count=2)
    bench.send("a", message_id="m")
    for _ in range(2):
        token = bench.token()
        if way == "abandon":
            bench.queue.abandon(token)
        else:
            bench.wait(_MINUTE)
    assert bench.queue.lock_next() is None
    dead = bench.dead.lock_next()
    assert dead is not None
    assert dead.dead_letter is not None
    assert (dead.message_id, dead.delivery_count) == ("m", 2)
    assert (dead.dead_letter.reason, dead.dead_letter.source) == ("MaxDeliveryCountExceeded", "work")


def test_a_dead_letter_never_leaves_by_itself(a_bench: MakeBench) -> None:
    """In a dead-letter queue neither time nor failed deliveries end a message."""
    bench = a_bench(max_delivery_count=1)
    bench.send("a")
    bench.queue.dead_letter(bench.token(), "why", None)
    for _ in range(5):
        dead = bench.dead.lock_next()
        assert dead is not None
        assert dead.lock is not None
        bench.dead.abandon(dead.lock.token)
    bench.wait(timedelta(days=30))
    assert bench.queue.counts().dead_letter == 1


def test_a_lock_ends_exactly_after_its_duration(a_bench: MakeBench) -> None:
    """A moment before, the holder may still settle; at the moment itself the lock is lost."""
    bench = a_bench(lock_duration=_MINUTE)
    bench.send("a", "b")
    first, second = bench.token(), bench.token()
    bench.wait(_MINUTE - timedelta(milliseconds=1))
    bench.queue.complete(first)
    bench.now += timedelta(milliseconds=1)
    with pytest.raises(LockLost):
        bench.queue.complete(second)
    bench.namespace.tick()
    assert bench.lock().delivery_count == 1


def test_a_renewed_lock_counts_from_the_renewal(a_bench: MakeBench) -> None:
    """The old deadline passes without effect."""
    bench = a_bench(lock_duration=_MINUTE)
    bench.send("a")
    token = bench.token()
    bench.wait(timedelta(seconds=50))
    assert bench.queue.renew(token) == _START + timedelta(seconds=110)
    bench.wait(timedelta(seconds=59))
    bench.queue.complete(token)
    assert "lock-expired" not in bench.ops()


@pytest.mark.parametrize("verb", ["complete", "abandon", "release", "defer", "renew"])
def test_an_unknown_token_is_refused(a_bench: MakeBench, verb: str) -> None:
    """Every way to settle wants a lock that holds."""
    with pytest.raises(LockLost):
        getattr(a_bench().queue, verb)(uuid4())


def test_a_scheduled_message_starts_at_its_time_with_a_new_number(a_bench: MakeBench) -> None:
    """Until then it is counted as scheduled; afterwards it stands behind what was sent meanwhile."""
    bench = a_bench()
    assert bench.send("later", scheduled_for=_START + _MINUTE) == [1]
    bench.send("now")
    bench.wait(_MINUTE - timedelta(milliseconds=1))
    assert bench.queue.counts().scheduled == 1
    bench.wait(timedelta(milliseconds=1))
    assert bench.lock().payload == b"now"
    late = bench.lock()
    assert (late.payload, late.sequence_number, late.enqueued_sequence_number) == (b"later", 3, 1)
    assert late.enqueued_at == _START + _MINUTE


def test_a_message_scheduled_for_the_past_is_there_at_once(a_bench: MakeBench) -> None:
    """A time that has come needs no waiting."""
    bench = a_bench()
    bench.send("late", scheduled_for=_START)
    assert bench.lock().payload == b"late"


def test_cancelling_is_all_or_nothing(a_bench: MakeBench) -> None:
    """One number that is not scheduled keeps the others."""
    bench = a_bench()
    numbers = bench.send("a", "b", scheduled_for=_START + _MINUTE)
    with pytest.raises(MessageNotFound):
        bench.queue.cancel_scheduled([*numbers, 99])
    assert bench.queue.counts().scheduled == 2
    bench.queue.cancel_scheduled(numbers)
    bench.wait(_MINUTE)
    assert bench.queue.lock_next() is None


def test_a_duplicate_is_dropped_within_the_window_only(a_bench: MakeBench) -> None:
    """The window counts from the first message and outlives its completion."""
    bench = a_bench(duplicate_window=_MINUTE)
    bench.send("a", message_id="same")
    bench.queue.complete(bench.token())
    bench.wait(timedelta(seconds=59))
    bench.send("b", message_id="same")
    assert bench.queue.lock_next() is None
    bench.wait(timedelta(seconds=1))
    bench.send("c", message_id="same")
    assert bench.lock().payload == b"c"


def test_messages_without_an_id_are_no_duplicates(a_bench: MakeBench) -> None:
    """Nothing to compare, nothing dropped."""
    bench = a_bench(duplicate_window=_MINUTE)
    bench.send("a", "b")
    assert bench.queue.counts().active == 2


@pytest.mark.parametrize(("buries", "left"), [(True, 1), (False, 0)])
def test_a_message_expires(a_bench: MakeBench, *, buries: bool, left: int) -> None:
    """After the shorter of its own time and the queue's default it is dropped or dead-lettered."""
    bench = a_bench(dead_letter_on_expiration=buries, default_time_to_live=timedelta(minutes=5))
    bench.send("short", time_to_live=_MINUTE)
    bench.send("default", time_to_live=timedelta(days=1))
    bench.wait(_MINUTE)
    assert (bench.queue.counts().active, bench.queue.counts().dead_letter) == (1, left)
    bench.wait(timedelta(minutes=4))
    assert (bench.queue.counts().active, bench.queue.counts().dead_letter) == (0, 2 * left)


def test_a_locked_message_expires_only_when_it_is_free_again(a_bench: MakeBench) -> None:
    """Whoever holds it may complete it past its time; given back, it is gone."""
    bench = a_bench(lock_duration=timedelta(minutes=5))
    bench.send("a", "b", time_to_live=_MINUTE)
    first, second = bench.token(), bench.token()
    bench.wait(timedelta(minutes=2))
    bench.queue.complete(first)
    bench.queue.abandon(second)
    assert bench.queue.lock_next() is None
    assert bench.ops().count("expired") == 1


def test_an_expired_message_is_not_handed_out_before_the_clock_is_looked_at(a_bench: MakeBench) -> None:
    """Between two ticks too, what is past its time stays in."""
    bench = a_bench()
    bench.send("a", time_to_live=_MINUTE)
    bench.now += _MINUTE
    assert bench.queue.lock_next() is None


def test_a_deferred_message_comes_only_by_its_number(a_bench: MakeBench) -> None:
    """It can be locked by number, stays deferred when given back, and is deleted on request."""
    bench = a_bench(max_delivery_count=10)
    (number,) = bench.send("a")
    bench.queue.defer(bench.token())
    assert bench.queue.lock_next() is None
    (held,) = bench.queue.receive_deferred([number], delete=False)
    assert held.lock is not None
    with pytest.raises(MessageNotFound):
        bench.queue.receive_deferred([number], delete=False)
    bench.queue.abandon(held.lock.token)
    assert bench.queue.peek(1, 9)[0].state is State.DEFERRED
    (taken,) = bench.queue.receive_deferred([number], delete=True)
    assert taken.delivery_count == 1
    assert len(bench.queue) == 0


def test_a_full_queue_takes_no_part_of_a_batch(a_bench: MakeBench) -> None:
    """A hundred megabytes are the limit; the batch that passes it leaves nothing behind."""
    bench = a_bench()
    bench.send("x" * 60 * 2**20)
    with pytest.raises(QueueFull):
        bench.send("small", "y" * 60 * 2**20)
    assert len(bench.queue) == 1
    bench.queue.complete(bench.token())
    bench.send("y" * 60 * 2**20)


def _send(bench: Bench) -> None:
    bench.send("a")


def _give_back(bench: Bench) -> None:
    bench.queue.release(bench.token())


def _let_a_lock_end(bench: Bench) -> None:
    bench.lock()
    bench.wait(_MINUTE)


def _let_a_schedule_start(bench: Bench) -> None:
    bench.send("b", scheduled_for=bench.now + _MINUTE)
    bench.wait(_MINUTE)


@pytest.mark.parametrize("happen", [_send, _give_back, _let_a_lock_end, _let_a_schedule_start])
def test_whoever_waits_is_woken_when_there_is_something(a_bench: MakeBench, happen: Callable[[Bench], None]) -> None:
    """A send, a given-back message, an ended lock and a started schedule each wake the queue."""
    bench = a_bench(lock_duration=_MINUTE)
    bench.send("first")
    bench.woken.clear()
    happen(bench)
    assert bench.woken == ["work"]


def test_the_next_deadline_is_the_earliest_of_all(a_bench: MakeBench) -> None:
    """A lock, a schedule, an expiry: the broker sleeps until the first."""
    bench = a_bench(lock_duration=timedelta(minutes=3), default_time_to_live=timedelta(minutes=9))
    assert bench.namespace.next_deadline() is None
    bench.send("a")
    assert bench.namespace.next_deadline() == _START + timedelta(minutes=9)
    bench.lock()
    assert bench.namespace.next_deadline() == _START + timedelta(minutes=3)
    bench.send("b", scheduled_for=_START + _MINUTE)
    assert bench.namespace.next_deadline() == _START + _MINUTE


@pytest.fixture
def lasting(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "bus.sqlite3", duplicate_window=timedelta(minutes=5), max_delivery_count=3)
    yield bench
    bench.store.close()


def test_what_was_committed_outlives_the_process(lasting: Bench) -> None:
    """Every state, every field, the numbers and the known ids are there again; locks are expired."""
    lasting.send("active", message_id="a", time_to_live=_MINUTE)
    lasting.send("locked")
    lasting.send("deferred")
    lasting.send("scheduled", scheduled_for=_START + _MINUTE)
    lasting.send("dead")
    held = [lasting.lock() for _ in range(4)]
    tokens = [message.lock.token for message in held if message.lock is not None]
    lasting.queue.release(tokens[0])
    lasting.queue.defer(tokens[2])
    lasting.queue.dead_letter(tokens[3], "why", "because")
    before = [*lasting.queue.peek(1, 9), *lasting.dead.peek(1, 9)]
    lasting.store.commit()
    lasting.restart()
    after = [*lasting.queue.peek(1, 9), *lasting.dead.peek(1, 9)]
    assert [after[0], *after[2:]] == [before[0], *before[2:]]
    assert (after[1].lock, after[1].delivery_count) == (None, 1)
    assert lasting.send("again", message_id="a") == [6]
    assert lasting.queue.counts().active == 2


def test_what_was_not_committed_never_happened(lasting: Bench) -> None:
    """A crash before the commit leaves the state of the last one."""
    lasting.send("a")
    lasting.store.commit()
    lasting.queue.complete(lasting.token())
    lasting.send("b")
    lasting.restart()
    assert [message.payload for message in lasting.queue.peek(1, 9)] == [b"a"]


def test_the_journal_goes_on_after_a_restart(lasting: Bench) -> None:
    """Entries are numbered without gaps, and asking after a number gives the later ones."""
    lasting.send("a", message_id="m")
    lasting.store.commit()
    lasting.restart()
    lasting.queue.complete(lasting.token())
    lasting.store.commit()
    assert [(entry["n"], entry["op"]) for entry in lasting.store.journal(1)] == [(2, "deliver"), (3, "complete")]
    assert lasting.store.journal(0)[0] == {
        "n": 1,
        "at": "2026-01-01T00:00:00+00:00",
        "op": "send",
        "queue": "work",
        "message_id": "m",
        "sequence_number": 1,
        "delivery_count": 0,
    }


class AnyUse(RuleBasedStateMachine):
    """Whatever clients do and however time passes, no message is lost, doubled or handed to two."""

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench(max_delivery_count=3, default_time_to_live=timedelta(days=300))
        self.sent: set[bytes] = set()
        self.done: set[bytes] = set()
        self.held: list[Message] = []

    def teardown(self) -> None:
        self.bench.store.close()

    @rule(delay=st.sampled_from([None, 30, 90]))
    def send(self, delay: int | None) -> None:
        body = f"m{len(self.sent)}"
        at = None if delay is None else self.bench.now + timedelta(seconds=delay)
        self.bench.send(body, scheduled_for=at)
        self.sent.add(body.encode())

    @rule()
    def lock(self) -> None:
        message = self.bench.queue.lock_next()
        if message is not None:
            assert message.payload not in self._locked_now()
            self.held.append(message)

    @rule(verb=st.sampled_from(["complete", "abandon", "release"]), newest=st.booleans())
    def settle(self, verb: str, *, newest: bool) -> None:
        if not self.held:
            return
        message = self.held.pop(-1 if newest else 0)
        assert message.lock is not None
        expired = message.lock.until <= self.bench.now
        try:
            getattr(self.bench.queue, verb)(message.lock.token)
        except LockLost:
            assert expired
        else:
            assert not expired
            self.done |= {message.payload} if verb == "complete" else set()

    @rule(seconds=st.sampled_from([1, 30, 60]))
    def wait(self, seconds: int) -> None:
        self.bench.wait(timedelta(seconds=seconds))

    def _locked_now(self) -> set[bytes]:
        return {m.payload for m in self.held if m.lock is not None and m.lock.until > self.bench.now}

    @invariant()
    def nothing_is_lost_or_doubled(self) -> None:
        there = [m.payload for m in (*self.bench.queue.peek(1, 999), *self.bench.dead.peek(1, 999))]
        assert sorted([*there, *self.done]) == sorted(self.sent)


AnyUse.TestCase.settings = hypothesis_settings(max_examples=30, stateful_step_count=30, deadline=None)
TestAnyUse = AnyUse.TestCase
