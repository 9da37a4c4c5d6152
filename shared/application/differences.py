"""Use cases: what is other on a production endpoint than this app left it, in words, and what can be done about it."""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.application.locks import ACCEPTED
from shared.application.ports import Endpoint, Ports
from shared.domain.model import UNSUCCESSFUL, Circuit, CircuitPhase, EndpointLock, LedgerEntry
from shared.domain.naming import deployment_name, endpoint_tags


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Without words there is none."""

    words: str
    is_repairable: bool = False
    """Making the wanted deployment the default heals it."""
    is_acceptable: bool = True
    """Keeping what is live heals it."""
    by_hand: str = ""
    """What somebody has to do in the workspace, where no switch of a default helps."""
    is_ours: bool = False
    """Nobody changed anything: a release or a rollback has failed to bring the default back, and has said so."""

    def ways(self, circuit: Circuit) -> str:
        """What an operator can do about it: `POST /api/circuits/PLANT001/CIRCUIT01/drift/accept or /drift/repair`."""
        call = f"POST /api/circuits/{circuit}/drift/accept" if self.is_acceptable else ""
        both = f"{call} or /drift/repair" if self.is_repairable else call
        return " or ".join(filter(None, (self.by_hand, both)))


AS_LEFT = Difference(words="")


def on_endpoint(lock: EndpointLock, endpoint: Endpoint | None, ports: Ports) -> Difference:
    """The endpoint compared with its lock row. Nothing wanted of an endpoint is no difference (R59)."""
    if not (lock.want or lock.want_none):
        return AS_LEFT
    if endpoint is None:
        return Difference(words=f"the endpoint is gone, {lock.want or 'no default'} should be live on it")
    if endpoint.default != lock.want:
        return _other_default(lock, endpoint, ports)
    ours = endpoint_tags(lock.circuit)
    if any(endpoint.tags.get(tag, value) != value for tag, value in ours.items()):
        return Difference(
            words=f"{endpoint.name} is tagged for another circuit",
            is_acceptable=False,
            by_hand=f"correct the tags {' and '.join(ours)} of {endpoint.name} in the {lock.environment} workspace",
        )
    return AS_LEFT


def default_changed(circuit: Circuit) -> str:
    """What an operator can do about a default that somebody changed."""
    return Difference(words="", is_repairable=True).ways(circuit)


def _other_default(lock: EndpointLock, endpoint: Endpoint, ports: Ports) -> Difference:
    words = f"{endpoint.default or 'no default'} is live on {endpoint.name}, {lock.want or 'no default'} should be"
    ledger = ports.endpoints.ledger(lock.environment, lock.circuit)
    newest = ledger[0] if ledger and ledger[0].deployment == lock.want else None
    if newest and newest.previous == endpoint.default and _has_failed(newest, ports):
        words = f"{words}: {newest.release_id} did not bring it back"
        return Difference(words=words, is_repairable=True, is_ours=True)
    return Difference(words=words, is_repairable=True)


def _has_failed(entry: LedgerEntry, ports: Ports) -> bool:
    """Has the one who wanted this deployment back ended without it? A retry may have moved its run on since."""
    found = ports.releases.release_and_run(entry.release_id, entry.circuit)
    ways_back = [e for e in found[1].row.hist if e.source == CircuitPhase.RESTORING] if found else []
    return bool(ways_back) and ways_back[-1].target in UNSUCCESSFUL


def on_deployment(lock: EndpointLock, endpoint_name: str, ports: Ports) -> Difference:
    """The right name may hide another deployment: its tags are compared with the ledger."""
    if not lock.want:
        return AS_LEFT
    maker = _maker(ports.endpoints.ledger(lock.environment, lock.circuit), lock.want)
    if not maker:
        return AS_LEFT
    deployment = ports.models.deployment(lock.environment, endpoint_name, lock.want)
    tag = deployment.tags.get("release_id", "") if deployment else ""
    if tag == maker:
        return AS_LEFT
    what = f"{lock.want} on {endpoint_name}"
    return Difference(
        words=f"{what} is tagged for release {tag or '(none)'}, {maker} made it live",
        by_hand=f"correct the tag release_id of {what} in the {lock.environment} workspace",
    )


def _maker(ledger: Sequence[LedgerEntry], deployment: str) -> str:
    """The release whose tag the deployment must carry; empty: it came from elsewhere, or an operator accepted it."""
    if any((row.deployment, row.release_id) == (deployment, ACCEPTED) for row in ledger):
        return ""
    return next((r.release_id for r in ledger if deployment == r.deployment == deployment_name(r.release_id)), "")
