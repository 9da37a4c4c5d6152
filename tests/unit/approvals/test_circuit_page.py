"""Unit: what scored a circuit at a moment, by which release, approved by whom, on which evidence."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.application.circuit_history import circuit_view, moment_asked
from shared.domain.errors import RequestRefused
from shared.domain.model import Circuit, GateName
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


def test_a_circuit_nobody_knows_is_not_found(world: PipelineWorld) -> None:
    """With a hint, for ids are written as in the artifact."""
    with pytest.raises(RequestRefused, match="as in the artifact") as refused:
        circuit_view(Circuit(plant_id="plant001", circuit_id="x"), None, world.ports)
    assert refused.value.status == 404


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
