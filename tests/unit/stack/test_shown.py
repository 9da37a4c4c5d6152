"""What the demo says a story has shown."""

from typing import Any

from local.demo.shown import shown


def a_release(**evidence: Any) -> dict[str, Any]:
    """A release of one circuit with this evidence."""
    circuit = {"plant_id": "PLANT001", "circuit_id": "CIRCUIT01", "previous_deployment": "by-hand"}
    return {"circuits": [circuit | {"evidence": evidence}]}


def test_an_ordinary_release_has_shown_nothing_beside_its_summary() -> None:
    """A schema that fits, an endpoint of our own, a service that answered."""
    schema = {"missing": [], "extra": [], "changed": [], "source": "the model's signature"}
    assert shown(a_release(schema=schema, adopted=False), {}, [{"fault": None}]) == []


def test_a_schema_that_differs_is_told_with_who_expected_what() -> None:
    """The reader of SCENARIO=schema-warning sees the warning that the approver saw."""
    schema = {"missing": [], "extra": ["y"], "changed": ["x: double expected, string found"], "source": "the signature"}
    (line,) = shown(a_release(schema=schema), {}, [])
    assert line.startswith("PLANT001/CIRCUIT01: gate 2 warned of the predictions' columns")
    assert line.endswith("(extra: y; changed: x: double expected, string found; by the signature)")


def test_an_adopted_endpoint_is_told_with_its_way_back() -> None:
    """SCENARIO=brownfield."""
    (line,) = shown(a_release(adopted=True), {}, [])
    assert line.startswith("PLANT001/CIRCUIT01: its endpoint was there before")
    assert line.endswith("by-hand is what a rollback goes back to")


def test_faults_are_counted_with_what_is_left() -> None:
    """SCENARIO=flaky-service: so many calls went wrong, and there is one of everything."""
    entries = [{"fault": "drop"}, {"fault": None}, {"fault": "status"}]
    left = {"PLANT001/CIRCUIT01": {"model versions": 1, "kept smoke jobs": 1}}
    struck, kept = shown(a_release(), left, entries)
    assert struck.startswith("2 of 3 calls to Azure ML, its files and its sign-in were refused")
    assert kept == "each circuit has of this release one and no more of its model versions, kept smoke jobs"
