"""Use cases: what was found about a circuit that did not come through, and the one thing to do now."""

from collections.abc import Sequence

from shared.application.rollback_told import after_rollback
from shared.domain.model import (
    NEUTRAL,
    UNSUCCESSFUL,
    Circuit,
    CircuitPhase,
    CircuitRun,
    ProcessKind,
    Release,
    ReleasePhase,
    Round,
)
from shared.domain.process import WAYS_BACK
from shared.domain.remedy import Remedy, remedy_of_all, remedy_told_in

NEXT = "next: "
"""Begins the line of a diagnosis that says what to do."""
MOST_NAMED = 5


def has_failed(run: CircuitRun) -> bool:
    """Also a circuit that would not switch and is back at its predecessor."""
    return run.phase in UNSUCCESSFUL or (run.phase is CircuitPhase.RESTORED and bool(run.error))


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
            return f"{retry}, once the cause that each circuit names is gone.{_if_endpoint_failed(runs)}"
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
