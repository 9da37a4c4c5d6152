"""Use cases: lists of releases, from the index; the rows of those that have not ended are read, and of no others."""

from collections.abc import Sequence
from dataclasses import replace

from shared.application.ports import Ports
from shared.domain.listing import Listed, Wanted, listed_as


def listed_releases(wanted: Wanted, ports: Ports, *, limit: int, cursor: str = "") -> tuple[Sequence[Listed], str]:
    """A page of what is wanted, newest first, and the cursor of the next one (empty: no more).

    A page looks at `limit` rows of the index, so it may hold fewer: one that has not ended may not fit.

    Raises:
        ValueError: the cursor is none of ours.
    """
    page, following = ports.releases.list_releases(wanted, limit=limit, cursor=cursor)
    told = (row if row.settled else _as_it_stands(row, ports) for row in page)
    return [row for row in told if row is not None and wanted.fits(row)], following


def _as_it_stands(row: Listed, ports: Ports) -> Listed | None:
    """None: its start was interrupted before it had a row of its own."""
    stored = ports.releases.release(row.release_id)
    return None if stored is None else replace(listed_as(stored.row), place=row.place)
