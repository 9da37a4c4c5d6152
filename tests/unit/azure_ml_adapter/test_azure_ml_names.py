"""What others have put beside ours is counted by its name, whether the SDK can read the rest of it or not (D4)."""

import io
import json
from types import SimpleNamespace
from typing import Any, cast

import pytest
import requests
from azure.ai.ml import MLClient
from azure.ai.ml._restclient.arm_ml_service import MachineLearningServicesMgmtClient
from azure.core.credentials import AccessToken
from azure.core.pipeline.transport import RequestsTransport
from requests.adapters import BaseAdapter

from shared.adapters.azure_ml import sdk

FOREIGN = {
    "name": "by-hand",
    "location": "westeurope",
    "properties": {
        "authMode": "Of another kind",
        "miniBatchSize": "ten",
        "retrySettings": {"timeout": "5 minutes"},
        "requestSettings": {"requestTimeout": "5 minutes"},
    },
}


class Answering(BaseAdapter):
    """Every request finds the foreign thing."""

    def send(self, request: requests.PreparedRequest, *_: object, **__: object) -> requests.Response:
        answer = requests.Response()
        answer.status_code, answer.request, answer.url = 200, request, str(request.url)
        answer.headers["content-type"] = "application/json"
        answer.raw = io.BytesIO(json.dumps({"value": [FOREIGN]}).encode())
        return answer

    def close(self) -> None:
        """Nothing is open."""


class Credential:
    def get_token(self, *_: str, **__: object) -> AccessToken:
        return AccessToken("token", 4102444800)


@pytest.fixture
def client() -> MLClient:
    """The SDK's own REST client over a wire that has only a foreign deployment to show."""
    session = requests.Session()
    session.mount("https://", Answering())
    rest: Any = MachineLearningServicesMgmtClient(
        cast("Any", Credential()), "sub", transport=RequestsTransport(session=session, session_owner=False)
    )
    place = {"_resource_group_name": "rg", "_workspace_name": "mlw"}
    return cast(
        "MLClient",
        SimpleNamespace(
            batch_endpoints=SimpleNamespace(_batch_operation=rest.batch_endpoints, **place),
            online_endpoints=SimpleNamespace(_online_operation=rest.online_endpoints, **place),
            batch_deployments=SimpleNamespace(_batch_deployment=rest.batch_deployments, **place),
            online_deployments=SimpleNamespace(_online_deployment=rest.online_deployments, **place),
        ),
    )


@pytest.mark.parametrize("online", [False, True])
def test_a_foreign_deployment_that_cannot_be_read_counts_and_blocks_nobody(client: MLClient, *, online: bool) -> None:
    """D4: one of them in the region had every circuit of every release refused."""
    assert sdk.deployment_names(client, "be-other", online=online) == ("by-hand",)


@pytest.mark.parametrize("online", [False, True])
def test_so_does_a_foreign_endpoint(client: MLClient, *, online: bool) -> None:
    """D2: its name is taken, whatever else it is."""
    assert sdk.endpoint_names(client, online=online) == ("by-hand",)
