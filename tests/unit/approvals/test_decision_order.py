"""Unit: the checks of an answer come in one order, and each of them alone is enough to refuse it."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.application.gates import Answer, Gates, Outcome, Verdict
from shared.application.ports import GateClaim
from shared.domain.model import CircuitPhase, Environment, GateName, ReleasePhase
from shared.domain.naming import model_name
from shared.domain.policy import Policy, policy_from_json
from tests.support.builders import CIRCUIT, OTHER_CIRCUIT, RELEASE_ID
from tests.support.pipeline_world import APPROVERS, PipelineWorld

ANN, BOB = APPROVERS
REGISTRY, PRODUCTION = GateName.REGISTRY, GateName.PRODUCTION
FOUR_EYES = Policy(min_approvers=2, requester_may_approve=False)


def at_gate_1(policy: Policy | None = None, requested_by: str = ANN) -> PipelineWorld:
    world = PipelineWorld(policy=policy or Policy())
    world.start()
    world.to_phase(ReleasePhase.AWAITING_REGISTRY_APPROVAL)
    world.run()
    world.change(world.release(), requested_by=requested_by)
    return world


def answered(world: PipelineWorld, by: str, claim: GateClaim, **columns: object) -> Outcome:
    """An answer that is right in everything but what the test names."""
    right = Answer(
        decision="approve", comment="", digest=world.gate(REGISTRY).digest, code=world.ports.tokens.code(claim)
    )
    answer = replace(right, **columns)  # type: ignore[arg-type]  # columns are the dataclass's own
    return Gates(world.ports).decide(claim, answer, by=by, how="test", needs_code=True)


# What is wrong with the answer, in the order of the checks: (name, verdict).
WRONGS = (
    ("old nonce", Verdict.NOT_OPEN),
    ("expired", Verdict.NOT_OPEN),
    ("requester", Verdict.IS_REQUESTER),
    ("second vote", Verdict.ALREADY_VOTED),
    ("foreign form", Verdict.MISTRUSTED),
    ("wrong code", Verdict.WRONG_CODE),
    ("no reason", Verdict.INCOMPLETE),
    ("old digest", Verdict.CHANGED),
)
COLUMNS: Mapping[str, Mapping[str, object]] = {
    "foreign form": {"mistrust": "not from our page"},
    "wrong code": {"code": "x"},
    "no reason": {"decision": "reject", "comment": " "},
    "old digest": {"digest": "0" * 64},
}


def outcome_with(*wrongs: str) -> Outcome:
    world = at_gate_1(FOUR_EYES)
    person = ANN if "requester" in wrongs else BOB
    claim = world.claim(REGISTRY, person)
    if "second vote" in wrongs:
        policy = world.release().policy
        world.change(world.release(), policy=replace(policy, requester_may_approve=True))
        answered(world, person, claim)
        world.change(world.release(), policy=policy)
    if "old nonce" in wrongs:
        claim = replace(claim, nonce="of an earlier opening")
    if "expired" in wrongs:
        world.clock.forward(timedelta(hours=24))
    columns = {name: value for wrong in wrongs for name, value in COLUMNS.get(wrong, {}).items()}
    return answered(world, person, claim, **columns)


@pytest.mark.parametrize(("wrong", "verdict"), WRONGS, ids=[name for name, _ in WRONGS])
def test_each_check_alone_refuses(wrong: str, verdict: Verdict) -> None:
    """Everything else about the answer is right."""
    assert outcome_with(wrong).verdict is verdict


@pytest.mark.parametrize("first", range(len(WRONGS)), ids=[name for name, _ in WRONGS])
def test_of_several_reasons_the_first_in_order_is_given(first: int) -> None:
    """An answer that is wrong in this and in all that is checked later is refused for this."""
    names = [name for name, _ in WRONGS]
    assert outcome_with(*names[first:]).verdict is WRONGS[first][1]


def test_a_right_answer_passes_every_check() -> None:
    """So that the tests above refuse for the reason they name."""
    assert outcome_with().verdict is Verdict.COUNTED


def test_only_wrong_codes_are_counted_not_missing_ones() -> None:
    """Whatever submits a form without knowing the code can't use up a person's tries."""
    world = at_gate_1()
    claim = world.claim(REGISTRY)
    verdicts = [answered(world, ANN, claim, code=" ").verdict for _ in range(6)]
    foreign = [answered(world, ANN, claim, code="x", mistrust="elsewhere").verdict for _ in range(6)]
    assert set(verdicts) == {Verdict.INCOMPLETE}
    assert set(foreign) == {Verdict.MISTRUSTED}
    assert world.gate(REGISTRY).wrong_codes == {}
    assert answered(world, ANN, claim).verdict is Verdict.APPROVED


@pytest.mark.parametrize("by", [ANN, f" {ANN.upper()} "])
def test_the_requester_decides_only_where_that_is_allowed(by: str) -> None:
    """REQUESTER_MAY_APPROVE, frozen into the release; the name is compared as people write it."""
    allowed, separate = at_gate_1(), at_gate_1(Policy(requester_may_approve=False), requested_by=by)
    assert answered(allowed, ANN, allowed.claim(REGISTRY)).verdict is Verdict.APPROVED
    refused = answered(separate, ANN, separate.claim(REGISTRY), decision="reject", comment="no")
    assert refused.verdict is Verdict.IS_REQUESTER
    assert ANN in refused.message
    assert answered(separate, BOB, separate.claim(REGISTRY, BOB)).verdict is Verdict.APPROVED


def test_the_setting_survives_the_release_row() -> None:
    """Off stays off when the policy is read back."""
    policy = Policy(requester_may_approve=False)
    assert policy_from_json(json.loads(json.dumps(policy.as_json()))) == policy


def test_a_replayed_answer_is_told_who_decided_and_when() -> None:
    """The link explains itself."""
    world = at_gate_1()
    claim = world.claim(REGISTRY)
    answered(world, ANN, claim)
    assert answered(world, ANN, claim).message == f"Already approved by {ANN} at 2025-12-10T09:00:00Z."


def test_what_is_left_out_at_gate_1_is_listed_at_gate_2_and_in_the_summary() -> None:
    """With the reason that was given, and nothing of it is deployed."""
    world = at_gate_1()
    why = "sensor is being replaced"
    answered(world, ANN, world.claim(REGISTRY), exclude={str(OTHER_CIRCUIT): why})
    world.to_phase(ReleasePhase.AWAITING_PRODUCTION_APPROVAL)
    evidence = json.loads(world.evidence.blobs[world.gate(PRODUCTION).evidence_blob])
    shown = {f"{entry['plant_id']}/{entry['circuit_id']}": entry["left_out"] for entry in evidence["circuits"]}
    assert shown[str(OTHER_CIRCUIT)] == why
    assert shown[str(CIRCUIT)] == ""
    world.to_phase(ReleasePhase.SUCCEEDED)
    world.run()
    summary = next(letter.summary for letter in world.mail.letters if letter.summary)
    assert f"PLANT001 / CIRCUIT02: excluded, {why}" in summary
    assert world.live_default(OTHER_CIRCUIT) == ""


def test_what_was_left_out_can_be_released_by_itself_later() -> None:
    """As a release of its own, with its own gates; the circuits of the first one are not touched."""
    world = at_gate_1()
    answered(world, ANN, world.claim(REGISTRY), exclude={str(OTHER_CIRCUIT): "sensor is being replaced"})
    world.to_phase(ReleasePhase.SUCCEEDED)
    world.run()
    live, later = world.live_default(CIRCUIT), "20251211.1"
    world.release_all(later, OTHER_CIRCUIT, build="2")
    assert world.circuit(OTHER_CIRCUIT, later).phase is CircuitPhase.LIVE
    assert world.live_default(OTHER_CIRCUIT) == "deployment-20251211-1"
    assert world.live_default(CIRCUIT) == live


def test_a_reason_that_is_too_long_to_keep_is_refused() -> None:
    """It stands on the page, in the summary and in the history."""
    world = at_gate_1()
    outcome = answered(world, ANN, world.claim(REGISTRY), exclude={str(OTHER_CIRCUIT): "x" * 301})
    assert (outcome.verdict, "300" in outcome.message) == (Verdict.INCOMPLETE, True)


def test_a_model_changed_after_gate_1_is_not_promoted() -> None:
    """The first step after the gate reads again what the approver saw; the others' results stay whole."""
    world = at_gate_1()
    run = world.circuit()
    world.answer(REGISTRY)
    world.models.change_dev_model(run.model_name, run.source_version, tags={**run.source_tags, "validated": "false"})
    world.run(lambda: world.release().is_terminal)
    assert "changed since approval" in world.circuit().error
    assert run.model_name not in [call.args["name"] for call in world.models.registry_writes()]
    assert world.phase() is ReleasePhase.FAILED


def test_a_default_changed_after_gate_2_stops_before_any_write_to_production() -> None:
    """Somebody made another deployment live by hand: what the approver compared with is gone."""
    world = PipelineWorld()
    endpoint = f"be-{model_name(CIRCUIT)}"
    world.models.add_endpoint(Environment.PRODUCTION, endpoint, default="by-hand-1", deployments=("by-hand-2",))
    world.start(RELEASE_ID, CIRCUIT)
    world.to_phase(ReleasePhase.AWAITING_PRODUCTION_APPROVAL)
    world.answer(PRODUCTION)
    world.models.change_default(Environment.PRODUCTION, endpoint, "by-hand-2")
    world.run(lambda: world.release().is_terminal)
    assert "changed since approval" in world.circuit().error
    assert world.models.production_writes() == []


@pytest.mark.parametrize(("seconds", "told"), [(100, "1 min 40 s"), (24 * 3600, "24 h"), (5400, "1 h 30 min")])
def test_a_gate_that_expired_says_after_what_time(seconds: int, told: str) -> None:
    """As people say it, also where the limit is a short one."""
    world = at_gate_1(Policy(gate_limit=timedelta(seconds=seconds)))
    world.clock.forward(timedelta(seconds=seconds))
    answered(world, ANN, world.claim(REGISTRY))
    assert f"registry-approval was not answered within {told};" in world.release().reason


def test_a_second_answer_is_told_of_the_first_in_words() -> None:
    """No raw time stamp on a page."""
    world = at_gate_1(Policy(min_approvers=2))
    claim = world.claim(REGISTRY)
    answered(world, ANN, claim)
    assert "You have already approved this gate, 10 Dec 2025, 09:00 UTC." in answered(world, ANN, claim).message
