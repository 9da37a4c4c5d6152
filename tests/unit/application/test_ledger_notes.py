"""Unit: when a release has ended, the ledger says what each activation rests on; a crash anywhere loses none of it."""

from datetime import timedelta

import pytest

from shared.application import ledger_notes
from shared.application.release_evidence import read_bundle
from shared.domain.commands import NoteLedger
from shared.domain.errors import PermanentError
from shared.domain.model import FANOUT_END, Circuit, Environment, GateName, LedgerEntry, ReleasePhase
from shared.domain.naming import deployment_name
from shared.domain.policy import Policy
from tests.support.builders import CIRCUIT, RELEASE_ID
from tests.support.pipeline_world import ALL_CIRCUITS, APPROVERS, PipelineWorld

ANN, BOB = APPROVERS
PRODUCTION = Environment.PRODUCTION


def ledger(
    world: PipelineWorld, circuit: Circuit = CIRCUIT, environment: Environment = PRODUCTION
) -> list[LedgerEntry]:
    return list(world.endpoints.ledger(environment, circuit))


def is_noted(world: PipelineWorld) -> bool:
    return all(entry.note for circuit in ALL_CIRCUITS for entry in ledger(world, circuit))


def test_each_activation_has_the_bundle_the_model_and_the_approval_beside_it() -> None:
    """What the auditor asks of a deployment, without any row of its release."""
    world = PipelineWorld(policy=Policy(min_approvers=2))
    world.start()
    for gate in GateName:
        world.run()
        for person in APPROVERS:
            world.answer(gate, recipient=person)
    world.run()
    assert world.phase() is ReleasePhase.SUCCEEDED
    bundle, digest = read_bundle(RELEASE_ID, "", world.ports)
    for circuit in ALL_CIRCUITS:
        (entry,) = ledger(world, circuit)
        note = entry.note
        assert note is not None
        assert (note.fence, note.release_id, note.evidence_sha256) == (entry.fence, RELEASE_ID, digest)
        run = world.circuit(circuit)
        assert (note.model, note.cutoff_date) == (f"{run.model_name} {run.model_version}", run.cutoff_date)
        gate_row = world.gate(GateName.PRODUCTION)
        assert (note.approved_by, note.approved_sha256) == (APPROVERS, gate_row.digest)
        assert note.approved_at == gate_row.decisions[-1].at
    assert gate_row.digest.encode() in bundle


def test_a_vote_on_evidence_that_was_replaced_is_no_approval() -> None:
    """Only those who saw what was approved stand in the ledger."""
    world = PipelineWorld(policy=Policy(min_approvers=2))
    world.start()
    world.run()
    for person in APPROVERS:
        world.answer(GateName.REGISTRY, recipient=person)
    world.run()
    world.answer(GateName.PRODUCTION, recipient=ANN)
    gate = world.gate(GateName.PRODUCTION)
    document = world.evidence.blobs[gate.evidence_blob]
    world.evidence.blobs["newer.json"] = document
    world.change(gate, digest="newer", evidence_blob="newer.json", earlier_digests=(gate.digest,))
    for person in (BOB, ANN):
        world.answer(GateName.PRODUCTION, recipient=person)
    world.run()
    (entry,) = ledger(world)
    assert entry.note is not None
    assert (entry.note.approved_by, entry.note.approved_sha256) == ((BOB, ANN), "newer")


def test_a_rollback_notes_its_own_bundle_and_no_approval() -> None:
    """Nobody is asked about it; a drill in Test notes in Test."""
    world = PipelineWorld()
    world.release_all(RELEASE_ID, CIRCUIT)
    world.release_all("20251211.1", CIRCUIT, build="2")
    for environment in (PRODUCTION, Environment.TEST):
        started = world.roll_back(CIRCUIT, environment=environment)
        world.run()
        entry = ledger(world, environment=environment)[0]
        assert entry.note is not None
        assert entry.note.evidence_sha256 == world.release(started.rollback_id).evidence_sha256 != ""
        assert (entry.note.approved_by, entry.note.model) == ((), "")


def test_a_release_that_was_reverted_notes_both_of_its_rows() -> None:
    """What it made live for a moment, and what it put back."""
    world = PipelineWorld()
    world.release_all(RELEASE_ID)
    later = "20251211.1"
    switch = world.models.set_default

    def refuse(environment: Environment, endpoint: str, deployment: str) -> None:
        if (environment, endpoint, deployment) == (PRODUCTION, "be-plant002-circuit01", deployment_name(later)):
            raise PermanentError("the service refuses this deployment")
        switch(environment, endpoint, deployment)

    world.models.set_default = refuse  # type: ignore[method-assign]  # the fake's own method, for one endpoint
    world.start(later, build="2")
    world.to_phase(ReleasePhase.FAILED, later)
    world.run()
    rows = [entry for circuit in ALL_CIRCUITS for entry in ledger(world, circuit) if entry.release_id == later]
    assert len(rows) > len(ALL_CIRCUITS)
    assert {entry.note.evidence_sha256 for entry in rows if entry.note} == {world.release(later).evidence_sha256}
    assert is_noted(world)


def test_the_release_stays_on_the_list_until_every_row_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Page by page; the cursor stands in the release's row."""
    monkeypatch.setattr(ledger_notes, "PAGE", 2)
    world = PipelineWorld()
    world.start()
    world.to_phase(ReleasePhase.SUCCEEDED)
    assert world.release().noted_cursor == ""
    world.sweep()
    assert world.releases.active_release_ids() == [RELEASE_ID]
    world.run()
    world.sweep()
    pages = [command.cursor for command in world.bus.sent if isinstance(command, NoteLedger)]
    assert pages == ["", "c|PLANT001|CIRCUIT02"]
    assert (world.release().noted_cursor, world.release().due_at) == (FANOUT_END, None)
    assert world.releases.active_release_ids() == []


def test_a_lost_message_is_sent_again_by_the_sweeper() -> None:
    """The row is overdue until the notes are there."""
    world = PipelineWorld()
    world.start()
    world.to_phase(ReleasePhase.SUCCEEDED)
    world.lose_messages()
    assert not is_noted(world)
    world.sweep_for(timedelta(minutes=10))
    assert is_noted(world)
    assert world.releases.active_release_ids() == []


class Crash(Exception):
    """As a killed process."""


@pytest.mark.parametrize("after", range(1, 11))
def test_a_crash_at_any_request_is_healed_by_the_next_delivery(after: int) -> None:
    """And a note that is there is never written again."""
    world = PipelineWorld()
    world.start()
    world.to_phase(ReleasePhase.SUCCEEDED)
    (command,) = [command for command in world.waiting() if isinstance(command, NoteLedger)]
    left = [after]

    def crash(_request: str) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise Crash

    world.releases.on_request = world.endpoints.on_request = crash
    with pytest.raises(Crash):
        world.handle(command)
    world.releases.on_request = world.endpoints.on_request = lambda _request: None
    world.handle(command, redelivered=True)
    assert is_noted(world)
    assert world.release().noted_cursor == FANOUT_END
    written = world.endpoints.requests["note"]
    world.handle(command, redelivered=True)
    assert world.endpoints.requests["note"] == written


def test_a_release_that_never_came_to_production_notes_nothing() -> None:
    """It has no ledger rows there."""
    world = PipelineWorld()
    world.start()
    world.to_phase(ReleasePhase.AWAITING_PRODUCTION_APPROVAL)
    world.answer(GateName.PRODUCTION, "reject", comment="no")
    world.run()
    assert world.endpoints.notes == {}
    assert [command for command in world.bus.sent if isinstance(command, NoteLedger)] == []
