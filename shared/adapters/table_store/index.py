"""Adapter table_store: the table index, where releases are found by time, phase, person, plant and circuit.

One row per release (PK the month, RK the inverted order: the whole table lies newest first) that its own row is copied
into when it has ended, and rows that find it by circuit (PK `p|{plant}`, RK `{circuit}|…`, or `!|…` for any circuit).
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from itertools import batched, groupby

from azure.data.tables import TableEntity, TableServiceClient

from shared.adapters.table_store.codec import Columns, decode, encode, stamp
from shared.adapters.table_store.keys import any_of, in_partition, key, literal, prefixed
from shared.adapters.table_store.table import MOST_OPERATIONS, Table, Write, etag_of
from shared.domain.errors import ConflictError, InvalidManifest, TransientError
from shared.domain.listing import Listed, Wanted
from shared.domain.model import Circuit, Release
from shared.domain.naming import RELEASE_ID, release_seq

LAST_MONTH = 999_999
LAST_ORDER = 10**14 - 1
NUMBERS_A_DAY = 1_000_000
MONTHS = "PartitionKey lt ':'"
"""The rows of releases: digits come before `:`, `p|` after it."""
ANY_CIRCUIT = "!"
CURSOR = re.compile(r"\d{14}\|.+", re.DOTALL)
KEYS_AT_ONCE = 12
"""The service takes 15 comparisons in a filter."""
LONGEST_REASON = 500
TRIES = 5
LONGEST_RUN = timedelta(days=92)
"""How long before its end a release may have been started, for looking up what ended lately."""


class ReleaseIndex:
    """The table index."""

    def __init__(self, service: TableServiceClient) -> None:
        self._index = Table(service, "index")

    # ------------------------------------------------------------------------------------------- one row

    def unsettle(self, release: Release) -> None:
        """List a release that has not ended: its own row speaks for it. Repeatable.

        Raises:
            TransientError: others write the same row again and again.
        """
        listed = Listed(release_id=release.release_id, gen=release.gen)
        for _ in range(TRIES):
            found = self._row(release)
            if found is not None and not _listed(found).settled and _listed(found).gen >= release.gen:
                return
            try:
                etag = None if found is None else etag_of(found)
                self._index.write(Write(columns=_entity(release, listed), etag=etag))
            except ConflictError:
                continue
            return
        raise TransientError(f"index: others are writing the row of {release.release_id}")

    def row_of(self, release: Release) -> tuple[Listed, str | None]:
        """The row and its ETag, for `settle`; as it shall be, without an ETag, if there is none."""
        found = self._row(release)
        if found is None:
            return Listed(release_id=release.release_id, gen=0), None
        return _listed(found), etag_of(found)

    def settle(self, release: Release, listed: Listed, etag: str | None) -> None:
        """Copy into the index how a release has ended. ConflictError: not as it was read."""
        cut = replace(listed, reason=listed.reason[:LONGEST_REASON])
        self._index.write(Write(columns=_entity(release, cut), etag=etag))

    def of(self, release_id: str) -> Listed | None:
        try:
            order = release_seq(release_id)
        except InvalidManifest:
            return None
        found = self._index.get(*_place_of(order, release_id))
        return None if found is None else _listed(found)

    def drop_orphan(self, release_id: str, day: datetime) -> None:
        """What was listed and never got a row of its own."""
        found = self._index.get(*_place_of(_order_of(release_id, day), release_id))
        if found is not None and not _listed(found).settled:
            self._index.delete(found)

    def note_rows_gone(self, listed: Listed) -> None:
        found = self._at(listed)
        if found is not None and not _listed(found).rows_gone:
            columns = {**_keys(listed.place), **encode(replace(_listed(found), rows_gone=True, place=""))}
            self._index.write(Write(columns=columns, etag=etag_of(found)))

    def forget(self, listed: Listed) -> None:
        found = self._at(listed)
        if found is not None:
            self._index.delete(found)

    def _row(self, release: Release) -> TableEntity | None:
        return self._index.get(*_place_of(_order(release), release.release_id))

    def _at(self, listed: Listed) -> TableEntity | None:
        """Its row, if it is still the one that was read."""
        keys = _keys(listed.place)
        found = self._index.get(keys["PartitionKey"], keys["RowKey"])
        if found is None:
            return None
        if not _listed(found).settled or _listed(found).gen != listed.gen:
            raise ConflictError(f"{listed.release_id} has been started again")
        return found

    def _insert(self, columns: Columns) -> None:
        try:
            self._index.write(Write(columns=columns, etag=None))
        except ConflictError:
            return

    # ------------------------------------------------------------------------------------------ circuits

    def list_circuits(self, release: Release, circuits: Sequence[Circuit]) -> None:
        """One small transaction per plant; rows that are there already stay."""
        place = _row_key(_order(release), release.release_id)
        for plant, group in groupby(sorted(circuits), key=lambda circuit: circuit.plant_id):
            self._insert(_finder(plant, ANY_CIRCUIT, place))
            for some in batched(group, MOST_OPERATIONS, strict=False):
                self._insert_all([_finder(plant, circuit.circuit_id, place) for circuit in some])

    def _insert_all(self, rows: Sequence[Columns]) -> None:
        try:
            self._index.write(*(Write(columns=columns, etag=None) for columns in rows))
        except ConflictError:
            for columns in rows:
                self._insert(columns)

    def drop_circuits(self, release_id: str, circuits: Sequence[Circuit]) -> None:
        """A release is no longer found by these circuits, nor by their plants."""
        if not RELEASE_ID.fullmatch(release_id):
            return
        place = _row_key(release_seq(release_id), release_id)
        for plant, group in groupby(sorted(circuits), key=lambda circuit: circuit.plant_id):
            rows = [_finder(plant, name, place)["RowKey"] for name in (ANY_CIRCUIT, *(c.circuit_id for c in group))]
            for some in batched(rows, KEYS_AT_ONCE, strict=False):
                self._index.delete(*self._index.query(in_partition(_plant(plant), any_of("RowKey", list(some)))))

    # -------------------------------------------------------------------------------------------- lists

    def page(self, wanted: Wanted, *, limit: int, cursor: str) -> tuple[Sequence[Listed], str]:
        if cursor and not CURSOR.fullmatch(cursor):
            raise ValueError(f"{cursor[:50]!r} is no cursor")
        if wanted.plant_id:
            return self._page_of_circuit(wanted, limit, cursor)
        found = self._index.query(
            " and ".join([*_months(wanted, cursor), *_rows(wanted, cursor), _fits(wanted)]), limit=limit + 1
        )
        return _page([_listed(row) for row in found], limit)

    def _page_of_circuit(self, wanted: Wanted, limit: int, cursor: str) -> tuple[Sequence[Listed], str]:
        start = f"{wanted.circuit_id or ANY_CIRCUIT}|"
        rows = [prefixed(start), *_rows(wanted, cursor, start)]
        found = self._index.query(
            in_partition(_plant(wanted.plant_id), *rows), select=("PartitionKey", "RowKey"), limit=limit + 1
        )
        places = [row["RowKey"].removeprefix(start) for row in found]
        page, following = places[:limit], places[limit - 1] if len(places) > limit else ""
        listed = [one for one in self._rows_at(page) if not one.settled or wanted.fits(one)]
        return listed, following

    def _rows_at(self, places: Sequence[str]) -> list[Listed]:
        """The rows of releases at these places, which lie newest first as their months do."""
        listed: list[Listed] = []
        for month, group in groupby(places, key=lambda place: _keys(place)["PartitionKey"]):
            for some in batched(group, KEYS_AT_ONCE, strict=False):
                found = self._index.query(in_partition(month, any_of("RowKey", list(some))))
                listed += [_listed(row) for row in found]
        return listed

    def undelivered(self, since: datetime) -> Sequence[Listed]:
        months = f"PartitionKey le {literal(_month_of(since - LONGEST_RUN))}"
        ended = f"ended_at ge {literal(stamp(since))} and undelivered ne '[]'"
        return [_listed(row) for row in self._index.query(f"{MONTHS} and {months} and {ended}")]

    def ended_before(self, at: datetime, *, rows_gone: bool, limit: int, after: str) -> Sequence[Listed]:
        months = " and ".join([f"PartitionKey ge {literal(_month_of(at))}", *_months(Wanted(), after)])
        gone = f"rows_gone eq {str(rows_gone).lower()}"
        ended = f"settled eq true and ended_at lt {literal(stamp(at))} and {gone}"
        beyond = "".join(f" and {condition}" for condition in _rows(Wanted(), after))
        return [_listed(row) for row in self._index.query(f"{months} and {ended}{beyond}", limit=limit)]


# ----------------------------------------------------------------------------------------------------- keys


def _order(release: Release) -> int:
    """Its seq; one that was refused at the door may have none and stands at the end of the day it came."""
    return release.seq or int(f"{release.created_at:%Y%m%d}") * NUMBERS_A_DAY + NUMBERS_A_DAY - 1


def _order_of(release_id: str, day: datetime) -> int:
    """The same by the id, or by the day for what has no number of its own."""
    try:
        return release_seq(release_id)
    except InvalidManifest:
        return int(f"{day:%Y%m%d}") * NUMBERS_A_DAY


def _row_key(order: int, release_id: str) -> str:
    return key(f"{LAST_ORDER - order:014d}|{release_id}")


def _month(order: int) -> str:
    return f"{LAST_MONTH - order // (100 * NUMBERS_A_DAY):06d}"


def _month_of(day: date) -> str:
    return f"{LAST_MONTH - int(f'{day:%Y%m}'):06d}"


def _place_of(order: int, release_id: str) -> tuple[str, str]:
    return _month(order), _row_key(order, release_id)


def _keys(place: str) -> dict[str, str]:
    return {"PartitionKey": _month(LAST_ORDER - int(place[:14])), "RowKey": place}


def _plant(plant_id: str) -> str:
    return f"p|{plant_id}"


def _finder(plant_id: str, circuit: str, place: str) -> Columns:
    return {"PartitionKey": key(_plant(plant_id)), "RowKey": f"{key(circuit)}|{place}"}


def _entity(release: Release, listed: Listed) -> Columns:
    partition, row = _place_of(_order(release), release.release_id)
    return {"PartitionKey": partition, "RowKey": row, **encode(replace(listed, place=""))}


def _listed(found: TableEntity) -> Listed:
    return replace(decode(Listed, found), place=found["RowKey"])


# -------------------------------------------------------------------------------------------------- filters


def _months(wanted: Wanted, cursor: str) -> Iterable[str]:
    """Older months lie behind, and everything in them has greater row keys."""
    yield MONTHS
    if cursor:
        yield f"PartitionKey ge {literal(_keys(cursor)['PartitionKey'])}"
    if wanted.until:
        yield f"PartitionKey ge {literal(_month_of(wanted.until))}"
    if wanted.since:
        yield f"PartitionKey le {literal(_month_of(wanted.since))}"


def _rows(wanted: Wanted, cursor: str, start: str = "") -> Iterable[str]:
    """`start` is what stands before the place in a row that finds a release by circuit."""
    if cursor:
        yield f"RowKey gt {literal(start + cursor)}"
    if wanted.until:
        last = int(f"{wanted.until:%Y%m%d}") * NUMBERS_A_DAY + NUMBERS_A_DAY - 1
        yield f"RowKey ge {literal(f'{start}{LAST_ORDER - last:014d}')}"
    if wanted.since:
        first = int(f"{wanted.since:%Y%m%d}") * NUMBERS_A_DAY
        yield f"RowKey lt {literal(f'{start}{LAST_ORDER - first:014d}' + '}')}"


def _fits(wanted: Wanted) -> str:
    """Ended as wanted, or not ended: then its own row has to be asked."""
    asked = {"kind": wanted.kind, "phase": wanted.phase, "requester": wanted.requester}
    said = [f"{column} eq {literal(value)}" for column, value in asked.items() if value]
    return f"(settled eq false or ({' and '.join(said)}))" if said else "PartitionKey ge ''"


def _page(found: Sequence[Listed], limit: int) -> tuple[Sequence[Listed], str]:
    return found[:limit], found[limit - 1].place if len(found) > limit else ""
