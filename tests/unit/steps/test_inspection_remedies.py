"""Unit: what mends what an inspection finds: a retry, or only a new release."""

from collections.abc import Callable, Sequence

import pytest

from shared.application.steps.inspect import inspect
from shared.domain.events import StepFailed
from shared.domain.model import Environment
from shared.domain.naming import endpoint_tags
from shared.domain.remedy import Remedy
from tests.support.builders import CIRCUIT
from tests.support.circuit_world import DEV_TAGS, ENDPOINT, MODEL, OLD, OLD_RELEASE, World, found

TEST, PRODUCTION = Environment.TEST, Environment.PRODUCTION


def refused(world: World) -> StepFailed:
    outcome = world.look(inspect)
    assert isinstance(outcome, StepFailed), outcome
    return outcome


def is_of_the_future(world: World) -> None:
    world.change(cutoff_date="2026-01-01")


def is_older(world: World) -> None:
    tags = {"cutoff_date": "2025-11-15", "release_id": OLD_RELEASE}
    world.models.add_endpoint(PRODUCTION, ENDPOINT, default=OLD, tags=endpoint_tags(CIRCUIT), deployment_tags=tags)


def is_one_of_two(world: World) -> None:
    world.models.add_dev_model(MODEL, "2", DEV_TAGS)


def is_full(world: World) -> None:
    for number in range(100):
        world.models.add_endpoint(TEST, f"be-other-{number}")


def is_same_name(world: World) -> None:
    world.models.regions[TEST] = world.models.regions[PRODUCTION]


def is_too_long(world: World) -> None:
    world.change(test_endpoint="be-a-very-long-plant-name-and-circuit")


def is_taken(world: World) -> None:
    world.models.others["northeurope"][ENDPOINT] = f"the online endpoint {ENDPOINT} in mlw-test"


@pytest.mark.parametrize(
    ("spoil", "remedy"),
    [
        ((is_of_the_future,), Remedy.ARTIFACT),
        ((is_older,), Remedy.ARTIFACT),
        ((is_one_of_two,), Remedy.ARTIFACT),
        ((is_full,), Remedy.SETTINGS),
        ((is_same_name,), Remedy.SETTINGS),
        ((is_too_long,), Remedy.SETTINGS),
        ((is_taken,), Remedy.SETTINGS),
        ((is_full, is_of_the_future), Remedy.SEVERAL),
    ],
)
def test_what_a_release_began_with_needs_a_new_one_and_no_retry(
    world: World, spoil: Sequence[Callable[[World], None]], remedy: Remedy
) -> None:
    """R31, D2, D4: artifact and settings are kept by a retry, so following that advice would fail again."""
    world.inspectable()
    for change in spoil:
        change(world)

    assert found(refused(world)) == f"next: {remedy.told()}"


def test_what_lies_outside_the_release_is_mended_by_a_retry(world: World) -> None:
    """R11, R31: Dev's tags, the test data, a cluster."""
    world.inspectable()
    world.models.change_dev_model(MODEL, "1", tags={**DEV_TAGS, "validated": "True"})
    world.models.computes.clear()
    world.models.add_smoke_input(CIRCUIT, "other.csv")

    assert found(refused(world)) == ""
