"""I1, R58: a gate lets through what people have approved, in this opening, and nothing that they left out."""

from collections import defaultdict

from shared.application.gates import Answer, Verdict
from shared.application.ports import GateClaim
from shared.domain.model import (
    CircuitRun,
    Gate,
    GateName,
    GateState,
    Release,
    ReleasePhase,
    Round,
)
from shared.domain.rows import RELEASE_KEY, gate_key
from tests.simulation.invariants.seen import Check, Seen

APPROVE = "approve"
COUNTED = frozenset({Verdict.APPROVED, Verdict.COUNTED, Verdict.REJECTED})
OPENED_BY = {
    ReleasePhase.PROMOTING: GateName.REGISTRY,
    ReleasePhase.STAGING_PRODUCTION: GateName.PRODUCTION,
    ReleasePhase.ACTIVATING: GateName.PRODUCTION,
}
"""Which gate leads there; not what the tables say, which are looked at as well."""


class Decisions(Check):
    """I1, R58: a gate lets through what people have approved, in this opening, and nothing that they left out."""

    def __init__(self, seen: Seen) -> None:
        super().__init__(seen)
        self.left_out: dict[str, set[str]] = defaultdict(set)
        """Release -> circuits that an approval has left out."""

    def answered(self, claim: GateClaim, answer: Answer, verdict: Verdict, *, nonce: str, right_code: str) -> None:
        """An answer was given by a link; `nonce` is the gate's when it was."""
        who = f"{claim.gate} of {claim.release_id}: an answer by {claim.recipient}"
        if verdict not in COUNTED:
            return
        if answer.code != right_code:
            self.fail("I1", f"{who} with a wrong code counted as {verdict}")
        if claim.nonce != nonce:
            self.fail("I1", f"{who} by a link of an earlier opening counted as {verdict}")

    def moved_gate(self, old: Gate, new: Gate) -> None:
        """It was answered: by as many as have to, who all said the same."""
        if old.state is new.state or new.state is not GateState.APPROVED:
            return
        who = f"{new.release_id} {new.gate}"
        said = {vote.by: vote for vote in new.decisions if vote.at >= new.opened_at}
        against = [by for by, vote in said.items() if vote.decision != APPROVE]
        if against:
            self.fail("I1", f"{who} was approved, and {', '.join(against)} said no")
        agreed = [by for by, vote in said.items() if vote.digest == new.digest]
        policy = self.seen.releases.rows[new.release_id][RELEASE_KEY].row.policy
        if len(agreed) < policy.min_approvers:
            self.fail("I1", f"{who} was approved by {len(agreed)} of {policy.min_approvers}")
        self.left_out[new.release_id] |= {name for by in agreed for name in said[by].exclude}

    def moved_release(self, old: Release, new: Release) -> None:
        """What comes behind a gate begins when it was approved; behind the second one, in this try."""
        gate = OPENED_BY.get(new.phase)
        if gate is None or (old.phase, old.gen) == (new.phase, new.gen):
            return
        stored = self.seen.releases.rows[new.release_id].get(gate_key(gate))
        row = stored.row if stored else None
        if row is None or row.state is not GateState.APPROVED:
            self.fail("I1", f"{new.release_id} is {new.phase}, and {gate} is {row.state if row else 'not there'}")
        if gate is GateName.PRODUCTION and row.gen != new.gen:
            self.fail(
                "I1", f"{new.release_id} is {new.phase} in try {new.gen}, and {gate} was approved in try {row.gen}"
            )

    def moved_run(self, new: CircuitRun) -> None:
        """Whoever was left out goes no further."""
        if new.todo is not Round.NONE and str(new.circuit) in self.left_out[new.release_id]:
            self.fail("R58", f"{new.release_id} {new.circuit} is {new.phase}, and an approver has left it out")
