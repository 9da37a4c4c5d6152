"""Use cases: is there room for a release in its regions (D4)? Endpoints and deployments are limited per subscription."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from shared.application.ports import Ports, RegionUse
from shared.application.work import Work
from shared.domain.model import NEUTRAL, CircuitRun, Environment


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What the release needs of one quota of one region, and what of it is in use."""

    what: str
    setting: str
    region: str
    need: int
    have: int | None
    """None: not counted, for `at_most` leaves room enough."""
    at_most: int
    """What can be in use, whether it was counted or not."""
    limit: int

    @property
    def missing(self) -> int:
        return max(0, self.have + self.need - self.limit) if self.have is not None else 0

    def as_json(self) -> Mapping[str, object]:
        counted: Mapping[str, object] = {"have": self.have} if self.have is not None else {"have_at_most": self.at_most}
        return {"region": self.region, "need": self.need, **counted, "limit": self.limit}

    def __str__(self) -> str:
        return (
            f"region {self.region} has no room for the release's {self.what}: need {self.need}, have {self.have} of at "
            f"most {self.limit}, missing {self.missing}; delete unused ones, or have the quota raised and set {self.setting}"
        )


def region_uses(work: Work, ports: Ports) -> Mapping[Environment, RegionUse]:
    """Per environment what its region holds already."""
    policy, total = work.release.policy, work.release.total
    # Fewer endpoints than this can't hold as many deployments as would be in the way.
    count_from = max(0, policy.deployment_quota - 2 * total) // policy.deployments_per_endpoint
    return {env: ports.models.region_use(env, count_from=count_from) for env in Environment}


def region_rooms(
    work: Work, ports: Ports, uses: Mapping[Environment, RegionUse]
) -> Mapping[Environment, tuple[Room, Room]]:
    """Per environment the room for endpoints and for deployments; Test and Production may share one region's."""
    sharing: dict[tuple[str, str], list[Environment]] = defaultdict(list)
    for environment, use in uses.items():
        sharing[use.region, use.subscription].append(environment)
    rooms: dict[Environment, tuple[Room, Room]] = {}
    for environments in sharing.values():
        rooms |= dict.fromkeys(environments, _rooms(work, ports, uses[environments[0]], environments))
    return rooms


def _rooms(work: Work, ports: Ports, use: RegionUse, environments: Sequence[Environment]) -> tuple[Room, Room]:
    policy, most = work.release.policy, work.release.total * len(environments)
    need = most
    if use.endpoint_count + most > policy.endpoint_quota:
        need = _new_endpoints(work, ports, use, environments)
    return (
        Room(
            what="endpoints",
            setting="ENDPOINT_QUOTA",
            region=use.region,
            need=need,
            have=use.endpoint_count,
            at_most=use.endpoint_count,
            limit=policy.endpoint_quota,
        ),
        Room(
            what="deployments",
            setting="DEPLOYMENT_QUOTA",
            region=use.region,
            need=most,
            have=use.deployments,
            at_most=use.endpoint_count * policy.deployments_per_endpoint,
            limit=policy.deployment_quota,
        ),
    )


def _new_endpoints(work: Work, ports: Ports, use: RegionUse, environments: Sequence[Environment]) -> int:
    """How many endpoints the release will create; circuits whose rows are not written yet may need one each."""
    runs = [stored.row for stored in ports.releases.runs(work.release.release_id)]
    unknown = max(0, work.release.total - len(runs)) * len(environments)
    return unknown + sum(name not in use.endpoints for run in runs for name in _names(run, environments))


def _names(run: CircuitRun, environments: Sequence[Environment]) -> Iterator[str]:
    if run.phase in NEUTRAL:
        return
    for environment in environments:
        yield run.test_endpoint if environment is Environment.TEST else run.endpoint
