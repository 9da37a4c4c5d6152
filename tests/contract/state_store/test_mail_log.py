"""`MailLog`: one suite, on the fake and on real Table Storage."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from shared.application.mail_budget import MailBudget
from shared.application.ports import MailLog
from shared.domain.errors import ConflictError, TransientError
from shared.domain.model import MailsSent
from tests.support.builders import NOW
from tests.support.clock import ManualClock

MINUTE = timedelta(minutes=1)


def test_what_was_sent_is_known_to_everybody(mails: MailLog) -> None:
    """To the microsecond, and in order; nothing at first."""
    assert mails.sent() is None
    times = tuple(NOW + n * timedelta(microseconds=1) for n in range(1000))
    mails.write_sent(MailsSent(at=times), etag=None)
    stored = mails.sent()
    assert stored is not None
    assert stored.row.at == times
    mails.write_sent(MailsSent(at=(NOW,)), etag=stored.etag)
    again = mails.sent()
    assert again is not None
    assert again.row.at == (NOW,)


def test_of_two_instances_one_writes(mails: MailLog) -> None:
    """The other one's ETag is old, or its row is there already."""
    mails.write_sent(MailsSent(at=(NOW,)), etag=None)
    with pytest.raises(ConflictError):
        mails.write_sent(MailsSent(at=()), etag=None)
    stored = mails.sent()
    assert stored is not None
    mails.write_sent(MailsSent(at=(NOW, NOW)), etag=stored.etag)
    with pytest.raises(ConflictError):
        mails.write_sent(MailsSent(at=()), etag=stored.etag)


def test_many_instances_at_once_take_no_more_than_there_is(mails: MailLog) -> None:
    """Twelve at once, room for five. Who is outrun again and again comes later, as if there were no room.

    Where an answer was lost and the row written again meanwhile, a mail may be counted twice, never left out.
    """

    def take(_: int = 0) -> bool:
        try:
            MailBudget(log=mails, clock=ManualClock(NOW), limits={MINUTE: 5}).take()
        except TransientError:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        at_once = sum(pool.map(take, range(12)))
    stored = mails.sent()
    assert stored is not None
    counted = len(stored.row.at)
    assert 1 <= at_once <= counted <= 5
    assert [take() for _ in range(6 - counted)] == [True] * (5 - counted) + [False]
