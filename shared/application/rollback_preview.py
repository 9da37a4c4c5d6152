"""Use cases: what a rollback would do, before anybody confirms it."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from shared.application.live import is_anothers
from shared.application.locks import hold_told
from shared.application.plans import RollbackTarget
from shared.application.ports import Ports
from shared.application.rollback_affected import Newer, affected, newer_releases
from shared.application.rollback_request import RollbackRequest
from shared.application.rollbacks import Rollbacks
from shared.application.way_back import WaysBack
from shared.domain.errors import PipelineError, RequestRefused
from shared.domain.model import EndpointLock, Environment

MOST_LOOKED_AT, LOOKS_AT_ONCE = 96, 16
"""Two reads each: a page of as many circuits opens in two seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitPreview:
    """One circuit that can go back."""

    target: RollbackTarget
    health: str
    """What is known of the deployment to go back to, in words."""
    healthy: bool | None
    """None: it was not looked at."""
    live: str
    """The default as it was read; what should be live, if it was not looked at."""
    attention: Sequence[str] = ()

    @property
    def name(self) -> str:
        return str(self.target.circuit)

    @property
    def live_release(self) -> str:
        """The release whose deployment is live; empty: none of ours, or somebody has switched to another one."""
        return self.target.release_id if self.live == self.target.live else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackPreview:
    circuits: Sequence[CircuitPreview] = ()
    notes: Sequence[str] = ()
    refused: str = ""
    """Why nothing can go back; empty: something can."""
    affected: Sequence[str] = ()
    """Releases that are at work or waiting with these circuits, a sentence each."""
    newer: Sequence[Newer] = ()
    """Releases that are newer than the one that is to go back: they can be taken back instead."""


def _already(live: str, target: RollbackTarget) -> Sequence[str]:
    if live != target.to:
        return ()
    return (f"{live} is live already, by somebody outside this app; the rollback makes it what should be live",)


@dataclass(frozen=True, slots=True)
class Previews:
    ports: Ports

    def of(self, request: RollbackRequest) -> RollbackPreview:
        """What the request would do, with a look at Azure ML. Changes nothing.

        Raises:
            RequestRefused: 404 nothing known by that name.
        """
        newer = self._newer(request)
        try:
            plan, notes = Rollbacks(self.ports).plan(request)
        except RequestRefused as error:
            if error.status != 409:
                raise
            return RollbackPreview(refused=error.detail, newer=newer)
        looked, rest = plan.targets[:MOST_LOOKED_AT], plan.targets[MOST_LOOKED_AT:]
        with ThreadPoolExecutor(max_workers=LOOKS_AT_ONCE) as pool:
            seen = list(pool.map(lambda target: self._look(request, target), looked))
        later = "is looked at before anything is changed"
        unseen = [CircuitPreview(target=target, health=later, healthy=None, live=target.live) for target in rest]
        also = affected({target.circuit for target in plan.targets}, request.environment, self.ports)
        return RollbackPreview(circuits=(*seen, *unseen), notes=notes, affected=also, newer=newer)

    def _newer(self, request: RollbackRequest) -> Sequence[Newer]:
        if not request.release_id or request.environment is Environment.TEST:
            return ()
        locks = self.ports.endpoints.locks_of(request.environment, Rollbacks(self.ports).known(request))
        return newer_releases(request.release_id, locks, self.ports)

    def _look(self, request: RollbackRequest, target: RollbackTarget) -> CircuitPreview:
        environment, circuit, name = request.environment, target.circuit, target.endpoint
        stored = self.ports.endpoints.lock(environment, circuit)
        ways = WaysBack(ports=self.ports, environment=environment, circuit=circuit, endpoint=name)
        attention = tuple(self._told(stored.row)) if stored else ()
        unknown = CircuitPreview(target=target, health="", healthy=None, live=target.live, attention=attention)
        try:
            way = ways.look_at(target.to)
            endpoint = self.ports.models.endpoint(environment, name)
        except PipelineError as error:
            return replace(unknown, health=f"could not be looked at ({error})")
        live = endpoint.default if endpoint else ""
        if stored and live not in {stored.row.want, stored.row.live}:
            changed = f"{live or 'nothing'} is live, {stored.row.live} should be: it was changed outside this app"
            attention = (*attention, changed, *_already(live, target))
        health = way.problem or (way.deployment.state if way.deployment else "")
        if endpoint and is_anothers(endpoint, circuit):
            health = f"{name} is tagged for another circuit"
            return replace(unknown, live=live, attention=attention, healthy=False, health=health)
        return replace(unknown, live=live, attention=attention, healthy=not way.problem, health=health)

    def _told(self, lock: EndpointLock) -> Sequence[str]:
        """What else is affected."""
        owner = self.ports.releases.release(lock.owner)
        at_work = owner is not None and not owner.row.is_terminal
        return [
            *([f"{lock.owner} is at work here: its run of this circuit ends as superseded"] if at_work else []),
            *([hold_told(lock)] if lock.is_held(self.ports.clock.now()) else []),
        ]
