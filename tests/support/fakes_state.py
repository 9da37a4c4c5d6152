"""State, evidence and messages in memory: the ports' rules by hand, sharing nothing with the adapters.

Every fake counts its requests by name and calls `on_request` first, where a test may let the service break.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from threading import RLock
from typing import Any

from shared.application.ports import (
    ActiveRelease,
    Change,
    HistoryLine,
    Insert,
    ReleaseRow,
    Sendable,
    Versioned,
)
from shared.domain.errors import ConflictError
from shared.domain.listing import Listed, Wanted, listed_as
from shared.domain.model import (
    LONG_AGO,
    Circuit,
    CircuitPhase,
    CircuitRun,
    EndpointLock,
    Environment,
    Gate,
    GateName,
    HistoryEntry,
    HoldEntry,
    LedgerEntry,
    LedgerNote,
    MailsSent,
    Notice,
    Release,
    Round,
    Slot,
)
from shared.domain.rows import RELEASE_KEY, gate_key, lock_key, row_key, run_key

MOST_CHANGES = 100
LONGEST_HISTORY = 24_000


def nothing(_request: str) -> None:
    """What happens before a request, unless a test says otherwise."""


@dataclass
class Service:
    """What all fakes have in common: one lock, counted requests, ETags that never come again."""

    on_request: Callable[[str], None] = nothing
    requests: Counter[str] = field(default_factory=Counter)
    lock_: RLock = field(default_factory=RLock)
    _last_etag: int = 0

    def asked(self, request: str) -> None:
        with self.lock_:
            self.requests[request] += 1
        self.on_request(request)

    def new_etag(self) -> str:
        self._last_etag += 1
        return f'W/"{self._last_etag}"'


def cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def as_read_back(row: Any) -> Any:
    """A row as the real store would give it back: long texts cut, evidence as JSON knows it."""
    changes: dict[str, object] = {}
    if getattr(row, "hist", ()):
        changes["hist"] = tuple(replace(entry, why=cut(entry.why, 500)) for entry in row.hist)
    if getattr(row, "error", ""):
        changes["error"] = cut(row.error, 2_000)
    if getattr(row, "evidence", None):
        changes["evidence"] = _json_like(row.evidence)
    return replace(row, **changes) if changes else row


def _json_like(value: object) -> object:
    match value:
        case Mapping():
            return {str(key): _json_like(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_json_like(inner) for inner in value]
        case _:
            return value


# ---------------------------------------------------------------------------------------------- releases


@dataclass
class FakeReleaseStore(Service):
    """`ReleaseStore`: a dictionary of rows per release."""

    rows: dict[str, dict[str, Versioned[Any]]] = field(default_factory=lambda: defaultdict(dict))
    listed: dict[str, ActiveRelease] = field(default_factory=dict)
    index: dict[str, Listed] = field(default_factory=dict)
    finders: dict[str, set[Circuit]] = field(default_factory=lambda: defaultdict(set))
    moved: dict[tuple[str, str], list[HistoryEntry]] = field(default_factory=lambda: defaultdict(list))

    def begin(self, release: Release) -> None:
        self.asked("begin")
        with self.lock_:
            stored = self.rows[release.release_id].get(RELEASE_KEY)
            known = stored.row if stored else self.listed.get(release.release_id)
            if known is not None and known.manifest_sha256 != release.manifest_sha256:
                raise ConflictError(f"{release.release_id} exists with other content")
            if stored is None:
                self.listed[release.release_id] = as_listed(release)
                self._unsettle(release)
                self._put(release)

    def finish(
        self, release: Release, *, undelivered: tuple[str, ...] = (), given_up_before: datetime = LONG_AGO
    ) -> None:
        self.asked("finish")
        with self.lock_:
            listed = self.listed.get(release.release_id)
            if listed is not None and (listed.gen <= release.gen or listed.listed_at < given_up_before):
                self.index[release.release_id] = as_ended(release, undelivered)
                del self.listed[release.release_id]

    def forget(self, release_id: str) -> None:
        self.asked("forget")
        with self.lock_:
            if self.release(release_id) is None:
                self.listed.pop(release_id, None)
                self.index.pop(release_id, None)

    def reactivate(self, release: Release, at: datetime) -> None:
        self.asked("reactivate")
        with self.lock_:
            self.listed[release.release_id] = as_listed(release, at)
            self._unsettle(release)

    def _unsettle(self, release: Release) -> None:
        row = Listed(release_id=release.release_id, gen=release.gen, place=_place(release))
        self.index[release.release_id] = row

    def release(self, release_id: str) -> Versioned[Release] | None:
        self.asked("release")
        return self._get(release_id, RELEASE_KEY)

    def notice(self, release_id: str, row_key: str) -> Versioned[Notice] | None:
        self.asked("notice")
        return self._get(release_id, row_key)

    def release_and_run(
        self, release_id: str, circuit: Circuit
    ) -> tuple[Versioned[Release], Versioned[CircuitRun]] | None:
        self.asked("release_and_run")
        with self.lock_:
            release, run = self._get(release_id, RELEASE_KEY), self._get(release_id, run_key(circuit))
        return None if release is None or run is None else (release, run)

    def release_and_gate(
        self, release_id: str, gate: GateName
    ) -> tuple[Versioned[Release], Versioned[Gate] | None] | None:
        self.asked("release_and_gate")
        with self.lock_:
            release = self._get(release_id, RELEASE_KEY)
            return None if release is None else (release, self._get(release_id, gate_key(gate)))

    def runs(self, release_id: str, *, after: str = "", limit: int | None = None) -> Sequence[Versioned[CircuitRun]]:
        self.asked("runs")
        return [run for run in self._of(CircuitRun, release_id) if run_key(run.row.circuit) > after][:limit]

    def gates(self, release_id: str) -> Sequence[Versioned[Gate]]:
        self.asked("gates")
        return self._of(Gate, release_id)

    def notices(self, release_id: str) -> Sequence[Versioned[Notice]]:
        self.asked("notices")
        return self._of(Notice, release_id)

    def commit(self, *changes: Change) -> Sequence[str]:
        self.asked("commit")
        if len(changes) > MOST_CHANGES:
            raise ValueError(f"{len(changes)} changes at once; {MOST_CHANGES} are possible")
        with self.lock_:
            for change in changes:
                self._check(change)
            return [self._put(change.row) for change in changes]

    def _check(self, change: Change) -> None:
        stored = self._get(change.row.release_id, row_key(change.row))
        read = None if isinstance(change, Insert) else change.etag
        fits = (stored.etag if stored else None) == read
        if not fits:
            raise ConflictError(f"{row_key(change.row)} of {change.row.release_id} is not as it was read")

    def any_pending(self, release_id: str, round_: Round) -> bool:
        self.asked("any_pending")
        return any(run.row.todo is round_ for run in self._of(CircuitRun, release_id))

    def any_in(self, release_id: str, phases: frozenset[CircuitPhase]) -> bool:
        self.asked("any_in")
        return any(run.row.phase in phases for run in self._of(CircuitRun, release_id))

    def predecessors_pending(self, release_id: str) -> bool:
        self.asked("predecessors_pending")
        unswitched = {CircuitPhase.STAGED, CircuitPhase.ACTIVATING}
        runs = self._of(CircuitRun, release_id)
        return any(run.row.previous_deployment and run.row.phase in unswitched for run in runs)

    def first_in(self, release_id: str, phase: CircuitPhase) -> Versioned[CircuitRun] | None:
        self.asked("first_in")
        return next((run for run in self._of(CircuitRun, release_id) if run.row.phase is phase), None)

    def overdue(self, release_id: str, now: datetime) -> Sequence[Versioned[ReleaseRow]]:
        self.asked("overdue")
        rows = self._of((Release, CircuitRun, Notice), release_id)
        return [stored for stored in rows if stored.row.due_at is not None and stored.row.due_at <= now]

    def history(self, release_id: str) -> Sequence[HistoryLine]:
        self.asked("history")
        lines: list[HistoryLine] = []
        with self.lock_:
            for key, stored in self.rows[release_id].items():
                entries = [*self.moved[release_id, key], *getattr(stored.row, "hist", ())]
                lines += [HistoryLine(row_key=key, entry=entry) for entry in entries]
        return sorted(lines, key=lambda line: line.entry.at)

    def active_release_ids(self) -> Sequence[str]:
        self.asked("active_release_ids")
        with self.lock_:
            return sorted(self.listed)

    def intake(self, release_id: str) -> ActiveRelease | None:
        self.asked("intake")
        return self.listed.get(release_id)

    def list_circuits(self, release: Release, circuits: Sequence[Circuit]) -> None:
        self.asked("list_circuits")
        with self.lock_:
            self.finders[release.release_id] |= set(circuits)

    def list_releases(self, wanted: Wanted, *, limit: int, cursor: str = "") -> tuple[Sequence[Listed], str]:
        self.asked("list_releases")
        if cursor and not re.fullmatch(r"\d{14}\|.+", cursor):
            raise ValueError(f"{cursor!r} is no cursor")
        with self.lock_:
            behind = [row for row in self._by_place() if row.place > cursor and self._is_asked_for(row, wanted)]
        if not wanted.plant_id:
            behind = [row for row in behind if not row.settled or wanted.fits(row)]
        page = behind[:limit]
        following = page[-1].place if len(behind) > limit else ""
        return [row for row in page if not row.settled or wanted.fits(row)], following

    def _by_place(self) -> list[Listed]:
        return sorted(self.index.values(), key=lambda row: row.place)

    def _is_asked_for(self, row: Listed, wanted: Wanted) -> bool:
        order = 10**14 - 1 - int(row.place[:14])
        day = f"{order // 1_000_000:08d}"
        if wanted.since and day < f"{wanted.since:%Y%m%d}":
            return False
        if wanted.until and day > f"{wanted.until:%Y%m%d}":
            return False
        circuits = self.finders[row.release_id]
        return not wanted.plant_id or any(
            circuit.plant_id == wanted.plant_id and wanted.circuit_id in {"", circuit.circuit_id}
            for circuit in circuits
        )

    def listed_release(self, release_id: str) -> Listed | None:
        self.asked("listed_release")
        return self.index.get(release_id) if re.fullmatch(r"\d{8}\.\d+", release_id) else None

    def undelivered(self, since: datetime) -> Sequence[Listed]:
        self.asked("undelivered")
        with self.lock_:
            return [row for row in self._by_place() if row.undelivered and row.ended_at and row.ended_at >= since]

    def ended_before(self, at: datetime, *, rows_gone: bool, limit: int, after: str = "") -> Sequence[Listed]:
        self.asked("ended_before")
        with self.lock_:
            ended = [row for row in self._by_place() if row.settled and row.ended_at and row.ended_at < at]
            return [row for row in ended if row.rows_gone is rows_gone and row.place > after][:limit]

    def remove(self, release: Versioned[Release]) -> None:
        self.asked("remove")
        with self.lock_:
            stored = self._get(release.row.release_id, RELEASE_KEY)
            if stored is not None and stored.etag != release.etag:
                raise ConflictError(f"{release.row.release_id} has been written since")
            self.rows[release.row.release_id].pop(RELEASE_KEY, None)

    def remove_rest(self, release_id: str, *, limit: int) -> int:
        self.asked("remove_rest")
        with self.lock_:
            rows = self.rows[release_id]
            if RELEASE_KEY in rows:
                raise ConflictError(f"{release_id} has been started again")
            going = sorted(rows)[:limit]
            for name in going:
                if isinstance(rows[name].row, CircuitRun):
                    self.finders[release_id].discard(rows[name].row.circuit)
                del rows[name]
            if not rows:
                del self.rows[release_id]
            return len(going)

    def note_rows_gone(self, listed: Listed) -> None:
        self.asked("note_rows_gone")
        with self.lock_:
            row = self._still(listed)
            if row is not None:
                self.index[listed.release_id] = replace(row, rows_gone=True)

    def forget_listed(self, listed: Listed) -> None:
        self.asked("forget_listed")
        with self.lock_:
            if self._still(listed) is not None:
                del self.index[listed.release_id]

    def _still(self, listed: Listed) -> Listed | None:
        row = self.index.get(listed.release_id)
        if row is not None and (not row.settled or row.gen != listed.gen):
            raise ConflictError(f"{listed.release_id} has been started again")
        return row

    def _get(self, release_id: str, key: str) -> Versioned[Any] | None:
        with self.lock_:
            return self.rows[release_id].get(key)

    def _of(self, kind: type | tuple[type, ...], release_id: str) -> list[Versioned[Any]]:
        with self.lock_:
            rows = self.rows[release_id]
            return [rows[key] for key in sorted(rows) if isinstance(rows[key].row, kind)]

    def _put(self, row: ReleaseRow) -> str:
        kept = as_read_back(row)
        hist = getattr(kept, "hist", ())
        if sum(len(repr(entry)) for entry in hist) > LONGEST_HISTORY:
            half = len(hist) // 2
            self.moved[row.release_id, row_key(row)] += hist[:half]
            kept = replace(kept, hist=hist[half:])
        etag = self.new_etag()
        self.rows[row.release_id][row_key(row)] = Versioned(row=kept, etag=etag)
        return etag


def _place(release: Release) -> str:
    order = release.seq or int(f"{release.created_at:%Y%m%d}") * 1_000_000 + 999_999
    return f"{10**14 - 1 - order:014d}|{release.release_id}"


def as_ended(release: Release, undelivered: tuple[str, ...]) -> Listed:
    """What the index keeps of a release that has ended."""
    row = listed_as(release, undelivered=undelivered)
    return replace(row, place=_place(release), reason=row.reason[:500])


def as_listed(release: Release, at: datetime | None = None) -> ActiveRelease:
    """Its row in the list of those that have not ended."""
    return ActiveRelease(
        release_id=release.release_id,
        artifact_path=release.artifact_path,
        manifest_blob=release.manifest_blob,
        manifest_sha256=release.manifest_sha256,
        build_id=release.build_id,
        gen=release.gen,
        listed_at=at or release.created_at,
        signed_in=release.requested_by if release.requester_signed_in else "",
    )


# ----------------------------------------------------------------------------------- endpoints and slots


@dataclass
class FakeEndpointStore(Service):
    """`EndpointStore`."""

    locks: dict[tuple[Environment, Circuit], Versioned[EndpointLock]] = field(default_factory=dict)
    ledgers: dict[tuple[Environment, Circuit], list[LedgerEntry]] = field(default_factory=lambda: defaultdict(list))
    held: dict[tuple[Environment, Circuit], list[HoldEntry]] = field(default_factory=lambda: defaultdict(list))
    notes: dict[tuple[Environment, Circuit, int], LedgerNote] = field(default_factory=dict)

    def lock(self, environment: Environment, circuit: Circuit) -> Versioned[EndpointLock] | None:
        self.asked("lock")
        with self.lock_:
            return self.locks.get((environment, circuit))

    def locks_of(self, environment: Environment, circuits: Sequence[Circuit]) -> Mapping[Circuit, EndpointLock]:
        self.asked("locks_of")
        with self.lock_:
            found = {circuit: self.locks.get((environment, circuit)) for circuit in circuits}
            return {circuit: stored.row for circuit, stored in found.items() if stored}

    def write_lock(
        self,
        lock: EndpointLock,
        *,
        etag: str | None,
        ledger: LedgerEntry | None = None,
        hold: HoldEntry | None = None,
    ) -> str:
        self.asked("write_lock")
        place = (lock.environment, lock.circuit)
        with self.lock_:
            stored = self.locks.get(place)
            if (stored.etag if stored else None) != etag:
                raise ConflictError(f"the lock of {lock.circuit} is not as it was read")
            if ledger is not None and any(entry.fence == ledger.fence for entry in self.ledgers[place]):
                raise ConflictError(f"the ledger of {lock.circuit} has an entry {ledger.fence}")
            if hold is not None and any(entry.number == hold.number for entry in self.held[place]):
                raise ConflictError(f"hold {hold.number} of {lock.circuit} is there")
            self.locks[place] = Versioned(row=lock, etag=self.new_etag())
            if ledger is not None:
                self.ledgers[place].append(ledger)
            if hold is not None:
                self.held[place].append(hold)
            return self.locks[place].etag

    def circuits(self, environment: Environment, plant_id: str = "") -> Sequence[Circuit]:
        self.asked("circuits")
        with self.lock_:
            here = [circuit for place, circuit in self.locks if place is environment]
        return sorted(circuit for circuit in here if plant_id in {"", circuit.plant_id})

    def all_locks(
        self, environment: Environment, *, after: str = "", limit: int | None = None
    ) -> Sequence[Versioned[EndpointLock]]:
        self.asked("all_locks")
        with self.lock_:
            here = {
                lock_key(circuit): stored for (place, circuit), stored in self.locks.items() if place is environment
            }
            return [here[name] for name in sorted(here) if name > after][:limit]

    def marked(self, environment: Environment, now: datetime) -> Sequence[EndpointLock]:
        self.asked("marked")
        with self.lock_:
            rows = [self.locks[place].row for place in sorted(self.locks) if place[0] is environment]
        return [row for row in rows if row.is_held(now) or row.drift]

    def ledger(self, environment: Environment, circuit: Circuit) -> Sequence[LedgerEntry]:
        self.asked("ledger")
        with self.lock_:
            entries = sorted(self.ledgers[environment, circuit], key=lambda entry: -entry.fence)
            return [replace(entry, note=self.notes.get((environment, circuit, entry.fence))) for entry in entries]

    def holds(self, environment: Environment, circuit: Circuit) -> Sequence[HoldEntry]:
        self.asked("holds")
        with self.lock_:
            return sorted(self.held[environment, circuit], key=lambda entry: -entry.number)

    def remove_holds(self, environment: Environment, circuit: Circuit, numbers: Sequence[int]) -> None:
        self.asked("remove_holds")
        with self.lock_:
            entries = self.held[environment, circuit]
            self.held[environment, circuit] = [entry for entry in entries if entry.number not in numbers]

    def note(self, note: LedgerNote) -> None:
        self.asked("note")
        with self.lock_:
            self.notes.setdefault((note.environment, note.circuit, note.fence), note)

    def remove_ledger(self, environment: Environment, circuit: Circuit, fences: Sequence[int]) -> None:
        self.asked("remove_ledger")
        with self.lock_:
            entries = self.ledgers[environment, circuit]
            self.ledgers[environment, circuit] = [entry for entry in entries if entry.fence not in fences]
            for fence in fences:
                self.notes.pop((environment, circuit, fence), None)


@dataclass
class FakeSlotStore(Service):
    """`SlotStore`."""

    known: dict[int, Versioned[Slot]] = field(default_factory=dict)

    def slots(self, count: int) -> Sequence[Versioned[Slot]]:
        self.asked("slots")
        with self.lock_:
            for number in range(count):
                if number not in self.known:
                    self.known[number] = Versioned(row=Slot(number=number), etag=self.new_etag())
            return [self.known[number] for number in range(count)]

    def write_slot(self, slot: Slot, etag: str) -> None:
        self.asked("write_slot")
        with self.lock_:
            if self.known[slot.number].etag != etag:
                raise ConflictError(f"slot {slot.number} is not as it was read")
            self.known[slot.number] = Versioned(row=slot, etag=self.new_etag())


@dataclass
class FakeMailLog(Service):
    """`MailLog`."""

    stored: Versioned[MailsSent] | None = None

    def sent(self) -> Versioned[MailsSent] | None:
        self.asked("sent")
        return self.stored

    def write_sent(self, sent: MailsSent, *, etag: str | None) -> None:
        self.asked("write_sent")
        with self.lock_:
            if (self.stored.etag if self.stored else None) != etag:
                raise ConflictError("another instance was quicker")
            self.stored = Versioned(row=sent, etag=self.new_etag())


# --------------------------------------------------------------------------------- evidence and messages


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadedArtifact:
    content: bytes
    at: datetime
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass
class FakeEvidenceStore(Service):
    """`EvidenceStore`; `upload` is what a build does."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    artifacts: dict[str, UploadedArtifact] = field(default_factory=dict)

    def upload(self, path: str, content: bytes, *, at: datetime, metadata: Mapping[str, str] | None = None) -> None:
        self.artifacts[path] = UploadedArtifact(content=content, at=at, metadata=metadata or {})

    def put(self, path: str, content: bytes) -> None:
        self.asked("put")
        with self.lock_:
            if self.blobs.setdefault(path, content) != content:
                raise ConflictError(f"{path} holds other content")

    def remove(self, prefix: str, *, before: str = "", limit: int) -> int:
        self.asked("remove")
        with self.lock_:
            going = [p for p in sorted(self.blobs) if p.startswith(prefix) and (not before or p < before)][:limit]
            for path in going:
                del self.blobs[path]
            return len(going)

    def get(self, path: str) -> bytes | None:
        self.asked("get")
        return self.blobs.get(path)

    def artifact(self, path: str) -> bytes | None:
        self.asked("artifact")
        found = self.artifacts.get(path)
        return None if found is None else found.content[: 10 * 1024 * 1024 + 1]

    def artifact_metadata(self, path: str) -> Mapping[str, str]:
        self.asked("artifact_metadata")
        found = self.artifacts.get(path)
        return {} if found is None else found.metadata

    def artifact_paths(self, since: datetime) -> Sequence[str]:
        self.asked("artifact_paths")
        return [
            path
            for path, artifact in sorted(self.artifacts.items())
            if path.split("/")[-1] == "changed_circuits.json" and artifact.at >= since
        ]


@dataclass
class FakeMessageBus(Service):
    """`MessageBus`: a list of what was sent, oldest first. Tests take commands off it and hand them on."""

    sent: list[Sendable] = field(default_factory=list)
    waiting: list[Sendable] = field(default_factory=list)

    def send(self, commands: Sequence[Sendable]) -> None:
        self.asked("send")
        with self.lock_:
            self.sent += commands
            self.waiting += commands

    def take(self) -> list[Sendable]:
        """Everything not taken yet, whatever its delay."""
        with self.lock_:
            taken, self.waiting = self.waiting, []
            return taken
