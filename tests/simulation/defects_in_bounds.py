"""Defects in what must end in its time, and happen so often and no more: each must be caught."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from shared.application import notices, postponing
from shared.application import worker as worker_module
from shared.application.gate_refresh import GateRefresh
from shared.application.slots import Slots
from shared.application.sweeper import Sweeper
from shared.domain import process
from shared.domain.model import Moment
from tests.simulation.defects import NO_REDELIVERY, NO_SWEEPER, Mutant, Patches

NEVER = timedelta(days=999)
MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)


def deadlines_are_not_kept(patches: Patches) -> None:
    patches.set(process, "is_past_deadline", lambda *_args: False)


def each_look_starts_the_clock_anew(patches: Patches) -> None:
    poll = worker_module.decide_poll

    def patient(run: Any, still: Any, policy: Any, at: Any) -> Any:
        return poll(run, replace(still, restart_clock=True), policy, at)

    patches.set(worker_module, "decide_poll", patient)


def looks_follow_each_other_at_once(patches: Patches) -> None:
    poll = worker_module.decide_poll

    def eager(run: Any, still: Any, policy: Any, at: Any) -> Any:
        return poll(run, replace(still, check_in=SECOND), policy, at)

    patches.set(worker_module, "decide_poll", eager)


def copies_that_are_put_off_breed_copies(patches: Patches) -> None:
    """What the simulation found in our own code: each copy was put off under an id of its own."""

    def time(now: datetime, *_of_the_message: Any) -> int:
        return int(now.timestamp())

    patches.set(postponing, "_number", time)


def the_sweeper_does_not_back_off(patches: Patches) -> None:
    for module in (process, notices):
        patches.set(module, "redrive_wait", lambda _redrive: MINUTE)


def open_gates_are_not_looked_at_again(patches: Patches) -> None:
    patches.set(GateRefresh, "begin_if_due", lambda *_args: None)


def people_are_reminded_over_and_over(patches: Patches) -> None:
    """Nobody writes down that it was done, and each reminder is a message of its own."""

    def remind(self: Sweeper, release: Any, gate: Any, now: Any) -> None:
        rows = notices.notices_for(release, Moment.GATE_REMINDER, self.ports.audience, now, asks=gate.row)
        again = [replace(row, subject=f"{row.subject} {now:%H%M}") for row in rows]
        self.ports.releases.commit(*notices.inserts(again))
        self.ports.bus.send([notices.send_command(row) for row in again])

    patches.set(Sweeper, "_remind", remind)
    patches.set(notices, "_opening", lambda notice: notice.subject.partition(" ")[0])


def mails_are_tried_for_ever(patches: Patches) -> None:
    patches.set(notices, "TRIED_FOR", NEVER)


def freed_slots_are_given_to_nobody(patches: Patches) -> None:
    def free(self: Slots, number: int, owner: str, _release: Any) -> None:
        self._release(number, owner)

    patches.set(Slots, "free", free)


def nobody_is_sent_to_a_first_look(patches: Patches) -> None:
    implied = process.implied_commands

    def silent(run: Any) -> Any:
        is_first = (run.phase, run.poll_n) == (process.C.SMOKE_TESTING, 0)
        return () if is_first else implied(run)

    patches.set(process, "implied_commands", silent)


DEFECTS = (
    Mutant.of("deadlines are not kept", deadlines_are_not_kept, "azure", "stubborn"),
    Mutant.of("each look starts the clock anew", each_look_starts_the_clock_anew, "quiet", "azure"),
    Mutant.of("looks follow each other at once", looks_follow_each_other_at_once, "azure"),
    Mutant.of(
        "copies that are put off breed copies", copies_that_are_put_off_breed_copies, "forged", nets=NO_REDELIVERY
    ),
    Mutant.of("the sweeper does not back off", the_sweeper_does_not_back_off, "azure", "quiet"),
    Mutant.of("open gates are not looked at again", open_gates_are_not_looked_at_again, "quiet"),
    Mutant.of("people are reminded over and over", people_are_reminded_over_and_over, "quiet"),
    Mutant.of("mails are tried for ever", mails_are_tried_for_ever, "quiet"),
    Mutant.of("freed slots are given to nobody", freed_slots_are_given_to_nobody, "quiet", nets=NO_SWEEPER),
    Mutant.of("nobody is sent to a first look", nobody_is_sent_to_a_first_look, "quiet", nets=NO_SWEEPER),
)
