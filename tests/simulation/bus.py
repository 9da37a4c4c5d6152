"""Service Bus in virtual time: scheduled messages, duplicate detection, redelivery, dead letters."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.application.messages import message_id, to_json
from shared.application.ports import Sendable
from shared.domain.errors import TransientError
from tests.simulation.engine import Crash, Engine, Task, Violation
from tests.simulation.faults import Weather

LOCK = timedelta(seconds=60)
MOST_DELIVERIES = 10
DEPLOY = b'"kind":"deploy"'
MOST_A_MINUTE = 100
"""Of one dead letter; a handler that raises at once makes it 600."""


@dataclass(eq=False)
class Message:
    name: str
    body: bytes
    born: datetime
    deliveries: int = 0
    dead: bool = False
    is_forged: bool = False
    reason: str = ""


@dataclass
class SimBus:
    """`MessageBus`; `handle` and `bury` are what the host runs for a message and for a dead letter."""

    engine: Engine
    weather: Weather
    redelivers: bool = True
    window: timedelta = timedelta(minutes=5)
    """Of duplicate detection."""
    handle: Callable[[Message], None] = lambda _message: None
    bury: Callable[[Message], None] = lambda _message: None
    hindered: Callable[[Message], None] = lambda _message: None
    """A message was not handled to its end."""
    known: dict[str, datetime] = field(default_factory=dict)
    waiting: dict[int, Message] = field(default_factory=dict)
    """What will be delivered."""
    history: list[bytes] = field(default_factory=list)
    dead: int = 0
    lost: int = 0

    # ---------------------------------------------------------------------------------------------- sending

    def send(self, commands: Sequence[Sendable]) -> None:
        """All of them; or, when the connection breaks, the first few."""
        stop = len(commands)
        if self.weather.strikes() and len(commands) > 1 and self.engine.chance(self.weather.faults.lost_answer):
            stop = self.engine.random.randrange(len(commands))
        for command in commands[:stop]:
            self._accept(message_id(command), to_json(command).encode(), command.delay)
        if stop < len(commands):
            self.engine.note(f"bus broke after {stop} of {len(commands)} messages")
            raise TransientError("bus: the connection broke within a batch")

    def _accept(self, name: str, body: bytes, delay: timedelta) -> None:
        now = self.engine.now()
        seen = self.known.get(name)
        if seen is not None and now - seen < self.window:
            self.engine.note(f"duplicate dropped {name}")
            return
        self.known[name] = now
        self.history.append(body)
        faults = self.weather.faults
        late = self.engine.seconds(0.001, 0.2)
        if self.weather.strikes() and self.engine.chance(faults.delay):
            late = self.engine.seconds(1, 240)
        self.put(Message(name=name, body=body, born=now), delay + late)
        if self.weather.strikes() and self.engine.chance(faults.duplicate):
            self.put(Message(name=f"{name} (copy)", body=body, born=now), delay + self.engine.seconds(0.01, 300))

    def put(self, message: Message, wait: timedelta) -> None:
        """A message becomes visible."""
        self.waiting[id(message)] = message
        self.engine.after(wait, lambda: self._deliver(message))

    # ------------------------------------------------------------------------------------------- delivering

    def _deliver(self, message: Message) -> None:
        del self.waiting[id(message)]
        message.deliveries += 1
        settled = [False]

        def ended(outcome: BaseException | None) -> None:
            if settled[0]:
                return  # its lock was lost while it stood still; the message has come again
            settled[0] = True
            if outcome is not None:
                self._failed(message, outcome)

        def lock_lost() -> None:
            if not settled[0]:
                settled[0] = True
                self._failed(message, Crash())

        label = f"{'dead ' if message.dead else ''}{message.name} #{message.deliveries}"
        self.engine.note(f"deliver {label}")
        work = self.bury if message.dead else self.handle
        task = self.plan(Task(label=label, work=lambda: work(message), ended=ended, is_message=True))
        task.may_stand = self.weather.faults.freeze_before_making > 0 and DEPLOY in message.body
        self.engine.start(task)
        if not task.is_over and task.has_thread:
            self.engine.after(LOCK, lock_lost)

    def plan(self, task: Task) -> Task:
        """Shall its process die, or stand still for a while?"""
        if self.weather.strikes(task):
            faults, chance, seeded = self.weather.faults, self.engine.chance, self.engine.random
            if chance(faults.crash):
                task.crash_at = seeded.randint(1, faults.crash_within)
            if chance(faults.freeze):
                first = seeded.randint(1, 25)
                task.freeze_at = {first: self._freeze_time()}
                if chance(0.3):
                    task.freeze_at[first + seeded.randint(1, 10)] = self._freeze_time()
        return task

    def _freeze_time(self) -> timedelta:
        """Mostly moments, in which others get in between; sometimes minutes."""
        return self.engine.seconds(0.01, 5) if self.engine.chance(0.4) else self.engine.seconds(30, 300)

    def _comes_back(self, message: Message) -> None:
        """Nothing ever ends this but the handler: it must not make the host spin."""
        minutes = max(1.0, (self.engine.now() - message.born).total_seconds() / 60)
        if message.deliveries / minutes > MOST_A_MINUTE:
            raise Violation(f"I10: the dead letter {message.name} came {message.deliveries} times in {minutes:.0f} min")

    def _failed(self, message: Message, outcome: BaseException) -> None:
        crashed = isinstance(outcome, Crash)
        if not crashed and not isinstance(outcome, Exception):
            raise outcome
        self.hindered(message)
        if not self.redelivers and not message.dead:
            self.lost += 1
            self.engine.note(f"lost {message.name}: {outcome}")
            return
        if not crashed:
            self.engine.note(f"failed {message.name}: {type(outcome).__name__} {str(outcome)[:120]}")
        if message.deliveries >= MOST_DELIVERIES and not message.dead:
            self.dead += 1
            self.engine.note(f"dead {message.name}")
            reason = "MaxDeliveryCountExceeded"
            letter = Message(
                name=message.name,
                body=message.body,
                born=self.engine.now(),
                dead=True,
                reason=reason,
                is_forged=message.is_forged,
            )
            self.put(letter, timedelta(seconds=1))
            return
        if message.dead:
            self._comes_back(message)
        self.put(message, LOCK if crashed else timedelta(milliseconds=100))
