"""Unit: what one circuit costs does not depend on how many there are beside it."""

from benchmarks.scale_in_memory import measure
from shared.domain.model import ReleasePhase


def test_a_circuit_costs_the_same_among_ten_and_among_sixty() -> None:
    """Issue 5.9: requests to the tables and messages; benchmarks/scale.md has it up to 5,000."""
    few, many = measure(10), measure(60)
    assert (few.phase, many.phase) == (ReleasePhase.SUCCEEDED, ReleasePhase.SUCCEEDED)
    assert few.messages == many.messages
    assert many.requests <= few.requests <= many.requests * 1.05
