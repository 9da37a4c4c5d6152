"""Local stack, Functions host: timer triggers, one run at a time each, with a schedule that outlives restarts."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from local.functions_host.bindings import Function, RetryPolicy, TimerTrigger
from local.functions_host.errors import InvocationLostError
from local.functions_host.invoker import Invoker
from local.functions_host.logs import HostLog
from local.functions_host.ncrontab import Schedule

NEVER = datetime(1, 1, 1, tzinfo=UTC)
LONGEST_SLEEP_SECONDS = 30.0  # in slices, so that a changed system clock is noticed

type Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The system's clock."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleStatus:
    """When a timer ran last and is due next; `last` is the year 1 before its first run."""

    last: datetime
    next: datetime
    last_updated: datetime

    def as_json(self) -> dict[str, str]:
        return {
            "Last": self.last.isoformat(),
            "Next": self.next.isoformat(),
            "LastUpdated": self.last_updated.isoformat(),
        }


class StatusStore:
    """Schedule statuses as one small file per timer."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    def load(self, name: str) -> ScheduleStatus | None:
        path = self._directory / f"{name}.json"
        if not path.exists():
            return None
        moments = {key: datetime.fromisoformat(value) for key, value in json.loads(path.read_text()).items()}
        return ScheduleStatus(last=moments["Last"], next=moments["Next"], last_updated=moments["LastUpdated"])

    def save(self, name: str, status: ScheduleStatus) -> None:
        path = self._directory / f"{name}.json"
        draft = path.with_suffix(".new")
        draft.write_text(json.dumps(status.as_json()))
        draft.replace(path)


class TimerListener:
    """Fires one timer function."""

    def __init__(
        self, *, function: Function, invoker: Invoker, store: StatusStore, log: HostLog, clock: Clock = utc_now
    ) -> None:
        assert isinstance(function.trigger, TimerTrigger)
        self._function = function
        self._trigger = function.trigger
        self._schedule = Schedule(function.trigger.schedule)
        self._invoker = invoker
        self._store = store
        self._log = log
        self._clock = clock
        self._by_hand: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Fire at every occurrence until cancelled; a late run delays the next, it never overlaps it."""
        monitored = self._trigger.use_monitor and not self._schedule.is_frequent(self._clock())
        if monitored and self._is_past_due():
            await self._fire(monitored=monitored, past_due=True)
        elif self._trigger.run_on_startup:
            await self._fire(monitored=monitored, past_due=False)
        while True:
            await self._sleep_until(self._schedule.next_after(self._clock()))
            await self._fire(monitored=monitored, past_due=False)

    def run_by_hand(self) -> None:
        """What `POST /admin/functions/{name}` does: run now, whatever the schedule says."""
        task = asyncio.create_task(self._invoke(None, past_due=False))
        self._by_hand.add(task)
        task.add_done_callback(self._by_hand.discard)

    def _is_past_due(self) -> bool:
        now = self._clock()
        status = self._store.load(self._function.name)
        if status is None:
            # Recorded before the first run, so that one missed while the host is down is noticed.
            status = ScheduleStatus(last=NEVER, next=self._schedule.next_after(now), last_updated=now)
            self._store.save(self._function.name, status)
        # The schedule itself may have changed since: what it says now counts, from the last change on.
        return self._schedule.next_after(max(status.last, status.last_updated)) < now

    async def _fire(self, *, monitored: bool, past_due: bool) -> None:
        began = self._clock()
        status = self._store.load(self._function.name) if monitored else None
        await self._invoke(status, past_due=past_due)
        if monitored:
            following = self._schedule.next_after(max(began, self._clock()))
            saved = ScheduleStatus(last=began, next=following, last_updated=began)
            self._store.save(self._function.name, saved)

    async def _invoke(self, status: ScheduleStatus | None, *, past_due: bool) -> None:
        payload = {
            "Schedule": {"AdjustForDST": True},
            "ScheduleStatus": None if status is None else status.as_json(),
            "IsPastDue": past_due,
        }
        policy = self._function.retry
        attempt = 0
        while not await self._attempt(payload, attempt, policy):
            if policy is None or attempt == policy.max_retries:
                return
            delay = retry_delay(policy, attempt)
            attempt += 1
            await asyncio.sleep(delay.total_seconds())

    async def _attempt(self, payload: object, attempt: int, policy: RetryPolicy | None) -> bool:
        try:
            result = await self._invoker.invoke(
                self._function,
                {"json": json.dumps(payload)},
                reason=f"Timer fired at {self._clock().isoformat()}",
                retry={"retry_count": attempt, "max_retry_count": 0 if policy is None else policy.max_retries},
            )
        except InvocationLostError:
            return False
        return result.ok

    async def _sleep_until(self, moment: datetime) -> None:
        while (remaining := (moment - self._clock()).total_seconds()) > 0:  # noqa: ASYNC110  # a clock has no event
            await asyncio.sleep(min(remaining, LONGEST_SLEEP_SECONDS))


def retry_delay(policy: RetryPolicy, attempt: int) -> timedelta:
    """How long to wait after the failed attempt, counted from 0."""
    if not policy.exponential:
        return policy.delay
    doubled: timedelta = policy.delay * 2**attempt
    return min(doubled, policy.longest_delay)
