"""Unit: a release whose next phase can't be written does not stand for ever behind a round that has ended."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from shared.application.release_evidence import NO_BUNDLE
from shared.domain.errors import PermanentError
from shared.domain.model import CircuitPhase, GateName, GateState, Moment, ReleasePhase, Round
from shared.domain.naming import deployment_name
from tests.support.builders import CIRCUIT, NOW, RELEASE_ID, a_gate, a_release, a_run
from tests.support.host_at_work import HostAtWork
from tests.support.pipeline_world import PipelineWorld

REFUSED = PermanentError("the storage account refuses the blob: 400")
DEFECT = KeyError("metrics")


def refuse(world: PipelineWorld, error: Exception, *, what: str) -> Callable[[], None]:
    """Blobs with this in their path can't be written; returns what mends it."""
    put = world.evidence.put

    def refusing(path: str, content: bytes) -> None:
        if what in path:
            raise error
        put(path, content)

    def mend() -> None:
        world.evidence.put = put  # type: ignore[method-assign]  # as it was

    world.evidence.put = refusing  # type: ignore[method-assign]  # a store in trouble
    return mend


@pytest.mark.parametrize("error", [REFUSED, DEFECT], ids=["refused", "defect"])
def test_a_gate_that_can_not_be_opened_for_a_day_fails_the_release_and_people_are_told(
    world: PipelineWorld, error: Exception
) -> None:
    """I8: nobody was asked and nothing was written; the mail says what was in the way, and a retry goes on."""
    mend = refuse(world, error, what=GateName.REGISTRY)
    host = HostAtWork(world)
    world.start(RELEASE_ID, CIRCUIT)

    host.run_for(timedelta(hours=23))
    assert world.phase() is ReleasePhase.INSPECTING
    host.run_for(timedelta(hours=3))

    assert world.phase() is ReleasePhase.FAILED
    assert str(error) in world.release().reason
    assert NO_BUNDLE in world.release().warnings
    assert {letter.notice.moment for letter in world.mail.letters} == {Moment.RELEASE_FAILED}
    mend()
    world.operations().retry(RELEASE_ID, by="ops", reason="the store is back", exclude={})
    world.to_phase(ReleasePhase.SUCCEEDED)
    assert NO_BUNDLE not in world.release().warnings


@pytest.mark.parametrize("error", [REFUSED, DEFECT], ids=["refused", "defect"])
def test_a_release_whose_bundle_can_not_be_written_ends_without_it_as_it_would_have(
    world: PipelineWorld, error: Exception
) -> None:
    """I8: what is live stays live; that evidence is missing stands on the release, and no digest is claimed."""
    world.start(RELEASE_ID, CIRCUIT)
    world.to_phase(ReleasePhase.ACTIVATING)
    refuse(world, error, what=f"{RELEASE_ID}/evidence-")

    HostAtWork(world).run_for(timedelta(hours=26))

    release = world.release()
    assert (release.phase, release.evidence_sha256) == (ReleasePhase.SUCCEEDED, "")
    assert NO_BUNDLE in release.warnings
    assert world.live_default() == deployment_name(RELEASE_ID)
    assert world.releases.active_release_ids() == []


def test_a_gate_expires_a_day_late_if_its_bundle_can_not_be_written(world: PipelineWorld) -> None:
    """I8, R8: nobody can answer it any more in that day; then it is over."""
    world.start(RELEASE_ID, CIRCUIT)
    world.to_phase(ReleasePhase.AWAITING_REGISTRY_APPROVAL)
    refuse(world, REFUSED, what=f"{RELEASE_ID}/evidence-")

    HostAtWork(world).run_for(timedelta(hours=49))

    assert world.phase() is ReleasePhase.EXPIRED
    assert world.release().warnings == (NO_BUNDLE,)


def test_a_gate_that_stands_open_already_is_no_silent_end(world: PipelineWorld) -> None:
    """Found by a deliberate defect: opening it again is no edge of the gate's, and that must not pass as a late event."""
    world.put(
        a_release(total=1, due_at=NOW),
        a_run(phase=CircuitPhase.INSPECTED, todo=Round.NONE, due_at=None),
        a_gate(GateName.REGISTRY, state=GateState.OPEN),
    )

    HostAtWork(world).run_for(timedelta(hours=26))

    assert world.phase() is ReleasePhase.FAILED
    assert "GateOpened has no edge" in world.release().reason


def test_a_round_with_a_circuit_at_work_is_not_counted_as_stuck(world: PipelineWorld) -> None:
    """I3: whatever a look at it raises, work goes on until it has ended."""
    world.put(a_release(total=1, due_at=NOW, stuck=96), a_run(due_at=NOW + timedelta(days=1)))

    def refuse_to_look(*_of: object) -> bool:
        world.releases.any_pending = looks  # type: ignore[method-assign]  # only once
        raise REFUSED

    looks = world.releases.any_pending
    world.releases.any_pending = refuse_to_look  # type: ignore[method-assign]  # a service in trouble
    world.sweep()

    assert (world.phase(), world.circuit().phase) == (ReleasePhase.INSPECTING, CircuitPhase.INSPECTING)
