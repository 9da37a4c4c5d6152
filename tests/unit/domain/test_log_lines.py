"""Unit: every suspicious line of a job's logs is judged by the allow-list before any is left away (R27, D9)."""

from collections.abc import Iterable

from shared.domain.log_lines import MOST_TEXT, MOST_TOLD, LogFindings, LogLine, sifted
from shared.domain.policy import AllowedLine

TELEMETRY = AllowedLine(text="telemetry is switched off", reason="no internet on the nodes")


def lines(*texts: str) -> Iterable[LogLine]:
    return [LogLine(file="logs/user/error.txt", line=number, text=text) for number, text in enumerate(texts, start=1)]


def test_an_error_behind_a_thousand_allowed_lines_is_found() -> None:
    """D9: what is let pass takes nobody's place; what is not shown is counted."""
    harmless = [f"ERROR telemetry is switched off ({n})" for n in range(1000)]

    found = sifted(lines(*harmless, "ERROR disk is full"), [TELEMETRY])

    assert [str(line) for line in found.errors] == ["logs/user/error.txt:1001: ERROR disk is full"]
    assert (found.error_count, found.allowed_count, len(found.allowed)) == (1, 1000, MOST_TOLD)
    assert found.allowed[0][1] == "no internet on the nodes"


def test_all_errors_are_counted_and_the_first_ones_kept() -> None:
    """R27: 10,000 different lines are 10,000 errors; memory holds twenty."""
    found = sifted(lines(*(f"ERROR {n}" for n in range(10_000))), ())

    assert found.error_count == 10_000
    assert [line.line for line in found.errors] == list(range(1, MOST_TOLD + 1))


def test_a_line_that_comes_again_counts_once() -> None:
    """The same error stands in error.txt and in the file of its process."""
    assert sifted(lines("ERROR a", "ERROR b", " ERROR a "), ()).error_count == 2


def test_the_allowed_text_may_stand_far_behind_in_a_long_line() -> None:
    """What people read is cut, what is judged is not."""
    long = f"ERROR {'x' * 2 * MOST_TEXT} telemetry is switched off"

    assert sifted(lines(long), [TELEMETRY]).allowed_count == 1
    assert len(sifted(lines(long), ()).errors[0].text) == MOST_TEXT


def test_no_lines_are_no_finding() -> None:
    """The green case."""
    assert sifted((), [TELEMETRY]) == LogFindings()
