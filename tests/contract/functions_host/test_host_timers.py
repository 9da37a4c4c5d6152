"""Contract of the Functions host: timers, in the real engine."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from host_process import APPS, MASTER, HostProcess, eventually


@pytest.fixture
def timers(tmp_path: Path) -> Iterator[HostProcess]:
    host = HostProcess(directory=tmp_path, app=APPS / "timers", values={"SLOW_SCHEDULE": "* * * * * *"})
    yield host
    host.child.kill()


def test_timers_run_on_schedule_and_never_overlap(timers: HostProcess) -> None:
    """A run that outlasts the interval delays the next; the schedule comes from a setting."""
    timers.start()
    seen = timers.eventually_seen("slow", count=4)
    assert [line["event"] for line in seen[:4]] == ["began", "ended", "began", "ended"]


def test_a_missed_run_is_made_up_for_and_says_so(timers: HostProcess) -> None:
    """The host was down at three in the morning: the function runs at once, past due, and knows when it ran last."""
    yesterday = datetime.now(UTC) - timedelta(days=2)
    status = {"Last": yesterday, "Next": yesterday, "LastUpdated": yesterday}
    file = timers.directory / "data" / "timers" / "nightly.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({key: value.isoformat() for key, value in status.items()}))
    timers.start()
    (run,) = timers.eventually_seen("nightly")
    assert run["past_due"] is True
    assert run["schedule"] == {"AdjustForDST": True}
    assert run["status"]["Last"] == yesterday.isoformat()
    eventually(lambda: datetime.fromisoformat(json.loads(file.read_text())["Next"]) > datetime.now(UTC))


def test_a_new_timer_waits_for_its_time_unless_it_runs_on_startup(timers: HostProcess) -> None:
    """And a timer without monitor keeps no status."""
    timers.start()
    (run,) = timers.eventually_seen("at_start")
    assert (run["past_due"], run["status"]) == (False, {})
    timers.eventually_seen("slow")
    assert timers.seen("nightly") == []
    assert [path.stem for path in (timers.directory / "data" / "timers").iterdir()] == ["nightly"]


def test_a_timer_can_be_run_by_hand_and_is_retried_by_its_policy(timers: HostProcess) -> None:
    """`POST /admin/functions/{name}` answers 202 at once; the function fails twice and is told which attempt it is."""
    timers.start()
    assert timers.get("/admin/functions/retried", method="POST", body=b"{}").status == 401
    key = {"x-functions-key": MASTER}
    assert timers.get("/admin/functions/retried", method="POST", body=b"{}", headers=key).status == 202
    seen = timers.eventually_seen("retried", count=3)
    assert [line["attempt"] for line in seen] == [0, 1, 2]
    assert timers.get("/admin/functions/nobody", method="POST", body=b"{}", headers=key).status == 404
