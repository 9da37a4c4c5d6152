"""What the Functions host does: messages and dead letters are handled, people and timers do something."""

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from shared.application.control import Control
from shared.application.dead_letters import DeadLetters
from shared.application.dispatcher import is_current
from shared.application.messages import parse_message, to_json
from shared.application.ports import Sendable
from shared.application.worker import Worker
from shared.domain.commands import RunStep
from shared.domain.errors import ConflictError, PermanentError, TransientError
from shared.domain.model import (
    CircuitRun,
)
from shared.domain.rows import run_key
from tests.simulation.bus import Message
from tests.simulation.engine import START, Crash, Task, Violation
from tests.simulation.refusals import is_refusal, may_leave_a_handler
from tests.simulation.timer import TICK

if TYPE_CHECKING:
    from tests.simulation.universe import Universe


class Host:
    """What the Functions host does: messages and dead letters are handled, people and timers do something."""

    def __init__(self, universe: "Universe") -> None:
        self.universe, self.engine = universe, universe.engine

    def handle(self, message: Message) -> None:
        self._note_if_past(message)
        try:
            command = parse_message(message.body)
            if not message.is_forged:
                self.universe.watch.work.delivered(command)
            redelivered = message.deliveries > 1
            if isinstance(command, RunStep):
                Worker(self.universe.ports).handle(command, redelivered=redelivered)
            else:
                Control(self.universe.ports).handle(command, redelivered=redelivered)
        except (TransientError, ConflictError):
            raise
        except Exception as error:
            if not message.is_forged and not may_leave_a_handler(error):
                raise Violation(f"a handler raised {type(error).__name__}: {error}") from error
            raise

    def bury(self, message: Message) -> None:
        self._note_if_past(message)
        command, before = self._row_of(message)
        refused = len(self.universe.weather.refusals.met_by)
        try:
            DeadLetters(self.universe.ports).handle(message.body, message.reason)
            if command is not None and before is not None and refused == len(self.universe.weather.refusals.met_by):
                self._buried(command, before)
        except (TransientError, ConflictError):
            raise
        except Exception as error:
            if may_leave_a_handler(error):  # the trigger logs it, and takes the letter
                self.engine.note(f"dead letter not recorded: {error}")
                return
            raise Violation(f"a dead letter raised {type(error).__name__}: {error}") from error

    def do(self, label: str, work: Callable[[], None], *, tries: int = 1, wait: timedelta = TICK) -> None:
        """A timer or a person does something; what fails is done again, as often as they would."""

        def ended(outcome: BaseException | None) -> None:
            if outcome is None:
                return
            if not isinstance(outcome, Crash | TransientError | ConflictError) and not is_refusal(outcome):
                raise Violation(f"{label} raised {type(outcome).__name__}: {outcome}") from outcome
            self.engine.note(f"{label}: {type(outcome).__name__} {str(outcome)[:100]}")
            if tries > 1:
                self.engine.after(wait, lambda: self.do(label, work, tries=tries - 1, wait=wait))

        self.engine.note(label)
        self.engine.start(self.universe.bus.plan(Task(label=label, work=work, ended=ended)))

    def _note_if_past(self, message: Message) -> None:
        """A message about a state that is over must leave its circuit alone."""
        command, row = self._row_of(message)
        if not self.engine.current or not command:
            return
        self.engine.current.about = (command.release_id, command.circuit)
        if row and not is_current(command, row):
            self.engine.current.past = self.engine.current.about

    @staticmethod
    def read(message: Message) -> Sendable | None:
        try:
            return parse_message(message.body)
        except PermanentError:
            return None

    def _row_of(self, message: Message) -> tuple[RunStep | None, CircuitRun | None]:
        command = self.read(message)
        if not isinstance(command, RunStep):
            return None, None
        stored = self.universe.releases.rows[command.release_id].get(run_key(command.circuit))
        return command, stored.row if stored else None

    def _buried(self, command: RunStep, before: CircuitRun) -> None:
        """I10: a dead letter is a failure of what it spoke of. That one of the past is none is seen at each write."""
        _, now = self._row_of(Message(name="", body=to_json(command).encode(), born=START))
        assert now is not None
        untouched = (now.phase, now.gen, now.poll_n, now.error) == (
            before.phase,
            before.gen,
            before.poll_n,
            before.error,
        )
        if untouched and is_current(command, before) and not self._comes_again(command):
            raise Violation(f"I10: the dead letter of {command.circuit} {command.phase} changed nothing")

    def _comes_again(self, command: RunStep) -> bool:
        """State was out of reach: the dead letter was sent once more, for later."""
        again = (self.read(message) for message in self.universe.bus.waiting.values())
        return any(
            isinstance(c, RunStep) and c.revived > command.revived and c.circuit == command.circuit for c in again
        )
