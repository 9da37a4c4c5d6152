"""Long commands say that they are still at work."""

from threading import Event

import pytest

from tests.support.progress import NowAndThen, told_meanwhile


def test_a_line_is_due_by_the_clock_however_often_one_asks() -> None:
    """Once every twenty seconds, and not at the start."""
    times = iter([0, 19, 20, 21, 39, 40.5, 100])
    now_and_then = NowAndThen(every_seconds=20, clock=lambda: next(times))
    assert [now_and_then.is_due() for _ in range(6)] == [False, True, False, False, True, True]


def test_while_one_waits_another_tells(capfd: pytest.CaptureFixture[str]) -> None:
    """On stderr, so that the report on stdout stays what it is; not any more when it is over."""
    twice, told = Event(), list[int]()

    def line() -> str:
        told.append(len(told))
        if len(told) == 2:
            twice.set()
        return f"line {len(told)}"

    with told_meanwhile(line, every_seconds=0.001):
        assert twice.wait(60)
    printed = capfd.readouterr()
    assert printed.err.splitlines() == [f"line {n + 1}" for n in told]
    assert not printed.out
