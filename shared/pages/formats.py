"""Pages: how times, numbers and phases are written for people; the filters of the templates."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from urllib.parse import urlencode

from shared.domain import words
from shared.domain.model import CircuitPhase, GateState, ReleasePhase
from shared.domain.naming import timestamp

moment = words.moment
duration = words.duration

SIGNS: Mapping[str, str] = {
    "done": "✓",
    "running": "●",
    "waiting": "○",
    "failed": "✗",
    "neutral": "–",
    "attention": "▲",
}
"""Always beside a word: a sign is for the eye, the word is what it means."""

_MARKS: Mapping[str, str] = {
    ReleasePhase.SUCCEEDED: "done",
    ReleasePhase.FAILED: "failed",
    ReleasePhase.INVALID: "failed",
    ReleasePhase.REJECTED: "failed",
    ReleasePhase.EXPIRED: "attention",
    ReleasePhase.AWAITING_REGISTRY_APPROVAL: "attention",
    ReleasePhase.AWAITING_PRODUCTION_APPROVAL: "attention",
    ReleasePhase.SUPERSEDED: "neutral",
    ReleasePhase.CANCELLED: "neutral",
    ReleasePhase.NOTHING_TO_DO: "neutral",
    CircuitPhase.INSPECTED: "done",
    CircuitPhase.PROMOTED: "done",
    CircuitPhase.TESTED: "done",
    CircuitPhase.STAGED: "done",
    CircuitPhase.LIVE: "done",
    CircuitPhase.ERRORED: "failed",
    CircuitPhase.EXCLUDED: "neutral",
    CircuitPhase.ROLLED_BACK: "neutral",
    CircuitPhase.RESTORED: "neutral",
    GateState.OPEN: "attention",
    GateState.APPROVED: "done",
    GateState.VOID: "neutral",
}


def mark(phase: str) -> str:
    """The class of a phase: one of the keys of SIGNS."""
    return _MARKS.get(phase, "running")


def iso(at: datetime) -> str:
    """For `<time datetime>`."""
    return timestamp(at)


def time_left(until: datetime, now: datetime) -> str:
    """`23 h 59 min left`, `expired` from the deadline on."""
    return f"{duration((until - now).total_seconds())} left" if until > now else "expired"


def since(at: datetime, now: datetime) -> str:
    return duration((now - at).total_seconds())


def age(cutoff_date: object, now: datetime) -> str:
    """How old a cutoff date is: `40 days old`; empty if it is no date."""
    try:
        days = (now.astimezone(UTC).date() - date.fromisoformat(str(cutoff_date))).days
    except ValueError:
        return ""
    return f"{days} day{'' if days == 1 else 's'} old" if days >= 0 else "in the future"


def number(value: object) -> str:
    """Metrics with six significant digits."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "" if value is None else str(value)
    return f"{value:.6g}"


def carry(token: str) -> str:
    """The token a page was opened with, as the end of an address of ours; empty: it was opened without one."""
    return f"?{urlencode({'view': token})}" if token else ""


def web_address(value: object) -> str:
    """Links lead to https only: an address from a file may say `javascript:`."""
    return value if isinstance(value, str) and value.startswith("https://") else ""


def short(text: object, limit: int = 12) -> str:
    """The beginning of a hash."""
    return str(text)[:limit]


def count(many: int, one: str, several: str = "") -> str:
    """`1 circuit`, `3 circuits`."""
    return f"{many} {one if many == 1 else several or one + 's'}"
