"""Pages: circuits as lines of a table that together have a limited room; what does not fit is counted, never dropped."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import escape

from shared.pages.circuit_facts import CircuitEntry
from shared.pages.formats import number

MARKUP = 9
"""Bytes beside each line's own text, at most."""
LEAST = 80
"""Bytes of its first reason that every circuit shows, however many there are."""
IN_CELLS = frozenset({"Endpoint"})
"""Facts that a line shows anyway, beside what would be live."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitLine:
    """A circuit as one line of a table, and how much of what its card says is not there, or not whole."""

    entry: CircuitEntry
    attention: Sequence[str]
    metrics: Sequence[str]
    details: Sequence[str]
    hidden: int


def circuit_lines(entries: Sequence[CircuitEntry], room: int) -> Sequence[CircuitLine]:
    """Circuits in at most so many bytes, or the least there is; those that need little leave their room to the others."""
    told = [_told(entry) for entry in entries]
    shares = _shares([sum(_cost(line) for lines in of_one for line in lines) for of_one in told], room)
    return [_fitted(entry, of_one, share) for entry, of_one, share in zip(entries, told, shares, strict=True)]


def weight(entry: CircuitEntry) -> int:
    """Bytes of everything there is to say about a circuit."""
    return sum(_cost(line) for lines in _told(entry) for line in lines)


def _told(entry: CircuitEntry) -> tuple[Sequence[str], Sequence[str], Sequence[str]]:
    """Reasons, metrics and facts, as a line has them."""
    metrics = [
        f"{change.name} {number(change.live) or '–'} → {number(change.new) or '–'}"
        + (f", {change.words}" if change.words else "")
        for change in entry.metrics
    ]
    details = [f"{one.name}: {'✓ ' if one.good else ''}{one.text}" for one in entry.details if one.name not in IN_CELLS]
    return entry.attention, metrics, details


def _cost(line: str) -> int:
    return len(str(escape(line)).encode()) + MARKUP


def _shares(needs: Sequence[int], room: int) -> Sequence[int]:
    """Nobody gets more than they need, and what is left goes to those who need more, in equal parts."""
    shares = [0] * len(needs)
    for place, index in enumerate(sorted(range(len(needs)), key=needs.__getitem__)):
        shares[index] = min(needs[index], room // (len(needs) - place))
        room -= shares[index]
    return shares


def _fitted(entry: CircuitEntry, told: tuple[Sequence[str], Sequence[str], Sequence[str]], room: int) -> CircuitLine:
    """Whole lines, up to the first that does not fit: what weighs less shall not take the place of what weighs more.

    Only the first reason is ever cut: without it nobody would know what a circuit is here for.
    """
    kept: list[list[str]] = []
    whole, given = 0, max(room, LEAST) if entry.attention else room
    room = given
    for lines in told:
        fitting: list[str] = []
        for line in lines:
            room -= _cost(line)
            if room < 0:
                break
            fitting.append(line)
        whole += len(fitting)
        kept.append(fitting)
    if told[0] and not kept[0]:
        kept[0] = [_beginning(told[0][0], given)]
    hidden = sum(map(len, told)) - whole
    return CircuitLine(entry=entry, attention=kept[0], metrics=kept[1], details=kept[2], hidden=hidden)


def _beginning(text: str, room: int) -> str:
    size = room
    while _cost(f"{text[:size]}…") > room:
        size = size * 4 // 5
    return f"{text[:size]}…"
