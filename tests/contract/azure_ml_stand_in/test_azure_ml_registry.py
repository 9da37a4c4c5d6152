"""Models of the shared registry, through the real client."""

from concurrent.futures import Future
from pathlib import Path

import pytest
import requests
from azure.ai.ml import MLClient
from azure.ai.ml.constants import AssetTypes
from azure.ai.ml.entities import Model
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure_ml_estate import (
    PATIENCE_SECONDS,
    POLL_SECONDS,
    SCOPES,
    SDK_DOWNLOADS,
    SUBSCRIPTION,
    StandIn,
    a_deployment,
    credential,
    deployed,
    endpoint_in,
    registry,
)

pytestmark = SDK_DOWNLOADS

BASE = (
    f"https://cert-westeurope.experiments.azureml.net/mferp/managementfrontend/subscriptions/{SUBSCRIPTION}"
    f"/resourceGroups/{SCOPES['mlr-shared']['resource_group']}/providers/Microsoft.MachineLearningServices"
    "/registries/mlr-shared"
)


def _model(name: str, version: str, folder: Path, **tags: str) -> Model:
    return Model(name=name, version=version, path=folder, type=AssetTypes.MLFLOW_MODEL, tags=tags)


def _send(method: str, path: str, body: object) -> requests.Response:
    token = credential().get_token("https://management.azure.com/.default").token
    url = f"{BASE}{path}?api-version=2021-10-01-dataplanepreview"
    return requests.request(method, url, json=body, headers={"Authorization": f"Bearer {token}"}, timeout=10)


def test_a_model_is_created_listed_and_found(stand_in: StandIn, sklearn_folder: Path, unique: str) -> None:
    """Create waits inside until the version can be read."""
    asked = _model(unique, "20251210-1", sklearn_folder, release_id="20251210.1")
    with stand_in.settings(durations={"registry_create": 0.3}):
        made = registry().models.create_or_update(asked)
    assert made.id == f"azureml://registries/mlr-shared/models/{unique}/versions/20251210-1"
    assert [(one.version, one.tags) for one in registry().models.list(name=unique)] == [
        ("20251210-1", {"release_id": "20251210.1"})
    ]
    assert registry().models.get(unique, label="latest").version == "20251210-1"


def test_a_version_can_be_read_only_when_its_creation_has_ended(
    stand_in: StandIn, sklearn_folder: Path, unique: str
) -> None:
    """A creation that is stuck shows nothing, although its name is taken."""
    with stand_in.fault(match={"operation": "registry.models.put"}, action="stick"):
        upload = _send("PUT", f"/tempdatarefs/{unique}/versions/1", {})
        uri = upload.json()["blobReferenceForConsumption"]["credential"]["sasUri"]
        place, _, signature = uri.partition("?")
        headers = {"x-ms-blob-type": "BlockBlob"}
        requests.put(f"{place}/m/file?{signature}", data=b"content", headers=headers, timeout=10).raise_for_status()
        body = {"properties": {"modelUri": f"{place}/m", "modelType": "custom_model"}}
        created = _send("PUT", f"/models/{unique}/versions/1", body)
    assert (created.status_code, created.text) == (202, "null")
    with pytest.raises(ResourceNotFoundError):
        registry().models.get(unique, "1")
    assert _send("PUT", f"/tempdatarefs/{unique}/versions/1", {}).status_code == 409


def test_a_downloaded_model_has_the_files_that_were_uploaded(
    stand_in: StandIn, sklearn_folder: Path, unique: str, tmp_path: Path
) -> None:
    """Same content, under the same names."""
    registry().models.create_or_update(_model(unique, "1", sklearn_folder))
    registry().models.download(unique, "1", str(tmp_path))
    fetched = tmp_path / unique / sklearn_folder.name
    assert (fetched / "model.pkl").read_bytes() == (sklearn_folder / "model.pkl").read_bytes()


def test_creating_an_existing_version_fails_as_the_client_fails(
    stand_in: StandIn, sklearn_folder: Path, unique: str
) -> None:
    """The service's 409 is swallowed by the SDK, which then stumbles: adapters must re-read."""
    registry().models.create_or_update(_model(unique, "1", sklearn_folder))
    with pytest.raises(ValueError, match="No value for given attribute"):
        registry().models.create_or_update(_model(unique, "1", sklearn_folder))


def test_tags_can_be_added_later(stand_in: StandIn, sklearn_folder: Path, unique: str) -> None:
    """A second write with the same content changes tags and nothing else."""
    model = registry().models.create_or_update(_model(unique, "1", sklearn_folder, first="tag"))
    path = model.path
    model.tags["second"] = "tag"
    registry().models.create_or_update(model)
    seen = registry().models.get(unique, "1")
    assert (seen.tags, seen.path) == ({"first": "tag", "second": "tag"}, path)


def test_files_from_elsewhere_make_no_registry_model(stand_in: StandIn, unique: str) -> None:
    """Only what lies in the place given out for the version counts."""
    body = {
        "properties": {"modelUri": "https://mlwdevstorage.blob.core.windows.net/azureml/x", "modelType": "mlflow_model"}
    }
    reply = _send("PUT", f"/models/{unique}/versions/1", body)
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "UserError")


def test_a_failed_creation_is_reported_and_leaves_no_version(
    stand_in: StandIn, sklearn_folder: Path, unique: str
) -> None:
    """A long operation that ends badly."""
    with (
        stand_in.fault(match={"operation": "registry.models.put"}, action="fail_lro"),
        pytest.raises(HttpResponseError),
    ):
        registry().models.create_or_update(_model(unique, "1", sklearn_folder))
    with pytest.raises(ResourceNotFoundError):
        registry().models.get(unique, "1")


def test_an_unknown_registry_is_not_found_when_the_client_is_made(stand_in: StandIn) -> None:
    """The client asks for its registry's address in its constructor."""
    with pytest.raises(ResourceNotFoundError):
        MLClient(credential(), registry_name="mlr-unknown", retry_total=0)


def test_registries_know_nothing_of_each_other(stand_in: StandIn, sklearn_folder: Path, unique: str) -> None:
    """Each has its own place, versions and discovery; a deployment may take its model from either."""
    other = MLClient(credential(), registry_name="mlr-other", polling_interval=POLL_SECONDS, retry_total=0)
    made = other.models.create_or_update(_model(unique, "1", sklearn_folder))
    assert made.id == f"azureml://registries/mlr-other/models/{unique}/versions/1"
    with pytest.raises(ResourceNotFoundError):
        registry().models.get(unique, "1")
    endpoint_in("mlw-test", f"be-{unique}")
    assert deployed("mlw-test", a_deployment(f"be-{unique}", "deployment-1", made.id)).model == made.id


def test_share_copies_files_and_tags_on_the_servers_side(sharing: "Future[Model]", tmp_path: Path) -> None:
    """The registry's copy has its own place and knows where it came from."""
    shared = sharing.result(PATIENCE_SECONDS)
    assert shared.id == "azureml://registries/mlr-shared/models/shared/versions/20251210-1"
    assert shared.tags == {"kept": "yes"}
    assert "mlrsharedstorage" in shared.path
    registry().models.download("shared", "20251210-1", str(tmp_path))
    assert list(tmp_path.rglob("MLmodel"))


def test_share_makes_these_requests(sharing: "Future[Model]", stand_in: StandIn) -> None:
    """It looks for the version, has the registry fetch the files, waits for that, and looks again."""
    sharing.result(PATIENCE_SECONDS)
    about = [
        one for one in stand_in.journal() if one["path"].endswith(("/models/shared/versions/20251210-1", "/import"))
    ]
    assert [(one["operation"], one["status"]) for one in about[:3]] == [
        ("registry.models.get", 404),
        ("registry.import", 202),
        ("registry.models.get", 200),
    ]
