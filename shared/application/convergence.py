"""Use cases: an endpoint's default becomes what its lock row wants. The only code that writes a default is `converge`.

It is safe for anyone at any time: it asks what is wanted, and never what the caller would like.
"""

from dataclasses import dataclass, replace
from datetime import timedelta

from shared.application.locks import LockLost
from shared.application.ports import Endpoint, Ports, ProvisioningState
from shared.application.settle import settle
from shared.domain.errors import PermanentError
from shared.domain.events import CircuitEvent, CircuitSuperseded, StillRunning
from shared.domain.model import Circuit, CircuitRun, EndpointLock, Environment
from shared.telemetry import log

LOOK_AGAIN = timedelta(seconds=5)
"""How soon to look at a switch under way: R44 gives a rollback two minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Converged:
    """Default and want were read and agree, and the fence did not move meanwhile."""

    default: str
    lock: EndpointLock | None
    """None, or without any want: nothing is wanted of this endpoint, so it was left alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Converging:
    """Not there yet: look again in `LOOK_AGAIN`."""

    why: str
    has_begun: bool = False
    """The switch was asked for just now."""


def converge(
    environment: Environment, circuit: Circuit, endpoint_name: str, ports: Ports, *, seen: Endpoint | None = None
) -> Converged | Converging:
    """Bring an endpoint's default one step nearer to what its lock row wants. Re-entrant, never blocks.

    `seen` saves the look at an endpoint that was looked at a moment ago and has another default.

    Raises:
        PermanentError: the endpoint is gone.
    """
    before = ports.endpoints.lock(environment, circuit)
    lock = before.row if before else None
    if lock is None or not (lock.want or lock.want_none):
        return Converged(default="", lock=lock)
    endpoint = seen or ports.models.endpoint(environment, endpoint_name)
    if endpoint is None:
        raise PermanentError(f"endpoint {endpoint_name} does not exist in {environment}")
    if endpoint.state is ProvisioningState.RUNNING:
        return Converging(why=f"{endpoint_name} is being changed")
    if endpoint.state is not ProvisioningState.SUCCEEDED or endpoint.default != lock.want:
        return _switch(ports, lock, endpoint)
    after = ports.endpoints.lock(environment, circuit)
    if after is None or (after.row.fence, after.row.want) != (lock.fence, lock.want):
        return Converging(why=f"the lock of {endpoint_name} moved meanwhile")
    return Converged(default=endpoint.default, lock=after.row)


def note_seen_live(reached: Converged, ports: Ports) -> None:
    """What is wanted was read as the default, so nothing leaves any more. Whoever has moved the fence since says so."""

    def attempt() -> None:
        assert reached.lock is not None
        held = ports.endpoints.lock(reached.lock.environment, reached.lock.circuit)
        if held and held.row.leaves and held.row.fence == reached.lock.fence:
            ports.endpoints.write_lock(replace(held.row, leaves=""), etag=held.etag)

    if reached.lock and reached.lock.leaves:
        settle(ports.clock, attempt)


def hand_over(environment: Environment, run: CircuitRun, lost: LockLost, ports: Ports) -> CircuitEvent | StillRunning:
    """The endpoint is somebody else's now. What this run may still have written is put right before it lets go."""
    name = run.test_endpoint if environment is Environment.TEST else run.endpoint
    try:
        reached = converge(environment, run.circuit, name, ports)
    except PermanentError as error:
        log.warning("endpoint can't be put right", action="put_right_failed", circuit=run.circuit, error=error)
        reached = None
    if isinstance(reached, Converging):
        return StillRunning(check_in=LOOK_AGAIN)
    return CircuitSuperseded(at=ports.clock.now(), why=f"{lost.owner} has taken the endpoint over")


def _switch(ports: Ports, lock: EndpointLock, endpoint: Endpoint) -> Converging:
    log.info(
        "switching default",
        action="switching_default",
        environment=lock.environment,
        circuit=lock.circuit,
        endpoint=endpoint.name,
        source=endpoint.default,
        target=lock.want,
        fence=lock.fence,
    )
    if lock.want:
        ports.models.set_default(lock.environment, endpoint.name, lock.want)
    else:
        ports.models.clear_default(lock.environment, endpoint.name)
    return Converging(why=f"{endpoint.name} is being switched to {lock.want or 'no default'}", has_begun=True)
