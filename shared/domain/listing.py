"""The index of releases: what lists show of a release, and what they can be asked for. Pure."""

from dataclasses import dataclass
from datetime import date, datetime

from shared.domain.model import LONG_AGO, ProcessKind, Release, ReleasePhase
from shared.domain.people import person_key


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A row of the index. Until the release has ended only its id and gen mean anything: its own row says the rest."""

    release_id: str
    gen: int = 1
    settled: bool = False
    """It has ended and everybody was told: from now on this row says what its own row said then."""
    kind: ProcessKind = ProcessKind.RELEASE
    build_id: str = ""
    phase: ReleasePhase = ReleasePhase.INSPECTING
    reason: str = ""
    total: int = 0
    requested_by: str = ""
    requester: str = ""
    """`requested_by` as it is compared."""
    created_at: datetime = LONG_AGO
    ended_at: datetime | None = None
    evidence_sha256: str = ""
    manifest_blob: str = ""
    undelivered: tuple[str, ...] = ()
    """Messages to people that were given up, a few words each."""
    rows_gone: bool = False
    """Its rows have been removed, its evidence has not."""
    place: str = ""
    """Where it stands in the index: the cursor of what comes after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a list is asked for; whatever is empty does not matter."""

    kind: ProcessKind | None = ProcessKind.RELEASE
    phase: ReleasePhase | None = None
    plant_id: str = ""
    circuit_id: str = ""
    """Of that plant."""
    since: date | None = None
    until: date | None = None
    """Both inclusive, by the date in the release's id."""
    requested_by: str = ""

    @property
    def requester(self) -> str:
        """As rows are compared with it."""
        return person_key(self.requested_by)

    def fits(self, listed: Listed) -> bool:
        """By what the row itself says; its place in the index answers for date, plant and circuit."""
        return (
            self.kind in {None, listed.kind}
            and self.phase in {None, listed.phase}
            and self.requester in {"", listed.requester}
        )


def listed_as(release: Release, *, undelivered: tuple[str, ...] = ()) -> Listed:
    """A release as lists show it."""
    return Listed(
        release_id=release.release_id,
        gen=release.gen,
        settled=release.is_terminal,
        kind=release.kind,
        build_id=release.build_id,
        phase=release.phase,
        reason=release.reason,
        total=release.total,
        requested_by=release.requested_by,
        requester=person_key(release.requested_by),
        created_at=release.created_at,
        ended_at=release.ended_at,
        evidence_sha256=release.evidence_sha256,
        manifest_blob=release.manifest_blob,
        undelivered=undelivered,
    )
