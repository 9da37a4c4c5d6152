"""Unit: converge brings a default to what is wanted, whoever runs it and whatever moves meanwhile."""

from datetime import timedelta

import pytest

from shared.application.convergence import Converged, Converging, converge
from shared.domain.errors import PermanentError, TransientError
from shared.domain.model import Environment
from tests.support.builders import CIRCUIT
from tests.support.circuit_world import DEPLOYMENT, ENDPOINT, OLD, PLACE, World

PRODUCTION = Environment.PRODUCTION


@pytest.fixture
def wanting(world: World) -> World:
    """The new deployment is wanted, the old one is the default."""
    world.activating()
    world.put_lock(fence=3, want=DEPLOYMENT)
    world.models.operation_time = timedelta(seconds=20)
    return world


def once(world: World) -> Converged | Converging:
    return converge(PRODUCTION, CIRCUIT, ENDPOINT, world.ports)


def settled(world: World) -> Converged:
    for _ in range(20):
        reached = once(world)
        if isinstance(reached, Converged):
            return reached
        world.clock.forward(timedelta(seconds=5))
    raise AssertionError(reached)


def written(world: World) -> list[object]:
    return [call.args.get("deployment", "") for call in world.models.production_writes()]


def test_one_switch_is_one_put_and_is_shown_by_reading_again(wanting: World) -> None:
    """R39: Converged only after default and lock were both read again."""
    reached = settled(wanting)

    assert reached == Converged(default=DEPLOYMENT, lock=wanting.lock())
    assert written(wanting) == [DEPLOYMENT]


def test_a_switch_costs_at_most_five_calls_of_azure_ml(wanting: World) -> None:
    """R44 at scale: look, put, look while it works, look at the end."""
    wanting.models.operation_time = timedelta()
    wanting.models.journal.clear()

    settled(wanting)

    assert [call.method for call in wanting.models.journal] == ["endpoint", "set_default", "endpoint"]


def test_nothing_is_put_while_an_operation_is_under_way(wanting: World) -> None:
    """The service answers 409 then."""
    once(wanting)
    wanting.clock.forward(timedelta(seconds=19))

    assert isinstance(once(wanting), Converging)
    assert written(wanting) == [DEPLOYMENT]


def test_what_agrees_already_is_left_alone(wanting: World) -> None:
    """Repeated by anyone, at any time."""
    settled(wanting)
    wanting.models.journal.clear()

    assert settled(wanting).default == DEPLOYMENT
    assert wanting.models.production_writes() == []


@pytest.mark.parametrize("locked", [True, False])
def test_an_endpoint_of_which_nothing_is_wanted_is_left_alone(world: World, *, locked: bool) -> None:
    """A lock without a want, or no lock: not even a look."""
    world.with_live()
    if locked:
        world.put_lock(fence=1, want="")

    assert isinstance(once(world), Converged)
    assert world.models.journal == []


def test_wanting_no_default_is_not_the_same_as_wanting_nothing(wanting: World) -> None:
    """D11: the default is taken away by a PUT without defaults."""
    wanting.put_lock(fence=4, want="", want_none=True)

    assert settled(wanting).default == ""
    assert [call.method for call in wanting.models.production_writes()] == ["clear_default"]


def test_a_want_that_changes_while_the_switch_works_is_switched_to_next(wanting: World) -> None:
    """A rollback in the middle of an activation: the last want wins."""
    once(wanting)
    wanting.put_lock(fence=4, want=OLD)

    assert settled(wanting).default == OLD
    assert written(wanting) == [DEPLOYMENT, OLD]


def test_a_fence_that_moves_between_the_two_reads_is_noticed(wanting: World) -> None:
    """The endpoint agreed with a want that is no longer the want."""
    settled(wanting)
    reads = 0

    def move_before_the_second(request: str) -> None:
        nonlocal reads
        reads += request == "lock"
        if reads == 2:
            wanting.endpoints.on_request = lambda _request: None
            wanting.put_lock(fence=4, want=OLD)

    wanting.endpoints.on_request = move_before_the_second

    assert isinstance(once(wanting), Converging)
    assert settled(wanting).default == OLD


def test_a_raised_fence_with_the_same_want_is_read_once_more(wanting: World) -> None:
    """Agreement is only shown under one and the same fence."""
    settled(wanting)
    reads = 0

    def raise_before_the_second(request: str) -> None:
        nonlocal reads
        reads += request == "lock"
        if reads == 2:
            wanting.endpoints.on_request = lambda _request: None
            wanting.put_lock(fence=4, want=DEPLOYMENT)

    wanting.endpoints.on_request = raise_before_the_second

    assert isinstance(once(wanting), Converging)
    reached = once(wanting)
    assert isinstance(reached, Converged)
    assert reached.lock is not None
    assert reached.lock.fence == 4


def test_a_late_worker_that_put_an_old_want_is_put_right_by_anyone(wanting: World) -> None:
    """It read the lock, slept, and wrote: the default can't be fenced, so it is converged again."""
    reads = 0

    def sleep_before_the_put(method: str) -> None:
        nonlocal reads
        if method == "set_default" and not reads:
            reads = 1
            wanting.put_lock(fence=4, want=OLD)

    wanting.models.before = sleep_before_the_put
    once(wanting)
    wanting.clock.forward(timedelta(seconds=30))
    assert wanting.default() == DEPLOYMENT

    assert settled(wanting).default == OLD


def test_a_lost_answer_is_found_out_by_looking(wanting: World) -> None:
    """The PUT was accepted; it is not repeated."""
    wanting.models.fail_next("set_default", TransientError("connection lost"), after_effect=True)
    with pytest.raises(TransientError):
        once(wanting)

    assert settled(wanting).default == DEPLOYMENT
    assert written(wanting) == [DEPLOYMENT]


def test_a_default_changed_outside_is_put_right(wanting: World) -> None:
    """As long as something is wanted."""
    settled(wanting)
    wanting.models.change_default(PRODUCTION, ENDPOINT, OLD)

    assert settled(wanting).default == DEPLOYMENT


def test_an_endpoint_that_is_gone_is_said_by_name(wanting: World) -> None:
    """Nobody can converge it."""
    wanting.models._endpoints.pop((PRODUCTION, ENDPOINT))

    with pytest.raises(PermanentError, match=f"endpoint {ENDPOINT} does not exist in production"):
        once(wanting)


def test_a_failed_switch_is_tried_again(wanting: World) -> None:
    """R38: the endpoint must be Succeeded, not only right."""
    wanting.models.change_default(PRODUCTION, ENDPOINT, DEPLOYMENT)
    wanting.models.fail_endpoint(PRODUCTION, ENDPOINT)

    assert isinstance(once(wanting), Converging)
    assert settled(wanting).default == DEPLOYMENT
    assert written(wanting) == [DEPLOYMENT]


def test_lock_and_ledger_are_only_read(wanting: World) -> None:
    """Converge writes one thing: the default."""
    before = wanting.endpoints.locks[PLACE]
    settled(wanting)

    assert wanting.endpoints.locks[PLACE] == before
    assert wanting.endpoints.requests["ledger"] == 0
