"""What goes wrong: probabilities per port call and per message, outages, and the proxies that make them happen."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from shared.domain.errors import ConflictError, TransientError
from tests.simulation.engine import Engine, Task
from tests.simulation.refusals import Refusals

STATE_WRITES = frozenset(
    {"commit", "begin", "finish", "forget", "reactivate", "list_circuits", "write_lock", "note", "write_slot"}
)
CONDITIONAL = frozenset({"commit", "write_lock", "write_slot"})
ML_WRITES = frozenset(
    {
        "promote",
        "create_endpoint",
        "create_deployment",
        "delete_deployment",
        "set_default",
        "clear_default",
        "start_smoke_job",
        "cancel_job",
    }
)
MAKING = frozenset({"create_endpoint", "create_deployment"})
LOOKS = frozenset({"endpoint", "lock"})
WRITES = STATE_WRITES | ML_WRITES | {"put", "send", "deliver"}
QUERIES = frozenset(
    {"any_pending", "any_in", "predecessors_pending", "first_in", "runs", "slots", "active_release_ids"}
)
"""Reads whose answer may be old by the time it is acted on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """Probabilities; all zero: a quiet day."""

    transient: float = 0.0
    """A call fails and did nothing."""
    lost_answer: float = 0.0
    """A write stands and its answer is lost."""
    overtaken: float = 0.0
    """A write stands, its answer is lost, and somebody writes the row before it is read again."""
    conflict: float = 0.0
    crash: float = 0.0
    """A handler's process is killed at some call."""
    crash_within: int = 40
    """The last call at which it may be."""
    freeze: float = 0.0
    """A handler stands still at some calls."""
    freeze_before_write: float = 0.0
    """A handler that can stand still does so between what it has looked at and what it writes."""
    freeze_after_query: float = 0.0
    """A handler that can stand still does so between a look over many rows and what it does about it."""
    freeze_before_making: float = 0.0
    """A deploy stands still for minutes right before it makes an endpoint or a deployment: others come by, go on, and
    make live what it was about to begin."""
    repeated: float = 0.0
    """The client repeats a write that stands, and is told of a conflict with itself."""
    duplicate: float = 0.0
    """A message is delivered twice."""
    delay: float = 0.0
    """A message is late by minutes."""
    lost_event: float = 0.0
    """The event of an upload never comes."""
    quick: bool = False
    """Azure ML is done within seconds: everybody gets far ahead of whoever stands still."""
    throttled: float = 0.0
    """Azure ML answers 429, sometimes with a wish."""
    slow: float = 0.0
    """An operation of Azure ML takes many minutes."""
    failing: float = 0.0
    """An operation of Azure ML ends as failed."""
    endless: float = 0.0
    """An operation of Azure ML does not end for a day."""
    stubborn: float = 0.0
    """A switch of a default takes about as long as a circuit may wait for it: some make it, some don't."""
    forged: int = 0
    """How many forged or stale messages are slipped in."""
    meddled: float = 0.0
    """Somebody changes contents, jobs or test data while a gate asks about them."""
    refusing: bool = False
    """Services say no, for an hour or for ever."""
    outages: int = 0
    """How many times storage, bus, mail or Azure ML is out of reach for a minute, and now and then for an hour."""


QUIET = Faults()
MILD = Faults(duplicate=0.05, delay=0.03, transient=0.005, lost_answer=0.005, crash=0.01, throttled=0.01, slow=0.05)
ROUGH = Faults(
    transient=0.02,
    lost_answer=0.02,
    overtaken=0.05,
    repeated=0.05,
    conflict=0.02,
    crash=0.06,
    freeze=0.06,
    duplicate=0.15,
    delay=0.1,
    lost_event=0.2,
    throttled=0.03,
    slow=0.1,
    failing=0.01,
    endless=0.005,
    forged=8,
    outages=4,
)
CRASHING = Faults(crash=0.25, duplicate=0.1)
FREEZING = Faults(freeze=0.3, overtaken=0.3, duplicate=0.2, delay=0.2, conflict=0.05)
LOSING = Faults(lost_answer=0.1, transient=0.05, overtaken=0.1, repeated=0.2, outages=8, freeze=0.02)
DYING = Faults(crash=0.95, crash_within=5)
STANDING = Faults(freeze=0.7, freeze_before_write=0.3, freeze_after_query=0.1, duplicate=0.3, overtaken=0.1, quick=True)
OVERTAKING = Faults(freeze_before_making=0.5, duplicate=0.4, quick=True)
SCATTERED = Faults(freeze=0.4, freeze_after_query=0.4, delay=0.5, duplicate=0.2, quick=True)
MEDDLED = Faults(meddled=0.6, duplicate=0.1, crash=0.05, delay=0.05)
REFUSING = Faults(refusing=True, duplicate=0.02, crash=0.02)
AZURE = Faults(throttled=0.08, slow=0.3, failing=0.05, endless=0.03, lost_answer=0.02)
STUBBORN = Faults(stubborn=0.5, failing=0.02, duplicate=0.1, freeze=0.05)
FORGED = Faults(forged=60, failing=0.05, endless=0.03, slow=0.2, duplicate=0.2, delay=0.2)
NIGHTLY = Faults(duplicate=0.05, delay=0.03, transient=0.002, lost_answer=0.002, crash=0.01, throttled=0.01)
"""What a month of ordinary nights has: Azure ML answers in its usual time."""
PROFILES = {
    "quiet": QUIET,
    "mild": MILD,
    "rough": ROUGH,
    "crashing": CRASHING,
    "freezing": FREEZING,
    "losing": LOSING,
    "azure": AZURE,
    "scattered": SCATTERED,
    "dying": DYING,
    "standing": STANDING,
    "overtaking": OVERTAKING,
    "stubborn": STUBBORN,
    "forged": FORGED,
    "refusing": REFUSING,
    "meddled": MEDDLED,
}


def is_recognised_as_own() -> bool:
    """What the adapter does on a conflict: it reads the row again and finds its own `op_id` there."""
    return True


@dataclass
class Weather:
    """Which faults there are at this moment."""

    engine: Engine
    faults: Faults
    until: datetime
    refusals: Refusals
    outages: list[tuple[str, datetime, datetime]] = field(default_factory=list)
    effects: int = 0
    crash_after_effect: int = 0
    """For the systematic crash points: the effect after which the process is killed; 0: none."""
    crashed: bool = False
    only_messages: bool = False
    """Nothing goes wrong but while a message is handled, which is then delivered again: what a person's request or a
    timer leaves half done is for the sweeper to find."""

    def is_bad(self) -> bool:
        return self.engine.now() < self.until

    def is_out(self, service: str) -> bool:
        """Is there an outage of this service?"""
        now = self.engine.now()
        return any(name == service and start <= now < end for name, start, end in self.outages)

    def strikes(self, task: Task | None = None) -> bool:
        """May something go wrong with what is at work now, or with this task?"""
        task = task or self.engine.current
        return self.is_bad() and (not self.only_messages or (task is not None and task.is_message))

    def before(self, service: str, method: str) -> None:
        """A call sets out."""
        self.engine.point()
        if not self.strikes():
            return
        if method in CONDITIONAL | ML_WRITES:
            self._stand_still(self.faults.freeze_before_write)
        if method in MAKING and self.engine.can_freeze() and self.engine.chance(self.faults.freeze_before_making):
            self.engine.freeze(self.engine.seconds(60, 300))
        if self.is_out(service):
            raise TransientError(f"{service} is out of reach")
        chance = self.engine.chance
        if chance(self.faults.transient):
            self._told("transient", service, method)
            raise TransientError(f"{service}.{method}: 503")
        if service == "models" and chance(self.faults.throttled):
            wish = self.engine.seconds(1, 60) if chance(0.5) else None
            raise TransientError(f"models.{method}: 429", retry_after=wish)
        if method in CONDITIONAL and chance(self.faults.conflict):
            self._told("conflict", service, method)
            raise ConflictError(f"{service}.{method}: somebody was quicker")

    def refuse(self, service: str, method: str, said: object) -> None:
        """A call sets out to a service that may say no."""
        task = self.engine.current
        if self.refusals.planned and task is not None and (task.is_message or not self.only_messages):
            self.refusals.check(service, method, task, self.engine.now(), said, writes=method in WRITES)

    def after_read(self, method: str) -> None:
        """An answer is there; what it says may change before it is acted on."""
        if method in LOOKS and self.engine.current is not None:
            self.engine.current.looks.append(method)
            self.engine.current.looked_at[method] = self.engine.now()
        if method in QUERIES and self.strikes():
            self._stand_still(self.faults.freeze_after_query)

    def _stand_still(self, probability: float) -> None:
        """For moments, for less than a message's lock lasts, or for so long that the message comes again meanwhile."""
        if self.engine.can_freeze() and self.engine.chance(probability):
            least, most = self.engine.random.choice([(0.01, 5), (5, 55), (60, 300), (60, 300)])
            self.engine.freeze(self.engine.seconds(least, most))

    def after(self, service: str, method: str, overtaken: Callable[[], bool] | None) -> None:
        """A write stands; its answer is on the way."""
        self.effects += 1
        if self.engine.current is not None:
            self.engine.current.effects += 1
        if self.effects == self.crash_after_effect and self.engine.current is not None:
            self.crashed = True
            self.engine.current.crash_at = self.engine.current.points + 1
        self.engine.point()
        if not self.strikes():
            return
        if self.engine.chance(self.faults.lost_answer):
            self._told("lost answer", service, method)
            raise TransientError(f"{service}.{method}: the connection broke")
        if method in CONDITIONAL and self.engine.chance(self.faults.repeated):
            self._told("repeated", service, method)
            if not is_recognised_as_own():
                raise ConflictError(f"{service}.{method}: a false 412")
        if overtaken and self.engine.can_freeze() and self.engine.chance(self.faults.overtaken):
            self.engine.freeze(self.engine.seconds(1, 90))
            if overtaken():
                self._told("overtaken", service, method)
                raise ConflictError(f"{service}.{method}: a false 412")

    def _told(self, what: str, service: str, method: str) -> None:
        self.engine.note(f"{what}: {service}.{method}")


class Proxy:
    """A port whose calls go through the weather; `watch` sees every write before and after it."""

    def __init__(self, inner: Any, service: str, weather: Weather, watch: "Watch") -> None:
        self._inner, self._service, self._weather, self._watch = inner, service, weather, watch

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)
        call = self._write(name, method) if name in WRITES else self._read(name, method)
        self.__dict__[name] = call
        return call

    def _read(self, name: str, method: Any) -> Any:
        weather, service = self._weather, self._service

        def read(*args: Any, **named: Any) -> Any:
            weather.before(service, name)
            weather.refuse(service, name, (args, named))
            result = method(*args, **named)
            weather.after_read(name)
            return result

        return read

    def _write(self, name: str, method: Any) -> Any:
        weather, service, watch = self._weather, self._service, self._watch

        def write(*args: Any, **named: Any) -> Any:
            weather.before(service, name)
            weather.refuse(service, name, (args, named))
            seen = watch.before(service, name, args, named)
            result = method(*args, **named)
            overtaken = watch.after(service, name, args, named, seen, result)
            weather.after(service, name, overtaken)
            return result

        return write


class Watch:
    """Sees writes; the invariants are one."""

    def before(self, service: str, name: str, args: Any, named: Any) -> Any:
        raise NotImplementedError

    def after(  # noqa: PLR0917  # one call, seen from both sides
        self, service: str, name: str, args: Any, named: Any, seen: Any, result: Any
    ) -> Callable[[], bool] | None:
        raise NotImplementedError
