"""Adapter table_store: `ReleaseStore` on the tables releases, active and index."""

from collections.abc import Sequence
from datetime import datetime

from azure.data.tables import TableEntity, TableServiceClient

from shared.adapters.table_store.codec import decode, encode, stamp
from shared.adapters.table_store.keys import any_of, in_partition, key, literal, prefixed
from shared.adapters.table_store.rows import any_row, entity, history_lines, versioned, writes
from shared.adapters.table_store.table import Table, Write, etag_of
from shared.application.ports import ActiveRelease, Change, HistoryLine, ReleaseRow, Versioned
from shared.domain.errors import ConflictError
from shared.domain.model import LONG_AGO, Circuit, CircuitPhase, CircuitRun, Gate, GateName, Notice, Release, Round
from shared.domain.rows import RELEASE_KEY, gate_key, run_key

ACTIVE = "active"
HISTORY_COLUMNS = ("PartitionKey", "RowKey", "row", "hist", *(f"hist_{n}" for n in range(1, 10)))
LAST_MONTH = 999_999
LAST_SEQ = 10**14 - 1
RUNS = prefixed("c|")


class TableReleaseStore:
    """State of releases; one partition each."""

    def __init__(self, service: TableServiceClient) -> None:
        self._releases = Table(service, "releases")
        self._active = Table(service, "active")
        self._index = Table(service, "index")

    # ------------------------------------------------------------------------------------ begin and end

    def begin(self, release: Release) -> None:
        stored = self.release(release.release_id)
        if stored is None:
            self._list_as_active(release)
            stored = self._first(release)
        if stored.row.manifest_sha256 != release.manifest_sha256:
            raise ConflictError(f"release {release.release_id} exists with other content; the first one stays")
        self._add_to_index(stored.row)

    def _list_as_active(self, release: Release) -> None:
        try:
            self._active.write(Write(columns=_active_entity(release, release.created_at), etag=None))
        except ConflictError:
            found = self._active.get(ACTIVE, key(release.release_id))
            if found is not None and decode(ActiveRelease, found).manifest_sha256 != release.manifest_sha256:
                raise

    def _first(self, release: Release) -> Versioned[Release]:
        """The release's row: ours, or that of whoever was quicker."""
        try:
            (etag,) = self._releases.write(Write(columns=entity(release), etag=None))
        except ConflictError:
            stored = self.release(release.release_id)
            if stored is None:
                raise
            return stored
        return Versioned(row=release, etag=etag)

    def _add_to_index(self, release: Release) -> None:
        columns = {
            "PartitionKey": _month(_order(release)),
            "RowKey": _newest_first(release),
            "release_id": release.release_id,
        }
        if self._index.get(columns["PartitionKey"], columns["RowKey"]) is None:
            try:
                self._index.write(Write(columns=columns, etag=None))
            except ConflictError:
                return

    def finish(self, release: Release, *, given_up_before: datetime = LONG_AGO) -> None:
        found = self._active.get(ACTIVE, key(release.release_id))
        if found is None:
            return
        listed = decode(ActiveRelease, found)
        if listed.gen <= release.gen or listed.listed_at < given_up_before:
            self._active.delete(found)

    def forget(self, release_id: str) -> None:
        found = self._active.get(ACTIVE, key(release_id))
        if found is not None and self.release(release_id) is None:
            self._active.delete(found)

    def reactivate(self, release: Release, at: datetime) -> None:
        found = self._active.get(ACTIVE, key(release.release_id))
        etag = None if found is None else etag_of(found)
        self._active.write(Write(columns=_active_entity(release, at), etag=etag))

    # ------------------------------------------------------------------------------------------- one row

    def release(self, release_id: str) -> Versioned[Release] | None:
        found = self._releases.get(key(release_id), RELEASE_KEY)
        return None if found is None else versioned(Release, found)

    def notice(self, release_id: str, row_key: str) -> Versioned[Notice] | None:
        found = self._releases.get(key(release_id), key(row_key))
        return None if found is None else versioned(Notice, found)

    def release_and_run(
        self, release_id: str, circuit: Circuit
    ) -> tuple[Versioned[Release], Versioned[CircuitRun]] | None:
        rows = self._with_release(release_id, run_key(circuit))
        if len(rows) != 2:
            return None
        return versioned(Release, rows[0]), versioned(CircuitRun, rows[1])

    def release_and_gate(
        self, release_id: str, gate: GateName
    ) -> tuple[Versioned[Release], Versioned[Gate] | None] | None:
        rows = self._with_release(release_id, gate_key(gate))
        if not rows or rows[0]["RowKey"] != RELEASE_KEY:
            return None
        return versioned(Release, rows[0]), versioned(Gate, rows[1]) if len(rows) == 2 else None

    def _with_release(self, release_id: str, row_key: str) -> list[TableEntity]:
        """The release's row comes first: `!` sorts before every letter."""
        return self._releases.query(in_partition(release_id, any_of("RowKey", [RELEASE_KEY, row_key])))

    # ----------------------------------------------------------------------------------------- many rows

    def runs(self, release_id: str, *, after: str = "", limit: int | None = None) -> Sequence[Versioned[CircuitRun]]:
        beyond = (f"RowKey gt {literal(after)}",) if after else ()
        found = self._releases.query(in_partition(release_id, RUNS, *beyond), limit=limit)
        return [versioned(CircuitRun, row) for row in found]

    def gates(self, release_id: str) -> Sequence[Versioned[Gate]]:
        found = self._releases.query(in_partition(release_id, prefixed("g|")))
        return [versioned(Gate, row) for row in found]

    def notices(self, release_id: str) -> Sequence[Versioned[Notice]]:
        found = self._releases.query(in_partition(release_id, prefixed("n|")))
        return [versioned(Notice, row) for row in found]

    def overdue(self, release_id: str, now: datetime) -> Sequence[Versioned[ReleaseRow]]:
        found = self._releases.query(in_partition(release_id, f"due_at le {literal(stamp(now))}"))
        return [any_row(row) for row in found]

    def history(self, release_id: str) -> Sequence[HistoryLine]:
        return history_lines(self._releases.query(in_partition(release_id), select=HISTORY_COLUMNS))

    # --------------------------------------------------------------------------------------------- top-1

    def any_pending(self, release_id: str, round_: Round) -> bool:
        return self._any_run(release_id, f"todo eq {int(round_)}")

    def any_in(self, release_id: str, phases: frozenset[CircuitPhase]) -> bool:
        return bool(phases) and self._any_run(release_id, any_of("phase", sorted(phases)))

    def predecessors_pending(self, release_id: str) -> bool:
        unswitched = any_of("phase", [CircuitPhase.STAGED, CircuitPhase.ACTIVATING])
        return self._any_run(release_id, "previous_deployment ne ''", unswitched)

    def _any_run(self, release_id: str, *conditions: str) -> bool:
        condition = in_partition(release_id, RUNS, *conditions)
        return bool(self._releases.query(condition, select=("PartitionKey", "RowKey"), limit=1))

    def first_in(self, release_id: str, phase: CircuitPhase) -> Versioned[CircuitRun] | None:
        found = self._releases.query(in_partition(release_id, RUNS, f"phase eq {literal(phase)}"), limit=1)
        return versioned(CircuitRun, found[0]) if found else None

    # -------------------------------------------------------------------------------------------- writes

    def commit(self, *changes: Change) -> Sequence[str]:
        if not changes:
            return ()
        return self._releases.write(*writes(changes))[: len(changes)]

    # --------------------------------------------------------------------------------------------- lists

    def active_release_ids(self) -> Sequence[str]:
        return [row["release_id"] for row in self._active.query(in_partition(ACTIVE), select=("release_id",))]

    def intake(self, release_id: str) -> ActiveRelease | None:
        found = self._active.get(ACTIVE, key(release_id))
        return None if found is None else decode(ActiveRelease, found)

    def recent(self, *, limit: int, cursor: str = "") -> tuple[Sequence[Release], str]:
        found = self._index.query(_after(cursor), limit=limit + 1)
        page = found[:limit]
        stored = (self.release(row["release_id"]) for row in page)
        more = len(found) > limit and bool(page)
        return [one.row for one in stored if one is not None], page[-1]["RowKey"] if more else ""


def _active_entity(release: Release, at: datetime) -> dict[str, object]:
    row = ActiveRelease(
        release_id=release.release_id,
        gen=release.gen,
        build_id=release.build_id,
        artifact_path=release.artifact_path,
        manifest_blob=release.manifest_blob,
        manifest_sha256=release.manifest_sha256,
        listed_at=at,
    )
    return {"PartitionKey": ACTIVE, "RowKey": key(release.release_id), **encode(row)}


def _month(seq: int) -> str:
    """Of the release's date, inverted, so that the whole table lies newest first."""
    return f"{LAST_MONTH - seq // 100_000_000:06d}"


def _newest_first(release: Release) -> str:
    return key(f"{LAST_SEQ - _order(release):014d}|{release.release_id}")


def _order(release: Release) -> int:
    """Its seq; one that was refused at the door has none and stands at the end of the day it came."""
    return release.seq or int(f"{release.created_at:%Y%m%d}") * 1_000_000 + 999_999


def _after(cursor: str) -> str:
    """Older months lie behind, and everything in them has greater row keys: two comparisons find the next page."""
    if not cursor:
        return "PartitionKey ge ''"
    seq = LAST_SEQ - int(cursor[:14])
    return f"PartitionKey ge {literal(_month(seq))} and RowKey gt {literal(cursor)}"
