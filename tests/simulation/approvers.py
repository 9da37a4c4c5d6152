"""People who are asked at the gates: they look, read, and answer in time, late or never."""

from typing import TYPE_CHECKING

from shared.application.gates import Answer, Gates, Verdict
from shared.application.ports import GateClaim, Letter
from shared.domain.model import (
    CircuitRun,
    GateName,
    Moment,
)
from tests.simulation.engine import Violation

if TYPE_CHECKING:
    from tests.simulation.universe import Universe

APPROVERS = ("ann@example.com", "bob@example.com")


class Approvers:
    """People who are asked at the gates: they look, read, and answer in time, late or never."""

    def __init__(self, universe: "Universe") -> None:
        self.universe, self.engine = universe, universe.engine
        self.scripts: dict[tuple[str, str], str] = {}

    def mail_arrived(self, letter: Letter) -> None:
        notice = letter.notice
        if notice.moment is Moment.DRIFT_FOUND:
            self.universe.outside.told(letter)
        if notice.moment is Moment.RELEASE_FAILED:
            self.universe.operators.told(letter)
        if letter.link is None or notice.moment is not Moment.GATE_OPENED:
            return
        claim = self.universe.ports.tokens.read(letter.link.url.rpartition("/")[2])
        assert claim is not None
        if notice.recipient != APPROVERS[0] and self.universe.policy.min_approvers == 1 and not self.engine.chance(0.1):
            return
        self._meddle_sometimes(claim)
        self._will_answer(claim, letter.link.code)

    def _meddle_sometimes(self, claim: GateClaim) -> None:
        """Somebody changes what is being asked about: before the answer, or just after it."""
        runs = self.universe.releases._of(CircuitRun, claim.release_id)
        self.universe.meddlers.meddle_sometimes(claim.gate, [stored.row for stored in runs])
        if not self.engine.chance(self.universe.meddling):
            return
        circuit = self.engine.random.choice(runs).row.circuit
        meddle = self.universe.builds.retag if claim.gate is GateName.REGISTRY else self.universe.builds.retag_promoted
        self.engine.after(self.engine.seconds(1, 300), lambda: meddle(circuit))

    def _will_answer(self, claim: GateClaim, code: str) -> None:
        """What this person will do about this gate; decided once per opening, whoever asks."""
        script = self.scripts.setdefault(
            (f"{claim.release_id} {claim.gate} {claim.nonce}", claim.recipient), self.universe.script()
        )
        wait = self.universe.waits(script, claim)
        if wait is not None:
            self.engine.after(wait, lambda: self._look(claim, code, script))

    def _look(self, claim: GateClaim, code: str, script: str) -> None:
        """Open the page, read, then post what was decided on the evidence that was shown."""

        def look() -> None:
            view = Gates(self.universe.ports).view(claim)
            if self.engine.current is not None and self.engine.current.effects:
                raise Violation("I9: looking at a gate wrote something")
            self.universe.watch.gates.shown(view)
            digest = view.gate.digest if view.gate else ""
            wait = self.engine.seconds(600, 7_200) if script == "slow reader" else self.engine.seconds(1, 60)
            self.engine.after(wait, lambda: self._post(claim, code, script, digest))

        self.universe.host.do(f"{claim.recipient} looks at {claim.gate} of {claim.release_id}", look, tries=5)

    def _post(self, claim: GateClaim, code: str, script: str, digest: str) -> None:
        exclude = {}
        if script == "exclude":
            runs = self.universe.releases._of(CircuitRun, claim.release_id)
            exclude = {str(runs[0].row.circuit): "left out by script"} if len(runs) > 1 else {}
        answer = Answer(
            decision="reject" if script == "reject" else "approve",
            comment="no" if script == "reject" else "",
            digest=digest,
            code="wrong" if script == "wrong code" else code,
            exclude=exclude,
        )

        def post() -> None:
            outcome = Gates(self.universe.ports).decide(
                claim, answer, by=claim.recipient, how=f"by the link sent to {claim.recipient}", needs_code=True
            )
            self.engine.note(f"{claim.gate} of {claim.release_id}: {outcome.verdict} {outcome.message}")
            nonce = outcome.view.gate.nonce if outcome.view.gate else ""
            self.universe.watch.decisions.answered(claim, answer, outcome.verdict, nonce=nonce, right_code=code)
            counted = outcome.verdict in {Verdict.APPROVED, Verdict.COUNTED}
            if counted and outcome.view.gate and outcome.view.gate.digest != digest:
                raise Violation(
                    f"known failure 10: {claim.gate} of {claim.release_id} took an answer on other evidence"
                )
            if outcome.verdict in {Verdict.WRONG_CODE, Verdict.CHANGED}:
                self.engine.after(self.engine.seconds(5, 60), lambda: self._look(claim, code, "approve"))

        self.universe.host.do(f"{claim.recipient} answers {claim.gate} of {claim.release_id} ({script})", post, tries=5)
