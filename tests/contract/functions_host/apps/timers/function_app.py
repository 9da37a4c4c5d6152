"""Timers that write down when they run, for the host's tests."""

import json
import os
import threading
from datetime import UTC, datetime
from pathlib import Path

import azure.functions as func

app = func.FunctionApp()
SEEN = Path(os.environ["SEEN_FILE"])
LOCK = threading.Lock()


def note(function: str, **facts: object) -> None:
    """Append one line to the file the test reads."""
    with LOCK, SEEN.open("a") as file:
        file.write(json.dumps({"function": function, "at": datetime.now(UTC).isoformat(), **facts}) + "\n")


@app.timer_trigger(arg_name="timer", schedule="%SLOW_SCHEDULE%")
def slow(timer: func.TimerRequest) -> None:
    """Take longer than the time between two occurrences."""
    note("slow", event="began")
    threading.Event().wait(1.2)
    note("slow", event="ended")


@app.timer_trigger(arg_name="timer", schedule="0 0 3 * * *")
def nightly(timer: func.TimerRequest) -> None:
    """Run at night, or late."""
    note("nightly", past_due=timer.past_due, schedule=timer.schedule, status=timer.schedule_status)


@app.timer_trigger(arg_name="timer", schedule="0 0 3 * * *", run_on_startup=True, use_monitor=False)
def at_start(timer: func.TimerRequest) -> None:
    """Run when the host starts."""
    note("at_start", past_due=timer.past_due, status=timer.schedule_status)


@app.timer_trigger(arg_name="timer", schedule="0 0 3 * * *", use_monitor=False)
@app.retry(strategy="fixed_delay", max_retry_count="2", delay_interval="00:00:00")
def retried(timer: func.TimerRequest, context: func.Context) -> None:
    """Succeed at the third attempt."""
    note("retried", attempt=context.retry_context.retry_count)
    if context.retry_context.retry_count < 2:
        raise ValueError("not yet")
