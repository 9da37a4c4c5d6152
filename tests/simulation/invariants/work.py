"""I10 and its kind: whatever is broken, work is repeated with pauses, and people are not told over and over."""

from collections import Counter, defaultdict, deque
from dataclasses import replace
from datetime import datetime, timedelta

from shared.application.messages import message_id
from shared.application.notices import NEW_EVIDENCE
from shared.application.ports import Letter, Sendable
from shared.domain.commands import RunStep
from shared.domain.model import CircuitRun, Gate, GateState, Moment, Notice, Release
from shared.domain.rows import RELEASE_KEY, notice_key, row_key, run_key
from tests.simulation.invariants.seen import Check, Seen

HOUR = timedelta(hours=1)
MOST_DRIVES = 30
"""Of one row in an hour: with pauses of 1, 2, 4, 8, then 15 minutes, which begin anew when a look was made."""
MOST_LOOKS = 600
"""At one circuit in one try in an hour: every 5 s at a switch, for ten minutes there and ten minutes back, twice."""
MOST_DELIVERIES = 150
"""Of messages about one and the same state in an hour: ten deliveries, repeats of the sweeper, and waits up to 5 min."""
PUT_OFF_AN_HOUR = 30
"""How often a message that waits for a service comes again in the end, and its copies."""
MOST_TRIES = 60
"""Of one mail that its channel does not take: an hour long, 5 min apart in the end."""


class BoundedWork(Check):
    """I10 and its kind: whatever is broken, work is repeated with pauses, and people are not told over and over."""

    def __init__(self, seen: Seen) -> None:
        super().__init__(seen)
        self.drives = Counter[tuple[str, str]]()
        """How often a row was driven again: in a long outage each of those messages is put off on its own, for up to a day."""
        self.times: dict[str, deque[datetime]] = defaultdict(deque)
        self.reminders: dict[tuple[str, str, str], str] = {}
        """Which message has reminded whom of which opening."""

    def written(
        self, old: CircuitRun | Gate | Notice | Release | None, new: CircuitRun | Gate | Notice | Release
    ) -> None:
        who = f"{new.release_id} {row_key(new)}"
        if old is None or isinstance(old, Gate) or isinstance(new, Gate):
            return
        if isinstance(new, CircuitRun) and isinstance(old, CircuitRun) and new.poll_n > old.poll_n:
            self._happens(f"{who} (gen {new.gen}) was looked at", MOST_LOOKS)
        if new.redrive > old.redrive:
            self.drives[new.release_id, row_key(new)] += 1
            self._happens(f"{who} was driven again", MOST_DRIVES)
        if isinstance(new, Notice) and new.attempts > MOST_TRIES:
            self.fail("I10", f"{who} was tried {new.attempts} times")

    def delivered(self, command: Sendable) -> None:
        """Whatever its number, and however often it was put off: it speaks of this state."""
        same = replace(command, redrive=0, postponed=0, revived=0)
        row = run_key(command.circuit) if isinstance(command, RunStep) else getattr(command, "row_key", RELEASE_KEY)
        drives = self.drives[getattr(command, "release_id", ""), row]
        self._happens(f"{message_id(same)}: a message came", MOST_DELIVERIES + PUT_OFF_AN_HOUR * drives)

    def told(self, letter: Letter) -> None:
        """A reminder may come twice if its sender died over it; but it is one message per person, opening and sending."""
        notice = letter.notice
        if notice.moment is not Moment.GATE_REMINDER or NEW_EVIDENCE in notice.subject:
            return
        key = notice_key(notice)
        self._happens(f"{notice.release_id} {key} arrived", MOST_TRIES)
        for gate in (gate for gate in letter.gates if gate.state is GateState.OPEN):
            first = self.reminders.setdefault(
                (notice.release_id, gate.nonce, f"{notice.channel} {notice.recipient}"), key
            )
            if key != first:
                self.fail("R8", f"{notice.release_id} {key}: {notice.recipient} was reminded by {first} already")

    def _happens(self, what: str, most: int) -> None:
        now, times = self.seen.engine.now(), self.times[what]
        times.append(now)
        while times[0] <= now - HOUR:
            times.popleft()
        if len(times) > most:
            self.fail("I10", f"{what} {len(times)} times within an hour")
