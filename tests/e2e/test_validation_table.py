"""Rows of the document's validation table on the real engine, SDK and scoring; all of them: tests/unit/application."""

from collections.abc import Callable, Mapping
from concurrent.futures import Future

import pytest

from tests.support.pipeline import PRODUCTION_GATE, REGISTRY_GATE, Pipeline, circuit_in
from tests.support.stories import (
    LOGGING,
    RAISING,
    SILENT,
    WITHIN_SECONDS,
    WORDY,
    Stories,
    Told,
    production_writes,
)

pytestmark = [pytest.mark.stack, pytest.mark.timeout(WITHIN_SECONDS + 60)]

type Story = Callable[[Stories], Future[Told]]

ROWS: Mapping[str, tuple[Story, str]] = {
    LOGGING: (lambda stories: stories.logs_errors, "ERROR calibration of the flow sensor is missing"),
    SILENT: (lambda stories: stories.writes_nothing, "predictions.csv holds no rows"),
    RAISING: (lambda stories: stories.smoke_failure, "ended as Failed, not Completed"),
}


@pytest.mark.parametrize("circuit", ROWS)
def test_a_failing_row_stops_the_release_before_production(pipeline: Pipeline, stories: Stories, circuit: str) -> None:
    """R26-R28, R30: the journal has not one write to mlw-prod about the circuit, nobody is asked about production."""
    story, said = ROWS[circuit]
    told = story(stories).result(WITHIN_SECONDS)
    assert told.release["phase"] == "failed"
    assert said in circuit_in(told.release, circuit)["error"]
    assert told.release["reason"].startswith(f"{circuit}: smoke test failed: ")
    assert [gate["gate"] for gate in told.release["gates"]] == [REGISTRY_GATE]
    assert production_writes(pipeline, told, circuit) == []


def test_a_raised_exception_is_quoted_without_the_scorers_files(stories: Stories) -> None:
    """R27: what the model said, at which line of which log; not through which files of which machine it came."""
    error = circuit_in(stories.smoke_failure.result(WITHIN_SECONDS).release, RAISING)["error"]
    assert "logs/user/error.txt:" in error
    assert "ValueError" in error
    assert "Traceback" not in error
    assert 'File "' not in error


def test_a_schema_that_differs_only_warns(pipeline: Pipeline, stories: Stories) -> None:
    """R29: words where numbers were promised: gate 2 opens and shows it; production waits for the answer."""
    told = stories.writes_words.result(WITHIN_SECONDS)
    assert {gate["gate"] for gate in told.release["gates"]} == {REGISTRY_GATE, PRODUCTION_GATE}
    circuit = circuit_in(told.release, WORDY)
    assert circuit["phase"] == "tested"
    assert circuit["evidence"]["schema"]["changed"] == ["prediction: float64 expected, string found"]
    assert circuit["evidence"]["side_by_side"] == {"absent": "nothing is live in production"}
    assert production_writes(pipeline, told, WORDY) == []
