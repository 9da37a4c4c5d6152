"""How a release is told in plain text."""

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.application.merged_history import merge_history
from shared.application.next_action import next_action
from shared.application.summary import failure_report, production_summary, release_summary
from shared.domain.model import CircuitPhase, HistoryEntry, ReleasePhase, Round
from tests.support.release_samples import (
    CIRCUITS,
    ESTATE,
    NOW,
    a_gate,
    a_release,
    a_rollback,
    a_run,
    failed_runs,
    rolled_back_runs,
    three_live,
)

SUMMARY = """\
================================================
✅ Production Deployment Complete!
================================================
Release ID: 20251210.1
Build ID: 12345
Deployed At: 2025-12-10T16:10:49Z

📋 Deployed Circuits:
   - PLANT001 / CIRCUIT01 → plant001-circuit01
   - PLANT001 / CIRCUIT02 → plant001-circuit02
   - PLANT002 / CIRCUIT01 → plant002-circuit01

🔗 Workspace: mlw-prod
================================================"""


def test_the_production_summary_has_the_documents_layout() -> None:
    """R41, character by character; R2."""
    assert production_summary(a_release(phase=ReleasePhase.SUCCEEDED), three_live(), ESTATE) == SUMMARY


def test_circuits_that_were_left_out_follow_with_their_reasons() -> None:
    """R58: excluded and superseded circuits are listed, not forgotten."""
    first, second, third = three_live()
    release = a_release(phase=ReleasePhase.SUCCEEDED, exclusions={"PLANT001/CIRCUIT02": "waits for a sensor"})
    runs = (
        first,
        replace(second, phase=CircuitPhase.EXCLUDED),
        replace(third, phase=CircuitPhase.SUPERSEDED, error="release 20251210.2 holds it"),
    )
    lines = release_summary(release, runs, ESTATE).splitlines()
    assert lines[8] == "   - PLANT001 / CIRCUIT01 → plant001-circuit01"
    assert lines[10:13] == [
        "⏭️ Not Deployed:",
        "   - PLANT001 / CIRCUIT02: excluded, waits for a sensor",
        "   - PLANT002 / CIRCUIT01: superseded, release 20251210.2 holds it",
    ]


def test_the_time_of_deployment_is_found_in_the_history_too() -> None:
    """Rows without the activation's own note still know when they went live."""
    entry = HistoryEntry(at=NOW, source="activating", target="live")
    run = a_run(phase=CircuitPhase.LIVE, hist=(entry,))
    assert "Deployed At: 2025-12-10T15:04:30Z" in production_summary(a_release(), (run,), ESTATE)


def test_the_failure_report_names_circuit_reason_diagnosis_and_next_action() -> None:
    """Whoever reads it knows what to do without opening anything."""
    report = failure_report(a_release(phase=ReleasePhase.FAILED, reason="1 circuit failed"), failed_runs())
    assert "Reason: 1 circuit failed" in report
    assert "   - PLANT001 / CIRCUIT02: failed in Test: smoke test failed: 3 error lines" in report
    assert "       compute batch-cluster: Succeeded, 2 of 4 nodes" in report
    assert "   - PLANT001 / CIRCUIT01: tested" in report
    assert "POST /api/releases/20251210.1/retry" in report


def test_a_reason_that_the_circuits_tell_is_not_told_twice() -> None:
    """The release's reason is made of its circuits' errors: the report has each of them once."""
    error = "smoke test failed: " + "a long line of a log | " * 20
    runs = (a_run(phase=CircuitPhase.TESTED), a_run(CIRCUITS[1], phase=CircuitPhase.FAILED, error=error))
    release = a_release(phase=ReleasePhase.FAILED, reason=f"{CIRCUITS[1]}: {error}"[:300])
    report = failure_report(release, runs)
    assert report.count("smoke test failed") == 1
    assert "Reason: 1 of 2 circuits did not come through" in report


def test_a_release_that_only_held_circuits_kept_from_going_on_says_how_to_lift_the_hold() -> None:
    """After a rollback everything is on hold: the next release ends superseded, and says what to do."""
    held = a_run(phase=CircuitPhase.SUPERSEDED, evidence={"hold": "held since yesterday"})
    said = next_action(a_release(phase=ReleasePhase.SUPERSEDED), (held,))
    assert said.startswith("lift the hold with POST /api/circuits/PLANT001/CIRCUIT01/hold")
    assert next_action(a_release(phase=ReleasePhase.SUPERSEDED), (a_run(phase=CircuitPhase.SUPERSEDED),)) == "nothing."


def test_a_rollback_tells_what_is_back_and_what_is_not() -> None:
    """With the time from request to verified (R44), and the reason why."""
    summary = release_summary(a_rollback(phase=ReleasePhase.FAILED), rolled_back_runs(), ESTATE)
    told = "   - PLANT001 / CIRCUIT01 → deployment-20251203-5 (was deployment-20251210-1, 41.3 s after the request)"
    assert told in summary.splitlines()
    assert "   - PLANT001 / CIRCUIT02: failed, deployment-20251203-5 does not exist" in summary
    assert "Reason: predictions drifted overnight" in summary
    assert "✅ Rollback Complete!" in release_summary(a_rollback(), rolled_back_runs()[:1], ESTATE)


@pytest.mark.parametrize("phase", list(ReleasePhase))
def test_only_ended_releases_have_a_summary(phase: ReleasePhase) -> None:
    """While it runs there is nothing to sum up; the end of any kind is told."""
    release = a_release(phase=phase)
    assert bool(release_summary(release, failed_runs(), ESTATE)) == release.is_terminal


def test_what_technology_broke_is_simply_tried_again() -> None:
    """*failed* needs a fix first, *errored* does not."""
    release = a_release(phase=ReleasePhase.FAILED)
    errored = next_action(release, (a_run(phase=CircuitPhase.ERRORED),))
    failed = next_action(release, (a_run(phase=CircuitPhase.FAILED),))
    assert errored.startswith("POST /api/releases/20251210.1/retry")
    assert failed.startswith("remove the cause")


def test_the_history_merges_all_rows_by_time() -> None:
    """Release, gates and circuits tell one story."""
    late = HistoryEntry(
        at=NOW + timedelta(minutes=1), source="open", target="approved", by="mona@example.com", why="ok"
    )
    gate = a_gate(hist=(late,))
    lines = merge_history(a_release(), (a_run(), a_run(CIRCUITS[1])), (gate,))
    assert [line.at for line in lines] == sorted(line.at for line in lines)
    assert (lines[-1].what, lines[-1].by, lines[-1].why) == (
        "registry-approval: open → approved",
        "mona@example.com",
        "ok",
    )
    assert {line.circuit for line in lines} == {"", "PLANT001/CIRCUIT01", "PLANT001/CIRCUIT02"}


def test_what_moved_nothing_is_told_where_it_happened() -> None:
    """A vote that only counts, mails sent again, evidence looked at again."""
    vote = HistoryEntry(
        at=NOW + timedelta(minutes=1), source="open", target="open", by="mona@example.com", why="1 of 2"
    )
    lines = merge_history(a_release(), (), (a_gate(hist=(vote,)),))
    assert (lines[-1].what, lines[-1].why) == ("registry-approval: open", "1 of 2")


def test_what_broke_while_switching_may_need_a_way_back_before_a_retry() -> None:
    """Issue 4: on an endpoint that is left Failed a retry fails at once, and deleting it would end what serves."""
    release = a_release(phase=ReleasePhase.FAILED)
    stuck = a_run(phase=CircuitPhase.ERRORED, error_round=Round.ACTIVATION)
    told = next_action(release, (stuck,))
    assert "never delete one that serves, roll its circuit back first" in told
    assert "roll its circuit back" not in next_action(release, (a_run(phase=CircuitPhase.ERRORED),))
