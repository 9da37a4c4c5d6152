"""Adapter table_store: `ReleaseStore` on the tables releases, active and index."""

from collections.abc import Sequence
from datetime import datetime

from azure.data.tables import TableEntity, TableServiceClient

from shared.adapters.table_store.codec import decode, encode, stamp
from shared.adapters.table_store.index import ReleaseIndex
from shared.adapters.table_store.keys import any_of, in_partition, key, literal, prefixed
from shared.adapters.table_store.rows import any_row, entity, history_lines, versioned, writes
from shared.adapters.table_store.table import Table, Write, etag_of
from shared.application.ports import ActiveRelease, Change, HistoryLine, ReleaseRow, Versioned
from shared.domain.errors import ConflictError
from shared.domain.listing import Listed, Wanted, listed_as
from shared.domain.model import LONG_AGO, Circuit, CircuitPhase, CircuitRun, Gate, GateName, Notice, Release, Round
from shared.domain.rows import RELEASE_KEY, gate_key, run_key

ACTIVE = "active"
KEY_COLUMNS = ("PartitionKey", "RowKey", "plant_id", "circuit_id")
HISTORY_COLUMNS = ("PartitionKey", "RowKey", "row", "hist", *(f"hist_{n}" for n in range(1, 10)))
RUNS = prefixed("c|")


class TableReleaseStore:
    """State of releases; one partition each."""

    def __init__(self, service: TableServiceClient) -> None:
        self._releases = Table(service, "releases")
        self._active = Table(service, "active")
        self._index = ReleaseIndex(service)

    # ------------------------------------------------------------------------------------ begin and end

    def begin(self, release: Release) -> None:
        stored = self.release(release.release_id)
        if stored is None:
            self._list_as_active(release)
            self._index.unsettle(release)
            stored, is_ours = self._first(release)
            if not is_ours:
                # Whoever was quicker may have ended it since: the index would show it open for ever.
                self._list_as_active(stored.row)
        if stored.row.manifest_sha256 != release.manifest_sha256:
            raise ConflictError(f"release {release.release_id} exists with other content; the first one stays")

    def _list_as_active(self, release: Release) -> None:
        try:
            self._active.write(Write(columns=_active_entity(release, release.created_at), etag=None))
        except ConflictError:
            found = self._active.get(ACTIVE, key(release.release_id))
            if found is not None and decode(ActiveRelease, found).manifest_sha256 != release.manifest_sha256:
                raise

    def _first(self, release: Release) -> tuple[Versioned[Release], bool]:
        """The release's row, and whether it is ours; otherwise it is that of whoever was quicker."""
        try:
            (etag,) = self._releases.write(Write(columns=entity(release), etag=None))
        except ConflictError:
            stored = self.release(release.release_id)
            if stored is None:
                raise
            return stored, False
        return Versioned(row=release, etag=etag), True

    def finish(
        self, release: Release, *, undelivered: tuple[str, ...] = (), given_up_before: datetime = LONG_AGO
    ) -> None:
        # The index first, `active` next: a retry writes them the other way round, so one of the two ETags is stale.
        indexed, etag = self._index.row_of(release)
        found = self._active.get(ACTIVE, key(release.release_id))
        if found is None:
            return
        listed = decode(ActiveRelease, found)
        if listed.gen <= release.gen or listed.listed_at < given_up_before:
            if not indexed.settled or indexed.gen != release.gen:
                self._index.settle(release, listed_as(release, undelivered=undelivered), etag)
            self._active.delete(found)

    def forget(self, release_id: str) -> None:
        found = self._active.get(ACTIVE, key(release_id))
        if found is not None and self.release(release_id) is None:
            self._index.drop_orphan(release_id, decode(ActiveRelease, found).listed_at)
            self._active.delete(found)

    def reactivate(self, release: Release, at: datetime) -> None:
        found = self._active.get(ACTIVE, key(release.release_id))
        etag = None if found is None else etag_of(found)
        self._active.write(Write(columns=_active_entity(release, at), etag=etag))
        self._index.unsettle(release)

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

    def list_circuits(self, release: Release, circuits: Sequence[Circuit]) -> None:
        self._index.list_circuits(release, circuits)

    def list_releases(self, wanted: Wanted, *, limit: int, cursor: str = "") -> tuple[Sequence[Listed], str]:
        return self._index.page(wanted, limit=limit, cursor=cursor)

    def listed_release(self, release_id: str) -> Listed | None:
        return self._index.of(release_id)

    def undelivered(self, since: datetime) -> Sequence[Listed]:
        return self._index.undelivered(since)

    # ----------------------------------------------------------------------------------------- retention

    def ended_before(self, at: datetime, *, rows_gone: bool, limit: int, after: str = "") -> Sequence[Listed]:
        return self._index.ended_before(at, rows_gone=rows_gone, limit=limit, after=after)

    def remove(self, release: Versioned[Release]) -> None:
        found = self._releases.get(key(release.row.release_id), RELEASE_KEY)
        if found is not None and etag_of(found) != release.etag:
            raise ConflictError(f"release {release.row.release_id} has been written since")
        if found is not None:
            self._releases.delete(found)

    def remove_rest(self, release_id: str, *, limit: int) -> int:
        if self.release(release_id) is not None:
            raise ConflictError(f"release {release_id} has been started again")
        found = self._releases.query(in_partition(release_id), select=KEY_COLUMNS, limit=limit)
        runs = [row for row in found if row["RowKey"].startswith("c|")]
        circuits = [Circuit(plant_id=row["plant_id"], circuit_id=row["circuit_id"]) for row in runs]
        self._index.drop_circuits(release_id, circuits)
        self._releases.delete(*found)
        return len(found)

    def note_rows_gone(self, listed: Listed) -> None:
        self._index.note_rows_gone(listed)

    def forget_listed(self, listed: Listed) -> None:
        self._index.forget(listed)


def _active_entity(release: Release, at: datetime) -> dict[str, object]:
    row = ActiveRelease(
        release_id=release.release_id,
        gen=release.gen,
        build_id=release.build_id,
        artifact_path=release.artifact_path,
        manifest_blob=release.manifest_blob,
        manifest_sha256=release.manifest_sha256,
        listed_at=at,
        signed_in=release.requested_by if release.requester_signed_in else "",
    )
    return {"PartitionKey": ACTIVE, "RowKey": key(release.release_id), **encode(row)}
