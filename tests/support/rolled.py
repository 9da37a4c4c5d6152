"""Releases one after the other, as rollback tests begin."""

from datetime import timedelta

from shared.domain.errors import PermanentError, TransientError
from shared.domain.model import Circuit, Environment, ReleasePhase
from shared.domain.naming import deployment_name
from tests.support.builders import RELEASE_ID
from tests.support.pipeline_world import PipelineWorld

IDS = (RELEASE_ID, "20251211.1", "20251212.1", "20251213.1")
FIRST, SECOND, THIRD, FOURTH = (deployment_name(release_id) for release_id in IDS)
ENDPOINT, OTHER_ENDPOINT = "be-plant001-circuit01", "be-plant001-circuit02"
PRODUCTION = Environment.PRODUCTION
MINUTE = timedelta(minutes=1)


def released(world: PipelineWorld, count: int, *circuits: Circuit) -> PipelineWorld:
    """So many releases of these circuits, or of three, a day apart, all live."""
    for number, release_id in enumerate(IDS[:count]):
        world.release_all(release_id, *circuits, build=str(number))
        world.clock.forward(timedelta(days=1))
    return world


def refuse_switches(world: PipelineWorld, *refused: tuple[str, str], stuck: tuple[tuple[str, str], ...] = ()) -> None:
    """Production refuses these defaults (endpoint, deployment) for good; of the `stuck` ones it never answers."""
    switch = type(world.models).set_default

    def refuse(environment: Environment, endpoint: str, deployment: str) -> None:
        if environment is PRODUCTION and (endpoint, deployment) in refused:
            raise PermanentError("no")
        if environment is PRODUCTION and (endpoint, deployment) in stuck:
            raise TransientError("503")
        switch(world.models, environment, endpoint, deployment)

    world.models.set_default = refuse  # type: ignore[method-assign]  # the fake's own method, as the service may be


def serve_again(world: PipelineWorld) -> None:
    del world.models.set_default


def reverted(world: PipelineWorld, *, stuck: tuple[tuple[str, str], ...] = ()) -> PipelineWorld:
    """The third release could not switch one circuit, and has put back the others, but for what got stuck (D11)."""
    released(world, 2)
    refuse_switches(world, (OTHER_ENDPOINT, THIRD), stuck=stuck)
    world.start(IDS[2], build="3")
    world.to_phase(ReleasePhase.FAILED, IDS[2])
    world.run()
    return world


def with_stuck_restore(world: PipelineWorld) -> PipelineWorld:
    """The third release has put back all circuits but the first one; now the service would (D11)."""
    reverted(world, stuck=((ENDPOINT, SECOND),))
    serve_again(world)
    return world
