"""What happens by the clock."""

import azure.functions as func

from shared.application.drift import Drift
from shared.application.intake import Intake
from shared.application.retention import Retention
from shared.application.sweeper import Sweeper
from shared.bootstrap import artifact_scan_window, ports, retention

blueprint = func.Blueprint()


@blueprint.timer_trigger(arg_name="timer", schedule="%SWEEP_SCHEDULE%", use_monitor=False)
def sweep(timer: func.TimerRequest) -> None:
    """Drive overdue rows, expire gates, remind approvers, free slots. It never waits for Azure ML."""
    del timer
    Sweeper(ports()).sweep()


@blueprint.timer_trigger(arg_name="timer", schedule="%SWEEP_SCHEDULE%", use_monitor=False)
def see_repairs_through(timer: func.TimerRequest) -> None:
    """Bring defaults that somebody asked to put right to what is wanted."""
    del timer
    Drift(ports()).follow_up()


@blueprint.timer_trigger(arg_name="timer", schedule="%ARTIFACT_SCAN_SCHEDULE%", use_monitor=True)
def scan_artifacts(timer: func.TimerRequest) -> None:
    """Start what was uploaded and has no release (R57)."""
    del timer
    Intake(ports()).scan(artifact_scan_window())


@blueprint.timer_trigger(arg_name="timer", schedule="%DRIFT_SCHEDULE%", use_monitor=True)
def look_for_drift(timer: func.TimerRequest) -> None:
    """Find defaults that were changed outside this app, and tell people once."""
    del timer
    Drift(ports()).look()


@blueprint.timer_trigger(arg_name="timer", schedule="%RETENTION_SCHEDULE%", use_monitor=True)
def remove_expired(timer: func.TimerRequest) -> None:
    """Remove rows and evidence that are past their time."""
    del timer
    Retention(ports(), retention()).run()
