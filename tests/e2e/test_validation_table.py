"""Each row of the document's validation table on the real engine, SDK and scoring: what stops production, what only warns.

`tests/support/table_rows.py` says how each one comes about; more of them, and to the second: tests/unit/application.
"""

import pytest

from tests.support.pipeline import PRODUCTION_GATE, REGISTRY_GATE, Pipeline, circuit_in
from tests.support.stories import RAISING, STUBBORN, UNSURE, WITHIN_SECONDS, WORDY, Stories, production_writes
from tests.support.table_rows import ROWS

pytestmark = [pytest.mark.stack, pytest.mark.timeout(WITHIN_SECONDS + 60)]


@pytest.mark.parametrize("circuit", ROWS)
def test_a_failing_row_stops_the_release_before_production(pipeline: Pipeline, stories: Stories, circuit: str) -> None:
    """R22, R25-R28, R30: the journal has not one write to mlw-prod about it, nobody is asked about production."""
    told = stories.rows[circuit].result(WITHIN_SECONDS)
    said = ROWS[circuit].said.replace("RELEASE", told.release["release_id"].replace(".", "-"))
    assert told.release["phase"] == "failed"
    assert said in circuit_in(told.release, circuit)["error"]
    assert told.release["reason"].startswith(f"{circuit}: ")
    assert [gate["gate"] for gate in told.release["gates"]] == [REGISTRY_GATE]
    assert production_writes(pipeline, told, circuit) == []


def test_a_raised_exception_is_quoted_without_the_scorers_files(stories: Stories) -> None:
    """R27: what the model said, at which line of which log; not through which files of which machine it came."""
    error = circuit_in(stories.smoke_failure.result(WITHIN_SECONDS).release, RAISING)["error"]
    assert "logs/user/error.txt:" in error
    assert "ValueError" in error
    assert "Traceback" not in error
    assert 'File "' not in error


WARNINGS = {
    WORDY: "schema: columns changed: prediction: float64 expected, string found",
    UNSURE: "predictions: 84 of 168 values are empty, NaN or infinite",
    STUBBORN: "predictions: all 168 values are equal (",
}


@pytest.mark.parametrize("circuit", WARNINGS)
def test_what_only_warns_is_shown_at_gate_2(pipeline: Pipeline, stories: Stories, circuit: str) -> None:
    """R29: words where numbers were promised, NaN, one number for all: gate 2 opens and says so; production waits."""
    told = stories.warned.result(WITHIN_SECONDS)
    assert {gate["gate"] for gate in told.release["gates"]} == {REGISTRY_GATE, PRODUCTION_GATE}
    assert circuit_in(told.release, circuit)["phase"] == "tested"
    asked = pipeline.invitations(told.release["release_id"], PRODUCTION_GATE)
    assert all(WARNINGS[circuit] in " ".join(one.mail.text.split()) for one in asked.values())
    assert production_writes(pipeline, told, circuit) == []


def test_nothing_to_lay_a_first_model_beside_is_said(stories: Stories) -> None:
    """The first release of a circuit has nothing live to be compared with."""
    evidence = circuit_in(stories.warned.result(WITHIN_SECONDS).release, WORDY)["evidence"]
    assert evidence["schema"]["changed"] == ["prediction: float64 expected, string found"]
    assert evidence["side_by_side"] == {"absent": "nothing is live in production"}
