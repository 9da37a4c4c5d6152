"""Limits of a region and a subscription (D4), and names that a region has once (D2), over several workspaces."""

from collections.abc import Iterator

import pytest
from azure.ai.ml.entities import BatchEndpoint
from azure.core.exceptions import HttpResponseError, ResourceExistsError
from azure_ml_estate import DEFAULTS, ELSEWHERE, StandIn, a_deployment, arm, deployed, endpoint_in, workspace

SHARING = (("mlw-dev", "builder"), ("mlw-prod", "app"))  # one region, one subscription


def _endpoints() -> int:
    return sum(len(list(workspace(*place).batch_endpoints.list())) for place in SHARING)


def _deployments() -> int:
    clients = [workspace(*place) for place in SHARING]
    return sum(
        len(list(client.batch_deployments.list(one.name)))
        for client in clients
        for one in client.batch_endpoints.list()
    )


@pytest.fixture
def one_endpoint_left(stand_in: StandIn) -> Iterator[int]:
    """The region's quota of endpoints, with room for one more."""
    limit = _endpoints() + 1
    with stand_in.settings(quotas={"endpoints_per_region": limit}):
        yield limit


def test_the_limits_are_the_documented_ones() -> None:
    """100 endpoints and 500 deployments in a region and subscription, 20 deployments on an endpoint."""
    assert DEFAULTS["quotas"] == {
        "endpoints_per_region": 100,
        "deployments_per_region": 500,
        "deployments_per_endpoint": 20,
    }


def test_workspaces_of_one_region_share_its_quota_of_endpoints(one_endpoint_left: int, unique: str) -> None:
    """Production takes the last one, so Dev gets none; the service says how many there are and may be."""
    endpoint_in("mlw-prod", f"be-{unique}")
    with pytest.raises(HttpResponseError, match=f"has {one_endpoint_left} endpoints.*limit is {one_endpoint_left}"):
        workspace("mlw-dev", "builder").batch_endpoints.begin_create_or_update(BatchEndpoint(name=f"be-{unique}d"))


def test_another_subscription_has_a_quota_of_its_own(one_endpoint_left: int, unique: str) -> None:
    """The same region, counted from nothing."""
    endpoint_in("mlw-prod", f"be-{unique}")
    assert endpoint_in("mlw-elsewhere", f"be-{unique}e").provisioning_state == "Succeeded"


def test_a_region_has_a_name_once_whatever_the_subscription(stand_in: StandIn, unique: str) -> None:
    """It is a host name: who comes second, from whichever subscription, is told 409."""
    endpoint_in("mlw-elsewhere", f"be-{unique}")
    with pytest.raises(ResourceExistsError, match="already in use in region 'westeurope'"):
        workspace("mlw-prod").batch_endpoints.begin_create_or_update(BatchEndpoint(name=f"be-{unique}"))


def test_deployments_are_counted_over_all_endpoints_of_the_region(
    stand_in: StandIn, registered: str, unique: str
) -> None:
    """The last one goes to one endpoint of Production, the next one is refused on another."""
    for name in (f"be-{unique}", f"be-{unique}x"):
        endpoint_in("mlw-prod", name)
    endpoint_in("mlw-elsewhere", f"be-{unique}e")
    limit = _deployments() + 1
    with stand_in.settings(quotas={"deployments_per_region": limit}):
        deployed("mlw-prod", a_deployment(f"be-{unique}", "deployment-1", registered))
        with pytest.raises(HttpResponseError, match=f"has {limit} deployments in region 'westeurope'") as refusal:
            workspace("mlw-prod").batch_deployments.begin_create_or_update(
                a_deployment(f"be-{unique}x", "deployment-1", registered)
            )
        beside = deployed("mlw-elsewhere", a_deployment(f"be-{unique}e", "deployment-1", registered))
    assert (refusal.value.status_code, refusal.value.error.code) == (400, "UserError")
    assert beside.provisioning_state == "Succeeded"


def test_a_subscription_has_its_own_workspaces_only(stand_in: StandIn) -> None:
    """The same group and name under the other subscription lead nowhere."""
    found = workspace("mlw-elsewhere").workspaces.get("mlw-elsewhere")
    assert ELSEWHERE["subscription_id"] in found.id
    reply = arm("GET", "mlw-elsewhere", "")
    assert reply.json()["id"].split("/")[2] == ELSEWHERE["subscription_id"]
