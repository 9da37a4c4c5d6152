"""Unit: while people are asked, the circuits are looked at again, page by page; nobody approves what they did not see."""

import json
from datetime import timedelta

import pytest

from shared.application.gates import Verdict
from shared.domain.commands import RefreshGate
from shared.domain.errors import PermanentError, TransientError
from shared.domain.model import Circuit, CircuitPhase, Environment, GateName, Moment, ReleasePhase
from shared.domain.policy import Policy
from shared.pages import render_mail
from tests.support.builders import CIRCUIT, RELEASE_ID
from tests.support.circuit_world import ESTATE
from tests.support.pipeline_world import ALL_CIRCUITS, APPROVERS, PipelineWorld

REGISTRY, PRODUCTION = GateName.REGISTRY, GateName.PRODUCTION
LATER = "20251210.2"
QUARTER = timedelta(minutes=15)


def at_gate_2(*circuits: Circuit, policy: Policy | None = None) -> PipelineWorld:
    """The second release of these circuits waits for production; the first one is live."""
    world = PipelineWorld(policy=policy)
    world.release_all(RELEASE_ID, *circuits)
    world.start(LATER, *circuits, build="2")
    world.to_phase(ReleasePhase.AWAITING_PRODUCTION_APPROVAL, LATER)
    world.run()
    return world


@pytest.fixture
def asked() -> PipelineWorld:
    return at_gate_2()


def change_defaults(world: PipelineWorld, *circuits: Circuit) -> None:
    """Somebody takes the defaults in Production away."""
    for circuit in circuits:
        world.models.change_default(Environment.PRODUCTION, world.circuit(circuit, LATER).endpoint, "")


def looks(world: PipelineWorld) -> list[RefreshGate]:
    return [command for command in world.bus.sent if isinstance(command, RefreshGate)]


def test_every_quarter_of_an_hour_an_open_gate_is_looked_at_by_message(asked: PipelineWorld) -> None:
    """The sweep only says so; what it costs is spent page by page, elsewhere."""
    calls = len(asked.models.journal)
    for _ in range(31):
        asked.clock.forward(timedelta(minutes=1))
        asked.sweep()
    assert len(asked.models.journal) == calls
    assert [look.cursor for look in looks(asked)] == ["", ""]
    assert len({look.n for look in looks(asked)}) == 2


def test_what_changed_is_an_event_with_a_line_in_the_history_and_new_evidence(asked: PipelineWorld) -> None:
    """The old blob stays; circuits where nothing changed are not written."""
    before = asked.gate(PRODUCTION, LATER)
    rows = dict(asked.releases.rows[LATER])
    change_defaults(asked, CIRCUIT)
    asked.sweep_for(QUARTER)
    gate, run = asked.gate(PRODUCTION, LATER), asked.circuit(CIRCUIT, LATER)
    assert (run.phase, run.live_deployment) == (CircuitPhase.TESTED, "")
    assert run.since == rows[f"c|{CIRCUIT.plant_id}|{CIRCUIT.circuit_id}"].row.since
    assert run.hist[-1].source == run.hist[-1].target == CircuitPhase.TESTED
    assert run.hist[-1].why == "nothing is live now, deployment-20251210-1 was"
    assert gate.earlier_digests == (before.digest,)
    assert gate.hist[-1].why == f"evidence {gate.digest} replaces {before.digest}"
    assert before.evidence_blob in asked.evidence.blobs
    shown = json.loads(asked.evidence.blobs[gate.evidence_blob])["circuits"]
    assert [entry["live_deployment"] for entry in shown] == ["", "deployment-20251210-1", "deployment-20251210-1"]
    others = [key for key in rows if key.startswith("c|") and not key.endswith(CIRCUIT.circuit_id)]
    assert all(asked.releases.rows[LATER][key] == rows[key] for key in others)


def test_an_answer_on_the_old_evidence_is_told_what_changed(asked: PipelineWorld) -> None:
    """Known failure 10."""
    digest = asked.gate(PRODUCTION, LATER).digest
    change_defaults(asked, CIRCUIT)
    asked.sweep_for(QUARTER)
    outcome = asked.answer(PRODUCTION, release_id=LATER, digest=digest)
    assert outcome.verdict is Verdict.CHANGED
    assert 'PLANT001/CIRCUIT01 live_deployment: was deployment-20251210-1, is ""' in outcome.changes
    assert asked.answer(PRODUCTION, release_id=LATER).verdict is Verdict.APPROVED


def test_a_look_that_finds_nothing_writes_no_circuit_and_freezes_nothing(asked: PipelineWorld) -> None:
    """Two looks at an unchanged world."""
    rows = {key: stored for key, stored in asked.releases.rows[LATER].items() if key.startswith("c|")}
    blobs, digest = set(asked.evidence.blobs), asked.gate(PRODUCTION, LATER).digest
    asked.sweep_for(2 * QUARTER)
    assert len(looks(asked)) == 2
    assert {key: asked.releases.rows[LATER][key] for key in rows} == rows
    assert (set(asked.evidence.blobs), asked.gate(PRODUCTION, LATER).digest) == (blobs, digest)


def test_gate_and_circuits_change_together_or_not_at_all(asked: PipelineWorld) -> None:
    """An approval of the old digest never meets circuits that know a newer world; the message comes again."""
    change_defaults(asked, *ALL_CIRCUITS)
    asked.clock.forward(QUARTER)
    asked.sweep()
    (look,) = asked.waiting()
    before = dict(asked.releases.rows[LATER])

    def break_off(request: str) -> None:
        if request == "commit":
            raise TransientError("storage is down")

    asked.releases.on_request = break_off
    asked.handle(look)
    assert asked.releases.rows[LATER] == before
    asked.releases.on_request = lambda _request: None
    asked.run()
    assert {run.live_deployment for run in asked.runs(LATER)} == {""}
    assert asked.gate(PRODUCTION, LATER).digest != before["g|production-approval"].row.digest


def test_who_answers_in_the_very_moment_is_first(asked: PipelineWorld) -> None:
    """The look finds the gate answered and changes nothing any more."""
    change_defaults(asked, CIRCUIT)
    asked.clock.forward(QUARTER)
    asked.sweep()
    (look,) = asked.waiting()
    quicker = [APPROVERS[0]]

    def answer(request: str) -> None:
        if request == "commit" and quicker:
            asked.answer(PRODUCTION, recipient=quicker.pop(), release_id=LATER)

    asked.releases.on_request = answer
    asked.handle(look)
    assert asked.phase(LATER) is ReleasePhase.STAGING_PRODUCTION
    assert asked.circuit(CIRCUIT, LATER).live_deployment == "deployment-20251210-1"
    assert asked.gate(PRODUCTION, LATER).earlier_digests == ()


@pytest.mark.parametrize("error", [TransientError("503"), PermanentError("403")])
def test_a_circuit_that_can_not_be_seen_does_not_hide_the_others(
    asked: PipelineWorld, error: TransientError | PermanentError
) -> None:
    """It is looked at again with the next look."""
    change_defaults(asked, *ALL_CIRCUITS)
    asked.models.fail_next("endpoint", error)
    asked.sweep_for(QUARTER)
    assert [run.live_deployment for run in asked.runs(LATER)] == ["deployment-20251210-1", "", ""]
    asked.sweep_for(QUARTER)
    assert {run.live_deployment for run in asked.runs(LATER)} == {""}


def test_many_circuits_are_looked_at_page_by_page() -> None:
    """One message does not hold a function for long; a page without changes reads the rows of that page only."""
    circuits = [Circuit(plant_id="P", circuit_id=f"C{number:02d}") for number in range(25)]
    world = at_gate_2(*circuits)
    change_defaults(world, circuits[0], circuits[24])
    world.sweep_for(QUARTER)
    assert [look.cursor for look in looks(world)] == ["", "c|P|C19"]
    gone = [run.circuit for run in world.runs(LATER) if not run.live_deployment]
    assert gone == [circuits[0], circuits[24]]
    assert len(world.gate(PRODUCTION, LATER).earlier_digests) == 2


def test_a_message_of_an_earlier_look_is_dropped(asked: PipelineWorld) -> None:
    """Chains of looks never breed."""
    asked.clock.forward(QUARTER)
    asked.sweep()
    (late,) = asked.waiting()
    asked.lose_messages()
    asked.clock.forward(QUARTER)
    asked.sweep()
    asked.run()
    calls = len(asked.models.journal)
    asked.handle(late, redelivered=True)
    assert len(asked.models.journal) == calls
    assert asked.waiting() == []


def test_at_gate_1_a_dev_model_that_changed_is_told_before_anybody_decides() -> None:
    """Promotion would refuse it."""
    world = PipelineWorld()
    world.start()
    world.to_phase(ReleasePhase.AWAITING_REGISTRY_APPROVAL)
    world.run()
    run = world.circuit()
    world.models.change_dev_model(run.model_name, run.source_version, tags={**run.source_tags, "note": "touched"})
    world.sweep_for(QUARTER)
    (warning,) = world.circuit().warnings
    assert warning.endswith("has other tags now (note: was absent, is touched): promotion will fail")
    assert warning in world.evidence.blobs[world.gate(REGISTRY).evidence_blob].decode()
    world.sweep_for(QUARTER)
    assert world.circuit().warnings == (warning,)
    assert len(world.gate(REGISTRY).earlier_digests) == 1


@pytest.fixture
def undone() -> PipelineWorld:
    """At gate 1 the first of two people has approved, then the Dev model got other tags."""
    world = PipelineWorld(policy=Policy(min_approvers=2))
    world.start()
    world.to_phase(ReleasePhase.AWAITING_REGISTRY_APPROVAL)
    world.run()
    world.answer(REGISTRY)
    world.mail.letters.clear()
    world.models.change_dev_model("plant001-circuit01", "12345-2025-11-01", tags={"validated": "True"})
    return world


def test_whose_vote_no_longer_counts_is_asked_again_at_once_and_once(undone: PipelineWorld) -> None:
    """Issue 6: new evidence undoes an approval, and the mail says so; who has not decided waits for the reminder."""
    ann, bob = APPROVERS
    undone.sweep_for(2 * QUARTER)
    (letter,) = undone.mail.letters
    mail = render_mail(letter, ESTATE)
    assert letter.notice.recipient == ann
    assert mail.subject == f"Your approval no longer counts, please decide: Registry-Approval of release {RELEASE_ID}"
    for part in (mail.text, mail.html):
        assert "no longer counts: the evidence has changed since. Please look again and decide anew." in part
    assert undone.teams.letters[-1].notice.moment is Moment.GATE_REMINDER
    undone.sweep_for(timedelta(hours=21))
    assert sorted(letter.notice.recipient for letter in undone.mail.letters) == [ann, ann, bob]


def test_who_has_decided_meanwhile_gets_no_mail_that_was_late(undone: PipelineWorld) -> None:
    """It would ask for what is done."""
    undone.mail.failures = [TransientError("connection refused")] * 99
    undone.sweep_for(2 * QUARTER)
    undone.answer(REGISTRY)
    undone.mail.failures.clear()
    undone.sweep_for(QUARTER)
    assert [letter.notice.recipient for letter in undone.mail.letters] == []
