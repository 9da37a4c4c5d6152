"""Gates: what an approver sees, and what becomes of an answer. Looking changes nothing, ever."""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum

from shared.application import gate_freshness, notices, quorum_notices
from shared.application.codes import MOST_WRONG_CODES
from shared.application.dispatcher import Dispatcher
from shared.application.evidence import changes_between
from shared.application.ports import GateClaim, Ports, Update, Versioned
from shared.application.settle import settle
from shared.application.votes import (
    APPROVE,
    REJECT,
    approvers,
    asked_for_it,
    has_said,
    left_out,
    said_already,
    told,
    vote_of,
    voted,
)
from shared.domain.events import GateApproved, GateExpired, GateRejected
from shared.domain.model import CircuitRun, Gate, GateDecision, GateState, HistoryEntry, Release
from shared.domain.process import GATE_OF, decide_gate, decide_release
from shared.domain.requester import approvals_needed
from shared.domain.words import duration
from shared.telemetry import log

LONGEST_COMMENT = 300
"""So that it stands whole in the history, beside person, digest and how."""
LONGEST_REASON = 300
BUNDLE_TRIED_FOR = timedelta(days=1)
"""After its deadline a gate expires without the release's bundle, if that can't be written."""


class Standing(StrEnum):
    """What a link is worth at this moment."""

    OPEN = "open"
    UNKNOWN = "unknown"
    DECIDED = "decided"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    LINK_VOID = "link_void"


class Verdict(StrEnum):
    """What became of an answer."""

    APPROVED = "approved"
    REJECTED = "rejected"
    COUNTED = "counted"
    """A vote: more approvers are needed."""
    NOT_OPEN = "not_open"
    IS_REQUESTER = "is_requester"
    MISTRUSTED = "mistrusted"
    """The answer did not come from our own page."""
    WRONG_CODE = "wrong_code"
    LINK_VOID = "link_void"
    ALREADY_VOTED = "already_voted"
    INCOMPLETE = "incomplete"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class GateView:
    """What a link leads to."""

    standing: Standing
    release: Release | None = None
    gate: Gate | None = None
    document: bytes = b""
    """The frozen evidence, canonical JSON."""
    outdated: tuple[str, ...] = ()
    """What has changed since it was frozen, in sentences: until it is made anew, no answer is taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A person's answer, as it came in."""

    decision: str
    comment: str
    digest: str
    code: str
    exclude: Mapping[str, str] = field(default_factory=dict)
    """`PLANT/CIRCUIT` -> reason: approve all but these."""
    mistrust: str = ""
    """Why the edge doubts that this came from our own page (origin, CSRF token); empty: it does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    verdict: Verdict
    view: GateView
    message: str = ""
    changes: tuple[str, ...] = ()
    is_repeated: bool = False
    """The same person has given the same answer before, and it stands."""


@dataclass(frozen=True, slots=True)
class Gates:
    ports: Ports

    def view(self, claim: GateClaim) -> GateView:
        """What this link shows. No side effect."""
        return self._view(self.ports.releases.release_and_gate(claim.release_id, claim.gate), claim)

    def barred(self, view: GateView, by: str) -> str:
        """Why this person can't decide here although others can; empty: they can. Said before they fill in a form."""
        if view.standing is not Standing.OPEN or view.release is None or view.gate is None:
            return ""
        mine = vote_of(by, view.gate)
        return asked_for_it(view.release, by) or (voted(mine) if mine else "")

    def _view(self, found: tuple[Versioned[Release], Versioned[Gate] | None] | None, claim: GateClaim) -> GateView:
        if found is None or found[1] is None:
            return GateView(standing=Standing.UNKNOWN)
        release, gate = found[0].row, found[1].row
        document = self.ports.evidence.get(gate.evidence_blob) or b""
        view = GateView(standing=self._standing(gate, claim), release=release, gate=gate, document=document)
        if view.standing is not Standing.OPEN:
            return view
        return replace(view, outdated=gate_freshness.told(gate_freshness.outdated(document, self.ports)))

    def _standing(self, gate: Gate, claim: GateClaim) -> Standing:
        if gate.nonce != claim.nonce:
            return Standing.SUPERSEDED
        match gate.state:
            case GateState.APPROVED | GateState.REJECTED:
                return Standing.DECIDED
            case GateState.VOID:
                return Standing.SUPERSEDED
            case GateState.EXPIRED:
                return Standing.EXPIRED
            case GateState.OPEN if self.ports.clock.now() >= gate.expires_at:
                return Standing.EXPIRED
            case _ if gate.wrong_codes.get(claim.recipient, 0) >= MOST_WRONG_CODES:
                return Standing.LINK_VOID
            case _:
                return Standing.OPEN

    def decide(self, claim: GateClaim, answer: Answer, *, by: str, how: str, needs_code: bool) -> Outcome:
        """Check an answer in order, then write it once.

        The caller has checked the link's signature and age, and who answers. Then: nonce, deadline and state of the gate
        (the deadline of another opening says nothing about this link), not the requester, one vote each, origin and
        CSRF, code, the answer itself, digest, what changed since. The code comes after the CSRF token so that a program
        that follows links and submits forms can't use up a person's tries.
        """
        return settle(self.ports.clock, lambda: self._decide(claim, answer, by=by, how=how, needs_code=needs_code))

    def _decide(self, claim: GateClaim, answer: Answer, *, by: str, how: str, needs_code: bool) -> Outcome:
        found = self.ports.releases.release_and_gate(claim.release_id, claim.gate)
        view = self._view(found, claim)
        if found is None or found[1] is None:
            return Outcome(verdict=Verdict.NOT_OPEN, view=view)
        release, gate = found[0], found[1]
        if view.standing is Standing.EXPIRED and gate.row.state is GateState.OPEN:
            self.expire(claim.release_id, gate)
            return Outcome(verdict=Verdict.NOT_OPEN, view=view)
        refusal = self._not_open(answer, view, gate.row, by) or self._not_you(answer, release.row, gate.row, by, view)
        if refusal:
            return refusal
        if needs_code and not answer.code.strip():
            message = "Enter the code: the six digits that stand in your mail."
            return Outcome(verdict=Verdict.INCOMPLETE, view=view, message=message)
        if needs_code and not hmac.compare_digest(answer.code.strip().encode(), self.ports.tokens.code(claim).encode()):
            return self._count_wrong_code(claim, release.row, gate, view)
        if problem := self._problem(answer, release.row, gate.row):
            return Outcome(verdict=Verdict.INCOMPLETE, view=view, message=problem)
        if answer.digest != gate.row.digest:
            return Outcome(verdict=Verdict.CHANGED, view=view, changes=self._changes(answer.digest, view))
        if view.outdated:
            gate_freshness.look_at_outdated(gate.row, self.ports)
            return Outcome(verdict=Verdict.CHANGED, view=view, changes=view.outdated)
        return self._record(release, gate, answer, by=by, how=how, view=view)

    def _not_open(self, answer: Answer, view: GateView, gate: Gate, by: str) -> Outcome | None:
        match view.standing:
            case Standing.OPEN:
                return None
            case Standing.LINK_VOID:
                return Outcome(verdict=Verdict.LINK_VOID, view=view)
            case _:
                is_repeated = view.standing is Standing.DECIDED and has_said(gate.decisions, by, answer.decision)
                message = said_already(gate)
                return Outcome(verdict=Verdict.NOT_OPEN, view=view, message=message, is_repeated=is_repeated)

    def _not_you(self, answer: Answer, release: Release, gate: Gate, by: str, view: GateView) -> Outcome | None:
        if said := asked_for_it(release, by):
            return Outcome(verdict=Verdict.IS_REQUESTER, view=view, message=said)
        if mine := vote_of(by, gate):
            is_repeated = answer.decision == mine.decision
            return Outcome(verdict=Verdict.ALREADY_VOTED, view=view, message=voted(mine), is_repeated=is_repeated)
        if answer.mistrust:
            return Outcome(verdict=Verdict.MISTRUSTED, view=view, message=answer.mistrust)
        return None

    def _count_wrong_code(self, claim: GateClaim, release: Release, gate: Versioned[Gate], view: GateView) -> Outcome:
        tries = gate.row.wrong_codes.get(claim.recipient, 0) + 1
        row = replace(gate.row, wrong_codes={**gate.row.wrong_codes, claim.recipient: tries})
        tell = quorum_notices.at_void_link(release, gate.row, row, self.ports)
        notices.write_and_send(tell, self.ports, Update(row=row, etag=gate.etag))
        log.warning(
            "wrong code at a gate",
            action="gate_wrong_code",
            release_id=claim.release_id,
            gate=claim.gate,
            approver=claim.recipient,
            tries=tries,
        )
        left = MOST_WRONG_CODES - tries
        if left <= 0:
            return Outcome(verdict=Verdict.LINK_VOID, view=replace(view, standing=Standing.LINK_VOID, gate=row))
        return Outcome(
            verdict=Verdict.WRONG_CODE,
            view=replace(view, gate=row),
            message="1 try left" if left == 1 else f"{left} tries left",
        )

    def _problem(self, answer: Answer, release: Release, gate: Gate) -> str:
        if answer.decision not in {APPROVE, REJECT}:
            return "Choose approve or reject."
        if answer.decision == REJECT and not answer.comment.strip():
            return "A rejection needs a comment: say why, for those who read the history."
        if len(answer.comment) > LONGEST_COMMENT:
            return f"The comment has {len(answer.comment)} characters, {LONGEST_COMMENT} are kept: shorten it."
        return self._exclusion_problem(answer, release, gate)

    def _exclusion_problem(self, answer: Answer, release: Release, gate: Gate) -> str:
        without = {**left_out(gate), **answer.exclude}
        if not without or answer.decision == REJECT:
            return ""
        names = {str(run.circuit) for run in self._going(release)}
        if unknown := sorted(set(answer.exclude) - names):
            return f"{', '.join(unknown)}: no such circuit goes through {gate.gate} in {release.release_id}."
        if missing := sorted(name for name, why in answer.exclude.items() if not why.strip()):
            return f"{', '.join(missing)}: leaving a circuit out needs a reason."
        if long := sorted(name for name, why in answer.exclude.items() if len(why) > LONGEST_REASON):
            return f"{', '.join(long)}: the reason is longer than {LONGEST_REASON} characters: shorten it."
        return "This would leave out every circuit: reject the gate instead." if names <= set(without) else ""

    def _going(self, release: Release) -> list[CircuitRun]:
        runs = [stored.row for stored in self.ports.releases.runs(release.release_id)]
        return [run for run in runs if str(run.circuit) not in release.exclusions]

    def _changes(self, seen_digest: str, view: GateView) -> tuple[str, ...]:
        assert view.gate is not None
        known = seen_digest in view.gate.earlier_digests
        path = view.gate.evidence_blob.replace(view.gate.digest, seen_digest)
        earlier = self.ports.evidence.get(path) if known else None
        return changes_between(earlier, view.document) if earlier else ()

    def _record(  # noqa: PLR0913  # what it writes down
        self,
        release: Versioned[Release],
        gate: Versioned[Gate],
        answer: Answer,
        *,
        by: str,
        how: str,
        view: GateView,
    ) -> Outcome:
        now = self.ports.clock.now()
        if now >= gate.row.expires_at:  # it came in time, and time went on while it was looked at
            self.expire(release.row.release_id, gate)
            return Outcome(verdict=Verdict.NOT_OPEN, view=replace(view, standing=Standing.EXPIRED))
        vote = GateDecision(
            at=now,
            decision=answer.decision,
            by=by,
            how=how,
            comment=answer.comment.strip(),
            digest=answer.digest,
            exclude=answer.exclude,
        )
        row = replace(gate.row, decisions=(*gate.row.decisions, vote))
        why = told(vote)
        votes, needed = len(approvers(row)), approvals_needed(release.row)
        if answer.decision == APPROVE and votes < needed:
            entry = HistoryEntry(at=now, source=row.state, target=row.state, why=why, by=by)
            row = replace(row, hist=(*row.hist, entry))
            self.ports.releases.commit(Update(row=row, etag=gate.etag))
            message = f"{votes} of {needed} approvals"
            return Outcome(verdict=Verdict.COUNTED, view=replace(view, gate=row), message=message)
        event: GateApproved | GateRejected = GateRejected(at=now, by=by, why=why, gate=row.gate)
        verdict = Verdict.REJECTED
        if answer.decision == APPROVE:
            event = GateApproved(at=now, by=by, why=why, gate=row.gate, exclusions=left_out(row))
            verdict = Verdict.APPROVED
        decision, ended = decide_release(release.row, event), decide_gate(row, event)
        Dispatcher(self.ports).commit_release(release, decision, Update(row=ended, etag=gate.etag))
        return Outcome(verdict=verdict, view=replace(view, standing=Standing.DECIDED, release=decision.row, gate=ended))

    def expire(self, release_id: str, gate: Versioned[Gate]) -> None:
        """Nobody has answered in time: gate and release end in one transaction."""
        release = self.ports.releases.release(release_id)
        if release is None or GATE_OF.get(release.row.phase) is not gate.row.gate:
            return
        seconds = release.row.policy.gate_limit.total_seconds()
        limit = duration(seconds) if seconds % 3600 else f"{seconds / 3600:g} h"
        why = f"{gate.row.gate} was not answered within {limit}; an operator can re-open it by retrying the release"
        event = GateExpired(at=self.ports.clock.now(), why=why, gate=gate.row.gate)
        decision, ended = decide_release(release.row, event), decide_gate(gate.row, event)
        bundled = event.at < gate.row.expires_at + BUNDLE_TRIED_FOR
        Dispatcher(self.ports).commit_release(release, decision, Update(row=ended, etag=gate.etag), bundled=bundled)
