"""Unit: what scored a circuit at a moment, by which release, approved by whom, on which evidence."""

import hashlib
from datetime import UTC, datetime, timedelta

import pytest

from shared.application.circuit_history import circuit_json, circuit_view, moment_asked
from shared.application.drift import Drift
from shared.application.release_evidence import read_bundle
from shared.application.retention import Keep, Retention
from shared.domain.errors import RequestRefused
from shared.domain.model import Circuit, Environment, GateName, ReleasePhase
from shared.domain.naming import timestamp
from shared.pages import render_circuit
from tests.support.builders import CIRCUIT
from tests.support.pipeline_world import APPROVERS, PipelineWorld

SECOND = "20251211.1"
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def world() -> PipelineWorld:
    """Two releases of one circuit, a day apart."""
    world = PipelineWorld()
    world.release_all("20251210.1", CIRCUIT)
    world.clock.forward(timedelta(days=1))
    world.release_all(SECOND, CIRCUIT, build="12346")
    world.clock.forward(HOUR)
    return world


def test_the_page_says_what_is_live_and_what_was(world: PipelineWorld) -> None:
    """Newest first, each until the next, with release, approver and the digest of the evidence."""
    view = circuit_view(CIRCUIT, None, world.ports)
    newest, oldest = view.times
    assert (newest.entry.deployment, newest.until) == ("deployment-20251211-1", None)
    assert (oldest.entry.deployment, oldest.until) == ("deployment-20251210-1", newest.entry.activated_at)
    html = render_circuit(view)
    for told in ("deployment-20251211-1", "deployment-20251210-1", SECOND, APPROVERS[0], "live now"):
        assert told in html
    assert world.gate(GateName.PRODUCTION, SECOND).digest in html


@pytest.mark.parametrize(
    ("after", "deployment"),
    [
        (-HOUR, None),
        (timedelta(), "deployment-20251210-1"),
        (12 * HOUR, "deployment-20251210-1"),
        (24 * HOUR + timedelta(minutes=30), "deployment-20251211-1"),
    ],
)
def test_one_moment_has_one_answer(world: PipelineWorld, after: timedelta, deployment: str | None) -> None:
    """What scored it then: from the second of its activation until the next one's."""
    first = circuit_view(CIRCUIT, None, world.ports).times[-1].entry.activated_at
    view = circuit_view(CIRCUIT, first + after, world.ports)
    assert [time.entry.deployment for time in view.times] == ([deployment] if deployment else [])
    assert ("nothing that the pipeline knows of" in render_circuit(view)) == (deployment is None)


def test_the_time_that_was_told_is_a_time_that_can_be_asked() -> None:
    """Whoever asks for the very second of an activation, as the page and the API tell it, gets that activation."""
    world = PipelineWorld()
    world.clock.forward(timedelta(microseconds=700_000))
    world.release_all("20251210.1", CIRCUIT)
    (time,) = circuit_view(CIRCUIT, None, world.ports).times
    assert time.entry.activated_at.microsecond
    asked = moment_asked(timestamp(time.entry.activated_at))
    assert [one.entry for one in circuit_view(CIRCUIT, asked, world.ports).times] == [time.entry]


def test_a_circuit_nobody_knows_is_not_found(world: PipelineWorld) -> None:
    """With a hint, for ids are written as in the artifact."""
    with pytest.raises(RequestRefused, match="as in the artifact") as refused:
        circuit_view(Circuit(plant_id="plant001", circuit_id="x"), None, world.ports)
    assert refused.value.status == 404


def test_a_circuit_of_a_first_release_has_a_page_before_anything_is_live() -> None:
    """Its release's page leads there."""
    world = PipelineWorld()
    world.start("20251210.1", CIRCUIT)
    world.to_phase(ReleasePhase.AWAITING_REGISTRY_APPROVAL)
    view = circuit_view(CIRCUIT, None, world.ports)
    assert (view.times, view.lock) == ([], None)
    assert "The pipeline has not made anything live yet." in render_circuit(view)


@pytest.mark.parametrize("text", ["2025-12-03T14:00", "2025-12-03 14:00", "2025-12-03T15:00+01:00"])
def test_a_moment_is_utc_unless_it_says_otherwise(text: str) -> None:
    """As the browser's own field gives it, as people type it, and with an offset."""
    assert moment_asked(text) == datetime(2025, 12, 3, 14, tzinfo=UTC)


@pytest.mark.parametrize("text", ["yesterday", "2025-13-01T00:00", "0001-01-01T00:00+23:00", "9" * 50])
def test_what_is_no_moment_is_refused(text: str) -> None:
    """400, and an example."""
    with pytest.raises(RequestRefused, match="2025-12-03T14:00"):
        moment_asked(text)


def test_what_a_rollback_brought_back_was_approved_in_its_first_release() -> None:
    """The page names the rollback, and beside it who approved the deployment when it first went live."""
    world = PipelineWorld()
    world.release_all("20251210.1", CIRCUIT)
    world.clock.forward(timedelta(days=1))
    world.release_all(SECOND, CIRCUIT, build="12346")
    world.clock.forward(HOUR)
    world.roll_back(release_id=SECOND)
    world.run()
    newest = circuit_view(CIRCUIT, None, world.ports).times[0]
    assert newest.entry.deployment == "deployment-20251210-1"
    assert newest.entry.release_id.startswith("rollback-")
    assert newest.gate is not None
    assert newest.gate.release_id == "20251210.1"
    assert "when release 20251210.1 first made it live" in render_circuit(circuit_view(CIRCUIT, None, world.ports))


def test_the_page_names_the_bundle_and_the_evidence_that_was_seen(world: PipelineWorld) -> None:
    """Both SHA-256, so that the documents can be checked offline."""
    time = circuit_view(CIRCUIT, None, world.ports).times[0]
    assert time.approval is not None
    assert (time.approval.by, time.approval.release_id) == ((APPROVERS[0],), SECOND)
    assert time.approval.evidence_sha256 == world.gate(GateName.PRODUCTION, SECOND).digest
    assert time.bundle_sha256 == world.release(SECOND).evidence_sha256 != ""
    html = render_circuit(circuit_view(CIRCUIT, None, world.ports))
    assert time.approval.evidence_sha256 in html
    assert time.bundle_sha256 in html


def test_an_answer_about_the_past_is_not_mixed_with_what_holds_today() -> None:
    """A hold of this afternoon says nothing about the third of December; the page of today says it."""
    world = PipelineWorld()
    world.release_all("20251210.1", CIRCUIT)
    world.clock.forward(timedelta(days=1))
    world.release_all(SECOND, CIRCUIT, build="12346")
    before = world.clock.now()
    world.clock.forward(HOUR)
    world.roll_back(release_id=SECOND)
    world.run()
    assert "Held until" in render_circuit(circuit_view(CIRCUIT, None, world.ports))
    then = render_circuit(circuit_view(CIRCUIT, before, world.ports))
    assert "Held until" not in then
    assert "it was <strong>deployment-20251211-1</strong>" in then
    assert "asked for by release" not in then


def test_a_moment_that_has_not_come_has_no_answer(world: PipelineWorld) -> None:
    """Neither on the page nor by API, which says what time it is."""
    ahead = world.clock.now() + HOUR
    view = circuit_view(CIRCUIT, ahead, world.ports)
    assert (view.times, view.is_ahead) == ([], True)
    assert "has not come yet" in render_circuit(view)
    with pytest.raises(RequestRefused, match="is not known") as refused:
        circuit_json(CIRCUIT, ahead, world.ports)
    assert refused.value.status == 400
    assert circuit_view(CIRCUIT, world.clock.now(), world.ports).times[0].entry.release_id == SECOND


def test_the_api_answers_the_same_question(world: PipelineWorld) -> None:
    """What scored it then, by which release, approved by whom, on which evidence."""
    first = circuit_view(CIRCUIT, None, world.ports).times[-1].entry.activated_at
    told = circuit_json(CIRCUIT, first + HOUR, world.ports)
    gate = world.gate(GateName.PRODUCTION, "20251210.1")
    assert told["at"] == {
        "deployment": "deployment-20251210-1",
        "since": timestamp(first),
        "until": timestamp(circuit_view(CIRCUIT, None, world.ports).times[0].entry.activated_at),
        "made_live_by": "20251210.1",
        "model": "plant001-circuit01 20251210-1",
        "cutoff_date": "2025-11-01",
        "approval": {
            "release_id": "20251210.1",
            "by": [APPROVERS[0]],
            "at": timestamp(gate.decisions[-1].at),
            "evidence_sha256": gate.digest,
        },
        "evidence_sha256": world.release("20251210.1").evidence_sha256,
        "drift": "",
        "hold": None,
    }
    assert circuit_json(CIRCUIT, first - HOUR, world.ports)["at"] is None
    assert "at" not in circuit_json(CIRCUIT, None, world.ports)


def removed_after_400_days() -> PipelineWorld:
    """Six releases of one circuit, of which three are past their time."""
    world = PipelineWorld()
    for number in range(6):
        world.release_all(f"202512{10 + number}.1", CIRCUIT, build=str(number))
        world.sweep_for(timedelta(minutes=2))
        world.clock.forward(timedelta(days=1))
    world.clock.forward(timedelta(days=400))
    Retention(world.ports, Keep(rows=timedelta(days=400), evidence=timedelta(days=2557))).run()
    return world


def test_who_approved_is_told_when_the_releases_own_rows_have_been_removed() -> None:
    """From the ledger: names, time, and the SHA-256 of what they saw; the bundle is still there."""
    world = removed_after_400_days()
    oldest = circuit_view(CIRCUIT, None, world.ports).times[-1]
    assert oldest.entry.release_id == "20251213.1"
    assert world.releases.release("20251213.1") is None
    assert oldest.approval is not None
    assert oldest.model == "plant001-circuit01 20251213-1"
    html = render_circuit(circuit_view(CIRCUIT, oldest.entry.activated_at, world.ports))
    for told in (APPROVERS[0], oldest.approval.evidence_sha256, oldest.bundle_sha256, "removed after their time"):
        assert told in html
    bundle, digest = read_bundle("20251213.1", "", world.ports)
    assert digest == oldest.bundle_sha256 == hashlib.sha256(bundle).hexdigest()
    evidence, digest = read_bundle("20251213.1", "production-approval", world.ports)
    assert digest == oldest.approval.evidence_sha256 == hashlib.sha256(evidence).hexdigest()


def test_a_time_before_all_that_is_known_is_not_called_empty() -> None:
    """Its record has been removed: something was live, and the page does not say that nothing was."""
    world = removed_after_400_days()
    oldest = circuit_view(CIRCUIT, None, world.ports).times[-1].entry
    html = render_circuit(circuit_view(CIRCUIT, oldest.activated_at - HOUR, world.ports))
    assert "something was live whose record has been removed" in html
    assert "deployment-20251212-1 was the last of it" in html
    assert "nothing that the pipeline knows of" not in html


def test_what_was_changed_outside_by_then_is_told_beside_the_answer() -> None:
    """The ledger says what should have scored; open drift says that something else did."""
    world = PipelineWorld()
    world.release_all("20251210.1", CIRCUIT)
    world.clock.forward(timedelta(days=1))
    world.release_all(SECOND, CIRCUIT, build="2")
    world.sweep_for(timedelta(minutes=2))
    before = world.clock.now()
    world.clock.forward(HOUR)
    world.models.change_default(Environment.PRODUCTION, "be-plant001-circuit01", "deployment-20251210-1")
    Drift(world.ports).look()
    world.run()
    world.clock.forward(HOUR)
    then = world.clock.now() - HOUR / 2
    told = "deployment-20251210-1 is live on be-plant001-circuit01, deployment-20251211-1 should be"
    assert told in render_circuit(circuit_view(CIRCUIT, then, world.ports)).partition("Not as the pipeline left it")[2]
    at = circuit_json(CIRCUIT, then, world.ports)["at"]
    assert isinstance(at, dict)
    assert at["drift"] == told
    assert "Not as the pipeline left it" not in render_circuit(circuit_view(CIRCUIT, before, world.ports))
