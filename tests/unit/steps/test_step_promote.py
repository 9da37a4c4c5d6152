"""Unit: promotion copies what was approved, once, with exactly seven tags."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.application.ports import PromotedModel
from shared.application.steps.promote import promote
from shared.domain.errors import ConfigurationError, Occupied, PermanentError, TransientError, Unalterable
from shared.domain.events import ModelPromoted, StepFailed, StillRunning
from shared.domain.model import CircuitPhase
from shared.domain.remedy import Remedy
from tests.support.builders import RELEASE_ID, a_run
from tests.support.circuit_world import BUILD, CUTOFF, DEV_TAGS, MODEL, VERSION, World, found
from tests.support.fake_models import FakeModels


@pytest.fixture
def approved(world: World) -> World:
    """A circuit behind gate 1."""
    world.models.add_dev_model(MODEL, "1", DEV_TAGS)
    digest = world.models.dev_content_hash(MODEL, "1")
    world.put(a_run(phase=CircuitPhase.PROMOTING, source_version="1", source_hash=digest, source_tags=DEV_TAGS))
    return world


def promoted(world: World) -> ModelPromoted:
    outcome = world.look(promote)
    assert isinstance(outcome, ModelPromoted), outcome
    return outcome


def refused(world: World) -> StepFailed:
    outcome = world.look(promote)
    assert isinstance(outcome, StepFailed), outcome
    return outcome


class Overtaken(FakeModels):
    """Whenever a promotion gets as far as the Registry, another one of the same version has just been there."""

    def __init__(self, models: FakeModels, other_time: str) -> None:
        vars(self).update(vars(models))
        self._other_time = other_time

    def promote(
        self, *, name: str, source_version: str, version: str, tags: Mapping[str, str], mode: str
    ) -> PromotedModel:
        common = {"name": name, "source_version": source_version, "version": version, "mode": mode}
        super().promote(tags={**tags, "promoted_at": self._other_time}, **common)
        return super().promote(tags=tags, **common)


def test_the_registry_gets_the_model_with_exactly_seven_tags(approved: World) -> None:
    """R13-R15, D12: same name, the release's version, same content."""
    event = promoted(approved)

    held = approved.models.registry_model(MODEL, VERSION)
    assert held is not None
    assert (
        held.tags
        == event.registry_tags
        == {
            "cutoff_date": CUTOFF,
            "plant_id": "PLANT001",
            "circuit_id": "CIRCUIT01",
            "promoted_from": "dev",
            "promoted_at": "2025-12-10T09:00:00Z",
            "release_id": RELEASE_ID,
            "build_id": BUILD,
        }
    )
    assert event.source_hash == approved.run().source_hash
    assert event.evidence["promotion"] == {"mode": "copy", "registry_version": VERSION, "seconds": 0.0}


def test_a_second_run_changes_nothing_not_even_the_time(approved: World) -> None:
    """R17: a redelivered message makes no second version and keeps promoted_at."""
    first = promoted(approved)
    approved.clock.forward(timedelta(minutes=7))

    assert promoted(approved).registry_tags == first.registry_tags


def test_a_promotion_whose_answer_was_lost_is_completed(approved: World) -> None:
    """Crash after the effect: the next try finds it done."""
    approved.models.fail_next("promote", TransientError("connection lost"), after_effect=True)
    with pytest.raises(TransientError):
        promote(approved.work(), approved.ports)
    approved.clock.forward(timedelta(minutes=7))

    assert promoted(approved).registry_tags["promoted_at"] == "2025-12-10T09:00:00Z"


def test_a_try_that_was_overtaken_by_another_one_keeps_what_that_one_wrote(approved: World) -> None:
    """R17: a swept message runs beside the slow one it was meant to replace; whoever is second finds the version made."""
    other_time = "2025-12-10T08:59:41Z"
    outcome = promote(approved.work(), replace(approved.ports, models=Overtaken(approved.models, other_time)))

    assert isinstance(outcome, ModelPromoted), outcome
    held = approved.models.registry_model(MODEL, VERSION)
    assert held is not None
    assert held.tags == outcome.registry_tags
    assert outcome.registry_tags["promoted_at"] == other_time


def test_other_tags_than_approved_stop_it_before_any_write(approved: World) -> None:
    """The first step after a gate re-reads what the approver saw."""
    approved.models.change_dev_model(MODEL, "1", tags={**DEV_TAGS, "validated": "false"})

    event = refused(approved)

    assert event.error.startswith("changed since approval:")
    assert "validated was 'true', is 'false'" in event.error
    assert approved.models.registry_writes() == []


def test_other_content_than_approved_stops_it_before_any_write(approved: World) -> None:
    """The hash is compared, too."""
    approved.change(source_hash="0" * 64)

    assert "other content" in refused(approved).error
    assert approved.models.registry_writes() == []


def test_a_model_that_is_gone_stops_it_before_any_write(approved: World) -> None:
    """Somebody archived it while the approver was thinking."""
    approved.change(source_version="9")

    assert "version 9 is gone" in refused(approved).error
    assert approved.models.registry_writes() == []


def test_what_the_registry_refuses_fails_the_circuit_with_a_diagnosis(approved: World) -> None:
    """R49: not in the Registry, so here is what Dev has."""
    approved.models.fail_next("promote", PermanentError("name is reserved"))

    event = refused(approved)

    assert "name is reserved" in event.error
    assert f"the Registry does not have {MODEL} version {VERSION}" in found(event)
    assert "Dev's candidates: version 1 (validated=true" in found(event)


def test_a_version_with_other_content_needs_a_new_release_and_says_only_that(approved: World) -> None:
    """R49, R17: the version is the release's, and stays what it is; a retry would ask for it again."""
    approved.models.fail_next("promote", Unalterable("the Registry holds other content"))

    event = refused(approved)

    assert found(event).endswith(f"next: {Remedy.VERSION.told()}")
    assert "retry the release" not in f"{event.error} {found(event)}"


def test_other_tags_on_an_existing_version_fail_it(approved: World) -> None:
    """Read back: what is there must be what we meant to write."""
    promoted(approved)
    approved.put_release(replace(approved.work().release, build_id="99"))

    assert "has other tags" in refused(approved).error


def test_a_missing_role_is_left_to_the_worker(approved: World) -> None:
    """Configuration is not the circuit's fault."""
    approved.models.fail_next("promote", ConfigurationError("403"))

    with pytest.raises(ConfigurationError):
        promote(approved.work(), approved.ports)


def test_who_waits_for_other_promotions_has_not_begun(approved: World) -> None:
    """Rule 6: a sibling has the turn or the temporary storage; that fails nobody, and no deadline runs meanwhile."""
    approved.models.fail_next("promote", Occupied("4 promotions are at work here"))

    assert approved.look(promote) == StillRunning(restart_clock=True)
