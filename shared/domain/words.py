"""What people and builds write, made fit for mails, pages and rows where they enter; times as people read them."""

from datetime import UTC, datetime, timedelta


def counted(number: int, what: str) -> str:
    """`1 row`, `2 rows`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def clean(text: str) -> str:
    """One line of printable characters: nobody's words can forge a line, a header or a direction of writing.

    Line breaks, control and format characters (escape sequences, bidirectional overrides, zero-width ones) become
    spaces, several spaces one.
    """
    printable = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(printable.split())


def moment(at: datetime) -> str:
    """`11 Dec 2025, 14:30 UTC`."""
    utc = at.astimezone(UTC)
    return f"{utc.day} {utc:%b %Y, %H:%M} UTC"


def duration(seconds: object) -> str:
    """`42 s`, `3 min 5 s`, `5 h 10 min`, `3 d 4 h`; anything that is no number: empty."""
    if not isinstance(seconds, int | float):
        return ""
    span = timedelta(seconds=max(0, round(seconds)))
    hours, rest = divmod(span.seconds, 3600)
    minutes, rest = divmod(rest, 60)
    parts = [(span.days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    first = next((place for place, (count, _) in enumerate(parts) if count), len(parts) - 1)
    return " ".join(f"{count} {unit}" for count, unit in parts[first : first + 2] if count) or "0 s"
