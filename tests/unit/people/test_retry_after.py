"""Unit: how long a service asks to be left alone, in both forms of RFC 9110."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.adapters.retry_after import retry_after

SAID_AT = "Wed, 10 Dec 2025 15:04:30 GMT"


@pytest.mark.parametrize(
    ("asked", "wait"),
    [
        ("73", timedelta(seconds=73)),
        (" 5 ", timedelta(seconds=5)),
        ("0", timedelta()),
        ("Wed, 10 Dec 2025 15:05:43 GMT", timedelta(seconds=73)),
        ("Wednesday, 10-Dec-25 15:05:43 GMT", timedelta(seconds=73)),
        ("Wed Dec 10 15:05:43 2025", timedelta(seconds=73)),
        ("Wed, 10 Dec 2025 15:00:00 GMT", timedelta()),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", timedelta(seconds=1.5)),
        ("Wed, 99 Dec 2025 15:05:43 GMT", None),
    ],
)
def test_seconds_and_dates_are_understood_and_nothing_else(asked: str, wait: timedelta | None) -> None:
    """A date counts from when the answer says that it was given: our clock may be another."""
    assert retry_after({"Retry-After": asked, "Date": SAID_AT}) == wait


def test_a_date_without_a_date_of_the_answer_counts_from_now() -> None:
    """To the second."""
    wait = retry_after({"Retry-After": f"{datetime.now(UTC) + timedelta(minutes=2):%a, %d %b %Y %H:%M:%S} GMT"})
    assert wait is not None
    assert timedelta(seconds=110) < wait <= timedelta(minutes=2)


def test_nothing_asked_is_no_wait() -> None:
    """The back-off decides."""
    assert retry_after({}) is None
