"""Port: the rows of releases."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from shared.application.ports.versioned import Versioned
from shared.domain.listing import Listed, Wanted
from shared.domain.model import (
    LONG_AGO,
    Circuit,
    CircuitPhase,
    CircuitRun,
    Gate,
    GateName,
    HistoryEntry,
    Notice,
    Release,
    Round,
)

type ReleaseRow = Release | CircuitRun | Gate | Notice


@dataclass(frozen=True, slots=True, kw_only=True)
class Insert:
    """Write a row that must not exist yet."""

    row: ReleaseRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """Replace a row that must still be as it was read (If-Match `etag`)."""

    row: ReleaseRow
    etag: str


type Change = Insert | Update


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveRelease:
    """A release that has not ended, or whose intake was interrupted before its row was written."""

    release_id: str
    artifact_path: str
    manifest_blob: str
    manifest_sha256: str
    build_id: str = ""
    gen: int = 1
    listed_at: datetime = LONG_AGO
    signed_in: str = ""
    """Who asked for it, where sign-in said so; an interrupted intake is completed in this name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryLine:
    """A transition and the key of the row it happened to (`!release`, `c|…`, `g|…`)."""

    row_key: str
    entry: HistoryEntry


class ReleaseStore(Protocol):
    """Rows of releases. One release's rows share a partition: a group of changes commits whole or not at all.

    Ambiguous outcomes (a lost response, a silently repeated write) are settled inside, by the rows' op_id:
    a method returns only when its write is known to stand, and raises `ConflictError` when it is known not to.
    """

    def begin(self, release: Release) -> None:
        """Write the `active` row, the index row, then the release. Repeatable: an interrupted one is completed.

        Raises:
            ConflictError: a release with this id exists with another manifest_sha256.
        """

    def finish(
        self, release: Release, *, undelivered: tuple[str, ...] = (), given_up_before: datetime = LONG_AGO
    ) -> None:
        """Settle a terminal release's index row and take it off the `active` list.

        Not if a later gen of it was put there meanwhile. A later gen that was listed before `given_up_before`
        belongs to a retry whose process died: it goes as well.
        """

    def forget(self, release_id: str) -> None:
        """Take off the `active` list what was listed there and never got a row of its own."""

    def reactivate(self, release: Release, at: datetime) -> None:
        """Put a release that is about to be retried back onto the `active` list, before its row is written.

        Its index row no longer speaks for it.

        `release` is the row as it shall be: its new gen keeps a late `finish` of the old one from undoing this.
        """

    def release(self, release_id: str) -> Versioned[Release] | None: ...

    def release_and_run(
        self, release_id: str, circuit: Circuit
    ) -> tuple[Versioned[Release], Versioned[CircuitRun]] | None:
        """Both in one request; None if either is missing."""

    def release_and_gate(
        self, release_id: str, gate: GateName
    ) -> tuple[Versioned[Release], Versioned[Gate] | None] | None:
        """Both in one request; None if there is no such release."""

    def runs(self, release_id: str, *, after: str = "", limit: int | None = None) -> Sequence[Versioned[CircuitRun]]:
        """Circuit runs in row-key order, those after the row key `after` only."""

    def gates(self, release_id: str) -> Sequence[Versioned[Gate]]: ...

    def notices(self, release_id: str) -> Sequence[Versioned[Notice]]: ...

    def notice(self, release_id: str, row_key: str) -> Versioned[Notice] | None: ...

    def commit(self, *changes: Change) -> Sequence[str]:
        """All changes (at most 100, of one release) or none; the new ETags, in order. ConflictError: none."""

    def any_pending(self, release_id: str, round_: Round) -> bool:
        """Top-1: is there a circuit with todo == round_?"""

    def any_in(self, release_id: str, phases: frozenset[CircuitPhase]) -> bool:
        """Top-1: is there a circuit in one of these phases?"""

    def predecessors_pending(self, release_id: str) -> bool:
        """Top-1: is there a circuit with a previous_deployment that is still staged or activating (D11)?"""

    def first_in(self, release_id: str, phase: CircuitPhase) -> Versioned[CircuitRun] | None:
        """Top-1: some circuit in this phase."""

    def overdue(self, release_id: str, now: datetime) -> Sequence[Versioned[ReleaseRow]]:
        """Rows of this release whose due_at has passed."""

    def history(self, release_id: str) -> Sequence[HistoryLine]:
        """The transitions of all rows of a release, oldest first; also those that outgrew their rows."""

    def active_release_ids(self) -> Sequence[str]: ...

    def intake(self, release_id: str) -> ActiveRelease | None:
        """What the `active` row says: enough to complete an intake that was interrupted behind it."""

    def list_circuits(self, release: Release, circuits: Sequence[Circuit]) -> None:
        """Let the index find a release by its circuits and their plants; before their rows are written. Repeatable."""

    def list_releases(self, wanted: Wanted, *, limit: int, cursor: str = "") -> tuple[Sequence[Listed], str]:
        """A page of the index, newest first, and the cursor of the next one (empty: no more).

        Of releases that have ended those that fit, and every one of those days and circuits that has not ended:
        what these are is for their own rows to say. A page may hold fewer than `limit`.

        Raises:
            ValueError: the cursor is none of ours.
        """

    def listed_release(self, release_id: str) -> Listed | None:
        """The index row of one release, by its `YYYYMMDD.N`; also of one whose rows are gone."""

    def undelivered(self, since: datetime) -> Sequence[Listed]:
        """Releases that have ended since then with messages to people that were given up."""

    # What is past its time; ConflictError everywhere: it is not as it was read, somebody is at work.

    def ended_before(self, at: datetime, *, rows_gone: bool, limit: int, after: str = "") -> Sequence[Listed]:
        """Settled releases that ended before, newest first; whose rows are still there, or are not."""

    def remove(self, release: Versioned[Release]) -> None:
        """Delete a release's own row: from then on there is no such release."""

    def remove_rest(self, release_id: str, *, limit: int) -> int:
        """Delete rows of a release that is gone, and what finds it by circuit; how many, at most `limit`."""

    def note_rows_gone(self, listed: Listed) -> None:
        """The index remembers the release for its evidence."""

    def forget_listed(self, listed: Listed) -> None:
        """Delete the index row of a release whose rows are gone."""
