"""Unit: what pruning deletes after a release, and above all what it leaves (D4)."""

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.application.pruning import Pruning
from shared.domain.commands import Prune
from shared.domain.errors import PermanentError, TransientError
from shared.domain.model import Circuit, Environment, ReleasePhase
from shared.domain.naming import deployment_name, model_name
from shared.domain.policy import Policy
from tests.support.builders import CIRCUIT
from tests.support.pipeline_world import PipelineWorld

TEST, PRODUCTION = Environment.TEST, Environment.PRODUCTION
ENDPOINT = f"be-{model_name(CIRCUIT)}"
KEPT_ONE_AND_PREVIOUS = Policy(deployments_kept=2)


def release_id(number: int) -> str:
    return f"20251210.{number}"


def names(*numbers: int) -> set[str]:
    return {deployment_name(release_id(number)) for number in numbers}


def there(world: PipelineWorld, environment: Environment = PRODUCTION, endpoint: str = ENDPOINT) -> set[str]:
    return set(world.models.deployment_names(environment, endpoint))


def released(world: PipelineWorld, *numbers: int) -> PipelineWorld:
    for number in numbers:
        world.release_all(release_id(number), CIRCUIT, build=str(12345 + number))
    return world


def test_the_newest_three_of_an_endpoint_are_kept() -> None:
    """In Test and in Production, from the fourth release on."""
    world = released(PipelineWorld(), 1, 2, 3)
    assert there(world) == names(1, 2, 3)
    released(world, 4, 5)
    assert there(world) == names(3, 4, 5)
    assert there(world, TEST) == names(3, 4, 5)


def test_how_many_are_kept_is_a_setting() -> None:
    """Never fewer than live and previous."""
    world = released(PipelineWorld(policy=KEPT_ONE_AND_PREVIOUS), 1, 2, 3, 4)
    assert there(world) == names(3, 4)


def test_nothing_is_deleted_before_the_release_has_succeeded() -> None:
    """D4: a release that fails, or still waits for people, deletes nothing."""
    world = released(PipelineWorld(), 1, 2, 3)
    world.start(release_id(4), CIRCUIT, build="9")
    world.to_phase(ReleasePhase.AWAITING_PRODUCTION_APPROVAL, release_id(4))
    Pruning(world.ports).handle(Prune(release_id=release_id(4)))
    assert world.models.calls("delete_deployment") == []


def test_deployments_that_are_not_in_our_ledger_stay() -> None:
    """Somebody else's, and one that we adopted: not ours to delete."""
    world = PipelineWorld()
    world.models.add_endpoint(PRODUCTION, ENDPOINT, default="from-before-us", deployments=["an-experiment"])
    released(world, 1, 2, 3, 4, 5)
    assert there(world) == {"from-before-us", "an-experiment"} | names(3, 4, 5)


def test_what_a_rollback_would_go_back_to_stays_however_old_it_is() -> None:
    """The fourth release replaced the first one's deployment, which a rollback had made live again."""
    world = released(PipelineWorld(), 1, 2, 3)
    world.roll_back(CIRCUIT, to=deployment_name(release_id(1)))
    world.run()
    world.holds().lift(CIRCUIT, why="tested again", by="ops")
    released(world, 4)
    assert world.circuit(CIRCUIT, release_id(4)).previous_deployment == deployment_name(release_id(1))
    assert there(world) == names(1, 2, 3, 4)


def test_the_lock_of_somebody_else_keeps_pruning_away() -> None:
    """A rollback is at work: what looks old from here may be what it goes back to."""
    world = released(PipelineWorld(), 1, 2, 3)
    world.change(world.release(release_id(3)), policy=KEPT_ONE_AND_PREVIOUS)
    held = world.endpoints.lock(PRODUCTION, CIRCUIT)
    assert held
    world.endpoints.write_lock(replace(held.row, owner="rollback-1"), etag=held.etag)
    Pruning(world.ports).handle(Prune(release_id=release_id(3)))
    assert there(world) == names(1, 2, 3)


@pytest.mark.parametrize("method", ["endpoint", "deployment_names", "has_running_jobs"])
@pytest.mark.parametrize("environment", list(Environment))
def test_a_rollback_that_comes_while_pruning_looks_keeps_its_target(method: str, environment: Environment) -> None:
    """The locks are read again right before each delete: what one of them needs now may be old by the first look."""
    world = released(PipelineWorld(policy=Policy(deployments_kept=5)), 1, 2, 3, 4)
    world.change(world.release(release_id(4)), policy=KEPT_ONE_AND_PREVIOUS)
    world.models.operation_time = timedelta(seconds=20)
    look, rollbacks = getattr(world.models, method), []

    def meanwhile(where: Environment, name: str, *more: str) -> object:
        found = look(where, name, *more)
        if not rollbacks and where is environment:
            rollbacks.append(world.roll_back(CIRCUIT, to=deployment_name(release_id(1))).rollback_id)
            world.run(lambda: world.lock().owner == rollbacks[0])
        return found

    setattr(world.models, method, meanwhile)
    Pruning(world.ports).handle(Prune(release_id=release_id(4)))
    world.run()

    assert world.live_default() == deployment_name(release_id(1))
    assert world.phase(rollbacks[0]) is ReleasePhase.SUCCEEDED
    assert there(world, environment) == names(1, 2, 3, 4)


def test_a_deployment_with_a_running_job_stays_until_it_has_none() -> None:
    """Somebody scores with the old model: the next release may prune it."""
    world = released(PipelineWorld(), 1, 2, 3)
    world.models.busy.add((PRODUCTION, ENDPOINT, deployment_name(release_id(1))))
    released(world, 4)
    assert there(world) == names(1, 2, 3, 4)
    assert there(world, TEST) == names(2, 3, 4)
    world.models.busy.clear()
    released(world, 5)
    assert there(world) == names(3, 4, 5)


@pytest.mark.parametrize("error", [PermanentError("has children"), TransientError("503")])
def test_a_failed_prune_never_fails_a_release(error: PermanentError | TransientError) -> None:
    """The release has succeeded and stays so; other circuits are pruned all the same."""
    other = Circuit(plant_id="PLANT009", circuit_id="CIRCUIT09")
    world = PipelineWorld()
    for number in (1, 2, 3):
        world.release_all(release_id(number), CIRCUIT, other, build=str(number))
    world.models.fail_next("delete_deployment", error)
    world.release_all(release_id(4), CIRCUIT, other, build="4")
    assert world.phase(release_id(4)) is ReleasePhase.SUCCEEDED
    assert there(world) == names(1, 2, 3, 4)
    assert there(world, PRODUCTION, f"be-{model_name(other)}") == names(2, 3, 4)


def test_pruning_again_deletes_nothing_more() -> None:
    """A message delivered twice."""
    world = released(PipelineWorld(), 1, 2, 3, 4)
    before = len(world.models.calls("delete_deployment"))
    Pruning(world.ports).handle(Prune(release_id=release_id(4)))
    assert len(world.models.calls("delete_deployment")) == before == 2


def test_many_circuits_are_pruned_page_by_page() -> None:
    """One message does not hold a function for long."""
    world = PipelineWorld(policy=Policy(gate_reminder_before=timedelta()))
    circuits = [Circuit(plant_id="P", circuit_id=f"C{number:02d}") for number in range(25)]
    world.release_all(release_id(1), *circuits)
    pages = [command for command in world.bus.sent if isinstance(command, Prune)]
    assert [page.cursor for page in pages] == ["", "c|P|C19"]
