"""Datastores without credentials: the caller's own roles at the storage account decide."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from azure.ai.ml.constants import AssetTypes
from azure.ai.ml.entities import Model
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError
from azure.storage.blob import ContainerClient
from azure_ml_estate import SDK_DOWNLOADS, StandIn, arm, credential, workspace

pytestmark = SDK_DOWNLOADS


@pytest.fixture
def by_identity(stand_in: StandIn) -> Iterator[None]:
    """Dev's datastores hand out nothing, for the length of a test."""
    with stand_in.settings(workspaces=[{"name": "mlw-dev", "datastore_access": "None"}]):
        yield


def _container(identity: str = "app") -> ContainerClient:
    store = workspace("mlw-dev", identity).datastores.get("workspaceblobstore", include_secrets=True)
    account = f"https://{store.account_name}.blob.core.windows.net"
    return ContainerClient(account, store.container_name, credential=credential(identity))


@pytest.mark.usefixtures("by_identity")
def test_such_a_datastore_has_no_secrets() -> None:
    """It says so in its own description, and refuses to make any."""
    seen = arm("GET", "mlw-dev", "/datastores/workspaceblobstore").json()
    assert seen["properties"]["credentials"] == {"credentialsType": "None"}
    assert arm("POST", "mlw-dev", "/datastores/workspaceblobstore/listSecrets").status_code == 400


@pytest.mark.usefixtures("by_identity")
def test_models_are_registered_and_downloaded_by_identity(sklearn_folder: Path, unique: str, tmp_path: Path) -> None:
    """The build's role writes, the app's role reads; the client sends its own token to the storage account."""
    asked = Model(name=unique, version="1", path=sklearn_folder, type=AssetTypes.MLFLOW_MODEL)
    workspace("mlw-dev", "builder").models.create_or_update(asked)
    workspace("mlw-dev").models.download(unique, "1", str(tmp_path))
    fetched = tmp_path / unique / sklearn_folder.name / "model.pkl"
    assert fetched.read_bytes() == (sklearn_folder / "model.pkl").read_bytes()


@pytest.mark.usefixtures("by_identity")
def test_a_reader_cannot_write(stand_in: StandIn, unique: str) -> None:
    """Storage Blob Data Reader reads; the journal knows who tried more."""
    before = stand_in.last_entry()
    with _container() as container:
        list(container.list_blob_names())
        with pytest.raises(HttpResponseError, match="AuthorizationPermissionMismatch") as refusal:
            container.upload_blob(unique, b"written")
    assert refusal.value.status_code == 403
    entries = [one for one in stand_in.journal(before) if one["operation"].startswith("blob.")]
    assert [(one["identity"], one["kind"], one["status"]) for one in entries] == [
        ("app", "blob-read", 200),
        ("app", "blob-write", 403),
    ]


@pytest.mark.usefixtures("by_identity")
def test_without_a_role_nothing_can_be_read(stand_in: StandIn) -> None:
    """The workspace lets the app read models; their files are another matter."""
    assert workspace("mlw-dev").datastores.get("workspaceblobstore").name == "workspaceblobstore"
    with (
        stand_in.settings(identities=[{"name": "app", "blob_roles": {"mlw-dev": "none"}}]),
        _container() as container,
        pytest.raises(HttpResponseError, match="AuthorizationPermissionMismatch"),
    ):
        list(container.list_blob_names())


@pytest.mark.usefixtures("by_identity")
def test_a_token_for_the_resource_manager_opens_no_storage(stand_in: StandIn) -> None:
    """The audience must be the storage service."""

    class Wrong:
        def get_token(self, *_scopes: str, **_more: object) -> object:
            return credential().get_token("https://management.azure.com/.default")

    with _container() as right:
        astray = ContainerClient(f"https://{right.account_name}.blob.core.windows.net", right.container_name, Wrong())
    with astray, pytest.raises((ClientAuthenticationError, HttpResponseError)) as refusal:
        list(astray.list_blob_names())
    assert refusal.value.status_code == 401
