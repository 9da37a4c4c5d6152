"""Unit: every release phase meets every event; what has no edge changes nothing."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.domain import events as e
from shared.domain.commands import FanOut, NoteLedger, OpenGate, Tell, VoidGate
from shared.domain.errors import IllegalTransition
from shared.domain.model import FANOUT_END, GateName, Moment, Release, ReleasePhase, Round
from shared.domain.policy import Policy
from shared.domain.process import (
    GATE_OF,
    MOST_STUCK,
    RESUME_AT,
    ROUND_EDGES,
    ROUND_OF,
    SWITCHING,
    WAYS_BACK,
    RoundOutcome,
    decide_release,
    redrive_release,
)

AT = datetime(2025, 12, 10, 12, tzinfo=UTC)
P = ReleasePhase


def release(phase: ReleasePhase, **changes: object) -> Release:
    base = Release(
        release_id="20251210.1",
        build_id="12345",
        phase=phase,
        seq=20251210000001,
        total=3,
        manifest_sha256="0" * 64,
        manifest_blob="20251210.1/manifest.json",
        policy=Policy(),
        created_at=AT,
        fanout_cursor=FANOUT_END,
    )
    return replace(base, **changes)


def round_ended(round_: Round, *, bad: bool = False, good: bool = True, overtaken: bool = False) -> e.RoundEnded:
    return e.RoundEnded(at=AT, round=round_, gen=1, any_unsuccessful=bad, any_successful=good, any_overtaken=overtaken)


def ended_as(phase: ReleasePhase, outcome: RoundOutcome) -> tuple[Release, e.RoundEnded]:
    """A release whose round has this outcome, and the event."""
    asked = "ops" if outcome is RoundOutcome.CANCELLED else ""
    bad, good, overtaken = (outcome is kind for kind in (RoundOutcome.RED, RoundOutcome.GREEN, RoundOutcome.NEUTRAL))
    event = round_ended(ROUND_OF[phase], bad=bad, good=good, overtaken=overtaken)
    return release(phase, cancel_requested_by=asked), event


EVENTS: tuple[e.ReleaseEvent, ...] = (
    *(round_ended(r) for r in Round if r),
    *(round_ended(r, bad=True) for r in Round if r),
    *(round_ended(r, good=False, overtaken=True) for r in Round if r),
    *(round_ended(r, good=False) for r in Round if r),
    *(kind(at=AT, gate=gate) for kind in (e.GateApproved, e.GateRejected, e.GateExpired) for gate in GateName),
    *(e.FanOutDied(at=AT, gen=1, round=r, cursor=FANOUT_END) for r in Round if r),
    e.CancelRequested(at=AT, by="ops", why="wrong build"),
    e.RetryRequested(at=AT, by="ops", why="fixed"),
    *(e.FanOutAdvanced(at=AT, round=r, gen=1, cursor=FANOUT_END) for r in Round if r),
    *(e.RoundStuck(at=AT, round=r, gen=1, why="it can't be written") for r in Round if r),
    e.LedgerNoted(at=AT, gen=1, cursor=FANOUT_END),
)

# (phase, event's name) -> where it leads; every pair that is not here must raise
GATE_1, GATE_2 = P.AWAITING_REGISTRY_APPROVAL, P.AWAITING_PRODUCTION_APPROVAL
EXPECTED: dict[tuple[ReleasePhase, str], ReleasePhase] = {
    (P.INSPECTING, "green 1"): GATE_1,
    (P.PROMOTING, "green 2"): P.TESTING,
    (P.TESTING, "green 3"): GATE_2,
    (P.STAGING_PRODUCTION, "green 4"): P.ACTIVATING,
    (P.ACTIVATING, "green 5"): P.SUCCEEDED,
    (P.REVERTING, "green 6"): P.FAILED,
    (P.INSPECTING, "red 1"): P.FAILED,
    (P.PROMOTING, "red 2"): P.FAILED,
    (P.TESTING, "red 3"): P.FAILED,
    (P.STAGING_PRODUCTION, "red 4"): P.FAILED,
    (P.ACTIVATING, "red 5"): P.REVERTING,
    (P.REVERTING, "red 6"): P.FAILED,
    (P.INSPECTING, "neutral 1"): P.SUPERSEDED,
    (P.PROMOTING, "neutral 2"): P.SUPERSEDED,
    (P.TESTING, "neutral 3"): P.SUPERSEDED,
    (P.STAGING_PRODUCTION, "neutral 4"): P.SUPERSEDED,
    (P.ACTIVATING, "neutral 5"): P.SUPERSEDED,
    (P.REVERTING, "neutral 6"): P.FAILED,
    (P.ROLLING_BACK, "green 7"): P.SUCCEEDED,
    (P.ROLLING_BACK, "red 7"): P.FAILED,
    (P.ROLLING_BACK, "neutral 7"): P.SUPERSEDED,
    (P.CHECKING, "green 8"): P.SUCCEEDED,
    (P.CHECKING, "red 8"): P.FAILED,
    (P.CHECKING, "neutral 8"): P.NOTHING_TO_DO,
    **{(phase, f"empty {int(round_)}"): P.NOTHING_TO_DO for phase, round_ in ROUND_OF.items()},
    (P.REVERTING, "empty 6"): P.FAILED,
    (GATE_1, "GateApproved registry-approval"): P.PROMOTING,
    (GATE_1, "GateRejected registry-approval"): P.REJECTED,
    (GATE_1, "GateExpired registry-approval"): P.EXPIRED,
    (GATE_2, "GateApproved production-approval"): P.STAGING_PRODUCTION,
    (GATE_2, "GateRejected production-approval"): P.REJECTED,
    (GATE_2, "GateExpired production-approval"): P.EXPIRED,
    **{(phase, f"RoundStuck {int(round_)}"): phase for phase, round_ in ROUND_OF.items()},
    (GATE_1, "CancelRequested"): P.CANCELLED,
    (GATE_2, "CancelRequested"): P.CANCELLED,
    **{(p, "CancelRequested"): p for p in (P.INSPECTING, P.PROMOTING, P.TESTING, P.STAGING_PRODUCTION)},
    (P.FAILED, "RetryRequested"): P.PROMOTING,
    (P.EXPIRED, "RetryRequested"): P.PROMOTING,
}


def name_of(event: e.ReleaseEvent) -> str:
    match event:
        case e.RoundEnded():
            flags = (event.any_unsuccessful, event.any_successful, event.any_overtaken, True)
            return f"{('red', 'green', 'neutral', 'empty')[flags.index(True)]} {int(event.round)}"
        case e.GateApproved() | e.GateRejected() | e.GateExpired():
            return f"{type(event).__name__} {event.gate}"
        case e.FanOutAdvanced():
            return f"FanOutAdvanced {int(event.round)}"
        case e.FanOutDied() | e.RoundStuck():
            return f"{type(event).__name__} {int(event.round)}"
        case _:
            return type(event).__name__


@pytest.mark.parametrize("phase", list(ReleasePhase))
@pytest.mark.parametrize("event", EVENTS, ids=name_of)
def test_every_phase_meets_every_event(phase: ReleasePhase, event: e.ReleaseEvent) -> None:
    """An event moves a release along its table's edge, or raises and changes nothing."""
    row = release(phase, resume_phase=P.PROMOTING)
    expected = EXPECTED.get((phase, name_of(event)))
    if expected is None:
        with pytest.raises(IllegalTransition):
            decide_release(row, event)
        return
    moved = decide_release(row, event).row
    assert moved.phase is expected
    if moved.phase is not phase:
        assert moved.hist[-1].source == phase
        assert moved.hist[-1].target == expected


@pytest.mark.parametrize("edge", list(ROUND_EDGES), ids=str)
def test_an_event_delivered_twice_moves_once(edge: tuple[ReleasePhase, RoundOutcome]) -> None:
    """The second delivery of a round's end finds another phase and is refused."""
    phase, outcome = edge
    row, event = ended_as(phase, outcome)
    once = decide_release(row, event).row
    assert once.phase is ROUND_EDGES[edge]
    with pytest.raises(IllegalTransition):
        decide_release(once, event)


@pytest.mark.parametrize("phase", list(ROUND_OF))
def test_a_round_does_not_end_before_its_fan_out_does(phase: ReleasePhase) -> None:
    """Circuits that were not handed their work yet count as pending."""
    with pytest.raises(IllegalTransition, match="fanned out"):
        decide_release(release(phase, fanout_cursor="c|A|1"), round_ended(ROUND_OF[phase]))


@pytest.mark.parametrize("phase", list(ROUND_OF))
def test_an_event_of_another_generation_is_dropped(phase: ReleasePhase) -> None:
    """What a retry has left behind can't end the new round."""
    with pytest.raises(IllegalTransition):
        decide_release(release(phase, gen=2), round_ended(ROUND_OF[phase]))


def test_a_dead_page_that_was_handed_out_after_all_fails_nothing() -> None:
    """A copy of its message died; the cursor is beyond it."""
    with pytest.raises(IllegalTransition):
        decide_release(release(P.TESTING), e.FanOutDied(at=AT, gen=1, round=Round.TEST, cursor="c|A|1"))


@pytest.mark.parametrize("phase", sorted(WAYS_BACK))
def test_a_way_back_whose_fan_out_dies_stays_and_people_are_told_once(phase: ReleasePhase) -> None:
    """D11: half new, half old is no end; what stalls again after that is told by health alone, until it goes on."""
    died = e.FanOutDied(at=AT, gen=1, round=ROUND_OF[phase], cursor="c|A|1", why="given up")
    first = decide_release(release(phase, fanout_cursor="c|A|1"), died)
    assert (first.row.phase, first.row.reason, first.row.ended_at) == (phase, "given up", None)
    assert first.commands == (Tell(moment=Moment.WAY_BACK_STALLED),)
    with pytest.raises(IllegalTransition):
        decide_release(first.row, died)

    on = decide_release(first.row, e.FanOutAdvanced(at=AT, gen=1, round=ROUND_OF[phase], cursor="c|B|1"))
    assert on.row.reason == ""
    again = decide_release(on.row, replace(died, cursor="c|B|1"))
    assert (again.row.reason, again.commands) == ("given up", ())


DIED = {
    P.INSPECTING: P.FAILED,
    P.PROMOTING: P.FAILED,
    P.TESTING: P.FAILED,
    P.STAGING_PRODUCTION: P.FAILED,
    P.ACTIVATING: P.REVERTING,
    P.CHECKING: P.FAILED,
}
"""Where handing out work may be given up -> where that round's end leads. Where production is put back it may not."""


@pytest.mark.parametrize("phase", sorted(set(ROUND_OF) - WAYS_BACK))
def test_a_fan_out_that_died_ends_its_round_red_once_everybody_at_work_has_ended(phase: ReleasePhase) -> None:
    """The release stays where it is, and has its reason; all circuits that were handed work may have done it well."""
    row, event = release(phase, fanout_cursor="c|A|1"), fan_out_died(phase)
    decision = decide_release(row, event)
    assert (decision.row.phase, decision.row.fanout_cursor, decision.commands) == (phase, FANOUT_END, ())
    assert decision.row.due_at == AT + timedelta(seconds=90)
    assert decision.row.hist[-1].why == decision.row.died == "died three times over"
    with pytest.raises(IllegalTransition):
        decide_release(decision.row, event)
    asked = replace(decision.row, cancel_requested_by="ops")
    assert decide_release(asked, round_ended(ROUND_OF[phase])).row.phase is DIED[phase]


@pytest.mark.parametrize(("phase", "leads_to"), [*DIED.items(), (P.REVERTING, P.FAILED), (P.ROLLING_BACK, P.FAILED)])
def test_a_round_that_can_not_be_ended_for_a_day_goes_red(phase: ReleasePhase, leads_to: ReleasePhase) -> None:
    """I8: the tries are counted in the row; where the next one begins they are forgotten."""
    stuck = e.RoundStuck(at=AT, round=ROUND_OF[phase], gen=1, why="the store refuses it")
    row = release(phase)
    for tries in range(1, MOST_STUCK + 1):
        row = decide_release(row, stuck).row
        assert (row.phase, row.stuck) == (phase, tries)
    ended = decide_release(row, stuck).row
    assert (ended.phase, ended.stuck) == (leads_to, 0)
    assert "the store refuses it" in ended.hist[-1].why


@pytest.mark.parametrize("columns", [{"gen": 2}, {"phase": P.PROMOTING}, {"fanout_cursor": "c|A|2"}])
def test_a_fan_out_of_the_past_that_died_means_nothing(columns: dict[str, object]) -> None:
    """Its generation, its round or its page is over."""
    with pytest.raises(IllegalTransition):
        decide_release(replace(release(P.TESTING, fanout_cursor="c|A|1"), **columns), fan_out_died(P.TESTING))  # type: ignore[arg-type]  # columns


def test_a_retry_forgets_what_died_in_the_try_before() -> None:
    """Or its rounds could never end well."""
    again = decide_release(release(P.FAILED, died="three times over"), e.RetryRequested(at=AT, by="ops", why="fixed"))
    assert again.row.died == ""


def fan_out_died(phase: ReleasePhase) -> e.FanOutDied:
    return e.FanOutDied(at=AT, gen=1, round=ROUND_OF[phase], cursor="c|A|1", why="died three times over")


@pytest.mark.parametrize("phase", list(GATE_OF))
def test_reaching_a_gate_opens_it_and_tells_people(phase: ReleasePhase) -> None:
    """Gate and notices are commands of the transition, written with it."""
    before = next(p for (p, o), target in ROUND_EDGES.items() if target is phase and o is RoundOutcome.GREEN)
    decision = decide_release(release(before), round_ended(ROUND_OF[before]))
    assert decision.commands == (OpenGate(gate=GATE_OF[phase]), Tell(moment=Moment.GATE_OPENED))


def test_approval_fans_out_the_next_round_from_its_start() -> None:
    """The cursor of the round before must not carry over."""
    decision = decide_release(release(GATE_1), e.GateApproved(at=AT, gate=GateName.REGISTRY))
    assert decision.row.fanout_cursor == ""
    fan_out = FanOut(release_id="20251210.1", gen=1, round=Round.PROMOTION, cursor="")
    assert decision.commands == (Tell(moment=Moment.GATE_DECIDED, gate=GateName.REGISTRY), fan_out)


@pytest.mark.parametrize("phase", list(GATE_OF))
def test_a_rejection_is_told_once_as_the_decision_it_is(phase: ReleasePhase) -> None:
    """The end has no message of its own beside it."""
    decision = decide_release(release(phase), e.GateRejected(at=AT, gate=GATE_OF[phase], why="no"))
    assert decision.row.phase is P.REJECTED
    assert decision.commands == (Tell(moment=Moment.GATE_DECIDED, gate=GATE_OF[phase]),)


def test_cancelling_at_a_gate_voids_it() -> None:
    """Nobody needs to answer any more."""
    decision = decide_release(release(GATE_2), e.CancelRequested(at=AT, by="ops", why="wrong build"))
    assert VoidGate(gate=GateName.PRODUCTION) in decision.commands


def test_a_running_round_ends_before_a_cancellation_does() -> None:
    """The request is written down; the round's end carries it out."""
    asked = decide_release(release(P.TESTING), e.CancelRequested(at=AT, by="ops", why="wrong build")).row
    assert asked.phase is P.TESTING
    assert decide_release(asked, round_ended(Round.TEST)).row.phase is P.CANCELLED


def test_a_release_that_failed_by_itself_says_failed_though_cancelled() -> None:
    """Red before cancelled: the report names what broke."""
    asked = release(P.TESTING, cancel_requested_by="ops")
    assert decide_release(asked, round_ended(Round.TEST, bad=True)).row.phase is P.FAILED


@pytest.mark.parametrize("edge", list(ROUND_EDGES), ids=str)
def test_what_was_switched_is_noted_in_the_ledger_before_the_release_is_over(
    edge: tuple[ReleasePhase, RoundOutcome],
) -> None:
    """Every end after ledger rows were written asks for the notes and is overdue until they are there; no other does."""
    phase, outcome = edge
    row, event = ended_as(phase, outcome)
    decision = decide_release(row, event)
    notes = phase in SWITCHING and decision.row.is_terminal
    assert [c.cursor for c in decision.commands if isinstance(c, NoteLedger)] == ([""] if notes else [])
    if decision.row.is_terminal:
        assert (decision.row.due_at is not None) == notes
        assert (decision.row.noted_cursor == FANOUT_END) != notes


def test_notes_advance_page_by_page_and_never_back() -> None:
    """A page delivered twice is noted once; the last one ends it; an overdue one is sent again under a new id."""
    ended = decide_release(release(P.ACTIVATING), round_ended(Round.ACTIVATION)).row
    page = decide_release(ended, e.LedgerNoted(at=AT, gen=1, cursor="c|A|1"))
    assert page.commands == (NoteLedger(release_id="20251210.1", gen=1, cursor="c|A|1"),)
    with pytest.raises(IllegalTransition):
        decide_release(page.row, e.LedgerNoted(at=AT, gen=1, cursor="c|A|1"))
    with pytest.raises(IllegalTransition):
        decide_release(page.row, e.LedgerNoted(at=AT, gen=2, cursor=FANOUT_END))
    (again,) = redrive_release(page.row, AT).commands
    assert again == NoteLedger(release_id="20251210.1", gen=1, cursor="c|A|1", redrive=1)
    last = decide_release(page.row, e.LedgerNoted(at=AT, gen=1, cursor=FANOUT_END))
    assert (last.row.noted_cursor, last.row.due_at, last.commands) == (FANOUT_END, None, ())


@pytest.mark.parametrize(("failed_in", "resumes_at"), RESUME_AT.items())
def test_a_retry_resumes_where_the_release_failed(failed_in: ReleasePhase, resumes_at: ReleasePhase) -> None:
    """After gate 2 that gate is asked again."""
    row = release(failed_in)
    if failed_in in GATE_OF:
        ended = decide_release(row, e.GateExpired(at=AT, gate=GATE_OF[failed_in])).row
    elif failed_in is P.ACTIVATING:
        reverting = decide_release(row, round_ended(Round.ACTIVATION, bad=True)).row
        ended = decide_release(replace(reverting, fanout_cursor=FANOUT_END), round_ended(Round.REVERSION)).row
    else:
        ended = decide_release(row, round_ended(ROUND_OF[failed_in], bad=True)).row
    again = decide_release(ended, e.RetryRequested(at=AT, by="ops", why="fixed")).row
    assert (again.phase, again.gen, again.ended_at) == (resumes_at, 2, None)


def test_the_fan_out_cursor_only_moves_forward() -> None:
    """A repeated page must not send the release back to circuits it has passed."""
    row = release(P.PROMOTING, fanout_cursor="c|B|1")
    with pytest.raises(IllegalTransition):
        decide_release(row, e.FanOutAdvanced(at=AT, round=Round.PROMOTION, gen=1, cursor="c|A|9"))
    further = decide_release(row, e.FanOutAdvanced(at=AT, round=Round.PROMOTION, gen=1, cursor="c|C|1"))
    assert further.row.fanout_cursor == "c|C|1"
    assert further.row.due_at == AT + timedelta(seconds=90)
