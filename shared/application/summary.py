"""Use cases: a release told in plain text - the production summary (R41), the failure report, the history."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from shared.application.activation_report import activation_rows, not_as_it_was, table_lines
from shared.application.gate_texts import Estate
from shared.application.locks import hold_told
from shared.application.rollback_told import after_rollback, rollback_name, took_told
from shared.domain.model import (
    NEUTRAL,
    UNSUCCESSFUL,
    Circuit,
    CircuitPhase,
    CircuitRun,
    EndpointLock,
    Gate,
    HistoryEntry,
    ProcessKind,
    Release,
    ReleasePhase,
    Round,
)
from shared.domain.naming import timestamp
from shared.domain.process import WAYS_BACK
from shared.domain.remedy import Remedy, remedy_of_all, remedy_told_in

RULE = "=" * 48
MOST_MARKS = 20
NEXT = "next: "
"""Begins the line of a diagnosis that says what to do."""
MOST_COMPARED = 100
MOST_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryLine:
    """One transition of a release or of one of its rows; `circuit` is empty where it concerns the whole release."""

    at: datetime
    what: str
    circuit: str
    by: str
    why: str


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
            ["⏭️ Not Deployed:", *(f"   - {_spaced(run)}: {outcome(run, release)}" for run in absent), ""]
            if absent
            else []
        ),
        *_marked_lines(marked),
        f"🔗 Workspace: {estate.prod_workspace}",
        RULE,
    ]
    return "\n".join(lines)


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
    table = activation_rows(release, runs)
    lines = [
        RULE,
        f"❌ Release {release.release_id} {words(release.phase)}{f': {left}' if (left := not_as_it_was(table)) else ''}",
        RULE,
        f"Release ID: {release.release_id}",
        f"Build ID: {release.build_id}",
        *([f"Reason: {told}"] if (told := reason_told(release, runs)) else []),
        *(["", "Failed Circuits:", *(line for run in failed for line in _failed_lines(run))] if failed else []),
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
    repeated = any(run.error and f"{run.circuit}: {run.error}"[:MOST_COMPARED] in release.reason for run in failed)
    return f"{len(failed)} of {len(runs)} circuits did not come through" if repeated else release.reason


def has_failed(run: CircuitRun) -> bool:
    """Also a circuit that would not switch and is back at its predecessor."""
    return run.phase in UNSUCCESSFUL or (run.phase is CircuitPhase.RESTORED and bool(run.error))


def _failed_lines(run: CircuitRun) -> Iterator[str]:
    where = f" in {round_name(run.error_round)}" if run.error_round else ""
    yield f"   - {_spaced(run)}: {words(run.phase)}{where}: {run.error or 'no reason was recorded'}"
    yield from (f"       {line}" for line in diagnosis(run))


def diagnosis(run: CircuitRun) -> tuple[str, ...]:
    """What the troubleshooting recipes found by themselves (R49-R51)."""
    found = run.evidence.get("diagnosis")
    return tuple(map(str, found)) if isinstance(found, list | tuple) else ()


def found(run: CircuitRun) -> tuple[str, ...]:
    """What is known, for a page that says what to do apart from it."""
    return tuple(line for line in diagnosis(run) if not line.startswith(NEXT))


def advice(run: CircuitRun) -> str:
    """What to do about this circuit; empty: nothing but what its error and the release's next action say as well."""
    told = (line.removeprefix(NEXT) for line in diagnosis(run) if line.startswith(NEXT))
    return " ".join(line for line in told if line not in {remedy.told() for remedy in Remedy})


def next_action(release: Release, runs: Sequence[CircuitRun]) -> str:
    """The one thing to do now."""
    if release.phase in WAYS_BACK:
        return (
            "find out why its work can't be handed out (the log of the function control) and remove the cause; it is "
            "tried again by itself, at most 15 minutes apart, and goes on where it stopped."
        )
    if release.kind is not ProcessKind.RELEASE:
        return _after_other(release)
    retry = f"POST /api/releases/{release.release_id}/retry"
    match release.phase:
        case ReleasePhase.FAILED if any(run.phase is CircuitPhase.FAILED for run in runs):
            return _after_failure(retry, runs)
        case ReleasePhase.FAILED:
            return f"{retry}: nothing was refused, technology broke.{_if_endpoint_failed(runs)}"
        case ReleasePhase.EXPIRED:
            return f"ask an operator to open the gate again, with fresh evidence and a new deadline ({retry})."
        case ReleasePhase.INVALID:
            return "correct the artifact and upload it again as releases/{release_id}/{build_id}/changed_circuits.json."
        case ReleasePhase.SUPERSEDED | ReleasePhase.NOTHING_TO_DO if held := [
            run.circuit for run in runs if run.evidence.get("hold")
        ]:
            return f"{_lift(held)}; then let a new release begin, or wait until the hold ends."
        case ReleasePhase.REJECTED | ReleasePhase.CANCELLED:
            return "nothing, unless the models are still wanted: then let a new build start a new release."
        case _:
            return "nothing."


def _if_endpoint_failed(runs: Sequence[CircuitRun]) -> str:
    """A switch that broke may leave the endpoint Failed, on which everything but a way back is refused."""
    if not any(run.error_round in {Round.ACTIVATION, Round.REVERSION} for run in runs):
        return ""
    return (
        " If Azure ML shows an endpoint as Failed, a retry fails at once: never delete one that serves, roll its circuit "
        "back first (POST /api/rollbacks), which writes its default again."
    )


def _after_other(process: Release) -> str:
    match process.kind:
        case ProcessKind.CHECK:
            return (
                "open the job. The rollback stands; if the model is at fault, roll the circuit back to another deployment "
                "(POST /api/rollbacks with “to”)."
            )
        case ProcessKind.DRIFT:
            return (
                "find out who changed it, then POST /api/circuits/{plant}/{circuit}/drift/repair to put it right, or "
                "/drift/accept to keep it (the answer says what to do where that does not help); until then no release "
                "activates the circuit."
            )
        case _:
            return after_rollback(process)


def _lift(held: Sequence[Circuit]) -> str:
    more = f" ({len(held)} circuits are held)" if len(held) > 1 else ""
    return f'lift the hold with POST /api/circuits/{min(held)}/hold and {{"action": "lift"}}{more}'


def _after_failure(retry: str, runs: Sequence[CircuitRun]) -> str:
    failed = [run for run in runs if has_failed(run)]
    remedies = [(run, remedy_told_in(diagnosis(run))) for run in failed]
    lost = [(run, remedy) for run, remedy in remedies if not remedy.is_retry]
    if not lost:
        return f"remove the cause, then {retry}; a circuit that can wait may be left out with “exclude” and a reason."
    circuits = ", ".join(str(run.circuit) for run, _ in lost[:MOST_NAMED]) + (", …" if len(lost) > MOST_NAMED else "")
    anew = remedy_of_all({remedy for _, remedy in lost}).told(circuits)
    if len(lost) + sum(run.phase in NEUTRAL for run in runs) == len(runs):
        return f"{anew}."
    return f"{anew}; for the others {retry} with “exclude” for {circuits} and a reason."


def merge_history(release: Release, runs: Sequence[CircuitRun], gates: Sequence[Gate]) -> tuple[HistoryLine, ...]:
    """All rows' transitions in the order of their time."""
    lines = [
        *_lines(release.hist, what="release", circuit=""),
        *(line for gate in gates for line in _lines(gate.hist, what=str(gate.gate), circuit="")),
        *(line for run in runs for line in _lines(run.hist, what="", circuit=str(run.circuit))),
    ]
    return tuple(sorted(lines, key=lambda line: line.at))


def _lines(hist: Sequence[HistoryEntry], *, what: str, circuit: str) -> Iterator[HistoryLine]:
    for entry in hist:
        moved = entry.source not in {"", entry.target}
        step = f"{entry.source} → {entry.target}" if moved else entry.target
        yield HistoryLine(
            at=entry.at.astimezone(UTC),
            what=f"{what}: {step}" if what else step,
            circuit=circuit,
            by=entry.by,
            why=entry.why,
        )


ROUND_NAMES = {
    Round.NONE: "",
    Round.INSPECTION: "inspection",
    Round.PROMOTION: "promotion to the Registry",
    Round.TEST: "Test",
    Round.STAGING: "staging in Production",
    Round.ACTIVATION: "activation in Production",
    Round.REVERSION: "reverting Production",
    Round.ROLLBACK: "rollback",
    Round.CHECK: "smoke test after the rollback",
}


def round_name(round_: Round) -> str:
    """Where in the pipeline, for people."""
    return ROUND_NAMES[round_]


def words(phase: str) -> str:
    """A phase's name as people read it."""
    return str(phase).replace("_", " ")


def _spaced(run: CircuitRun) -> str:
    return f"{run.circuit.plant_id} / {run.circuit.circuit_id}"
