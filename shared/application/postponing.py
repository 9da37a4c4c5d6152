"""Use cases: a message that can't be handled now, because state is out of reach, comes again later."""

from dataclasses import replace
from datetime import datetime, timedelta

from shared.application.messages import kind_of
from shared.application.ports import Ports, Sendable
from shared.domain.errors import ConfigurationError, TransientError
from shared.telemetry import log

FIRST_WAIT = timedelta(seconds=5)
LONGEST_WAIT = timedelta(minutes=5)
MOST_POSTPONED = 300
"""About a day. What is refused for longer becomes a dead letter, which people see; in an outage that waits as well."""
PAUSE_BEFORE_RAISING = timedelta(seconds=1)
"""Whoever delivers a message again does so at once: with state and bus both out of reach, not faster than this."""


def postpone(command: Sendable, error: TransientError | ConfigurationError, ports: Ports) -> None:
    """Send the same message again, due after a wait that doubles up to five minutes, or after the service's own wish.

    A role that was taken away is waited for like a service that is down: ten deliveries at once would not outlast it.

    The number in its id is the time: counting on from the message's own would meet the sweeper's numbers, and
    duplicate detection would drop it. Copies of one message that are put off within one wait become one: the first
    of them is not due before the others were put off, so it sees what they have left. Else each copy breeds copies.

    Raises:
        TransientError, ConfigurationError: the bus does not take it either, or it has been put off for a day; the host delivers the
            message again, and in the end to the dead-letter queue.
    """
    if command.postponed >= MOST_POSTPONED:
        raise error
    wish = error.retry_after if isinstance(error, TransientError) else None
    wait = max(wish or timedelta(), min(FIRST_WAIT * 2 ** min(command.postponed, 10), LONGEST_WAIT))
    now = ports.clock.now()
    again = replace(command, redrive=_number(now, wait, command.postponed), postponed=command.postponed + 1, delay=wait)
    log.warning(
        "state out of reach; message postponed",
        action="message_postponed",
        kind=kind_of(command),
        release_id=getattr(command, "release_id", ""),
        circuit=getattr(command, "circuit", ""),
        error=error,
    )
    try:
        ports.bus.send((again,))
    except (TransientError, ConfigurationError) as refused:
        log.warning("the bus does not take it either", action="message_not_postponed", error=refused)
        ports.clock.pause(PAUSE_BEFORE_RAISING)
        raise error from None


def _number(now: datetime, wait: timedelta, postponed: int) -> int:
    """The same for copies that were put off equally often, for as long as the first of them is not due."""
    return int(now.timestamp() // wait.total_seconds()) * 10_000 + postponed
