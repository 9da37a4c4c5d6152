"""The index of `ReleaseStore`: one suite, on the fake and on real Table Storage."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from shared.application.ports import Insert, ReleaseStore
from shared.domain.errors import ConflictError
from shared.domain.listing import Listed, Wanted
from shared.domain.model import Circuit, ProcessKind, Release, ReleasePhase
from tests.support.builders import CIRCUIT, NOW, OTHER_CIRCUIT, THIRD_CIRCUIT, a_gate, a_release, a_run

DAY = timedelta(days=1)


def ended(
    releases: ReleaseStore, release_id: str, phase: ReleasePhase = ReleasePhase.SUCCEEDED, **columns: object
) -> Release:
    """A release that has ended and is off the list."""
    day = datetime.strptime(release_id[:8], "%Y%m%d").replace(tzinfo=UTC)
    columns = {"created_at": day, "ended_at": day + timedelta(hours=2), "due_at": None} | columns
    release = a_release(release_id, phase=phase, **columns)
    releases.begin(release)
    releases.finish(release)
    return release


def ids(releases: ReleaseStore, wanted: Wanted | None = None) -> list[str]:
    """All that a list shows, page by page."""
    seen: list[str] = []
    cursor = ""
    for _ in range(20):
        page, cursor = releases.list_releases(wanted or Wanted(), limit=2, cursor=cursor)
        seen += [row.release_id for row in page]
        if not cursor:
            return seen
    raise AssertionError("no end after twenty pages")


def test_releases_come_newest_first_in_pages(releases: ReleaseStore) -> None:
    """`.10` comes after `.9`, and a year has ended in between."""
    for release_id in ("20251231.9", "20260101.1", "20251231.10", "20240229.1", "20260101.2"):
        releases.begin(a_release(release_id))
    assert ids(releases) == ["20260101.2", "20260101.1", "20251231.10", "20251231.9", "20240229.1"]


def test_a_refused_artifact_is_listed_under_the_day_it_came(releases: ReleaseStore) -> None:
    """Invalid ones have no number, but people look for them."""
    for release_id in ("20251209.5", "20251210.1", "20251211.1"):
        releases.begin(a_release(release_id))
    releases.begin(a_release(release_id="20251210.7", phase=ReleasePhase.INVALID, seq=0))
    assert ids(releases) == ["20251211.1", "20251210.7", "20251210.1", "20251209.5"]


def test_an_ended_release_stands_in_the_index_with_all_that_a_list_shows(releases: ReleaseStore) -> None:
    """Its own row need not be read; long reasons are cut."""
    columns = {"requested_by": "Ann@Example.com ", "reason": "x" * 600, "evidence_sha256": "ab"}
    ended(releases, "20251210.1", ReleasePhase.FAILED, gen=2, **columns)
    (row,), _ = releases.list_releases(Wanted(), limit=5)
    assert row == Listed(
        release_id="20251210.1",
        gen=2,
        settled=True,
        build_id="12345",
        phase=ReleasePhase.FAILED,
        reason="x" * 500,
        total=3,
        requested_by="Ann@Example.com ",
        requester="ann@example.com",
        created_at=datetime(2025, 12, 10, tzinfo=UTC),
        ended_at=datetime(2025, 12, 10, 2, tzinfo=UTC),
        evidence_sha256="ab",
        manifest_blob="20251210.1/manifest.json",
        place=row.place,
    )


# What is asked for, and what of the releases below comes: 20251212.1 runs, so it comes unless place or date forbid it.
FILTERS = (
    (Wanted(phase=ReleasePhase.FAILED), ["20251212.1", "20251130.1"]),
    (Wanted(requested_by=" ANN@example.com"), ["20251212.1", "20251210.1", "20251130.1"]),
    (Wanted(requested_by="o'brien"), ["20251212.1"]),
    (Wanted(since=date(2025, 12, 10)), ["20251212.1", "20251211.1", "20251210.1"]),
    (Wanted(until=date(2025, 12, 10)), ["20251210.1", "20251130.1"]),
    (Wanted(since=date(2025, 12, 10), until=date(2025, 12, 11)), ["20251211.1", "20251210.1"]),
    (Wanted(plant_id="PLANT001"), ["20251212.1", "20251210.1", "20251130.1"]),
    (Wanted(plant_id="PLANT001", circuit_id="CIRCUIT02"), ["20251212.1", "20251130.1"]),
    (Wanted(plant_id="PLANT001", phase=ReleasePhase.FAILED), ["20251212.1", "20251130.1"]),
    (Wanted(plant_id="PLANT001", since=date(2025, 12, 10), until=date(2025, 12, 10)), ["20251210.1"]),
    (Wanted(plant_id="PLANT002", circuit_id="CIRCUIT01"), ["20251211.1"]),
    (Wanted(plant_id="PLANT00"), []),
    (Wanted(kind=None), ["20251212.1", "20251211.1", "20251210.2", "20251210.1", "20251130.1"]),
)


def test_filters_find_what_has_ended_as_wanted_and_all_that_has_not_ended(releases: ReleaseStore) -> None:
    """By phase, person, date, plant and circuit, and several of them; a rollback is no release."""
    ended(releases, "20251130.1", ReleasePhase.FAILED, requested_by="ann@example.com")
    ended(releases, "20251210.1", requested_by="Ann@Example.com")
    ended(releases, "20251210.2", kind=ProcessKind.ROLLBACK)
    ended(releases, "20251211.1", requested_by="bob@example.com")
    releases.begin(a_release("20251212.1"))
    for release_id, circuits in {
        "20251130.1": (CIRCUIT, OTHER_CIRCUIT),
        "20251210.1": (CIRCUIT,),
        "20251211.1": (THIRD_CIRCUIT,),
        "20251212.1": (OTHER_CIRCUIT,),
    }.items():
        releases.list_circuits(a_release(release_id), circuits)
    assert [(wanted, ids(releases, wanted)) for wanted, _ in FILTERS] == list(FILTERS)


def test_circuits_are_listed_again_without_harm(releases: ReleaseStore) -> None:
    """A page of the fan-out that is repeated after a crash, and one that has circuits in common with it."""
    release = ended(releases, "20251210.1")
    many = [Circuit(plant_id="P", circuit_id=f"C{number:03d}") for number in range(150)]
    releases.list_circuits(release, many[:120])
    releases.list_circuits(release, many[100:])
    releases.list_circuits(release, many[:5])
    assert ids(releases, Wanted(plant_id="P")) == ["20251210.1"]
    assert ids(releases, Wanted(plant_id="P", circuit_id="C149")) == ["20251210.1"]


@pytest.mark.parametrize("cursor", ["x", "\x00nonsense", "20251210", "1|2"])
def test_a_cursor_of_somebody_elses_is_refused(releases: ReleaseStore, cursor: str) -> None:
    """It is compared, never interpreted."""
    releases.begin(a_release())
    with pytest.raises(ValueError, match="cursor"):
        releases.list_releases(Wanted(), limit=1, cursor=cursor)


def test_a_retried_release_speaks_for_itself_again(releases: ReleaseStore) -> None:
    """From before its row is written; a late end of the try before does not change that."""
    release = ended(releases, "20251210.1", ReleasePhase.FAILED)
    again = replace(release, gen=2)
    releases.reactivate(again, NOW)
    releases.finish(release)
    (row,), _ = releases.list_releases(Wanted(phase=ReleasePhase.SUCCEEDED), limit=5)
    assert not row.settled
    releases.finish(replace(again, phase=ReleasePhase.SUCCEEDED))
    (row,), _ = releases.list_releases(Wanted(phase=ReleasePhase.SUCCEEDED), limit=5)
    assert (row.settled, row.gen) == (True, 2)


def test_a_retry_that_was_given_up_is_listed_as_it_had_ended(releases: ReleaseStore) -> None:
    """Its process died between the lists and the release's row."""
    release = ended(releases, "20251210.1", ReleasePhase.FAILED)
    releases.reactivate(replace(release, gen=2), NOW)
    releases.finish(release, given_up_before=NOW + timedelta(seconds=1))
    (row,), _ = releases.list_releases(Wanted(phase=ReleasePhase.FAILED), limit=5)
    assert (row.settled, row.gen) == (True, 1)


def test_what_could_not_be_delivered_is_remembered(releases: ReleaseStore) -> None:
    """Of releases that ended lately; those without trouble do not come up."""
    for number, undelivered in ((1, ("email to ann",)), (2, ()), (3, ("teams to channel", "email to bob"))):
        release = a_release(f"20251210.{number}", phase=ReleasePhase.FAILED, ended_at=NOW + number * DAY)
        releases.begin(release)
        releases.finish(release, undelivered=undelivered)
    assert [row.undelivered for row in releases.undelivered(NOW)] == [
        ("teams to channel", "email to bob"),
        ("email to ann",),
    ]
    assert [row.release_id for row in releases.undelivered(NOW + 2 * DAY)] == ["20251210.3"]


# ------------------------------------------------------------------------------------------------ retention


def test_what_ended_before_a_time_is_found_for_its_rows_and_then_for_its_evidence(releases: ReleaseStore) -> None:
    """Never what runs, however old it is."""
    for release_id in ("20240101.1", "20251209.1", "20251210.1"):
        ended(releases, release_id)
    releases.begin(a_release("20230101.1"))
    before = datetime(2025, 12, 10, tzinfo=UTC)
    found = releases.ended_before(before, rows_gone=False, limit=5)
    assert [row.release_id for row in found] == ["20251209.1", "20240101.1"]
    (first,) = releases.ended_before(before, rows_gone=False, limit=1)
    (second,) = releases.ended_before(before, rows_gone=False, limit=1, after=first.place)
    assert [first, second] == found
    releases.note_rows_gone(found[1])
    releases.note_rows_gone(found[1])
    assert [row.release_id for row in releases.ended_before(before, rows_gone=False, limit=5)] == ["20251209.1"]
    (gone,) = releases.ended_before(before, rows_gone=True, limit=5)
    assert (gone.release_id, gone.rows_gone) == ("20240101.1", True)
    releases.forget_listed(gone)
    releases.forget_listed(gone)
    assert ids(releases) == ["20251210.1", "20251209.1", "20230101.1"]


def test_a_release_is_removed_row_by_row(releases: ReleaseStore) -> None:
    """Its own row first; in steps of a given size; what finds it by circuit goes with the circuits."""
    release = ended(releases, "20251210.1")
    circuits = [Circuit(plant_id="P", circuit_id=f"C{number:02d}") for number in range(30)]
    releases.list_circuits(release, circuits)
    runs = [a_run(circuit, release_id=release.release_id) for circuit in circuits]
    releases.commit(*(Insert(row=run) for run in runs), Insert(row=a_gate(release_id=release.release_id)))
    stored = releases.release("20251210.1")
    assert stored is not None
    releases.remove(stored)
    releases.remove(stored)
    assert releases.release("20251210.1") is None
    assert [releases.remove_rest("20251210.1", limit=20) for _ in range(3)] == [20, 11, 0]
    assert (releases.runs("20251210.1"), releases.gates("20251210.1")) == ([], [])
    assert ids(releases, Wanted(plant_id="P")) == []
    assert ids(releases, Wanted(plant_id="P", circuit_id="C07")) == []
    assert ids(releases) == ["20251210.1"]


def test_a_release_that_was_written_meanwhile_is_not_removed(releases: ReleaseStore) -> None:
    """Somebody has retried it in this very moment."""
    release = ended(releases, "20251210.1", ReleasePhase.FAILED)
    stored = releases.release("20251210.1")
    (row,) = releases.ended_before(NOW, rows_gone=False, limit=1)
    assert stored is not None
    with pytest.raises(ConflictError):
        releases.remove(replace(stored, etag='W/"0"'))
    with pytest.raises(ConflictError):
        releases.remove_rest("20251210.1", limit=5)
    releases.reactivate(replace(release, gen=2), NOW)
    with pytest.raises(ConflictError):
        releases.note_rows_gone(row)
    with pytest.raises(ConflictError):
        releases.forget_listed(row)
    assert ids(releases) == ["20251210.1"]


def test_an_id_that_comes_again_after_its_rows_are_gone_starts_anew(releases: ReleaseStore) -> None:
    """A build that counts from one again."""
    ended(releases, "20251210.1")
    stored = releases.release("20251210.1")
    (row,) = releases.ended_before(NOW, rows_gone=False, limit=1)
    assert stored is not None
    releases.remove(stored)
    releases.note_rows_gone(row)
    releases.begin(a_release(manifest_sha256="other"))
    (listed,), _ = releases.list_releases(Wanted(), limit=5)
    assert not listed.settled
    assert releases.active_release_ids() == ["20251210.1"]
