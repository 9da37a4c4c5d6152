"""Local stack, Functions host: NCRONTAB schedules, five fields or six with seconds first, in UTC."""

import re
from datetime import UTC, datetime, timedelta

from croniter import croniter

from local.functions_host.errors import ConfigurationError

FIELD = re.compile(r"[0-9A-Za-z*/,\-]+")
FREQUENT = timedelta(minutes=1)


class Schedule:
    """When a timer is due."""

    def __init__(self, expression: str) -> None:
        """Raises: ConfigurationError."""
        fields = expression.split()
        if len(fields) == 5:
            fields = ["0", *fields]
        self._expression = " ".join(fields)
        readable = len(fields) == 6 and all(FIELD.fullmatch(field) for field in fields)
        if not readable or not croniter.is_valid(self._expression, second_at_beginning=True):
            raise ConfigurationError(
                f"'{expression}' is no NCRONTAB expression {{second}} {{minute}} {{hour}} {{day}} {{month}} {{weekday}}"
            )

    def next_after(self, moment: datetime) -> datetime:
        """The first occurrence later than the moment."""
        # NCRONTAB wants day of month AND day of week to fit, cron is content with either.
        following = croniter(self._expression, moment, second_at_beginning=True, day_or=False)
        occurrence: datetime = following.get_next(datetime)
        return occurrence.astimezone(UTC)

    def is_frequent(self, moment: datetime) -> bool:
        """More often than once a minute: the real host keeps no schedule status for such timers."""
        first = self.next_after(moment)
        return self.next_after(first) - first < FREQUENT
