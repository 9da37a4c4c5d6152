"""Unit: every verdict a gate gives, and that nothing but a valid answer moves anything."""

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.adapters.table_store.codec import LONGEST
from shared.application.gates import LONGEST_COMMENT, Gates, Standing, Verdict
from shared.application.votes import APPROVE, told
from shared.domain.model import CircuitPhase, GateDecision, GateName, GateState, ReleasePhase
from shared.domain.policy import Policy
from tests.support.builders import CIRCUIT, NOW, OTHER_CIRCUIT
from tests.support.pipeline_world import ALL_CIRCUITS, APPROVERS, PipelineWorld

ANN, BOB = APPROVERS
REGISTRY, PRODUCTION = GateName.REGISTRY, GateName.PRODUCTION
DAY = timedelta(hours=24)


def at_gate_1(world: PipelineWorld) -> PipelineWorld:
    world.start()
    world.to_phase(ReleasePhase.AWAITING_REGISTRY_APPROVAL)
    world.run()
    return world


@pytest.fixture
def asked(world: PipelineWorld) -> PipelineWorld:
    """Gate 1 is open and its mails are out."""
    return at_gate_1(world)


def snapshot(world: PipelineWorld) -> tuple[object, ...]:
    """Everything an answer could have changed."""
    return dict(world.releases.rows["20251210.1"]), dict(world.evidence.blobs), list(world.bus.sent)


# ---------------------------------------------------------------------------------------------- verdicts


def test_an_approval_moves_the_release_on(asked: PipelineWorld) -> None:
    """R7: gate and release in one transaction, who and how in the history."""
    outcome = asked.answer(REGISTRY)

    assert outcome.verdict is Verdict.APPROVED
    assert asked.phase() is ReleasePhase.PROMOTING
    gate = asked.gate(REGISTRY)
    assert gate.state is GateState.APPROVED
    assert [(vote.by, vote.decision, vote.digest) for vote in gate.decisions] == [(ANN, "approve", gate.digest)]
    assert f"approve by the link sent to {ANN}" in asked.release().hist[-1].why


def test_an_answer_that_was_looked_at_beyond_the_deadline_is_too_late(asked: PipelineWorld) -> None:
    """I1: a process that stands still between its check of the time and its write approves nothing."""
    deadline = asked.gate(REGISTRY).expires_at
    asked.clock.set(deadline - timedelta(seconds=1))

    def stand_still(request: str) -> None:
        if request == "runs":
            asked.clock.set(deadline)

    asked.releases.on_request = stand_still
    outcome = asked.answer(REGISTRY, exclude={str(CIRCUIT): "noisy"})

    assert outcome.verdict is Verdict.NOT_OPEN
    assert asked.phase() is ReleasePhase.EXPIRED
    assert asked.gate(REGISTRY).decisions == ()


def test_a_rejection_ends_the_release(asked: PipelineWorld) -> None:
    """Nothing is written to the Registry."""
    outcome = asked.answer(REGISTRY, "reject", comment="Metrics are worse.")
    asked.run()

    assert outcome.verdict is Verdict.REJECTED
    assert asked.phase() is ReleasePhase.REJECTED
    assert "Metrics are worse." in asked.release().reason
    assert asked.models.registry_writes() == []


def test_a_rejection_without_a_comment_is_incomplete(asked: PipelineWorld) -> None:
    """Those who read the history want to know why."""
    before = snapshot(asked)

    outcome = asked.answer(REGISTRY, "reject", comment="  ")

    assert outcome.verdict is Verdict.INCOMPLETE
    assert snapshot(asked) == before


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"decision": "maybe"}, "approve or reject"),
        ({"comment": "x" * 301}, "300 are kept"),
        ({"exclude": {"PLANT9/CIRCUIT9": "gone"}}, "no such circuit"),
        ({"exclude": {str(CIRCUIT): " "}}, "needs a reason"),
        ({"exclude": {str(circuit): "no" for circuit in ALL_CIRCUITS}}, "every circuit"),
    ],
)
def test_an_answer_that_can_not_be_taken_says_why(asked: PipelineWorld, columns: dict[str, object], said: str) -> None:
    """And changes nothing."""
    before = snapshot(asked)

    outcome = asked.answer(REGISTRY, **{"decision": "approve", **columns})  # type: ignore[arg-type]

    assert outcome.verdict is Verdict.INCOMPLETE
    assert said in outcome.message
    assert snapshot(asked) == before


def test_an_approval_may_leave_circuits_out(asked: PipelineWorld) -> None:
    """R58: with a reason, which the release keeps."""
    asked.answer(REGISTRY, exclude={str(OTHER_CIRCUIT): "sensor is being replaced"})
    asked.to_phase(ReleasePhase.SUCCEEDED)

    assert asked.phases() == [CircuitPhase.LIVE, CircuitPhase.EXCLUDED, CircuitPhase.LIVE]
    assert asked.release().exclusions == {str(OTHER_CIRCUIT): "sensor is being replaced"}
    assert [call.args["name"] for call in asked.models.registry_writes()] == [
        "plant001-circuit01",
        "plant002-circuit01",
    ]


def test_an_answer_on_other_evidence_is_told_what_changed(asked: PipelineWorld) -> None:
    """Known failure 10: the digest in the form is not the gate's; nothing is decided."""
    before = snapshot(asked)

    outcome = asked.answer(REGISTRY, digest="0" * 64)

    assert outcome.verdict is Verdict.CHANGED
    assert snapshot(asked) == before


def test_an_answer_on_earlier_evidence_gets_the_difference(asked: PipelineWorld) -> None:
    """The old blob was kept for exactly this."""
    gate = asked.gate(REGISTRY)
    old = asked.evidence.blobs[gate.evidence_blob]
    new = old.replace(b'"source_version":"12345-2025-11-01"', b'"source_version":"other"')
    assert new != old
    asked.evidence.blobs["20251210.1/registry-approval/new.json"] = new
    asked.change(
        gate,
        digest="new",
        evidence_blob="20251210.1/registry-approval/new.json",
        earlier_digests=(gate.digest,),
    )

    outcome = asked.answer(REGISTRY, digest=gate.digest)

    assert outcome.verdict is Verdict.CHANGED
    assert "PLANT001/CIRCUIT01 source_version: was 12345-2025-11-01, is other" in outcome.changes


def test_a_gate_decides_once(asked: PipelineWorld) -> None:
    """I9: the second answer, whatever it says, finds it decided."""
    asked.answer(REGISTRY)
    before = snapshot(asked)

    outcome = asked.answer(REGISTRY, "reject", recipient=BOB)

    assert (outcome.verdict, outcome.view.standing) == (Verdict.NOT_OPEN, Standing.DECIDED)
    assert snapshot(asked) == before


def test_two_who_answer_at_once_decide_once(asked: PipelineWorld) -> None:
    """The transaction of the slower one fails; decided again, the gate is no longer open."""
    claim = asked.claim(REGISTRY, BOB)
    digest = asked.gate(REGISTRY).digest
    quicker = [ANN]

    def be_quicker(request: str) -> None:
        if request == "commit" and quicker:
            asked.answer(REGISTRY, "approve", recipient=quicker.pop())

    asked.releases.on_request = be_quicker
    outcome = asked.answer(REGISTRY, "reject", claim=claim, digest=digest)

    assert outcome.verdict is Verdict.NOT_OPEN
    assert asked.phase() is ReleasePhase.PROMOTING


def test_looking_changes_nothing(asked: PipelineWorld) -> None:
    """Known failure 9: mail scanners follow links; a GET has no side effect, ever."""
    before = snapshot(asked)
    calls = len(asked.models.journal)

    view = Gates(asked.ports).view(asked.claim(REGISTRY))

    assert view.standing is Standing.OPEN
    assert view.document == asked.evidence.blobs[asked.gate(REGISTRY).evidence_blob]
    assert snapshot(asked) == before
    assert len(asked.models.journal) == calls


def test_an_answer_calls_no_azure_ml(asked: PipelineWorld) -> None:
    """A POST compares digests only."""
    calls = len(asked.models.journal)

    asked.answer(REGISTRY)

    assert len(asked.models.journal) == calls


def test_a_link_to_a_gate_that_is_not_there_is_unknown(world: PipelineWorld, asked: PipelineWorld) -> None:
    """Gate 2 has not been opened yet."""
    claim = replace(asked.claim(REGISTRY), gate=PRODUCTION)

    outcome = asked.answer(REGISTRY, claim=claim)

    assert (outcome.verdict, outcome.view.standing) == (Verdict.NOT_OPEN, Standing.UNKNOWN)


# ------------------------------------------------------------------------------------------------- codes


def test_a_wrong_code_is_counted_and_decides_nothing(asked: PipelineWorld) -> None:
    """The link alone, forwarded or leaked, is worth nothing."""
    outcome = asked.answer(REGISTRY, code="000000x")

    assert (outcome.verdict, outcome.message) == (Verdict.WRONG_CODE, "4 tries left")
    assert asked.phase() is ReleasePhase.AWAITING_REGISTRY_APPROVAL


def test_five_wrong_codes_void_the_link_of_that_person_only(asked: PipelineWorld) -> None:
    """Even the right code no longer helps; a colleague's link does."""
    verdicts = [asked.answer(REGISTRY, code="nope").verdict for _ in range(5)]

    assert verdicts == [Verdict.WRONG_CODE] * 4 + [Verdict.LINK_VOID]
    assert asked.answer(REGISTRY).verdict is Verdict.LINK_VOID
    assert asked.answer(REGISTRY, recipient=BOB).verdict is Verdict.APPROVED


def test_a_sign_in_needs_no_code(asked: PipelineWorld) -> None:
    """APPROVAL_MODE=entra: the identity is the proof."""
    claim = asked.claim(REGISTRY)
    answer = replace(answer_of(asked), code="")

    outcome = Gates(asked.ports).decide(claim, answer, by="ann (signed in)", how="signed in", needs_code=False)

    assert outcome.verdict is Verdict.APPROVED


def answer_of(world: PipelineWorld):  # noqa: ANN201  # the type is the point of no test here
    from shared.application.gates import Answer

    return Answer(decision="approve", comment="", digest=world.gate(REGISTRY).digest, code="")


# ------------------------------------------------------------------------------------------------ quorum


@pytest.fixture
def four_eyes() -> PipelineWorld:
    return at_gate_1(PipelineWorld(policy=Policy(min_approvers=2)))


def test_two_approvals_are_needed_where_the_policy_says_so(four_eyes: PipelineWorld) -> None:
    """The first is a vote, the second decides."""
    first = four_eyes.answer(REGISTRY, recipient=ANN)

    assert (first.verdict, first.message) == (Verdict.COUNTED, "1 of 2 approvals")
    assert four_eyes.phase() is ReleasePhase.AWAITING_REGISTRY_APPROVAL
    assert four_eyes.answer(REGISTRY, recipient=BOB).verdict is Verdict.APPROVED


def test_every_answer_stands_in_the_history_with_person_time_comment_and_evidence(four_eyes: PipelineWorld) -> None:
    """Whole, however long: the vote that only counts as well as the one that decides."""
    comment, opened = "x" * 300, four_eyes.clock.now()
    for person in (ANN, BOB):
        four_eyes.clock.forward(timedelta(minutes=1))
        four_eyes.answer(REGISTRY, recipient=person, comment=comment)
    gate = four_eyes.gate(REGISTRY)
    first, second = gate.hist[-2:]
    assert [(entry.source, entry.target) for entry in (first, second)] == [("open", "open"), ("open", "approved")]
    for number, (entry, person) in enumerate(zip((first, second), (ANN, BOB), strict=True), 1):
        assert (entry.by, entry.at) == (person, opened + timedelta(minutes=number))
        assert entry.why == f"approve by the link sent to {person} on evidence {gate.digest}: {comment}"
    assert four_eyes.release().hist[-1].why == second.why


@pytest.mark.parametrize("how", ["signed in", "by the link sent to {}"])
def test_a_long_comment_by_somebody_with_a_long_name_stands_whole_in_the_history(how: str) -> None:
    """A row keeps 500 characters of a reason; neither comment nor digest is what is cut."""
    person = f"{'maximiliane-theodora.von-und-zu-hohenstein'}@subsidiary.example.onmicrosoft.com"
    vote = GateDecision(
        at=NOW, decision=APPROVE, by=person, how=how.format(person), comment="x" * LONGEST_COMMENT, digest="0" * 64
    )
    assert len(told(vote)) <= LONGEST["why"]
    assert told(vote).count(person) == 1


def test_nobody_votes_twice(four_eyes: PipelineWorld) -> None:
    """One person is one pair of eyes."""
    four_eyes.answer(REGISTRY, recipient=ANN)

    assert four_eyes.answer(REGISTRY, recipient=ANN).verdict is Verdict.ALREADY_VOTED
    assert len(four_eyes.gate(REGISTRY).decisions) == 1


def test_one_rejection_is_enough(four_eyes: PipelineWorld) -> None:
    """Whatever others have voted."""
    four_eyes.answer(REGISTRY, recipient=ANN)

    assert four_eyes.answer(REGISTRY, "reject", recipient=BOB).verdict is Verdict.REJECTED


def test_votes_of_an_earlier_opening_do_not_count(four_eyes: PipelineWorld) -> None:
    """A re-opened gate shows fresh evidence: everybody looks again."""
    four_eyes.answer(REGISTRY, recipient=ANN)
    four_eyes.sweep_for(DAY + timedelta(minutes=1))
    four_eyes.operations().retry("20251210.1", by="ops", reason="again", exclude={})

    assert four_eyes.answer(REGISTRY, recipient=BOB).verdict is Verdict.COUNTED
    assert four_eyes.answer(REGISTRY, recipient=ANN).verdict is Verdict.APPROVED


def test_what_any_of_the_approvers_leaves_out_is_left_out(four_eyes: PipelineWorld) -> None:
    """The first vote's exclusions count as much as the last one's."""
    four_eyes.answer(REGISTRY, recipient=ANN, exclude={str(CIRCUIT): "noisy"})
    four_eyes.answer(REGISTRY, recipient=BOB, exclude={str(OTHER_CIRCUIT): "sensor is being replaced"})

    assert four_eyes.release().exclusions == {str(CIRCUIT): "noisy", str(OTHER_CIRCUIT): "sensor is being replaced"}


def test_approvers_together_can_not_leave_out_every_circuit(four_eyes: PipelineWorld) -> None:
    """That would be a rejection, and is to be said as one."""
    four_eyes.answer(REGISTRY, recipient=ANN, exclude={str(CIRCUIT): "noisy"})

    rest = {str(circuit): "no" for circuit in ALL_CIRCUITS if circuit != CIRCUIT}
    outcome = four_eyes.answer(REGISTRY, recipient=BOB, exclude=rest)

    assert outcome.verdict is Verdict.INCOMPLETE
    assert "every circuit" in outcome.message


def test_a_vote_on_evidence_that_was_replaced_does_not_count(four_eyes: PipelineWorld) -> None:
    """Who approved the old evidence is asked again on the new one."""
    four_eyes.answer(REGISTRY, recipient=ANN)
    gate = four_eyes.gate(REGISTRY)
    four_eyes.change(gate, digest="new", earlier_digests=(gate.digest,))

    assert four_eyes.answer(REGISTRY, recipient=BOB).verdict is Verdict.COUNTED
    assert four_eyes.answer(REGISTRY, recipient=ANN).verdict is Verdict.APPROVED


# ------------------------------------------------------------------------------------------------ expiry


@pytest.mark.parametrize(
    ("late_by", "verdict", "phase"),
    [
        (timedelta(seconds=-1), Verdict.APPROVED, ReleasePhase.PROMOTING),
        (timedelta(), Verdict.NOT_OPEN, ReleasePhase.EXPIRED),
    ],
    ids=["23:59:59", "24:00:00"],
)
def test_an_answer_counts_until_the_last_second_of_the_day(
    asked: PipelineWorld, late_by: timedelta, verdict: Verdict, phase: ReleasePhase
) -> None:
    """R8: 23:59:59 counts, 24:00:00 is expired."""
    asked.clock.set(asked.gate(REGISTRY).opened_at + DAY + late_by)

    outcome = asked.answer(REGISTRY)

    assert (outcome.verdict, asked.phase()) == (verdict, phase)


def test_an_expired_gate_writes_nothing_to_the_registry(asked: PipelineWorld) -> None:
    """R8, D10: expired is neither rejected nor failed."""
    asked.sweep_for(DAY + timedelta(minutes=2))
    asked.run()

    assert (asked.phase(), asked.gate(REGISTRY).state) == (ReleasePhase.EXPIRED, GateState.EXPIRED)
    assert asked.models.registry_writes() == []
    assert asked.answer(REGISTRY).view.standing is Standing.EXPIRED


def test_a_reopened_gate_takes_new_links_only(asked: PipelineWorld) -> None:
    """D10: an operator re-opens it; links of the earlier opening are superseded."""
    old = asked.claim(REGISTRY)
    asked.sweep_for(DAY + timedelta(minutes=2))
    asked.operations().retry("20251210.1", by="ops", reason="everybody was away", exclude={})

    assert asked.phase() is ReleasePhase.AWAITING_REGISTRY_APPROVAL
    assert asked.gate(REGISTRY).expires_at == asked.release().hist[-1].at + DAY
    late = asked.answer(REGISTRY, claim=old)
    assert (late.verdict, late.view.standing) == (Verdict.NOT_OPEN, Standing.SUPERSEDED)
    assert asked.answer(REGISTRY).verdict is Verdict.APPROVED


def test_an_answer_to_a_cancelled_release_finds_a_void_gate(asked: PipelineWorld) -> None:
    """Nobody needs to answer any more."""
    claim = asked.claim(REGISTRY)
    asked.operations().cancel("20251210.1", by="ops", reason="wrong build")

    outcome = asked.answer(REGISTRY, claim=claim)

    assert (outcome.verdict, outcome.view.standing) == (Verdict.NOT_OPEN, Standing.SUPERSEDED)
    assert asked.gate(REGISTRY).state is GateState.VOID
    assert asked.phase() is ReleasePhase.CANCELLED


def test_gate_2_waits_for_a_green_test(asked: PipelineWorld) -> None:
    """R33, R22: it opens only when every circuit has passed."""
    asked.answer(REGISTRY)
    asked.to_phase(ReleasePhase.AWAITING_PRODUCTION_APPROVAL)

    assert asked.phases() == [CircuitPhase.TESTED] * 3
    assert asked.models.production_writes() == []
    assert asked.answer(PRODUCTION).verdict is Verdict.APPROVED
