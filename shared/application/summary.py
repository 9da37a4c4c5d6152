"""Use cases: how a release ended, told in plain text - the production summary (R41), the rollback's, the failure report."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from shared.application.activation_report import activation_rows, did_not_go_back, not_as_it_was, table_lines
from shared.application.findings import own_error, told_once
from shared.application.locks import hold_told
from shared.application.next_action import diagnosis, has_failed, next_action
from shared.application.phases_told import round_name, words
from shared.application.ports import Estate
from shared.application.rollback_told import rollback_name, took_told
from shared.domain.model import CircuitPhase, CircuitRun, EndpointLock, ProcessKind, Release, ReleasePhase
from shared.domain.naming import timestamp

RULE = "=" * 48
MOST_MARKS = 20
MOST_COMPARED = 100


def release_summary(
    release: Release, runs: Sequence[CircuitRun], estate: Estate, marked: Sequence[EndpointLock] = ()
) -> str:
    """How a release or a rollback ended, as text; empty while it runs. `marked` are the endpoints held or drifted."""
    match release.kind:
        case ProcessKind.DRIFT | ProcessKind.CHECK:
            return ""
        case ProcessKind.ROLLBACK:
            return rollback_summary(release, runs, marked) if release.is_terminal else ""
        case _ if release.phase is ReleasePhase.SUCCEEDED:
            return production_summary(release, runs, estate, marked)
        case _:
            return failure_report(release, runs, marked) if release.is_terminal else ""


def marks_told(marked: Sequence[EndpointLock]) -> tuple[str, ...]:
    """Every open hold and every drift in a sentence, by circuit."""
    ordered = sorted(marked, key=lambda lock: lock.circuit)
    holds = [f"{lock.circuit}: {hold_told(lock)}" for lock in ordered if lock.hold_until]
    return (*holds, *(f"{lock.circuit}: {lock.drift}" for lock in ordered if lock.drift))


def _marked_lines(marked: Sequence[EndpointLock]) -> list[str]:
    told = marks_told(marked)
    hidden = len(told) - MOST_MARKS
    more = [f"   - and {hidden} more"] if hidden > 0 else []
    return ["⏸️ Open Holds and Drift:", *(f"   - {line}" for line in told[:MOST_MARKS]), *more, ""] if told else []


def production_summary(
    release: Release, runs: Sequence[CircuitRun], estate: Estate, marked: Sequence[EndpointLock] = ()
) -> str:
    """The document's deployment summary, one line per circuit; what was left out follows with its reason."""
    ordered = sorted(runs, key=lambda run: run.circuit)
    live = [run for run in ordered if run.phase is CircuitPhase.LIVE]
    back = [run for run in ordered if run.phase is CircuitPhase.ROLLED_BACK]
    absent = [run for run in ordered if run.phase not in {CircuitPhase.LIVE, CircuitPhase.ROLLED_BACK}]
    lines = [
        RULE,
        "✅ Production Deployment Complete!",
        RULE,
        f"Release ID: {release.release_id}",
        f"Build ID: {release.build_id}",
        f"Deployed At: {deployed_at(release, runs)}",
        "",
        "📋 Deployed Circuits:",
        *(f"   - {_spaced(run)} → {run.model_name}" for run in live),
        "",
        *(["↩️ Rolled Back Since:", *(f"   - {_spaced(run)}: {run.hist[-1].why}" for run in back), ""] if back else []),
        *(
            ["⏭️ Not Deployed:", *(f"   - {_spaced(run)}: {outcome(run, release)}{_left(run)}" for run in absent), ""]
            if absent
            else []
        ),
        *_marked_lines(marked),
        f"🔗 Workspace: {estate.prod_workspace}",
        RULE,
    ]
    return "\n".join(lines)


def _left(run: CircuitRun) -> str:
    """What an earlier try of the release has switched and not taken back is no less live for being left out."""
    return (
        f"; an earlier try could not take {run.deployment} back, look at the endpoint" if did_not_go_back(run) else ""
    )


def deployed_at(release: Release, runs: Sequence[CircuitRun]) -> str:
    """When the last circuit went live."""
    times = [at for run in runs if (at := _activated_at(run))]
    return max(times, default=timestamp(release.ended_at) if release.ended_at else "unknown")


def _activated_at(run: CircuitRun) -> str:
    activated = run.evidence.get("activated")
    at = activated.get("at") if isinstance(activated, Mapping) else None
    if at is None and run.phase is CircuitPhase.LIVE:
        at = next((entry.at for entry in reversed(run.hist) if entry.target == CircuitPhase.LIVE), None)
    return timestamp(at) if isinstance(at, datetime) else str(at or "")


def rollback_summary(rollback: Release, runs: Sequence[CircuitRun], marked: Sequence[EndpointLock] = ()) -> str:
    """Which deployment is the default again on which circuit, and which could not be put back."""
    ordered = sorted(runs, key=lambda run: run.circuit)
    back = [run for run in ordered if run.phase is CircuitPhase.RESTORED]
    absent = [run for run in ordered if run.phase is not CircuitPhase.RESTORED]
    name = rollback_name(rollback)
    lines = [
        RULE,
        f"✅ {name} Complete!" if rollback.phase is ReleasePhase.SUCCEEDED else f"❌ {name} {words(rollback.phase)}",
        RULE,
        f"Rollback ID: {rollback.release_id}",
        f"Environment: {rollback.environment}",
        f"Requested By: {rollback.requested_by or 'unknown'}",
        f"Reason: {rollback.reason_asked or 'none was given'}",
        *([f"Took: {took_told(rollback, runs)}"] if rollback.ended_at else []),
        "",
        *(["📋 Restored Circuits:", *(f"   - {_spaced(run)} → {_restored(run)}" for run in back), ""] if back else []),
        *(
            ["⏭️ Not Restored:", *(f"   - {_spaced(run)}: {outcome(run, rollback)}" for run in absent), ""]
            if absent
            else []
        ),
        *([*rollback.warnings, ""] if rollback.warnings else []),
        *_marked_lines(marked),
        RULE,
    ]
    return "\n".join(lines)


def _restored(run: CircuitRun) -> str:
    told = run.evidence.get("rollback")
    seconds = told.get("seconds") if isinstance(told, Mapping) else None
    took = f", {seconds} s after the request" if seconds is not None else ""
    return f"{run.target} (was {run.leaves}{took})"


def outcome(run: CircuitRun, release: Release) -> str:
    """How one circuit ended, with the reason where there is one: `excluded, waits for a sensor`."""
    left_out = release.exclusions.get(str(run.circuit), "")
    # An excluded circuit may still hold the error of its earlier try: why it was left out says more.
    first, second = (left_out, run.error) if run.phase is CircuitPhase.EXCLUDED else (run.error, left_out)
    why = first or second or (run.hist[-1].why if run.hist else "")
    word = words(run.phase)
    return f"{word}, {why}" if why else word


def failure_report(release: Release, runs: Sequence[CircuitRun], marked: Sequence[EndpointLock] = ()) -> str:
    """What failed, on which circuit, what the diagnosis found, how the others ended and what to do next."""
    ordered = sorted(runs, key=lambda run: run.circuit)
    failed = [run for run in ordered if has_failed(run)]
    others = [run for run in ordered if not has_failed(run)]
    table, shared = activation_rows(release, runs), told_once(failed)
    lines = [
        RULE,
        f"❌ Release {release.release_id} {words(release.phase)}{f': {left}' if (left := not_as_it_was(table)) else ''}",
        RULE,
        f"Release ID: {release.release_id}",
        f"Build ID: {release.build_id}",
        *([f"Reason: {told}"] if (told := reason_told(release, runs)) else []),
        *(["", "Failed Circuits:", *(line for run in failed for line in _failed_lines(run, shared))] if failed else []),
        *(
            ["", "Other Circuits:", *(f"   - {_spaced(run)}: {outcome(run, release)}" for run in others)]
            if others
            else []
        ),
        *(["", "Activation, each default as it was read last:", *table_lines(table)] if table else []),
        "",
        *_marked_lines(marked),
        f"Next: {next_action(release, runs)}",
        RULE,
    ]
    return "\n".join(lines)


def reason_told(release: Release, runs: Sequence[CircuitRun]) -> str:
    """Why the release ended, for a text that goes on with the circuits: what they say themselves is not said twice."""
    failed = [run for run in runs if has_failed(run)]
    shared, count = told_once(failed), f"{len(failed)} of {len(runs)} circuits did not come through"
    if shared:
        return f"{count}: {'; '.join(shared)}"
    repeated = any(run.error and f"{run.circuit}: {run.error}"[:MOST_COMPARED] in release.reason for run in failed)
    return count if repeated else release.reason


def _failed_lines(run: CircuitRun, shared: Sequence[str]) -> Iterator[str]:
    where = f" in {round_name(run.error_round)}" if run.error_round else ""
    yield f"   - {_spaced(run)}: {words(run.phase)}{where}: {own_error(run, shared) or 'no reason was recorded'}"
    yield from (f"       {line}" for line in diagnosis(run))


def _spaced(run: CircuitRun) -> str:
    return f"{run.circuit.plant_id} / {run.circuit.circuit_id}"
