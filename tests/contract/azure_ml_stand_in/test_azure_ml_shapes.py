"""Replies have the status, the headers and the keys that the real service's recorded replies have."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from azure_ml_estate import FOR_EVER, SCOPES, SUBSCRIPTION, StandIn, credential, endpoint_in, eventually, workspace

RECORDED = json.loads(Path(__file__).with_name("recorded_shapes.json").read_text(encoding="utf-8"))["shapes"]
SHAPES: Mapping[str, Any] = {shape["name"]: shape for shape in RECORDED}
CHOSEN_BY_USERS = ("/properties/tags/", "/properties/flavors/", "/registryFqdns/", "/properties/inputData/UriFolder")
PROVIDER = "/providers/Microsoft.MachineLearningServices"
TEST = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-mlops-test{PROVIDER}/workspaces/mlw-test"
DEV = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-mlops-dev{PROVIDER}/workspaces/mlw-dev"
ARM = f"https://management.azure.com{TEST}"
SHARED = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{SCOPES['mlr-shared']['resource_group']}{PROVIDER}"
REGISTRY = f"https://cert-westeurope.experiments.azureml.net/mferp/managementfrontend{SHARED}/registries/mlr-shared"


@dataclass(slots=True)
class Asker:
    """Sends requests and compares the replies with recorded ones."""

    arm: str
    ml: str

    def ask(self, shape: str, method: str, url: str, body: Any = None, **headers: str) -> requests.Response:
        """Send and compare; the reply, for what follows from it."""
        token = self.ml if ".api.azureml.ms" in url or ".inference." in url else self.arm
        address = url if "?" in url else f"{url}?api-version=2022-05-01"
        sent = {"Authorization": f"Bearer {token}", **headers}
        reply = requests.request(method, address, json=body, headers=sent, timeout=10)
        recorded = SHAPES[shape]
        seen = {key.lower() for key in reply.headers}
        assert reply.status_code == recorded["status"], (shape, reply.text)
        assert set(recorded["headers"]) <= seen, shape
        assert _keys(reply) == set(recorded["keys"]), shape
        return reply


def _keys(reply: requests.Response) -> set[str]:
    body = reply.json() if reply.content else None
    return {key for key in _paths(body) if not key.startswith(CHOSEN_BY_USERS)}


def _paths(value: Any, prefix: str = "") -> set[str]:
    if isinstance(value, dict):
        below = [_paths(one, f"{prefix}/{key}") for key, one in value.items()]
        return {f"{prefix}/{key}" for key in value}.union(*below)
    return _paths(value[0], f"{prefix}[]") if isinstance(value, list) and value else set()


@pytest.fixture
def asker(stand_in: StandIn) -> Asker:
    tokens = [
        credential().get_token(f"https://{host}/.default").token for host in ("management.azure.com", "ml.azure.com")
    ]
    return Asker(*tokens)


def test_registry_replies_look_like_recorded_ones(asker: Asker, registered: str, unique: str) -> None:
    """Discovery, upload place, a model, an unknown model."""
    discovery = "https://eastus.api.azureml.ms/registrymanagement/v1.0/registries/mlr-shared/discovery"
    asker.ask("registry discovery", "GET", discovery)
    asker.ask("registry upload place", "PUT", f"{REGISTRY}/tempdatarefs/{unique}/versions/1", {})
    asker.ask("registry model", "GET", f"{REGISTRY}/models/registered/versions/1")
    asker.ask("registry model unknown", "GET", f"{REGISTRY}/models/{unique}/versions/1")


def test_registry_operations_look_like_recorded_ones(asker: Asker, registered: str, unique: str) -> None:
    """A write to an existing version ends with its id, an import with 204."""
    url = f"{REGISTRY}/models/registered/versions/1"
    model = asker.ask("registry model", "GET", url).json()
    headers = {"Authorization": f"Bearer {asker.arm}"}
    write = requests.put(f"{url}?api-version=x", json={"properties": model["properties"]}, headers=headers, timeout=10)
    assert (write.status_code, write.text) == (202, "null")
    _after(write, asker)
    asker.ask("registry operation", "GET", write.headers["Location"])
    dev = requests.get(f"https://management.azure.com{DEV}?api-version=x", headers=headers, timeout=10).json()
    guid, location = dev["properties"]["workspaceId"], dev["location"]
    source = f"azureml://locations/{location}/workspaces/{guid}/models/to-share/versions/1"
    wanted = {"referenceType": "Id", "destinationName": unique, "destinationVersion": "1", "sourceAssetId": source}
    copied = asker.ask("registry import", "POST", f"{REGISTRY}/import", {"properties": wanted})
    _after(copied, asker)
    asker.ask("registry import ended", "GET", copied.headers["Location"])
    imported = asker.ask("registry model", "GET", f"{REGISTRY}/models/{unique}/versions/1").json()
    assert imported["properties"]["originAssetId"] == source


def _after(reply: requests.Response, asker: Asker) -> None:
    headers = {"Authorization": f"Bearer {asker.ml}"}
    eventually(lambda: requests.get(reply.headers["Location"], headers=headers, timeout=10).status_code != 202)


def test_datastore_replies_look_like_recorded_ones(asker: Asker) -> None:
    """The datastore, and its key for a client that does not ask for a signature."""
    asker.ask("datastore", "GET", f"{ARM}/datastores/workspaceblobstore")
    asker.ask("datastore key", "POST", f"{ARM}/datastores/workspaceblobstore/listSecrets")


def test_endpoint_deployment_and_job_replies_look_like_recorded_ones(
    asker: Asker, stand_in: StandIn, registered: str, unique: str
) -> None:
    """From the first PUT to the cancelled job."""
    url = f"{ARM}/batchEndpoints/be-{unique}"
    body = {"location": "x", "tags": {}, "properties": {"authMode": "aadToken"}}
    made = asker.ask("endpoint put", "PUT", url, body)
    asker.ask("operation status", "GET", made.headers["Azure-AsyncOperation"])
    eventually(lambda: workspace("mlw-test").batch_endpoints.get(f"be-{unique}").provisioning_state == "Succeeded")
    asker.ask("endpoint", "GET", url)
    model = {"referenceType": "Id", "assetId": registered}
    code = {"codeId": f"{TEST}/codes/c/versions/1", "scoringScript": "score.py"}
    wanted = {"model": model, "compute": f"{TEST}/computes/batch-cluster", "codeConfiguration": code}
    deployment = f"{url}/deployments/deployment-1"
    made = requests.put(
        f"{deployment}?api-version=x",
        json={"location": "x", "properties": wanted},
        headers={"Authorization": f"Bearer {asker.arm}"},
        timeout=10,
    )
    assert made.status_code == SHAPES["deployment put"]["status"]
    assert set(SHAPES["deployment put"]["headers"]) <= {key.lower() for key in made.headers}
    listed = (key.removeprefix("/value[]") for key in SHAPES["deployments"]["keys"] if key.startswith("/value[]/"))
    assert _keys(made) == set(listed), "the recording says: the shape of the list's items"
    eventually(
        lambda: (
            workspace("mlw-test").batch_deployments.get("deployment-1", f"be-{unique}").provisioning_state
            == "Succeeded"
        )
    )
    asker.ask("deployments", "GET", f"{url}/deployments")
    folder = {
        "UriFolder": {"jobInputType": "UriFolder", "uri": "azureml://datastores/workspaceblobstore/paths/nothing/"}
    }
    scoring = f"https://be-{unique}.northeurope.inference.ml.azure.com/jobs"
    named = {"azureml-model-deployment": "deployment-1"}
    with stand_in.settings(durations={"job_prepare": FOR_EVER, "job_cancel": FOR_EVER}):
        job = asker.ask("invoke", "POST", scoring, {"properties": {"inputData": folder}}, **named).json()["name"]
        cancelled = asker.ask("job cancel", "POST", f"{ARM}/jobs/{job}/cancel")
        asker.ask("operation result", "GET", cancelled.headers["Location"])


def test_every_recorded_reply_is_compared() -> None:
    """A shape that no test asks for would prove nothing."""
    text = Path(__file__).read_text(encoding="utf-8")
    assert [name for name in SHAPES if f'"{name}"' not in text] == []


def test_a_patch_changes_tags_and_keeps_the_default(asker: Asker, unique: str) -> None:
    """Unlike a PUT."""
    endpoint_in("mlw-test", f"be-{unique}", description="kept")
    reply = requests.patch(
        f"{ARM}/batchEndpoints/be-{unique}?api-version=x",
        json={"tags": {"new": "tag"}},
        headers={"Authorization": f"Bearer {asker.arm}"},
        timeout=10,
    )
    assert reply.status_code == 200
    seen = workspace("mlw-test").batch_endpoints.get(f"be-{unique}")
    assert (seen.tags, seen.description) == ({"new": "tag"}, "kept")
