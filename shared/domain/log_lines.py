"""Domain: the lines of a job's logs that tell of an error, and those among them that are known to be harmless (R27, D9).

Every line is judged before any is left away: what is bounded is how many are kept for people to read.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from shared.domain.policy import AllowedLine
from shared.domain.words import clean

MOST_TOLD = 20
"""Lines of either kind that are kept; the others are counted."""
MOST_REMEMBERED = 5_000
"""Different lines that are known again when they come a second time; beyond, each one counts."""
MOST_TEXT = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One suspicious line of a job's logs, with the file and line number it stands at."""

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFindings:
    """Lines that are equal count once, at the first place they stand at."""

    errors: tuple[LogLine, ...] = ()
    """The first ones."""
    error_count: int = 0
    allowed: tuple[tuple[LogLine, str], ...] = ()
    """The first lines that were let pass, each with the reason."""
    allowed_count: int = 0


class _Once[Kept]:
    def __init__(self) -> None:
        self.kept: list[Kept] = []
        self.count = 0
        self._known: set[str] = set()

    def add(self, text: str, kept: Kept) -> None:
        if text in self._known:
            return
        if len(self._known) < MOST_REMEMBERED:
            self._known.add(text)
        if len(self.kept) < MOST_TOLD:
            self.kept.append(kept)
        self.count += 1


def sifted(lines: Iterable[LogLine], allowed: Sequence[AllowedLine]) -> LogFindings:
    """Of lines that look like errors, those that are; the allow-list sees each one whole, however many there are."""
    errors, passed = _Once[LogLine](), _Once[tuple[LogLine, str]]()
    for line in lines:
        let_pass = next((entry for entry in allowed if entry.text in line.text), None)
        text = clean(line.text)[:MOST_TEXT]
        told = LogLine(file=line.file, line=line.line, text=text)
        if let_pass:
            passed.add(text, (told, let_pass.reason))
        else:
            errors.add(text, told)
    return LogFindings(
        errors=tuple(errors.kept),
        error_count=errors.count,
        allowed=tuple(passed.kept),
        allowed_count=passed.count,
    )
