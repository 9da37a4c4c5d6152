"""Unit: what is past its time is removed, a bounded piece at a time; what is active or explains the present stays."""

from contextlib import suppress
from datetime import datetime, timedelta

import pytest

from shared.application import retention
from shared.application.circuit_history import circuit_view
from shared.application.release_list import listed_releases
from shared.application.retention import Keep, Removed, Retention
from shared.domain.errors import ConflictError, PermanentError, PipelineError, RequestRefused, TransientError
from shared.domain.listing import Wanted
from shared.domain.model import Circuit, Environment, GateName, ReleasePhase
from shared.domain.naming import deployment_name
from tests.support.builders import CIRCUIT
from tests.support.pipeline_world import PipelineWorld

DAY = timedelta(days=1)
KEEP = Keep(rows=400 * DAY, evidence=7 * 365 * DAY)
SECOND, THIRD = "20251211.1", "20251212.1"


def released(*release_ids: str, circuit: Circuit = CIRCUIT, world: PipelineWorld | None = None) -> PipelineWorld:
    """Successful releases of one circuit, a day apart, all of them told and off the list."""
    world = world or PipelineWorld()
    for release_id in release_ids:
        world.release_all(release_id, circuit, build=release_id[4:8])
        world.sweep_for(timedelta(minutes=2))
        world.clock.forward(DAY)
    assert world.releases.active_release_ids() == []
    return world


def ids(number: int, day: int = 10) -> list[str]:
    return [f"202512{day + n:02d}.1" for n in range(number)]


def clean(world: PipelineWorld, keep: Keep = KEEP) -> Removed:
    return Retention(world.ports, keep).run()


def there(world: PipelineWorld) -> list[str]:
    return [release_id for release_id, rows in sorted(world.releases.rows.items()) if rows]


def ledger(world: PipelineWorld, environment: Environment = Environment.PRODUCTION) -> list[str]:
    return [entry.deployment for entry in world.endpoints.ledger(environment, CIRCUIT)]


def names(*release_ids: str) -> list[str]:
    return [deployment_name(release_id) for release_id in release_ids]


def evidence_of(world: PipelineWorld, release_id: str) -> list[str]:
    return [path for path in world.evidence.blobs if path.startswith(f"{release_id}/")]


def test_nothing_is_removed_before_its_time() -> None:
    """Four releases, the first one over for 399 days."""
    world = released(*ids(4))
    rows, blobs = dict(world.releases.rows), dict(world.evidence.blobs)
    world.clock.set(datetime.fromisoformat("2025-12-10T09:30:00Z") + 399 * DAY)
    assert clean(world) == Removed()
    assert (world.releases.rows, world.evidence.blobs) == (rows, blobs)


def test_after_400_days_a_release_has_no_rows_and_still_its_evidence() -> None:
    """The newest stays, it is live, and the one before it; the list remembers the others for the auditor."""
    world = released(*ids(4))
    before = {release_id: evidence_of(world, release_id) for release_id in ids(4)}
    world.clock.forward(400 * DAY)
    removed = clean(world)
    assert there(world) == ids(4)[2:]
    assert (removed.releases, removed.bundles, removed.blobs, removed.more) == (2, 0, 0, False)
    assert removed.rows > 2 * 5
    assert {release_id: evidence_of(world, release_id) for release_id in ids(4)} == before
    listed, _ = listed_releases(Wanted(), world.ports, limit=9)
    assert [(row.release_id, row.rows_gone) for row in listed] == [
        (release_id, release_id in ids(2)) for release_id in reversed(ids(4))
    ]
    assert clean(world) == Removed()


def test_after_seven_years_the_evidence_goes_as_well() -> None:
    """And the index forgets the release; that of what is live or named by a ledger row stays."""
    world = released(*ids(5))
    world.clock.forward(400 * DAY)
    clean(world)
    world.clock.forward(7 * 365 * DAY)
    named = {entry.release_id for entry in world.endpoints.ledger(Environment.PRODUCTION, CIRCUIT)}
    removed = clean(world)
    assert [release_id for release_id in ids(5) if evidence_of(world, release_id)] == sorted(named) == ids(5)[2:]
    assert (removed.bundles, removed.releases) == (2, 0)
    assert removed.blobs >= 2 * 5
    listed, _ = listed_releases(Wanted(), world.ports, limit=9)
    assert [row.release_id for row in listed] == ids(5)[:1:-1]
    assert clean(world) == Removed()


def test_the_ledger_keeps_what_is_live_what_was_before_it_and_the_newest_deployments() -> None:
    """However old: pruning and rollback read them. Of the others the oldest go, in both environments."""
    world = released(*ids(6))
    assert ledger(world) == names(*reversed(ids(6)))
    world.clock.forward(400 * DAY)
    removed = clean(world)
    assert ledger(world) == names(*reversed(ids(6)[3:])) == ledger(world, Environment.TEST)
    assert removed.ledger_rows == 2 * 3
    assert set(world.endpoints.notes) >= {(Environment.PRODUCTION, CIRCUIT, e.fence) for e in ledger_rows(world)}
    assert len(world.endpoints.notes) == 3


def ledger_rows(world: PipelineWorld):  # noqa: ANN201  # ledger rows
    return world.endpoints.ledger(Environment.PRODUCTION, CIRCUIT)


def test_a_ledger_row_counts_from_the_day_its_deployment_was_replaced() -> None:
    """What was live until 399 days ago answers what scored then, since whenever it was live."""
    world = released(*ids(6))
    world.clock.forward(395 * DAY)
    assert clean(world).ledger_rows == 2 * 1
    assert ledger(world) == names(*reversed(ids(6)[1:]))


def test_what_was_brought_back_keeps_the_rows_of_its_first_time() -> None:
    """A rollback to the oldest: who approved it, and what was before it, stand in its first row; no gap is made."""
    world = released(*ids(3))
    world.roll_back(CIRCUIT, to=deployment_name(ids(3)[0]))
    world.run()
    world.sweep_for(timedelta(minutes=2))
    world.clock.forward(500 * DAY)
    assert clean(world).ledger_rows == 0
    newest = circuit_view(CIRCUIT, None, world.ports).times[0]
    assert newest.entry.deployment == deployment_name(ids(3)[0])
    assert newest.gate is not None
    with pytest.raises(RequestRefused, match="is the first deployment that went live here"):
        world.roll_back(CIRCUIT)


def test_what_runs_is_never_removed_however_old_it_is() -> None:
    """A release that waits for people with a gate of two years."""
    world = PipelineWorld()
    world.start()
    world.to_phase(ReleasePhase.AWAITING_REGISTRY_APPROVAL)
    world.run()
    world.change(world.gate(GateName.REGISTRY), expires_at=world.clock.now() + 800 * DAY)
    rows = dict(world.releases.rows)
    world.clock.forward(700 * DAY)
    assert clean(world) == Removed()
    assert world.releases.rows == rows


def test_a_release_that_is_retried_in_this_very_moment_stays() -> None:
    """The conditional delete of its own row finds another one."""
    world = PipelineWorld()
    world.start()
    world.to_phase(ReleasePhase.AWAITING_REGISTRY_APPROVAL)
    world.clock.set(world.gate(GateName.REGISTRY).expires_at)
    world.sweep_for(timedelta(minutes=3))
    assert (world.phase(), world.releases.active_release_ids()) == (ReleasePhase.EXPIRED, [])
    world.clock.forward(401 * DAY)
    asked = [True]

    def retry(request: str) -> None:
        if request == "remove" and asked:
            asked.clear()
            world.operations().retry("20251210.1", by="ops", reason="after all", exclude={})

    world.releases.on_request = retry
    assert clean(world) == Removed()
    assert world.phase() is ReleasePhase.AWAITING_REGISTRY_APPROVAL
    world.run()
    assert len(world.runs()) == 3


def test_a_retry_that_comes_too_late_starts_nothing_anew() -> None:
    """Its process listed it as active and found no release any more: that is no interrupted intake."""
    world = released("20251210.1", SECOND, THIRD)
    row = world.release("20251210.1")
    world.clock.forward(400 * DAY)
    clean(world)
    world.releases.reactivate(row.__replace__(gen=2), world.clock.now())
    world.sweep()
    assert world.releases.active_release_ids() == []
    assert world.waiting() == []
    assert world.releases.release("20251210.1") is None


def test_a_run_does_so_much_and_the_next_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows, ledger rows and blobs: seven of each, until nothing is left to do."""
    world = released(*ids(8))
    for limit in ("MOST_ROWS", "MOST_LEDGER_ROWS", "MOST_BLOBS"):
        monkeypatch.setattr(retention, limit, 7)
    world.clock.forward(8 * 365 * DAY)
    runs = [clean(world)]
    while runs[-1] != Removed():
        assert len(runs) < 60
        runs.append(clean(world))
    assert max(run.rows for run in runs) == max(run.ledger_rows for run in runs) == 7
    assert max(run.blobs for run in runs) <= 7
    assert all(run.more for run in runs[:3])
    assert sum(run.releases for run in runs) == 8 - 2
    assert sum(run.bundles for run in runs) == 8 - 3
    assert there(world) == ids(8)[6:]
    assert sorted({path.partition("/")[0] for path in world.evidence.blobs}) == ids(8)[5:]


@pytest.mark.parametrize("after", range(1, 60, 4))
def test_a_run_that_breaks_off_anywhere_is_completed_by_the_next(after: int) -> None:
    """Storage goes away at any request; no release is ever half there for people."""
    world = released(*ids(3))
    world.clock.forward(8 * 365 * DAY)
    left = [after]

    def break_off(_request: str) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise TransientError("storage is down")

    for store in (world.releases, world.endpoints, world.evidence):
        store.on_request = break_off
    with suppress(TransientError):
        clean(world)
    for store in (world.releases, world.endpoints, world.evidence):
        store.on_request = lambda _request: None
    for release_id in ids(3):
        assert world.releases.release(release_id) is not None or release_id == ids(3)[0]
    for _ in range(2):
        clean(world)
    assert there(world) == ids(3)[1:]
    assert clean(world) == Removed()


@pytest.mark.parametrize("trouble", [PermanentError("a legal hold"), ConflictError("quicker")])
def test_trouble_with_one_release_does_not_keep_the_others(trouble: PipelineError) -> None:
    """A blob that must not be deleted is logged, and tried again the next time."""
    world = released(*ids(5))
    world.clock.forward(401 * DAY)
    clean(world)
    world.clock.forward(7 * 365 * DAY)
    remove, first = world.evidence.remove, ids(5)[0]

    def refuse(prefix: str, *, before: str = "", limit: int) -> int:
        if prefix == f"{first}/":
            raise trouble
        return remove(prefix, before=before, limit=limit)

    world.evidence.remove = refuse  # type: ignore[method-assign]  # a container with a hold
    assert clean(world).bundles == 1
    assert evidence_of(world, first)
    world.evidence.remove = remove  # type: ignore[method-assign]
    assert clean(world).bundles == 1
    assert not evidence_of(world, first)


def test_the_evidence_of_a_rollback_and_of_a_refused_artifact_goes_with_them() -> None:
    """Their documents lie under other names than their own."""
    world = released(*ids(2))
    world.roll_back(CIRCUIT)
    world.run()
    world.holds().lift(CIRCUIT, why="tested again", by="ops")
    path = "releases/20251215.1/9/changed_circuits.json"
    world.evidence.upload(path, b'{"circuits": 1}', at=world.clock.now())
    from shared.application.intake import Intake

    Intake(world.ports).from_artifact(path, b'{"circuits": 1}')
    world.run()
    world.sweep_for(timedelta(minutes=20))
    released(*ids(5, day=16), world=world)
    assert {path.partition("/")[0] for path in world.evidence.blobs} >= {"rollbacks", "invalid"}
    world.clock.forward(400 * DAY)
    clean(world)
    world.clock.forward(8 * 365 * DAY)
    clean(world)
    assert {path.partition("/")[0] for path in world.evidence.blobs} == set(ids(5, day=16)[2:])
