"""The view for logs: one line per change."""

from typing import Any

import pytest

from local.demo.views import Lines
from local.stack.description import AzureMl, Stack


def a_stack() -> Stack:
    """Addresses that nobody calls."""
    azure_ml = AzureMl(env={}, builder_env={}, subscription_id="", admin_url="")
    return Stack(
        app_url="http://app",
        function_key="k",
        artifact_container="build-artifacts",
        blob_connection_string="",
        table_connection_string="",
        service_bus_connection_string="",
        service_bus_admin_url="",
        mail_url="http://inbox",
        mail_api_url="",
        teams_inbox_url="",
        logs="",
        azure_ml=azure_ml,
    )


def a_release(phase: str, gate_state: str) -> dict[str, Any]:
    """A release with one circuit and one gate."""
    return {
        "phase": phase,
        "circuits": [{"plant_id": "P", "circuit_id": "C", "phase": "pending", "error": None}],
        "gates": [{"gate": "registry-approval", "state": gate_state}],
    }


def test_the_same_state_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Looking again and again adds no lines."""
    view = Lines(a_stack())
    for _ in range(3):
        view.show(a_release("inspecting", "open"))
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_an_open_gate_says_where_the_link_is(capsys: pytest.CaptureFixture[str]) -> None:
    """The person who waits is told to look into the inbox."""
    view = Lines(a_stack())
    view.show(a_release("awaiting_registry_approval", "open"))
    assert "http://inbox" in capsys.readouterr().out
