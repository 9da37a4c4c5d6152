"""Unit: every hold of a circuit is kept: set and lifted, by whom, why, when, and until when it was meant to last."""

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.application.circuit_history import circuit_json, circuit_view
from shared.application.retention import Keep, Retention
from shared.domain.model import Environment
from shared.domain.naming import timestamp
from shared.pages import render_circuit
from tests.support.builders import CIRCUIT, RELEASE_ID
from tests.support.outline import text_of
from tests.support.pipeline_world import PipelineWorld

SECOND = "20251210.2"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def rolled_back() -> PipelineWorld:
    """Two releases of one circuit, the second one taken back; a day later the hold is lifted, then set by an operator."""
    world = PipelineWorld()
    world.release_all(RELEASE_ID, CIRCUIT)
    world.release_all(SECOND, CIRCUIT, build="2")
    world.roll_back(CIRCUIT)
    world.run()
    world.clock.forward(DAY)
    world.holds().lift(CIRCUIT, by="ann", why="model is fine")
    world.clock.forward(HOUR)
    world.holds().hold(CIRCUIT, until=world.clock.now() + DAY, by="bob", why="sensor is being replaced")
    world.clock.forward(HOUR)
    return world


def told(world: PipelineWorld) -> list[dict[str, object]]:
    endpoint = circuit_json(CIRCUIT, None, world.ports)["production"]
    assert isinstance(endpoint, dict)
    return list(endpoint["holds"])


def test_who_lifted_a_hold_and_why_stays_known(rolled_back: PipelineWorld) -> None:
    """Issue 4: the API tells every hold, newest first; one set without a rollback as well."""
    now = rolled_back.clock.now()
    newest, first = told(rolled_back)
    assert newest == {
        "since": timestamp(now - HOUR),
        "until": timestamp(now - HOUR + DAY),
        "by": "bob",
        "reason": "sensor is being replaced",
        "rollback_id": "",
        "ended_at": timestamp(now - HOUR + DAY),
        "lifted": None,
    }
    assert (first["by"], first["reason"]) == ("ops", "bad predictions")
    assert str(first["rollback_id"]).startswith("rollback-")
    assert first["lifted"] == {"at": timestamp(now - 2 * HOUR), "by": "ann", "reason": "model is fine"}
    assert first["ended_at"] == timestamp(now - 2 * HOUR)


def test_the_page_tells_them_too(rolled_back: PipelineWorld) -> None:
    text = text_of(render_circuit(circuit_view(CIRCUIT, None, rolled_back.ports)))
    assert "bob : sensor is being replaced; set until" in text
    assert "ann : model is fine" in text


@pytest.mark.parametrize(
    ("ago", "by"), [(timedelta(0), "bob"), (HOUR, "bob"), (HOUR + timedelta(minutes=1), None), (3 * HOUR, "ops")]
)
def test_the_auditors_answer_names_the_hold_that_was_open_then(
    rolled_back: PipelineWorld, ago: timedelta, by: str | None
) -> None:
    """Between the lifting and the next one there was none."""
    moment = circuit_json(CIRCUIT, rolled_back.clock.now() - ago, rolled_back.ports)["at"]
    assert isinstance(moment, dict)
    assert (moment["hold"]["by"] if moment["hold"] else None) == by
    text = text_of(render_circuit(circuit_view(CIRCUIT, rolled_back.clock.now() - ago, rolled_back.ports)))
    assert ("It was held then" in text) == (by is not None)


def test_a_hold_that_runs_out_or_is_replaced_says_when(rolled_back: PipelineWorld) -> None:
    """Nobody has lifted either of them."""
    rolled_back.holds().hold(CIRCUIT, until=rolled_back.clock.now() + HOUR, by="cy", why="longer")
    rolled_back.clock.forward(2 * HOUR)
    newest, replaced = told(rolled_back)[:2]
    assert (newest["lifted"], replaced["lifted"]) == (None, None)
    assert (newest["ended_at"], replaced["ended_at"]) == (newest["until"], newest["since"])
    text = text_of(render_circuit(circuit_view(CIRCUIT, None, rolled_back.ports)))
    assert "which has ended" in text
    assert "by the next one" in text


def test_a_hold_from_before_there_was_a_history_is_told_as_it_stands(rolled_back: PipelineWorld) -> None:
    """Rows of older versions have no such rows beside them."""
    place = (Environment.PRODUCTION, CIRCUIT)
    stored = rolled_back.endpoints.locks[place]
    rolled_back.endpoints.locks[place] = replace(stored, row=replace(stored.row, holds=0))
    rolled_back.endpoints.held.clear()
    (hold,) = told(rolled_back)
    assert (hold["by"], hold["rollback_id"], hold["lifted"]) == ("bob", "", None)


def test_a_drill_holds_nothing(rolled_back: PipelineWorld) -> None:
    """In Test there are no holds."""
    before = len(told(rolled_back))
    rolled_back.roll_back(CIRCUIT, environment=Environment.TEST)
    rolled_back.run()
    assert len(told(rolled_back)) == before


def test_holds_that_are_past_their_time_are_removed(rolled_back: PipelineWorld) -> None:
    """With the ledger's rows; the one that is open stays."""
    keep = Keep(rows=HOUR, evidence=timedelta(days=2000))
    Retention(rolled_back.ports, keep).run()
    assert [hold["by"] for hold in told(rolled_back)] == ["bob"]
    assert rolled_back.lock().is_held(rolled_back.clock.now())
