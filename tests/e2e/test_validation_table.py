"""Rows of the document's validation table on the real engine, SDK and scoring; all of them: tests/unit/application."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from local.demo.manifest import Artifact
from local.demo.seeding import seed
from local.samples.dev_build import Trait
from tests.support.pipeline import (
    AT_PRODUCTION_GATE,
    AT_REGISTRY_GATE,
    ENDED,
    REGISTRY_GATE,
    Json,
    Pipeline,
    circuit_in,
    entry,
    writes,
)

WITHIN_SECONDS = 240
pytestmark = [pytest.mark.stack, pytest.mark.timeout(WITHIN_SECONDS + 60)]

ROWS = {
    "PLANT401/CIRCUIT01": (Trait.LOGS_ERRORS, "ERROR calibration of the flow sensor is missing"),
    "PLANT402/CIRCUIT01": (Trait.WRITES_NOTHING, "predictions.csv holds no rows"),
    "PLANT403/CIRCUIT01": (Trait.RAISES_ON_ITS_DATA, "ended as Failed, not Completed"),
}
WARNS = "PLANT404/CIRCUIT01"


@pytest.fixture(scope="module")
def releases(pipeline: Pipeline) -> Iterator[dict[str, Json]]:
    """A release per row, all at once: as they stand after Test."""
    traits = {circuit: trait for circuit, (trait, _) in ROWS.items()} | {WARNS: Trait.WRITES_WORDS}
    content = {"circuits": [entry(circuit) for circuit in traits]}
    build = Artifact(release_id="", build_id="777", content=content)
    seed(pipeline.stack, build, {_pair(circuit): trait for circuit, trait in traits.items()})
    with ThreadPoolExecutor(len(traits)) as pool:
        found = dict(zip(traits, pool.map(lambda circuit: _after_test(pipeline, circuit), traits), strict=True))
    yield found
    body = {"reason": "the test is over", "requested_by": "a test"}
    pipeline.call("POST", f"/api/releases/{found[WARNS]['release_id']}/cancel", body)


def _pair(circuit: str) -> tuple[str, str]:
    plant_id, _, circuit_id = circuit.partition("/")
    return plant_id, circuit_id


def _after_test(pipeline: Pipeline, circuit: str) -> Json:
    release_id = pipeline.start(circuit)
    pipeline.wait_phase(release_id, AT_REGISTRY_GATE, within_seconds=WITHIN_SECONDS)
    pipeline.answer(release_id, REGISTRY_GATE)
    return pipeline.wait_phase(release_id, AT_PRODUCTION_GATE, *ENDED, within_seconds=WITHIN_SECONDS)


@pytest.mark.parametrize("circuit", ROWS)
def test_a_failing_row_stops_the_release_before_production(
    pipeline: Pipeline, releases: dict[str, Json], circuit: str
) -> None:
    """R26-R28, R30: the journal has not one write to mlw-prod about the circuit, nobody is asked about production."""
    release, said = releases[circuit], ROWS[circuit][1]
    assert release["phase"] == "failed"
    assert said in circuit_in(release, circuit)["error"]
    assert release["reason"].startswith(f"{circuit}: smoke test failed: ")
    assert [gate["gate"] for gate in release["gates"]] == [REGISTRY_GATE]
    assert writes(pipeline.azure_ml(), "mlw-prod", f"be-{circuit.replace('/', '-').lower()}") == []


def test_a_raised_exception_is_quoted_without_the_scorers_files(releases: dict[str, Json]) -> None:
    """R27: what the model said, at which line of which log; not through which files of which machine it came."""
    circuit = "PLANT403/CIRCUIT01"
    error = circuit_in(releases[circuit], circuit)["error"]
    assert "logs/user/error.txt:" in error
    assert "ValueError" in error
    assert "Traceback" not in error
    assert 'File "' not in error


def test_a_schema_that_differs_only_warns(pipeline: Pipeline, releases: dict[str, Json]) -> None:
    """R29: words where numbers were promised: gate 2 opens and shows it."""
    release = releases[WARNS]
    assert release["phase"] == AT_PRODUCTION_GATE
    evidence = circuit_in(release, WARNS)["evidence"]
    assert evidence["schema"]["changed"] == ["prediction: float64 expected, string found"]
    assert evidence["side_by_side"] == {"absent": "nothing is live in production"}
    assert writes(pipeline.azure_ml(), "mlw-prod", "be-plant304-circuit01") == []
