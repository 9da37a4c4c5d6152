"""Every rule of how releases, circuit runs and gates move: the tables, and `decide` over them. Pure.

An event without an edge from the state it meets raises `IllegalTransition`: nothing happens.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from enum import StrEnum

from shared.domain import events as e
from shared.domain.commands import (
    Command,
    FanOut,
    FreeSlot,
    NoteLedger,
    OpenGate,
    Prune,
    RunStep,
    StartCheck,
    StartQueued,
    StepKind,
    Tell,
    VoidGate,
)
from shared.domain.errors import IllegalTransition
from shared.domain.model import (
    FANOUT_END,
    FANOUT_START,
    UNSUCCESSFUL,
    CircuitPhase,
    CircuitRun,
    Gate,
    GateName,
    GateState,
    HistoryEntry,
    Moment,
    ProcessKind,
    Release,
    ReleasePhase,
    Round,
)
from shared.domain.policy import Policy
from shared.domain.remedy import Remedy

R, C = ReleasePhase, CircuitPhase


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision[Row]:
    """The row as it shall be, and what to do once it is written."""

    row: Row
    commands: tuple[Command, ...] = ()


# ---------------------------------------------------------------------------------------------- releases

ROUND_OF: Mapping[ReleasePhase, Round] = {
    R.INSPECTING: Round.INSPECTION,
    R.PROMOTING: Round.PROMOTION,
    R.TESTING: Round.TEST,
    R.STAGING_PRODUCTION: Round.STAGING,
    R.ACTIVATING: Round.ACTIVATION,
    R.REVERTING: Round.REVERSION,
    R.ROLLING_BACK: Round.ROLLBACK,
    R.CHECKING: Round.CHECK,
}

GATE_OF: Mapping[ReleasePhase, GateName] = {
    R.AWAITING_REGISTRY_APPROVAL: GateName.REGISTRY,
    R.AWAITING_PRODUCTION_APPROVAL: GateName.PRODUCTION,
}


class RoundOutcome(StrEnum):
    """How a round ended, judged by `any` queries over its circuits."""

    GREEN = "green"
    RED = "red"
    NEUTRAL = "neutral"
    EMPTY = "empty"
    CANCELLED = "cancelled"


# (where, how the round ended) -> where next
ROUND_EDGES: Mapping[tuple[ReleasePhase, RoundOutcome], ReleasePhase] = {
    (R.INSPECTING, RoundOutcome.GREEN): R.AWAITING_REGISTRY_APPROVAL,
    (R.PROMOTING, RoundOutcome.GREEN): R.TESTING,
    (R.TESTING, RoundOutcome.GREEN): R.AWAITING_PRODUCTION_APPROVAL,
    (R.STAGING_PRODUCTION, RoundOutcome.GREEN): R.ACTIVATING,
    (R.ACTIVATING, RoundOutcome.GREEN): R.SUCCEEDED,
    (R.INSPECTING, RoundOutcome.RED): R.FAILED,
    (R.PROMOTING, RoundOutcome.RED): R.FAILED,
    (R.TESTING, RoundOutcome.RED): R.FAILED,
    (R.STAGING_PRODUCTION, RoundOutcome.RED): R.FAILED,
    (R.ACTIVATING, RoundOutcome.RED): R.REVERTING,
    # Nobody is left to go on with: every circuit was superseded, rolled back or excluded; empty: all were excluded.
    (R.INSPECTING, RoundOutcome.NEUTRAL): R.SUPERSEDED,
    (R.PROMOTING, RoundOutcome.NEUTRAL): R.SUPERSEDED,
    (R.TESTING, RoundOutcome.NEUTRAL): R.SUPERSEDED,
    (R.STAGING_PRODUCTION, RoundOutcome.NEUTRAL): R.SUPERSEDED,
    (R.ACTIVATING, RoundOutcome.NEUTRAL): R.SUPERSEDED,
    (R.INSPECTING, RoundOutcome.EMPTY): R.NOTHING_TO_DO,
    (R.PROMOTING, RoundOutcome.EMPTY): R.NOTHING_TO_DO,
    (R.TESTING, RoundOutcome.EMPTY): R.NOTHING_TO_DO,
    (R.STAGING_PRODUCTION, RoundOutcome.EMPTY): R.NOTHING_TO_DO,
    (R.ACTIVATING, RoundOutcome.EMPTY): R.NOTHING_TO_DO,
    # A cancellation waits for the round to end, and comes too late once production is being switched.
    (R.INSPECTING, RoundOutcome.CANCELLED): R.CANCELLED,
    (R.PROMOTING, RoundOutcome.CANCELLED): R.CANCELLED,
    (R.TESTING, RoundOutcome.CANCELLED): R.CANCELLED,
    (R.STAGING_PRODUCTION, RoundOutcome.CANCELLED): R.CANCELLED,
    (R.REVERTING, RoundOutcome.GREEN): R.FAILED,
    (R.REVERTING, RoundOutcome.RED): R.FAILED,
    (R.REVERTING, RoundOutcome.NEUTRAL): R.FAILED,
    (R.REVERTING, RoundOutcome.EMPTY): R.FAILED,
    (R.ROLLING_BACK, RoundOutcome.GREEN): R.SUCCEEDED,
    (R.ROLLING_BACK, RoundOutcome.RED): R.FAILED,
    (R.ROLLING_BACK, RoundOutcome.NEUTRAL): R.SUPERSEDED,
    (R.ROLLING_BACK, RoundOutcome.EMPTY): R.NOTHING_TO_DO,
    (R.CHECKING, RoundOutcome.GREEN): R.SUCCEEDED,
    (R.CHECKING, RoundOutcome.RED): R.FAILED,
    # Nothing was restored, or nothing of it can be scored in Test.
    (R.CHECKING, RoundOutcome.NEUTRAL): R.NOTHING_TO_DO,
    (R.CHECKING, RoundOutcome.EMPTY): R.NOTHING_TO_DO,
}

# (where, what happened) -> where next
RELEASE_EDGES: Mapping[tuple[ReleasePhase, type[e.ReleaseEvent]], ReleasePhase] = {
    (R.AWAITING_REGISTRY_APPROVAL, e.GateApproved): R.PROMOTING,
    (R.AWAITING_REGISTRY_APPROVAL, e.GateRejected): R.REJECTED,
    (R.AWAITING_REGISTRY_APPROVAL, e.GateExpired): R.EXPIRED,
    (R.AWAITING_REGISTRY_APPROVAL, e.CancelRequested): R.CANCELLED,
    (R.AWAITING_PRODUCTION_APPROVAL, e.GateApproved): R.STAGING_PRODUCTION,
    (R.AWAITING_PRODUCTION_APPROVAL, e.GateRejected): R.REJECTED,
    (R.AWAITING_PRODUCTION_APPROVAL, e.GateExpired): R.EXPIRED,
    (R.AWAITING_PRODUCTION_APPROVAL, e.CancelRequested): R.CANCELLED,
    # Who was handed work ends it; then the round ends red.
    (R.INSPECTING, e.FanOutDied): R.INSPECTING,
    (R.PROMOTING, e.FanOutDied): R.PROMOTING,
    (R.TESTING, e.FanOutDied): R.TESTING,
    (R.STAGING_PRODUCTION, e.FanOutDied): R.STAGING_PRODUCTION,
    (R.ACTIVATING, e.FanOutDied): R.ACTIVATING,
    (R.CHECKING, e.FanOutDied): R.CHECKING,
    # D11: half new, half old is no end. The way back stays, people are told, and the sweeper drives it on.
    (R.REVERTING, e.FanOutDied): R.REVERTING,
    (R.ROLLING_BACK, e.FanOutDied): R.ROLLING_BACK,
}

SWITCHING = frozenset({R.ACTIVATING, R.REVERTING, R.ROLLING_BACK})
"""Where ledger rows are written; what they rest on is noted beside them when the release has ended."""

WAYS_BACK = frozenset({R.REVERTING, R.ROLLING_BACK})
"""What is never given up: it ends when every circuit has."""

CANCELLABLE_ROUNDS = frozenset({R.INSPECTING, R.PROMOTING, R.TESTING, R.STAGING_PRODUCTION})

# (where it failed or expired) -> where a retry resumes; after gate 2 that gate is asked again
RESUME_AT: Mapping[ReleasePhase, ReleasePhase] = {
    R.INSPECTING: R.INSPECTING,
    R.AWAITING_REGISTRY_APPROVAL: R.AWAITING_REGISTRY_APPROVAL,
    R.PROMOTING: R.PROMOTING,
    R.TESTING: R.TESTING,
    R.AWAITING_PRODUCTION_APPROVAL: R.AWAITING_PRODUCTION_APPROVAL,
    R.STAGING_PRODUCTION: R.AWAITING_PRODUCTION_APPROVAL,
    R.ACTIVATING: R.AWAITING_PRODUCTION_APPROVAL,
    R.REVERTING: R.AWAITING_PRODUCTION_APPROVAL,
}

MOMENT_OF: Mapping[ReleasePhase, Moment] = {
    R.AWAITING_REGISTRY_APPROVAL: Moment.GATE_OPENED,
    R.AWAITING_PRODUCTION_APPROVAL: Moment.GATE_OPENED,
    R.SUCCEEDED: Moment.RELEASE_SUCCEEDED,
    R.FAILED: Moment.RELEASE_FAILED,
    R.EXPIRED: Moment.GATE_EXPIRED,
    R.SUPERSEDED: Moment.RELEASE_ENDED,
    R.CANCELLED: Moment.RELEASE_ENDED,
    R.NOTHING_TO_DO: Moment.RELEASE_ENDED,
    R.INVALID: Moment.ARTIFACT_INVALID,
}


def decide_release(release: Release, event: e.ReleaseEvent) -> Decision[Release]:
    """What an event means for a release.

    Raises:
        IllegalTransition: it means nothing in this phase.
    """
    match event:
        case e.FanOutAdvanced():
            return _advance_fanout(release, event)
        case e.RoundEnded():
            return _end_round(release, event)
        case e.RoundStuck():
            return _count_stuck(release, event)
        case e.LedgerNoted():
            return _note_ledger(release, event)
        case e.CancelRequested() if release.phase in CANCELLABLE_ROUNDS:
            return _request_cancel(release, event)
        case e.RetryRequested():
            return _retry(release, event)
        case e.GateApproved() if GATE_OF.get(release.phase) is event.gate:
            return _approve(release, event)
        case e.GateApproved() | e.GateRejected() | e.GateExpired() if GATE_OF.get(release.phase) is not event.gate:
            raise IllegalTransition(f"release {release.release_id} is {release.phase}: {event.gate} is not being asked")
        case e.FanOutDied():
            return _fan_out_died(release, event)
        case _:
            return _enter(release, _release_edge(release, event), event)


def _fan_out_died(release: Release, event: e.FanOutDied) -> Decision[Release]:
    if not _is_at_page(release, event):
        raise IllegalTransition(f"release {release.release_id}: the fan-out that died is over")
    return _stall(release, event) if release.phase in WAYS_BACK else _give_up_fanout(release, event)


def _stall(release: Release, event: e.FanOutDied) -> Decision[Release]:
    """It stays where it is, says why, and people are told once."""
    if release.reason:
        raise IllegalTransition(f"release {release.release_id} is known not to go on")
    stalled = replace(release, reason=event.why or f"{release.phase} can't be handed out")
    if release.hist and release.hist[-1].source == release.phase:
        return Decision(row=stalled)
    entry = HistoryEntry(at=event.at, source=release.phase, target=release.phase, why=event.why, by=event.by)
    row = replace(stalled, hist=(*release.hist, entry))
    return Decision(row=row, commands=(Tell(moment=Moment.WAY_BACK_STALLED),))


def _is_at_page(release: Release, event: e.FanOutDied) -> bool:
    at = (release.gen, ROUND_OF.get(release.phase), release.fanout_cursor)
    return event.cursor != FANOUT_END and at == (event.gen, event.round, event.cursor)


def _release_edge(release: Release, event: e.ReleaseEvent) -> ReleasePhase:
    target = RELEASE_EDGES.get((release.phase, type(event)))
    if target is None:
        raise IllegalTransition(f"release {release.release_id} is {release.phase}: {type(event).__name__} has no edge")
    return target


def _approve(release: Release, event: e.GateApproved) -> Decision[Release]:
    with_exclusions = replace(release, exclusions={**release.exclusions, **event.exclusions})
    return _enter(with_exclusions, _release_edge(release, event), event)


def _advance_fanout(release: Release, event: e.FanOutAdvanced) -> Decision[Release]:
    if ROUND_OF.get(release.phase) is not event.round or release.gen != event.gen:
        raise IllegalTransition(f"release {release.release_id} is no longer fanning out {event.round.name}")
    if event.cursor <= release.fanout_cursor:
        raise IllegalTransition(f"release {release.release_id} has already fanned out beyond {event.cursor!r}")
    due_at = event.at + release.policy.overdue_after
    reason = "" if release.phase in WAYS_BACK else release.reason
    row = replace(release, fanout_cursor=event.cursor, due_at=due_at, redrive=0, reason=reason)
    more = event.cursor != FANOUT_END
    return Decision(row=row, commands=(fan_out(row),) if more else ())


def _give_up_fanout(release: Release, event: e.FanOutDied) -> Decision[Release]:
    """Like a cancellation: circuits that were handed their work end it, and then the round ends, red."""
    if not _is_at_page(release, event):
        raise IllegalTransition(f"release {release.release_id}: the fan-out that died is over")
    stays = _release_edge(release, event)
    entry = HistoryEntry(at=event.at, source=release.phase, target=stays, why=event.why, by=event.by)
    row = replace(
        release,
        fanout_cursor=FANOUT_END,
        due_at=event.at + release.policy.overdue_after,
        redrive=0,
        died=event.why,
        hist=(*release.hist, entry),
    )
    return Decision(row=row)


def _note_ledger(release: Release, event: e.LedgerNoted) -> Decision[Release]:
    if not release.is_terminal or release.gen != event.gen:
        raise IllegalTransition(f"release {release.release_id} has not ended, or in another generation")
    if event.cursor <= release.noted_cursor:
        raise IllegalTransition(f"release {release.release_id}: the ledger is noted beyond {event.cursor!r}")
    more = event.cursor != FANOUT_END
    due_at = event.at + release.policy.overdue_after if more else None
    row = replace(release, noted_cursor=event.cursor, due_at=due_at, redrive=0)
    if event.why:
        entry = HistoryEntry(at=event.at, source=release.phase, target=release.phase, why=event.why, by=event.by)
        row = replace(row, hist=(*row.hist, entry))
    return Decision(row=row, commands=(note_ledger(row),) if more else ())


def round_outcome(release: Release, event: e.RoundEnded) -> RoundOutcome:
    """Red before cancelled: a release that failed by itself says so."""
    if event.any_unsuccessful or release.died:
        return RoundOutcome.RED
    if release.cancel_requested_by and release.phase in CANCELLABLE_ROUNDS:
        return RoundOutcome.CANCELLED
    if event.any_successful:
        return RoundOutcome.GREEN
    return RoundOutcome.NEUTRAL if event.any_overtaken else RoundOutcome.EMPTY


MOST_STUCK = 96
"""Tries of the sweeper to end a round, a quarter of an hour apart: about a day for whoever mends what keeps it."""


def _end_round(release: Release, event: e.RoundEnded) -> Decision[Release]:
    _must_be_in(release, event)
    outcome = round_outcome(release, event)
    if outcome is RoundOutcome.EMPTY and release.kind is ProcessKind.RELEASE:
        event = replace(event, why=event.why or "every circuit was left out")
    return _enter(release, ROUND_EDGES[release.phase, outcome], event)


def _count_stuck(release: Release, event: e.RoundStuck) -> Decision[Release]:
    """I8: a gate that can't be opened, or a bundle that can't be written, keeps no release for ever."""
    _must_be_in(release, event)
    if release.stuck < MOST_STUCK:
        return Decision(row=replace(release, stuck=release.stuck + 1))
    why = f"all circuits had ended, and for a day the release could not go on: {event.why}"
    return _enter(release, ROUND_EDGES[release.phase, RoundOutcome.RED], replace(event, why=why))


def _must_be_in(release: Release, event: e.RoundEnded | e.RoundStuck) -> None:
    if ROUND_OF.get(release.phase) is not event.round or release.gen != event.gen:
        raise IllegalTransition(f"release {release.release_id} is no longer in {event.round.name}")
    if release.fanout_cursor != FANOUT_END:
        raise IllegalTransition(f"release {release.release_id} has not fanned out {event.round.name} completely")


def _request_cancel(release: Release, event: e.CancelRequested) -> Decision[Release]:
    if release.cancel_requested_by:
        raise IllegalTransition(f"release {release.release_id} is being cancelled already")
    entry = HistoryEntry(
        at=event.at, source=release.phase, target=release.phase, why=f"cancel: {event.why}", by=event.by
    )
    return Decision(row=replace(release, cancel_requested_by=event.by, reason=event.why, hist=(*release.hist, entry)))


def _retry(release: Release, event: e.RetryRequested) -> Decision[Release]:
    if release.kind is not ProcessKind.RELEASE or release.phase not in {R.FAILED, R.EXPIRED}:
        raise IllegalTransition(
            f"release {release.release_id} is {release.phase}: only failed or expired ones can retry"
        )
    again = replace(
        release,
        gen=release.gen + 1,
        exclusions={**release.exclusions, **event.exclusions},
        cancel_requested_by="",
        died="",
        ended_at=None,
    )
    return _enter(again, release.resume_phase, event)


def _enter(release: Release, target: ReleasePhase, event: e.ReleaseEvent) -> Decision[Release]:
    """Everything that follows from reaching a phase, whatever the way."""
    ends = target not in ROUND_OF and target not in GATE_OF
    notes = ends and release.phase in SWITCHING
    row = replace(
        release,
        phase=target,
        fanout_cursor=FANOUT_START,
        noted_cursor=FANOUT_START if notes else FANOUT_END,
        redrive=0,
        stuck=0,
        due_at=event.at + release.policy.overdue_after if target in ROUND_OF or notes else None,
        reason=event.why if ends else "",
        resume_phase=RESUME_AT.get(release.phase, release.resume_phase),
        ended_at=event.at if ends else None,
        hist=(
            *release.hist,
            HistoryEntry(at=event.at, source=release.phase, target=target, why=event.why, by=event.by),
        ),
    )
    return Decision(row=row, commands=(*_leaving(release, event), *_entering(row)))


def _leaving(release: Release, event: e.ReleaseEvent) -> tuple[Command, ...]:
    match GATE_OF.get(release.phase), event:
        case GateName() as gate, e.CancelRequested():
            return (VoidGate(gate=gate),)
        case GateName() as gate, e.GateApproved() | e.GateRejected():
            return (Tell(moment=Moment.GATE_DECIDED, gate=gate),)
        case _:
            return ()


def _entering(row: Release) -> tuple[Command, ...]:
    commands: list[Command] = []
    if row.phase in ROUND_OF:
        commands.append(fan_out(row))
    if gate := GATE_OF.get(row.phase):
        commands.append(OpenGate(gate=gate))
    if moment := _moment(row):
        commands.append(Tell(moment=moment))
    if row.phase is R.SUCCEEDED and row.kind is ProcessKind.RELEASE:
        commands.append(Prune(release_id=row.release_id))
    if row.noted_cursor != FANOUT_END:
        commands.append(note_ledger(row))
    if row.kind is ProcessKind.ROLLBACK and row.is_terminal and row.smoke_test:
        commands.append(StartCheck())
    return tuple(commands)


def _moment(row: Release) -> Moment | None:
    """What people are told on reaching a phase; a check that went well stands on its rollback's page."""
    match row.kind:
        case ProcessKind.ROLLBACK if row.phase in MOMENT_OF:
            return Moment.ROLLBACK_ENDED
        case ProcessKind.CHECK:
            return Moment.CHECK_FAILED if row.phase is R.FAILED else None
        case _:
            return MOMENT_OF.get(row.phase)


def note_ledger(release: Release) -> NoteLedger:
    """The command that notes the next page of circuits in the ledger."""
    return NoteLedger(
        release_id=release.release_id, gen=release.gen, cursor=release.noted_cursor, redrive=release.redrive
    )


def fan_out(release: Release) -> FanOut:
    """The command that hands the next page of circuits its work."""
    return FanOut(
        release_id=release.release_id,
        gen=release.gen,
        round=ROUND_OF[release.phase],
        cursor=release.fanout_cursor,
        redrive=release.redrive,
    )


# ------------------------------------------------------------------------------------------------- gates

# (where, what happened) -> where next; votes, wrong codes and newer evidence leave an open gate open
GATE_EDGES: Mapping[tuple[GateState, type[e.GateEvent]], GateState] = {
    (GateState.OPEN, e.GateApproved): GateState.APPROVED,
    (GateState.OPEN, e.GateRejected): GateState.REJECTED,
    (GateState.OPEN, e.GateExpired): GateState.EXPIRED,
    (GateState.OPEN, e.GateVoided): GateState.VOID,
    # A retry asks again: nobody answered in time, or the release failed behind the gate.
    (GateState.EXPIRED, e.GateOpened): GateState.OPEN,
    (GateState.APPROVED, e.GateOpened): GateState.OPEN,
}


def decide_gate(gate: Gate, event: e.GateEvent) -> Gate:
    """The gate's row in its next state.

    Raises:
        IllegalTransition: the event means nothing in this state, or it is not the time for it (R8).
    """
    target = GATE_EDGES.get((gate.state, type(event)))
    if target is None:
        raise IllegalTransition(f"{gate.gate} is {gate.state}: {type(event).__name__} has no edge")
    is_over = event.at >= gate.expires_at
    if is_over and isinstance(event, e.GateApproved | e.GateRejected):
        raise IllegalTransition(f"{gate.gate} was answered at {event.at}, its time was over at {gate.expires_at}")
    if not is_over and isinstance(event, e.GateExpired):
        raise IllegalTransition(f"{gate.gate} has time until {gate.expires_at}")
    entry = HistoryEntry(at=event.at, source=gate.state, target=target, why=event.why, by=event.by)
    return replace(gate, state=target, hist=(*gate.hist, entry))


# ------------------------------------------------------------------------------------------ circuit runs


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundEntry:
    """How a circuit gets into a round."""

    phase: CircuitPhase
    """The first phase there."""
    after: frozenset[CircuitPhase]
    """Where it comes from when all goes well."""
    again: frozenset[CircuitPhase]
    """Where it comes from on a retry (its gen is older than the release's)."""
    done: CircuitPhase
    """Where it stands when its round has ended well."""


ROUND_ENTRIES: Mapping[Round, RoundEntry] = {
    Round.INSPECTION: RoundEntry(phase=C.INSPECTING, after=frozenset(), again=UNSUCCESSFUL, done=C.INSPECTED),
    Round.PROMOTION: RoundEntry(phase=C.PROMOTING, after=frozenset({C.INSPECTED}), again=UNSUCCESSFUL, done=C.PROMOTED),
    Round.TEST: RoundEntry(phase=C.DEPLOYING_TEST, after=frozenset({C.PROMOTED}), again=UNSUCCESSFUL, done=C.TESTED),
    Round.STAGING: RoundEntry(
        phase=C.LOCKING,
        after=frozenset({C.TESTED}),
        again=UNSUCCESSFUL | {C.STAGED, C.LIVE, C.RESTORED},
        done=C.STAGED,
    ),
    Round.ACTIVATION: RoundEntry(phase=C.ACTIVATING, after=frozenset({C.STAGED}), again=frozenset(), done=C.LIVE),
    Round.REVERSION: RoundEntry(
        phase=C.RESTORING, after=frozenset({C.LIVE}) | UNSUCCESSFUL, again=frozenset(), done=C.RESTORED
    ),
    Round.ROLLBACK: RoundEntry(phase=C.RESTORING, after=frozenset(), again=frozenset(), done=C.RESTORED),
    Round.CHECK: RoundEntry(phase=C.QUEUED, after=frozenset(), again=frozenset(), done=C.TESTED),
}

# (where, what happened) -> where next
CIRCUIT_EDGES: Mapping[tuple[CircuitPhase, type[e.CircuitEvent]], CircuitPhase] = {
    (C.INSPECTING, e.ModelChosen): C.INSPECTED,
    # While people are asked; behind gate 2, when it is asked again, also where the try before has left circuits.
    (C.INSPECTED, e.EvidenceRefreshed): C.INSPECTED,
    (C.TESTED, e.EvidenceRefreshed): C.TESTED,
    (C.STAGED, e.EvidenceRefreshed): C.STAGED,
    (C.LIVE, e.EvidenceRefreshed): C.LIVE,
    (C.RESTORED, e.EvidenceRefreshed): C.RESTORED,
    (C.FAILED, e.EvidenceRefreshed): C.FAILED,
    (C.ERRORED, e.EvidenceRefreshed): C.ERRORED,
    (C.PROMOTING, e.ModelPromoted): C.PROMOTED,
    (C.DEPLOYING_TEST, e.TestDeploymentReady): C.QUEUED,
    (C.QUEUED, e.SlotTaken): C.SMOKE_TESTING,
    (C.SMOKE_TESTING, e.SmokeTestPassed): C.ACTIVATING_TEST,
    (C.SMOKE_TESTING, e.RestoredTested): C.TESTED,
    (C.SMOKE_TESTING, e.RestoredUntestable): C.EXCLUDED,
    (C.ACTIVATING_TEST, e.TestDefaultSet): C.TESTED,
    (C.LOCKING, e.ProductionLocked): C.STAGING,
    (C.STAGING, e.ProductionStaged): C.STAGED,
    (C.ACTIVATING, e.CircuitActivated): C.LIVE,
    (C.ACTIVATING, e.ActivationSkipped): C.STAGED,
    (C.RESTORING, e.CircuitRestored): C.RESTORED,
    (C.LOCKING, e.CircuitHeld): C.EXCLUDED,
    (C.ACTIVATING, e.CircuitHeld): C.EXCLUDED,
    (C.LOCKING, e.CircuitSuperseded): C.SUPERSEDED,
    (C.STAGING, e.CircuitSuperseded): C.SUPERSEDED,
    (C.ACTIVATING, e.CircuitSuperseded): C.SUPERSEDED,
    (C.RESTORING, e.CircuitSuperseded): C.SUPERSEDED,
    # Also of a release that has ended: what it made live is live no more.
    (C.LIVE, e.CircuitRolledBack): C.ROLLED_BACK,
    (C.ROLLED_BACK, e.CircuitLiveAgain): C.LIVE,
    # A rollback took the endpoint while this run was switching it: a worker that stood still after its last look must
    # not say afterwards that the circuit is live. The run ends as one that finds the lost lock by itself does.
    (C.ACTIVATING, e.CircuitRolledBack): C.SUPERSEDED,
}

# (where there is work) -> which step does it
STEP_OF: Mapping[CircuitPhase, StepKind] = {
    C.INSPECTING: StepKind.INSPECT,
    C.PROMOTING: StepKind.PROMOTE,
    C.DEPLOYING_TEST: StepKind.DEPLOY,
    C.SMOKE_TESTING: StepKind.SMOKE_TEST,
    C.ACTIVATING_TEST: StepKind.ACTIVATE,
    C.LOCKING: StepKind.DEPLOY,
    C.STAGING: StepKind.DEPLOY,
    C.ACTIVATING: StepKind.ACTIVATE,
    C.RESTORING: StepKind.RESTORE,
}

WORKING_PHASES = frozenset(STEP_OF) | {C.QUEUED}

DIAGNOSIS = "diagnosis"
FINDINGS = "findings"
"""What an inspection found: the circuit's own, and what other circuits of the release share."""
LIVE_INSTEAD = "live_instead"
"""What somebody made live after a circuit was staged: it was not switched, so that stays."""
OF_FAILURES = frozenset({DIAGNOSIS, FINDINGS, LIVE_INSTEAD})
"""The evidence that explains a failure; it goes when the work is done anew."""
FACTS_MERGED = frozenset({"evidence"})
NO_FACTS = frozenset({"at", "why", "by"})


def decide_circuit(run: CircuitRun, event: e.CircuitEvent, policy: Policy) -> Decision[CircuitRun]:
    """What an event means for a circuit run.

    Raises:
        IllegalTransition: it means nothing in this phase.
    """
    match event:
        case e.FannedOut():
            return _hand_work(run, event, policy)
        case e.StepFailed() if run.phase in WORKING_PHASES:
            return _move(run, C.FAILED, event, policy)
        case e.StepErrored() if run.phase in WORKING_PHASES:
            return _move(run, C.ERRORED, event, policy)
        case _:
            target = CIRCUIT_EDGES.get((run.phase, type(event)))
            if target is None:
                raise IllegalTransition(f"{run.circuit} is {run.phase}: {type(event).__name__} has no edge")
            return _learn(run, event) if target is run.phase else _move(run, target, event, policy)


def wants_work(run: CircuitRun, round_: Round, gen: int) -> bool:
    """Does fanning out this round of this generation move the circuit?"""
    entry = ROUND_ENTRIES[round_]
    if run.gen > gen:
        return False
    if round_ is Round.REVERSION:
        return _may_be_switched(run)
    if run.todo is not Round.NONE:
        return False
    return run.phase in entry.after or (run.phase in entry.again and run.gen < gen)


def _may_be_switched(run: CircuitRun) -> bool:
    """A circuit that failed before the activation never was."""
    return run.phase is C.LIVE or (run.phase in UNSUCCESSFUL and run.error_round is Round.ACTIVATION)


def _hand_work(run: CircuitRun, event: e.FannedOut, policy: Policy) -> Decision[CircuitRun]:
    entry = ROUND_ENTRIES[event.round]
    may_leave = run.todo is Round.NONE and run.phase in entry.after | entry.again | {entry.done}
    if event.exclude_reason and may_leave and run.gen <= event.gen:
        left_out = replace(run, gen=event.gen, error="", error_round=Round.NONE)
        return _move(left_out, C.EXCLUDED, replace(event, why=event.exclude_reason), policy)
    if not wants_work(run, event.round, event.gen):
        raise IllegalTransition(f"{run.circuit} is {run.phase} (gen {run.gen}): no work for it in {event.round.name}")
    keeps_error = event.round is Round.REVERSION
    fresh = replace(
        run,
        evidence=run.evidence if keeps_error else {k: v for k, v in run.evidence.items() if k not in OF_FAILURES},
        gen=event.gen,
        todo=event.round,
        error=run.error if keeps_error else "",
        error_round=run.error_round if keeps_error else Round.NONE,
    )
    return _move(fresh, entry.phase, event, policy)


def _move(run: CircuitRun, target: CircuitPhase, event: e.CircuitEvent, policy: Policy) -> Decision[CircuitRun]:
    works = target in WORKING_PHASES
    keeps_slot = target is C.SMOKE_TESTING
    row = replace(
        with_facts(run, _facts(event)),
        phase=target,
        todo=run.todo if works else Round.NONE,
        since=event.at,
        attempt=0,
        poll_n=0,
        redrive=0,
        claimed=False,
        due_at=event.at + policy.overdue_after if works else None,
        hist=(*run.hist, HistoryEntry(at=event.at, source=run.phase, target=target, why=_why(event), by=event.by)),
    )
    if target in UNSUCCESSFUL:
        row = replace(row, error_round=run.todo)
    commands: tuple[Command, ...] = implied_commands(row)
    if run.slot >= 0 and not keeps_slot:
        commands = (*commands, FreeSlot(slot=run.slot, owner=slot_owner(run)))
        row = replace(row, slot=-1)
    return Decision(row=row, commands=commands)


def _learn(run: CircuitRun, event: e.CircuitEvent) -> Decision[CircuitRun]:
    """The circuit stays where it is, and since when; only what is known of it has changed."""
    entry = HistoryEntry(at=event.at, source=run.phase, target=run.phase, why=event.why, by=event.by)
    return Decision(row=replace(with_facts(run, _facts(event)), hist=(*run.hist, entry)))


def slot_owner(run: CircuitRun) -> str:
    """Who holds a smoke-test slot: one circuit in one generation of its release."""
    return f"{run.release_id}|{run.gen}|{run.circuit.plant_id}|{run.circuit.circuit_id}"


def _why(event: e.CircuitEvent) -> str:
    return event.error if isinstance(event, e.StepFailed | e.StepErrored) else event.why


def _facts(event: e.CircuitEvent) -> Mapping[str, object]:
    if isinstance(event, e.FannedOut):
        return {}
    facts = {f.name: getattr(event, f.name) for f in fields(event) if f.name not in NO_FACTS}
    if isinstance(event, e.StepFailed | e.StepErrored) and not event.fence:
        facts.pop("fence")
    return facts


def with_facts(run: CircuitRun, facts: Mapping[str, object]) -> CircuitRun:
    """The row with facts added: `evidence` is merged key by key, `warnings` grow, other columns are replaced."""
    values = dict(facts)
    evidence = values.pop("evidence", {})
    warnings = values.pop("warnings", ())
    assert isinstance(evidence, Mapping)
    assert isinstance(warnings, tuple)
    values["evidence"] = {**run.evidence, **evidence}
    values["warnings"] = (*run.warnings, *(w for w in warnings if w not in run.warnings))
    return replace(run, **values)  # type: ignore[arg-type]  # events carry the names and types of columns


def implied_commands(run: CircuitRun) -> tuple[Command, ...]:
    """What a circuit in this state waits for: sent on entering it, and again if a message may have been lost."""
    if run.phase is C.QUEUED:
        return (StartQueued(),)
    kind = STEP_OF.get(run.phase)
    return () if kind is None else (run_step(run, kind),)


def run_step(run: CircuitRun, kind: StepKind, delay: timedelta = timedelta()) -> RunStep:
    """The message that makes a worker look at this row."""
    return RunStep(
        release_id=run.release_id,
        circuit=run.circuit,
        gen=run.gen,
        kind=kind,
        phase=run.phase,
        n=run.poll_n,
        redrive=run.redrive,
        delay=delay,
    )


# ----------------------------------------------------------------------------------------------- polling

LIMIT_OF: Mapping[CircuitPhase, str] = {
    C.INSPECTING: "inspect_limit",
    C.PROMOTING: "promote_limit",
    C.DEPLOYING_TEST: "deploy_limit",
    C.SMOKE_TESTING: "smoke_limit",
    C.ACTIVATING_TEST: "activate_limit",
    C.LOCKING: "deploy_limit",
    C.STAGING: "deploy_limit",
    C.ACTIVATING: "activate_limit",
    C.RESTORING: "restore_limit",
}


def deadline(run: CircuitRun, policy: Policy) -> datetime:
    """When the step on this circuit must have ended, by the clock that started with its phase.

    A smoke test judges its own 15 minutes by the job's times (D8); here ends only one that never can.
    """
    limit: timedelta = policy.smoke_net if run.phase is C.SMOKE_TESTING else getattr(policy, LIMIT_OF[run.phase])
    return run.since + limit


def is_past_deadline(run: CircuitRun, policy: Policy, at: datetime) -> bool:
    return at >= deadline(run, policy)


def way_on(run: CircuitRun) -> str:
    """What a person does about a circuit that technology kept from ending its work."""
    match run.todo:
        case Round.ROLLBACK:
            return "ask for the rollback again once the cause is gone"
        case Round.CHECK:
            return "the rollback stands all the same"
        case _:
            return Remedy.RETRY.told()


def decide_poll(run: CircuitRun, still: e.StillRunning, policy: Policy, at: datetime) -> Decision[CircuitRun]:
    """Look again later: sooner if that lands on the deadline, with back-off after a transient error."""
    if not still.restart_clock and is_past_deadline(run, policy, at):
        limit = deadline(run, policy) - run.since
        reason = f"{run.phase} did not end within {limit}; {way_on(run)}"
        error = f"{reason} (last: {still.transient})" if still.transient else reason
        return decide_circuit(with_facts(run, still.facts), e.StepErrored(at=at, error=error), policy)
    attempt = run.attempt + 1 if still.transient else 0
    wait = still.check_in or (policy.backoff(attempt) if still.transient else policy.poll)
    remaining = deadline(run, policy) - at
    if timedelta() < remaining < wait and not still.restart_clock:
        wait = remaining
    row = replace(
        with_facts(run, still.facts),
        poll_n=run.poll_n + 1,
        redrive=0,
        claimed=False,
        attempt=attempt,
        since=at if still.restart_clock else run.since,
        due_at=at + wait + policy.overdue_after,
    )
    return Decision(row=row, commands=(run_step(row, STEP_OF[row.phase], delay=wait),))


# ------------------------------------------------------------------------------------------------ claims

BLOCKING = frozenset({C.PROMOTING})
"""The step there returns only when the service has done its work: after minutes, not moments."""
LONGEST_CALL = timedelta(minutes=30)
"""`functionTimeout` of host.json: the host kills whoever is at work for longer."""


def claim(run: CircuitRun, policy: Policy, at: datetime, *, again: bool) -> Decision[CircuitRun]:
    """Written before a step that blocks: until its host must have ended, no other message begins the same work.

    The deadline counts from the first claim: with hundreds of circuits most of the time goes by in the queue. `again`:
    the message came before, whoever worked on it may have died; it takes over.

    Raises:
        IllegalTransition: another message is at work on it.
    """
    if run.claimed and not again:
        raise IllegalTransition(f"{run.circuit} is {run.phase}: another message is at work on it until {run.due_at}")
    is_first = run.poll_n == 0 and not run.claimed
    due_at = at + LONGEST_CALL + policy.overdue_after
    return Decision(row=replace(run, claimed=True, since=at if is_first else run.since, due_at=due_at))


# ------------------------------------------------------------------------------------------------- sweep

REDRIVE_WAITS = tuple(timedelta(minutes=m) for m in (1, 2, 4, 8, 15))


def redrive_wait(redrive: int) -> timedelta:
    """1, 2, 4, 8, then 15 minutes between drives of an overdue row."""
    return REDRIVE_WAITS[min(redrive, len(REDRIVE_WAITS) - 1)]


def redrive_run(run: CircuitRun, at: datetime) -> Decision[CircuitRun]:
    """Send an overdue circuit's message again, under a new id; whoever had claimed it is over, and so is its look."""
    row = replace(
        run,
        poll_n=run.poll_n + run.claimed,
        claimed=False,
        redrive=run.redrive + 1,
        due_at=at + redrive_wait(run.redrive),
    )
    return Decision(row=row, commands=implied_commands(row))


def redrive_release(release: Release, at: datetime) -> Decision[Release]:
    """Send an overdue fan-out or note again; a complete fan-out only needs its fan-in looked at."""
    row = replace(release, redrive=release.redrive + 1, due_at=at + redrive_wait(release.redrive))
    if row.is_terminal:
        return Decision(row=row, commands=(note_ledger(row),) if row.noted_cursor != FANOUT_END else ())
    fanning = row.phase in ROUND_OF and row.fanout_cursor != FANOUT_END
    return Decision(row=row, commands=(fan_out(row),) if fanning else ())
