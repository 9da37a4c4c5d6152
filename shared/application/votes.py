"""Use cases: what the votes at a gate say, and whose they may be. Pure."""

from collections.abc import Mapping, Sequence

from shared.domain.model import Gate, GateDecision, GateState, Release
from shared.domain.naming import timestamp
from shared.domain.people import person_key, same_person
from shared.domain.requester import approvals_needed, is_requester
from shared.domain.words import moment

APPROVE, REJECT = "approve", "reject"


def asked_for_it(release: Release, by: str) -> str:
    """Why the requester may not decide; empty: it is somebody else, or they may."""
    if release.policy.requester_may_approve or not is_requester(by, release):
        return ""
    return f"{by} asked for this release, so somebody else must decide (REQUESTER_MAY_APPROVE is off)."


def vote_of(by: str, gate: Gate) -> GateDecision | None:
    return next((vote for vote in gate.counting if same_person(vote.by, by)), None)


def lost_vote(by: str, gate: Gate) -> GateDecision | None:
    """Their last vote in this opening, if none of theirs counts any more: the evidence has changed since."""
    mine = [vote for vote in gate.decisions if vote.at >= gate.opened_at and same_person(vote.by, by)]
    return mine[-1] if mine and not vote_of(by, gate) else None


def voted(mine: GateDecision) -> str:
    return f"You have already approved this gate, {moment(mine.at)}. Somebody else can reject it."


def told(vote: GateDecision) -> str:
    """As the history keeps it, which has room for 500 characters: the person is named once."""
    whose = vote.how if vote.by in vote.how else f"by {vote.by} ({vote.how})"
    said = f"{vote.decision} {whose} on evidence {vote.digest}"
    return f"{said}: {vote.comment}" if vote.comment else said


def approvers(gate: Gate) -> frozenset[str]:
    """Different people whose approvals count."""
    return frozenset(person_key(vote.by) for vote in gate.counting if vote.decision == APPROVE)


def too_few(gate: Gate, release: Release) -> str:
    """What was missing at the deadline: `nobody decided`, `only 1 of 2 approvals came`."""
    if given := len(approvers(gate)):
        return f"only {given} of {approvals_needed(release)} approvals came"
    said = any(vote.at >= gate.opened_at for vote in gate.decisions)
    return "no approval that still counts came" if said else "nobody decided"


def has_said(votes: Sequence[GateDecision], by: str, decision: str) -> bool:
    return any(same_person(vote.by, by) and vote.decision == decision for vote in votes)


def said_already(gate: Gate) -> str:
    """Who has decided and when; empty: nobody has."""
    if gate.state not in {GateState.APPROVED, GateState.REJECTED} or not gate.decisions:
        return ""
    last = gate.decisions[-1]
    return f"Already {gate.state} by {last.by} at {timestamp(last.at)}."


def not_recorded(decision: str) -> str:
    """To somebody whose answer came too late, or who has said something else before."""
    answer = {APPROVE: "approval", REJECT: "rejection"}.get(decision, "answer")
    return f"Your {answer} was not recorded."


def came_to(gate: Gate, decision: str, exclude: Mapping[str, str]) -> bool:
    """Is what the gate was closed with what this answer asked for, whoever was first?"""
    same = {APPROVE: GateState.APPROVED, REJECT: GateState.REJECTED}.get(decision) is gate.state
    return same and exclude.items() <= left_out(gate).items()


def left_out(gate: Gate) -> Mapping[str, str]:
    """What the approvals that count leave out, all together."""
    votes = (vote for vote in gate.counting if vote.decision == APPROVE)
    return {name: why for vote in votes for name, why in vote.exclude.items()}
