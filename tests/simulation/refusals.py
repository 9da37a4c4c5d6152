"""A service says no, for an hour or for ever, and trying again changes nothing: a role was taken away, a webhook deleted.

Each refusal has a number. At the end every one of them must be told somewhere: in a row, in a line of the log, or by
the host, whose log has what a handler raised.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

from shared.domain.errors import ConfigurationError, PermanentError, StateRefused
from shared.domain.model import Circuit
from tests.simulation.engine import Crash, Task
from tests.simulation.nets import Nets

STATE = ("releases", "endpoints", "slots")
OWN = frozenset({*STATE, "evidence"})
STORES = OWN | {"bus"}
"""Their refusals may leave a handler: the host delivers the message again, and in the end as a dead letter."""
FOR_AN_HOUR: Sequence[Sequence[str]] = [
    STATE,
    STATE,
    ("endpoints",),
    ("evidence",),
    ("evidence",),
    ("bus",),
    ("models",),
    ("models",),
    ("mail",),
]
FOR_EVER = datetime(9999, 1, 1, tzinfo=UTC)
MARK = "[no "
AN_HOUR = timedelta(hours=1)


class Refused(PermanentError):
    """The service does not take this, now or ever (400 and its like)."""

    def __init__(self, message: str, service: str) -> None:
        super().__init__(message)
        self.service = service


class RoleMissing(ConfigurationError):
    """The service does not know, or does not let, this identity (401, 403, 404)."""

    def __init__(self, message: str, service: str) -> None:
        super().__init__(message)
        self.service = service


class StoreRefused(StateRefused):
    """The same, of this app's own tables and blobs."""

    def __init__(self, message: str, service: str) -> None:
        super().__init__(message)
        self.service = service


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """What is refused, by whom, and from when to when."""

    services: Sequence[str]
    start: datetime
    end: datetime
    error: type[Refused | RoleMissing]
    share: float = 1.0
    """Of the calls: while a role is being given or taken away, some servers know of it and others do not."""
    writes_alone: bool = False
    """A role that may read was left."""
    circuit: Circuit | None = None
    """Only what names this circuit; None: everything."""

    def meets(self, service: str, now: datetime, said: object, *, writes: bool = True) -> bool:
        """Is this call about what is refused?"""
        if self.writes_alone and not writes:
            return False
        if service not in self.services or not self.start <= now < self.end:
            return False
        return self.circuit is None or _names(self.circuit, said)


def _names(circuit: Circuit, said: object) -> bool:
    told = str(said).lower()
    plant, name = circuit.plant_id.lower(), circuit.circuit_id.lower()
    return any(
        form in told for form in (f"{plant}-{name}", f"{plant}/{name}", f"plant_id='{plant}', circuit_id='{name}'")
    )


@dataclass
class Refusals:
    """Those of one run; their chances are their own, so that runs without them stay as they were."""

    random: Random
    planned: list[Refusal] = field(default_factory=list)
    met_by: list[Task] = field(default_factory=list)
    """Who met which one: the first of them, the second, and so on."""
    met_at: set[str] = field(default_factory=set)
    """Services."""

    def plan(self, start: datetime, circuits: Sequence[Circuit], *, latest: float, nets: Nets) -> None:
        """One or two for an hour, and often one that never ends.

        Only the sweeper finds what a dead letter leaves that could not be recorded; and only messages that come again,
        until they are dead letters, end what can never be begun.
        """
        for _ in range(self.random.choice([1, 2])):
            since = start + timedelta(seconds=self.random.uniform(10, latest))
            self.planned.append(self._for_an_hour(since, nets))
        since = start + timedelta(seconds=self.random.uniform(0, latest))
        services, circuit = self.random.choice(
            [
                ((), None),
                (("teams",), None),
                (("mail",), None),
                (("evidence",) if nets is Nets.ALL else (), None),
                (("models",), circuits[0]),
            ]
        )
        error = self.random.choice([RoleMissing, Refused])
        self.planned.append(Refusal(services=services, start=since, end=FOR_EVER, error=error, circuit=circuit))

    def _for_an_hour(self, since: datetime, nets: Nets) -> Refusal:
        """Service Bus says no to identities and queues, never to a message; a bad request is bad on every server.

        What could not be sent before its message was a dead letter is the sweeper's to send.
        """
        services = self.random.choice([s for s in FOR_AN_HOUR if nets is not Nets.NO_SWEEPER or "bus" not in s])
        only_roles = "bus" in services or nets is Nets.NO_SWEEPER
        error = RoleMissing if only_roles or self.random.random() < 0.7 else Refused
        return Refusal(
            services=services,
            start=since,
            end=since + AN_HOUR,
            error=error,
            share=1.0 if error is Refused else self.random.choice([1.0, 0.5, 0.1]),
            writes_alone=self.random.random() < 0.3,
        )

    def strike_soon(self, now: datetime) -> None:
        """Somebody takes a role away while Production is being switched."""
        if self.planned and self.random.random() < 0.3:
            start = now + timedelta(seconds=self.random.uniform(0, 40))
            self.planned.append(
                Refusal(
                    services=self.random.choice([("endpoints",), STATE, ("models",)]),
                    start=start,
                    end=start + timedelta(seconds=self.random.choice([2, 60, 600])),
                    error=RoleMissing,
                    share=self.random.choice([1.0, 0.5]),
                    writes_alone=self.random.random() < 0.3,
                )
            )

    def cuts_off(self, circuit: Circuit, now: datetime) -> bool:
        """Does Azure ML say nothing of it any more, for ever?"""
        return any(refusal.circuit == circuit and refusal.start <= now for refusal in self.planned)

    def is_refusing(self, services: Sequence[str], now: datetime) -> bool:
        """Does one of them say no at this moment, at least to some?"""
        return any(refusal.meets(service, now, "") for refusal in self.planned for service in services)

    def check(  # a call, as the port is asked
        self, service: str, method: str, task: Task, now: datetime, said: object, *, writes: bool
    ) -> None:
        """Raises what the adapter would."""
        for refusal in self.planned:
            if refusal.meets(service, now, said, writes=writes) and (
                refusal.share == 1.0 or self.random.random() < refusal.share
            ):
                self.met_by.append(task)
                self.met_at.add(service)
                error = StoreRefused if refusal.error is RoleMissing and service in OWN else refusal.error
                raise error(f"{mark(len(self.met_by))} {service}.{method} is refused", service)


def mark(number: int) -> str:
    """By which a refusal is known wherever it is told."""
    return f"{MARK}{number}]"


def may_leave_a_handler(error: BaseException) -> bool:
    """A store's or the bus's; what Azure ML or a channel to people refuses is the release's business."""
    return isinstance(error, Refused | RoleMissing | StoreRefused) and error.service in STORES


def is_refusal(error: BaseException | None) -> bool:
    return isinstance(error, Refused | RoleMissing | StoreRefused)


class Heard(logging.Handler):
    """What the app has logged and written while a run lasts, as far as it speaks of refusals."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.hear(record.__dict__)

    def hear(self, said: object) -> None:
        """A line of the log, or a row as it is written: a retry may replace it."""
        if MARK in (text := str(said)):
            self.told.append(text)

    def missed(self, refusals: Refusals, trace: Sequence[str]) -> list[str]:
        """The refusals that stand nowhere.

        A process that was killed could tell nobody of those it had met; and who meets a second one while he deals with
        the first tells of the second.
        """
        text = "\n".join([*self.told, *(line for line in trace if MARK in line)])
        told_by = set[int]()
        missed: list[str] = []
        for number, task in reversed(list(enumerate(refusals.met_by, 1))):
            if mark(number) in text or isinstance(task.outcome, Crash):
                told_by.add(id(task))
            if id(task) not in told_by:
                missed.append(mark(number))
        return missed[::-1]

    @contextmanager
    def listening(self, level: int) -> Iterator[None]:
        """`level` and below are not logged at all."""
        logger = logging.getLogger("release_pipeline")
        logging.disable(level)
        logger.addHandler(self)
        logger.propagate = False
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)
            logger.removeHandler(self)
            logger.propagate = True
