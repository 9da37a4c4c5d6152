"""What a demo says at its end is true for the stack it leaves, or does not leave, behind."""

from pathlib import Path

import pytest

from local.demo.ending import Ending, Fate
from local.demo.holds import Hold, warning
from local.demo.rollback_run import rollback_call
from local.stack.description import AzureMl, Stack
from local.stack.places import DEFAULT_DIR, Places
from local.stack.ports import DEFAULT_BASE, Ports

RELEASE = {
    "circuits": [{"plant_id": "PLANT001", "circuit_id": "CIRCUIT01", "deployment": "deployment-20251210-1"}],
}
HOLD = Hold(plant_id="PLANT001", circuit_id="CIRCUIT01", told="held until 2026-12-07T23:00:00Z by ops: bad forecasts")
LIFT = """-d '{"action": "lift", "reason": "your reason", "requested_by": "you"}' http://app/api/circuits/PLANT001/CIRCUIT01/hold"""


def a_stack(approvals: str = "link") -> Stack:
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
        teams_inbox_url="http://cards",
        logs="",
        azure_ml=azure_ml,
        approvals=approvals,
    )


def an_ending(fate: Fate, directory: Path = DEFAULT_DIR, base: int = DEFAULT_BASE, approvals: str = "link") -> Ending:
    return Ending(places=Places(dir=directory, ports=Ports(base=base)), stack=a_stack(approvals), fate=fate)


def told(ending: Ending) -> list[str]:
    """Every text that a demo may end with."""
    return [ending.after_release(RELEASE, (HOLD,)), ending.after_rollback(RELEASE), ending.after_failure((HOLD,))]


def test_a_demo_that_stops_its_stack_offers_nothing_that_needs_it_without_saying_how() -> None:
    """AUTO=1: every call stands behind `make up`, and nobody is told to press Ctrl-C."""
    for text in told(an_ending(Fate.STOPS)):
        assert "Ctrl-C" not in text
        lines = text.splitlines()
        assert lines[0].startswith("Look around  make up starts the stack again with all that is in it; then the mails")
        assert lines[-1] == "Stop         it stops now; after make up a demo leaves the stack up until make down"
        calls = [number for number, line in enumerate(lines) if "curl" in line]
        assert all(any("after make up: " in line for line in lines[:number]) for number in calls)


@pytest.mark.parametrize(
    ("fate", "stop"), [(Fate.STAYS, "Stop         make down"), (Fate.WAITS, "Stop         Ctrl-C here")]
)
def test_a_stack_that_stays_is_stopped_as_its_end_says(fate: Fate, stop: str) -> None:
    """`make up` before needs `make down`; a watched demo waits for Ctrl-C."""
    for text in told(an_ending(fate)):
        assert text.splitlines()[0].startswith("Look around  the mails at http://inbox")
        assert text.splitlines()[-1] == stop
        assert "make up" not in text


def test_the_commands_are_for_this_very_stack(tmp_path: Path) -> None:
    """Copied into a terminal they find its directory, its ports and the way it approves."""
    directory = tmp_path / "my stack"
    text = an_ending(Fate.STOPS, directory, 20000, "entra").after_failure()
    assert f"make up STACK_DIR='{directory}' STACK_PORT_BASE=20000 APPROVALS=entra" in text
    assert text.endswith(f"until make down STACK_DIR='{directory}' STACK_PORT_BASE=20000")


@pytest.mark.parametrize("fate", list(Fate))
def test_a_hold_is_what_comes_next(fate: Fate) -> None:
    """After SCENARIO=rollback in the same directory: releases leave the circuit out until somebody lifts its hold."""
    ending = an_ending(fate)
    for text in (ending.after_release(RELEASE, (HOLD,)), ending.after_failure((HOLD,))):
        lines = text.splitlines()
        number = next(number for number, line in enumerate(lines) if line.startswith("Next "))
        assert "lift the hold, so that a release may activate PLANT001/CIRCUIT01: held until" in lines[number]
        assert lines[number + 1].endswith(LIFT)
    assert "lift the hold" not in ending.after_release(RELEASE, ())


def test_a_hold_is_told_before_the_gates() -> None:
    """Whoever approves should know what will be left out, and can still lift it."""
    said = warning(a_stack(), (HOLD,))
    assert "leaves these circuits out of Production" in said
    assert "PLANT001/CIRCUIT01: held until 2026-12-07T23:00:00Z by ops: bad forecasts" in said
    assert LIFT in said


def test_the_rollback_to_copy_says_what_it_expects_to_be_live() -> None:
    """D13: whoever copies it a second time, or late, takes nothing further back than this release."""
    assert '"from": "deployment-20251210-1"' in rollback_call(a_stack(), RELEASE)
