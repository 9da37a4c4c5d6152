"""Unit: the sender's budget counts a minute and an hour, in one row for all instances."""

from datetime import timedelta

import pytest

from shared.application.mail_budget import MailBudget
from shared.domain.errors import TransientError
from shared.domain.model import MailsSent
from tests.support.clock import ManualClock
from tests.support.fakes_state import FakeMailLog

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
LIMITS = {MINUTE: 3, HOUR: 5}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def log() -> FakeMailLog:
    return FakeMailLog()


@pytest.fixture
def budget(log: FakeMailLog, clock: ManualClock) -> MailBudget:
    return MailBudget(log=log, clock=clock, limits=LIMITS)


def wait_of(budget: MailBudget) -> timedelta | None:
    """How long the next mail has to wait; None: not at all."""
    try:
        budget.take()
    except TransientError as error:
        return error.retry_after
    return None


def test_the_fourth_within_a_minute_waits_for_the_first_to_be_a_minute_old(
    budget: MailBudget, clock: ManualClock
) -> None:
    """And not a second longer."""
    for _ in range(3):
        assert wait_of(budget) is None
        clock.forward(10 * SECOND)
    assert wait_of(budget) == 30 * SECOND
    clock.forward(29 * SECOND)
    assert wait_of(budget) == SECOND
    clock.forward(SECOND)
    assert wait_of(budget) is None


def test_the_longer_wait_counts(budget: MailBudget, clock: ManualClock) -> None:
    """Five within the hour are there, three of them within the minute."""
    for _ in range(2):
        budget.take()
    clock.forward(2 * MINUTE)
    for _ in range(3):
        budget.take()
    assert wait_of(budget) == HOUR - 2 * MINUTE


def test_what_an_hour_does_not_count_any_more_is_forgotten(
    budget: MailBudget, clock: ManualClock, log: FakeMailLog
) -> None:
    """The row does not grow."""
    for _ in range(40):
        budget.take()
        clock.forward(20 * MINUTE)
    assert log.stored is not None
    assert len(log.stored.row.at) == 3


def test_a_mail_that_another_instance_counted_meanwhile_is_counted_as_well(
    budget: MailBudget, clock: ManualClock, log: FakeMailLog
) -> None:
    """The row is read again: it was the last place of this minute."""
    for _ in range(2):
        budget.take()
    others = [MailBudget(log=log, clock=clock, limits=LIMITS)]

    def be_quicker(request: str) -> None:
        if request == "write_sent" and others:
            others.pop().take()

    log.on_request = be_quicker
    wait = wait_of(budget)
    assert wait is not None
    assert MINUTE - SECOND < wait <= MINUTE
    assert log.stored is not None
    assert len(log.stored.row.at) == 3


def test_an_instance_whose_clock_is_ahead_does_not_open_the_budget(
    budget: MailBudget, clock: ManualClock, log: FakeMailLog
) -> None:
    """A time that lies ahead counts until it is over."""
    log.write_sent(MailsSent(at=(clock.now() + 2 * SECOND,) * 3), etag=None)
    assert wait_of(budget) == MINUTE + 2 * SECOND
