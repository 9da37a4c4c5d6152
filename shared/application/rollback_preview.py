"""Use cases: what a rollback would do, before anybody confirms it; and the code that a personal link asks for."""

import hmac
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from shared.application.live import is_other_circuits
from shared.application.locks import hold_told
from shared.application.plans import RollbackTarget
from shared.application.ports import Ports, ProvisioningState, RollbackClaim, Update
from shared.application.rollbacks import RollbackRequest, Rollbacks
from shared.application.settle import settle
from shared.domain.errors import PipelineError, RequestRefused
from shared.domain.model import EndpointLock
from shared.domain.naming import model_name

MOST_LOOKED_AT = 24
LOOKS_AT_ONCE = 8
MOST_WRONG_CODES = 5


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


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackPreview:
    circuits: Sequence[CircuitPreview] = ()
    notes: Sequence[str] = ()
    refused: str = ""
    """Why nothing can go back; empty: something can."""


@dataclass(frozen=True, slots=True)
class Previews:
    ports: Ports

    def of(self, request: RollbackRequest) -> RollbackPreview:
        """What the request would do, with a look at Azure ML. Changes nothing.

        Raises:
            RequestRefused: 404 nothing known by that name.
        """
        try:
            plan, notes = Rollbacks(self.ports).plan(request)
        except RequestRefused as error:
            if error.status != 409:
                raise
            return RollbackPreview(refused=error.detail)
        looked, rest = plan.targets[:MOST_LOOKED_AT], plan.targets[MOST_LOOKED_AT:]
        with ThreadPoolExecutor(max_workers=LOOKS_AT_ONCE) as pool:
            seen = list(pool.map(lambda target: self._look(request, target), looked))
        later = "is looked at before anything is changed"
        unseen = [CircuitPreview(target=target, health=later, healthy=None, live=target.live) for target in rest]
        return RollbackPreview(circuits=(*seen, *unseen), notes=notes)

    def _look(self, request: RollbackRequest, target: RollbackTarget) -> CircuitPreview:
        models, environment = self.ports.models, request.environment
        attention = tuple(self._attention(request, target))
        unknown = CircuitPreview(target=target, health="", healthy=None, live=target.live, attention=attention)
        try:
            deployment = models.deployment(environment, target.endpoint, target.to)
            endpoint = models.endpoint(environment, target.endpoint)
        except PipelineError as error:
            return replace(unknown, health=f"could not be looked at ({error})")
        live = endpoint.default if endpoint else ""
        if live != target.live:
            changed = f"{live or 'nothing'} is live, {target.live} should be: it was changed outside this app"
            attention = (*attention, changed)
        seen = replace(unknown, live=live, attention=attention, healthy=False)
        if deployment is None:
            return replace(seen, health="does not exist any more")
        if is_other_circuits(deployment, model_name(target.circuit)):
            return replace(seen, health=f"runs {deployment.model_id}")
        return replace(seen, health=deployment.state, healthy=deployment.state is ProvisioningState.SUCCEEDED)

    def _attention(self, request: RollbackRequest, target: RollbackTarget) -> Sequence[str]:
        """What else is affected."""
        stored = self.ports.endpoints.lock(request.environment, target.circuit)
        return () if stored is None else tuple(self._told(stored.row))

    def _told(self, lock: EndpointLock) -> Sequence[str]:
        owner = self.ports.releases.release(lock.owner)
        at_work = owner is not None and not owner.row.is_terminal
        return [
            *([f"{lock.owner} is at work here: its run of this circuit ends as superseded"] if at_work else []),
            *([hold_told(lock)] if lock.is_held(self.ports.clock.now()) else []),
        ]

    # -------------------------------------------------------------------------------------------- the code

    def check_code(self, claim: RollbackClaim, code: str) -> None:
        """The six digits of the mail; five wrong ones void the link.

        Raises:
            RequestRefused: 403 wrong, or wrong too often; 404 no such release.
        """
        settle(self.ports.clock, lambda: self._check_code(claim, code))

    def _check_code(self, claim: RollbackClaim, code: str) -> None:
        stored = self.ports.releases.release(claim.release_id)
        if stored is None:
            raise RequestRefused(404, "No such release", f"There is no release {claim.release_id!r}.")
        tries = stored.row.wrong_codes.get(claim.recipient, 0)
        if tries < MOST_WRONG_CODES:
            if hmac.compare_digest(code.strip().encode(), self.ports.tokens.code(claim).encode()):
                return
            counted = {**stored.row.wrong_codes, claim.recipient: tries + 1}
            self.ports.releases.commit(Update(row=replace(stored.row, wrong_codes=counted), etag=stored.etag))
            tries += 1
        left = MOST_WRONG_CODES - tries
        if left <= 0:
            detail = "The code was wrong too often. Somebody else who was told can go on, or use POST /api/rollbacks."
            raise RequestRefused(403, "This link is void", detail)
        raise RequestRefused(403, "Wrong code", f"The code is wrong; {left} tries left. It stands in your mail.")
