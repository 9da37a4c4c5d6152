"""Adapters: how long a service asks to be left alone (RFC 9110 section 10.2.3), in seconds or until a date."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

SECONDS = re.compile(r"\d{1,9}(\.\d{1,9})?", re.ASCII)
"""The RFC knows whole seconds; services also send parts of one, and the Azure SDKs read them."""


def retry_after(headers: Mapping[str, str]) -> timedelta | None:
    """None: it does not ask, or not in a way that can be read. A date counts from the answer's own Date, if it has one."""
    asked = headers.get("Retry-After", "").strip()
    if SECONDS.fullmatch(asked):
        return timedelta(seconds=float(asked))
    until = _date(asked)
    if until is None:
        return None
    said_at = _date(headers.get("Date", "")) or datetime.now(UTC)
    return max(until - said_at, timedelta())


def _date(text: str) -> datetime | None:
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
