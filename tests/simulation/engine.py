"""Virtual time, a seeded order of events, and handlers that can be stopped at any port call and go on later.

A handler usually runs through in the engine's own thread. One that shall freeze runs in a thread of its own, in
lock-step with the engine: exactly one of them runs at any moment, so a seed always gives the same run.
"""

import heapq
import itertools
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

START = datetime(2025, 12, 10, 9, 0, tzinfo=UTC)
MOST_CALLS = 20_000
"""Of one handler."""


class Violation(BaseException):  # no handler may catch it
    """An invariant does not hold."""


class Crash(BaseException):  # as a killed process: no handler may catch it
    """The process ends here."""


@dataclass(eq=False)
class Task:
    """One run of a handler."""

    label: str
    work: Callable[[], None]
    ended: Callable[[BaseException | None], None]
    crash_at: int = 0
    """The port call at which its process is killed; 0: never."""
    freeze_at: dict[int, timedelta] = field(default_factory=dict)
    """Port calls at which it stops, and for how long."""
    may_stand: bool = False
    """Where it stands still is decided on the way."""
    is_message: bool = False
    """A message is handled: whatever happens, it is delivered again."""
    about: tuple[str, object] | None = None
    """The release and circuit that its message speaks of."""
    past: tuple[str, object] | None = None
    """The release and circuit it spoke of, if their state was over when it came."""
    has_thread: bool = False
    points: int = 0
    effects: int = 0
    """Writes it has made."""
    looks: list[str] = field(default_factory=list)
    """What it has read of endpoints and of their locks, in order."""
    looked_at: dict[str, datetime] = field(default_factory=dict)
    """When it last did."""
    outcome: BaseException | None = None
    is_over: bool = False
    go: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    back: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def run(self) -> None:
        try:
            self.work()
        except BaseException as error:  # noqa: BLE001  # judged by `ended`
            self.outcome = error


class Engine:
    """The Clock port, the heap of what is to come, and the one place where chance comes from."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311  # schedules, not secrets
        self._now = START
        self._heap: list[tuple[datetime, int, Callable[[], None]]] = []
        self._tie = itertools.count()
        self.trace: list[str] = []
        self.current: Task | None = None
        self.frozen: list[Task] = []
        self.steps = 0

    # --------------------------------------------------------------------------------------------- clock

    def now(self) -> datetime:
        return self._now

    def pause(self, duration: timedelta) -> None:
        self._now += duration

    def chance(self, probability: float) -> bool:
        return probability > 0 and self.random.random() < probability

    def seconds(self, least: float, most: float) -> timedelta:
        return timedelta(milliseconds=self.random.randint(int(least * 1000), int(most * 1000)))

    def note(self, line: str) -> None:
        """One line of the schedule."""
        self.trace.append(f"{self._now:%d %H:%M:%S.%f} {line}")

    # ------------------------------------------------------------------------------------------ schedule

    def at(self, time: datetime, action: Callable[[], None]) -> None:
        heapq.heappush(self._heap, (max(time, self._now), next(self._tie), action))

    def after(self, wait: timedelta, action: Callable[[], None]) -> None:
        self.at(self._now + wait, action)

    def next_at(self) -> datetime | None:
        return self._heap[0][0] if self._heap else None

    def step(self) -> bool:
        """Do what is next; False: nothing is left."""
        if not self._heap:
            return False
        time, _, action = heapq.heappop(self._heap)
        self._now = max(self._now, time)
        self.steps += 1
        action()
        return True

    # --------------------------------------------------------------------------------------------- tasks

    def start(self, task: Task) -> None:
        """Run a handler until it ends or freezes."""
        if task.freeze_at or task.may_stand:
            task.has_thread = True
            thread = threading.Thread(target=self._in_thread, args=(task,), daemon=True)
            thread.start()
            self._resume(task)
            return
        self.current = task
        task.run()
        self.current = None
        self._end(task)

    def _in_thread(self, task: Task) -> None:
        task.go.acquire()
        task.run()
        task.is_over = True
        task.back.release()

    def _resume(self, task: Task) -> None:
        self.current = task
        task.go.release()
        task.back.acquire()
        self.current = None
        if task.is_over:
            self._end(task)

    def _end(self, task: Task) -> None:
        if isinstance(task.outcome, Violation):
            raise task.outcome
        task.ended(task.outcome)

    def point(self) -> None:
        """A port is called: the place where a process may die or stand still."""
        task = self.current
        if task is None:
            return
        task.points += 1
        if task.points > MOST_CALLS:
            raise Violation(f"{task.label} does not end: {MOST_CALLS} calls")
        if task.points == task.crash_at:
            self.note(f"crash {task.label} at call {task.points}")
            raise Crash
        if wait := task.freeze_at.pop(task.points, None):
            self.freeze(wait)

    def can_freeze(self) -> bool:
        """Has the task at work a thread of its own?"""
        return self.current is not None and self.current.has_thread

    def freeze(self, wait: timedelta) -> None:
        """Stop the task at work; called from its own thread."""
        task = self.current
        assert task is not None
        self.note(f"freeze {task.label} for {wait.total_seconds():.0f} s at call {task.points}")
        self.frozen.append(task)
        self.after(wait, lambda: self._thaw(task))
        task.back.release()
        task.go.acquire()

    def _thaw(self, task: Task) -> None:
        self.note(f"thaw {task.label}")
        self.frozen.remove(task)
        self._resume(task)

    def abandon(self) -> None:
        """End the threads of frozen tasks when the run is over."""
        while self.frozen:
            task = self.frozen.pop()
            task.crash_at = task.points + 1
            task.freeze_at = {}
            task.work = lambda: None
            self.current = task
            task.go.release()
            task.back.acquire(timeout=5)
