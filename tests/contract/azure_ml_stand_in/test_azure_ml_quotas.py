"""Limits of a region and a subscription (D4), and names that a region has once (D2), over several workspaces."""

from collections.abc import Iterator

import pytest
from azure.ai.ml.entities import BatchEndpoint, ManagedOnlineDeployment, ManagedOnlineEndpoint
from azure.core.exceptions import HttpResponseError, ResourceExistsError
from azure_ml_estate import (
    DEFAULTS,
    ELSEWHERE,
    StandIn,
    a_deployment,
    arm,
    deployed,
    endpoint_in,
    eventually,
    workspace,
)

SHARING = (("mlw-dev", "builder"), ("mlw-prod", "app"))  # one region, one subscription


def _endpoints() -> int:
    clients = [workspace(*place) for place in SHARING]
    return sum(len([*client.batch_endpoints.list(), *client.online_endpoints.list()]) for client in clients)


def _deployments() -> int:
    clients = [workspace(*place) for place in SHARING]
    batch = [client.batch_deployments.list(one.name) for client in clients for one in client.batch_endpoints.list()]
    online = [client.online_deployments.list(one.name) for client in clients for one in client.online_endpoints.list()]
    return sum(len(list(found)) for found in (*batch, *online))


def _online(name: str) -> ManagedOnlineEndpoint:
    """An online endpoint in Production, ready."""
    client = workspace("mlw-prod")
    client.online_endpoints.begin_create_or_update(ManagedOnlineEndpoint(name=name))

    def look() -> ManagedOnlineEndpoint | None:
        found = client.online_endpoints.get(name)
        return found if found.provisioning_state == "Succeeded" else None

    return eventually(look, f"online endpoint {name}")


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


def test_online_endpoints_take_from_the_same_quota(one_endpoint_left: int, unique: str) -> None:
    """D4: all endpoint types count; the last one is an online endpoint, and there is none left for a batch endpoint."""
    _online(f"on-{unique}")
    with pytest.raises(HttpResponseError, match=f"has {one_endpoint_left} endpoints.*limit is {one_endpoint_left}"):
        workspace("mlw-prod").batch_endpoints.begin_create_or_update(BatchEndpoint(name=f"be-{unique}"))


def test_online_endpoints_have_names_of_the_same_region(stand_in: StandIn, unique: str) -> None:
    """D2: both types answer at the same host name, so who comes second is told 409, whichever type it is."""
    _online(f"on-{unique}")
    endpoint_in("mlw-prod", f"be-{unique}")
    with pytest.raises(ResourceExistsError, match="already in use in region 'westeurope'"):
        workspace("mlw-prod").batch_endpoints.begin_create_or_update(BatchEndpoint(name=f"on-{unique}"))
    with pytest.raises(ResourceExistsError, match="already in use in region 'westeurope'"):
        workspace("mlw-prod").online_endpoints.begin_create_or_update(ManagedOnlineEndpoint(name=f"be-{unique}"))


def test_online_deployments_take_from_the_same_quota_and_go_with_their_endpoint(
    stand_in: StandIn, registered: str, unique: str
) -> None:
    """D4: one online deployment fills the region's quota; when its endpoint is deleted, there is room again."""
    client = workspace("mlw-prod")
    endpoint_in("mlw-prod", f"be-{unique}")
    _online(f"on-{unique}")
    asked = ManagedOnlineDeployment(
        name="blue", endpoint_name=f"on-{unique}", model=registered, instance_type="Standard_DS3_v2", instance_count=1
    )
    limit = _deployments() + 1
    with stand_in.settings(quotas={"deployments_per_region": limit}):
        client.online_deployments.begin_create_or_update(asked)
        eventually(lambda: client.online_deployments.get("blue", f"on-{unique}").provisioning_state == "Succeeded")
        with pytest.raises(HttpResponseError, match=f"has {limit} deployments in region 'westeurope'"):
            client.batch_deployments.begin_create_or_update(a_deployment(f"be-{unique}", "deployment-1", registered))
        client.online_endpoints.begin_delete(f"on-{unique}")
        eventually(lambda: f"on-{unique}" not in [one.name for one in client.online_endpoints.list()])
        assert deployed("mlw-prod", a_deployment(f"be-{unique}", "deployment-1", registered)).name == "deployment-1"
