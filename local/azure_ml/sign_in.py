"""The sign-in host: what azure-identity asks before it has a token, and the token itself."""

from local.azure_ml.calls import Call, Reply, World
from local.azure_ml.identity import openid_configuration


async def get_instance(_world: World, call: Call) -> Reply:
    """Which cloud a sign-in host belongs to."""
    host = call.host
    metadata = {"preferred_network": host, "preferred_cache": host, "aliases": [host]}
    tenant = call.query.get("authorization_endpoint", "").removeprefix(f"https://{host}/").partition("/")[0]
    address = f"https://{host}/{tenant}/v2.0/.well-known/openid-configuration"
    return Reply(body={"tenant_discovery_endpoint": address, "api-version": "1.1", "metadata": [metadata]})


async def get_configuration(_world: World, call: Call) -> Reply:
    """The OpenID document of a tenant."""
    return Reply(body=openid_configuration(call.params["tenant"]))


async def post_token(world: World, call: Call) -> Reply:
    """A token for a client id and secret."""
    form = call.body if isinstance(call.body, dict) else {}
    return Reply(body=world.tokens.issue(call.params["tenant"], form), headers={"Cache-Control": "no-store"})
