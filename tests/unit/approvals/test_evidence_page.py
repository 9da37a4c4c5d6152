"""Unit: everything that an approver is promised stands on the page of a gate, made from its frozen evidence."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.application.gates import Gates
from shared.application.intake import Intake
from shared.application.views import ApprovalState, ApprovalView
from shared.domain.model import Circuit, CircuitPhase, GateName, ReleasePhase
from shared.domain.naming import model_name
from shared.pages import render_approval
from shared.pages.formats import moment
from tests.support.builders import CIRCUIT, OTHER_CIRCUIT, RELEASE_ID
from tests.support.outline import Outline, text_of
from tests.support.pipeline_world import APPROVERS, CUTOFF, PipelineWorld, artifact, artifact_path, dev_tags

REGISTRY, PRODUCTION = GateName.REGISTRY, GateName.PRODUCTION
FIRST, SECOND = RELEASE_ID, "20251211.1"


def page(world: PipelineWorld, gate: GateName, release_id: str = SECOND) -> str:
    """As the link in the first approver's mail shows it, the address of the artifact put in."""
    view = Gates(world.ports).view(world.claim(gate, release_id=release_id))
    assert view.release is not None
    assert view.gate is not None
    shown = ApprovalView(
        state=ApprovalState.OPEN,
        release=view.release,
        gate=view.gate,
        evidence=json.loads(view.document),
        now=world.clock.now(),
        recipient=APPROVERS[0],
        code_needed=True,
        artifact_url="/releases/x/artifact?view=y",
    )
    return render_approval(shown)


def start(world: PipelineWorld, release_id: str, build: str, rmse: str, *circuits: Circuit) -> None:
    """A build leaves models with a metric and a warning in the training log, and uploads the artifact."""
    for circuit in circuits:
        world.models.add_smoke_input(circuit)
        tags = {**dev_tags(circuit, build=build), "metric.rmse": rmse}
        world.models.add_dev_model(model_name(circuit), f"{build}-m", tags, warnings=["epoch 3: learning rate halved"])
    path, content = artifact_path(release_id, build), artifact(circuits)
    world.evidence.upload(path, content, at=world.clock.now())
    Intake(world.ports).from_artifact(path, content)


def at_gate(gate: GateName) -> PipelineWorld:
    """A second release of a circuit that is live, beside one that never was."""
    world = PipelineWorld()
    start(world, FIRST, "12345", "0.5", CIRCUIT)
    world.to_phase(ReleasePhase.SUCCEEDED, FIRST)
    world.run()
    world.clock.forward(timedelta(days=1))
    start(world, SECOND, "12399", "0.4", CIRCUIT, OTHER_CIRCUIT)
    waits = {REGISTRY: ReleasePhase.AWAITING_REGISTRY_APPROVAL, PRODUCTION: ReleasePhase.AWAITING_PRODUCTION_APPROVAL}
    world.to_phase(waits[gate], SECOND)
    return world


@pytest.fixture(scope="module")
def at_registry() -> PipelineWorld:
    return at_gate(REGISTRY)


@pytest.fixture(scope="module")
def at_production() -> PipelineWorld:
    return at_gate(PRODUCTION)


@pytest.mark.parametrize(
    "told",
    [
        f"Release ID {SECOND} Build ID 12399 Approvers ML-Engineers Requested by unknown Commit unknown",
        "If you approve 2 models are copied",
        "If you reject The release ends. Nothing is written to the Registry",
        "Deployment deployment-20251210-1 release 20251210.1 deployment-20251211-1",
        f"Cutoff date {CUTOFF} 40 days old {CUTOFF} 40 days old",
        "rmse 0.5 0.4 lower, better",
        "Endpoint be-plant001-circuit01",
        "Rolls back to deployment-20251210-1",
        "Rolls back to nothing: the first release of a circuit has no way back",
        "Tag validated ✓ true",
        "training log: epoch 3: learning rate halved",
        "Answer by 12 Dec 2025",
        "left)",
        "Nobody has answered yet.",
        "Review model metrics in Dev Workspace (tag: validated=true)",
        "Models will be copied from Dev Workspace to Azure ML Registry.",
        "az ml model show --name plant001-circuit01 --version 12399-m",
    ],
)
def test_gate_1_says(at_registry: PipelineWorld, told: str) -> None:
    """Issue 6, point 1: release, outcomes, live beside new with ages and directions, tags, warnings, deadline."""
    assert told in text_of(page(at_registry, REGISTRY))


@pytest.mark.parametrize(
    "told",
    [
        "Test inference completed successfully.",
        "Review the results in the Test workspace",
        "Smoke test ✓ Completed in",
        "queued,",
        "running)",
        "rows (",
        "Test job smoke-",
        "Beside the live model deployment-20251210-1:",
        "Schema",
        "Rolls back to deployment-20251210-1",
        "The old deployments stay: a rollback makes them the default again.",
    ],
)
def test_gate_2_says_as_well(at_production: PipelineWorld, told: str) -> None:
    """The smoke job with its times and rows, the schema, the predictions side by side, the way back."""
    assert told in text_of(page(at_production, PRODUCTION))


def test_the_artifact_opens_from_the_page(at_registry: PipelineWorld) -> None:
    """R10: the checklist asks to review it."""
    html = page(at_registry, REGISTRY)
    assert "/releases/x/artifact?view=y" in Outline(html).targets()
    assert f"releases/{SECOND}/12399/changed_circuits.json" in text_of(html)


def test_a_hold_and_a_newer_release_are_on_the_page_after_the_next_look() -> None:
    """Whoever approves the older release knows that it will leave the circuit out."""
    world = at_gate(REGISTRY)
    world.release_all("20251212.1", CIRCUIT, OTHER_CIRCUIT, build="12400")
    world.holds().hold(OTHER_CIRCUIT, until=None, by="ops", why="sensor swap")
    world.sweep_for(timedelta(minutes=15))
    text = text_of(page(world, REGISTRY))
    newer = "release 20251212.1 is newer and holds the production endpoint (deployment-20251212-1 shall be live on it)"
    assert f"{newer}: this release will leave the circuit out as superseded" in text
    assert "by ops, because sensor swap" in text
    assert "2 of 2 circuits to look at" in text
    for gate in GateName:
        world.answer(gate, release_id=SECOND)
        world.run()
    assert world.circuit(CIRCUIT, SECOND).phase is CircuitPhase.SUPERSEDED


def test_those_who_have_decided_are_on_the_page() -> None:
    """With the time, the way and the comment."""
    world = at_gate(REGISTRY)
    release = world.release(SECOND)
    world.change(release, policy=replace(release.policy, min_approvers=2))
    world.answer(REGISTRY, release_id=SECOND)
    text = text_of(page(world, REGISTRY))
    assert f"{APPROVERS[0]} approved," in text
    assert f"(by the link sent to {APPROVERS[0]}): “Looked at.”" in text
    assert "2 different people must approve." in text


def test_the_page_tells_when_the_evidence_it_shows_was_frozen_not_when_the_gate_opened() -> None:
    """Issue 6, point 1: what the timer replaced at 09:15 was not known at 09:00."""
    world = at_gate(REGISTRY)
    opened = world.clock.now()
    assert f"frozen {moment(opened)} ." in text_of(page(world, REGISTRY))
    world.holds().hold(CIRCUIT, until=None, by="ops", why="sensor swap")
    world.sweep_for(timedelta(minutes=15))
    gate = world.gate(REGISTRY, SECOND)
    assert gate.frozen_at == gate.hist[-1].at > opened
    text = text_of(page(world, REGISTRY))
    assert f"frozen {moment(gate.frozen_at)} . It has replaced what the gate showed before" in text
    assert f"the gate has been open since {moment(opened)}" in text


def test_evidence_frozen_before_that_was_written_down_is_as_old_as_the_gate() -> None:
    """Rows of the version before have no such column."""
    world = at_gate(REGISTRY)
    gate = world.gate(REGISTRY, SECOND)
    world.change(gate, frozen_at=None)
    assert f"frozen {moment(gate.opened_at)}" in text_of(page(world, REGISTRY))


def test_what_an_approval_sets_off_does_not_count_circuits_that_are_held() -> None:
    """They are left out in Production unless the hold ends before."""
    world = at_gate(PRODUCTION)
    world.holds().hold(CIRCUIT, until=None, by="ops", why="sensor swap")
    world.sweep_for(timedelta(minutes=15))
    text = text_of(page(world, PRODUCTION))
    assert "1 deployment is created in" in text
    assert f"Left out unless the hold has ended by then: {CIRCUIT}." in text
