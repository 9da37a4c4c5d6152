"""Which recorded writes must not have happened."""

from typing import Any

import pytest

from local.demo.journals import trespasses


def a_write(scope: str, at: str, kind: str = "write") -> dict[str, Any]:
    """An entry of the Azure ML journal."""
    return {"n": 1, "at": at, "method": "PUT", "path": "/x", "status": 200, "scope": scope, "kind": kind}


def a_release(*, registry: str = "approved", production: str = "approved") -> dict[str, Any]:
    """A release whose gates were answered at 12:00:10 and 12:00:20."""
    gates = [("registry-approval", registry, "10"), ("production-approval", production, "20")]
    return {
        "gates": [
            {"gate": name, "state": state, "decisions": [{"at": f"2025-12-10T12:00:{second}Z"}]}
            for name, state, second in gates
        ]
    }


@pytest.mark.parametrize(
    "write",
    [
        a_write("mlr-shared", "2025-12-10T12:00:10.200000+00:00"),
        a_write("mlw-prod", "2025-12-10T12:00:21+00:00"),
        a_write("mlw-test", "2025-12-10T12:00:00+00:00"),
        a_write("mlw-dev", "2025-12-10T12:00:00+00:00", kind="read"),
    ],
)
def test_a_write_after_its_gate_is_as_it_should_be(write: dict[str, Any]) -> None:
    """Test has no gate of its own; reading is always allowed."""
    assert trespasses([write], a_release()) == []


@pytest.mark.parametrize(
    "write",
    [
        a_write("mlr-shared", "2025-12-10T12:00:09.900000+00:00"),
        a_write("mlw-prod", "2025-12-10T12:00:19+00:00"),
        a_write("mlw-dev", "2025-12-10T12:00:30+00:00"),
        a_write("mlw-dev", "2025-12-10T12:00:30+00:00", kind="blob-write"),
    ],
)
def test_a_write_before_its_gate_or_to_dev_is_named(write: dict[str, Any]) -> None:
    """The complaint says where and when."""
    (complaint,) = trespasses([write], a_release())
    assert write["scope"] in complaint
    assert write["at"] in complaint


def test_after_a_rejection_no_write_to_production_is_allowed() -> None:
    """A decision alone opens nothing: it must be an approval."""
    write = a_write("mlw-prod", "2025-12-10T12:01:00+00:00")
    assert trespasses([write], a_release(production="rejected"))
