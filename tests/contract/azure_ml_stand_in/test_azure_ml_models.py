"""Models of a workspace, through the real client."""

from pathlib import Path

import pytest
from azure.ai.ml.constants import AssetTypes
from azure.ai.ml.entities import Model
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure_ml_estate import SDK_DOWNLOADS, StandIn, workspace
from sample_folders import python_model

pytestmark = SDK_DOWNLOADS


def _model(name: str, version: str, folder: Path, **tags: str) -> Model:
    return Model(name=name, version=version, path=folder, type=AssetTypes.MLFLOW_MODEL, tags=tags)


def test_a_model_is_registered_with_tags_and_flavors(stand_in: StandIn, sklearn_folder: Path, unique: str) -> None:
    """Flavors come from the MLmodel file, as the service reads them."""
    workspace("mlw-dev", "builder").models.create_or_update(_model(unique, "1", sklearn_folder, validated="true"))
    seen = workspace("mlw-dev").models.get(unique, "1")
    assert seen.tags == {"validated": "true"}
    assert seen.type == "mlflow_model"
    assert seen.flavors["python_function"]["loader_module"] == "mlflow.sklearn"


def test_versions_are_listed_over_several_pages_with_their_tags(
    stand_in: StandIn, sklearn_folder: Path, unique: str
) -> None:
    """The client follows nextLink by itself."""
    client = workspace("mlw-dev", "builder")
    for number in range(1, 6):
        client.models.create_or_update(_model(unique, str(number), sklearn_folder, number=str(number)))
    with stand_in.settings(page_size=2):
        seen = {one.version: one.tags for one in client.models.list(name=unique)}
    assert seen == {str(number): {"number": str(number)} for number in range(1, 6)}


def test_the_latest_version_is_the_one_made_last(stand_in: StandIn, sklearn_folder: Path, unique: str) -> None:
    """Not the one with the greatest number."""
    client = workspace("mlw-dev", "builder")
    for version in ("9", "2"):
        client.models.create_or_update(_model(unique, version, sklearn_folder))
    assert client.models.get(unique, label="latest").version == "2"


def test_containers_are_listed_by_name_and_without_tags(stand_in: StandIn, sklearn_folder: Path, unique: str) -> None:
    """A search by tag must look at versions, here as in the service."""
    client = workspace("mlw-dev", "builder")
    client.models.create_or_update(_model(unique, "1", sklearn_folder, a="b"))
    found = [one for one in client.models.list() if one.name == unique]
    assert [one.tags for one in found] == [{}]


def test_a_downloaded_model_has_the_files_that_were_uploaded(
    stand_in: StandIn, sklearn_folder: Path, unique: str, tmp_path: Path
) -> None:
    """They lie below the model's name and the folder's name."""
    workspace("mlw-dev", "builder").models.create_or_update(_model(unique, "1", sklearn_folder))
    workspace("mlw-dev").models.download(unique, "1", str(tmp_path))
    fetched = tmp_path / unique / sklearn_folder.name
    assert (fetched / "model.pkl").read_bytes() == (sklearn_folder / "model.pkl").read_bytes()


def test_tags_can_change_and_content_cannot(
    stand_in: StandIn, sklearn_folder: Path, unique: str, tmp_path: Path
) -> None:
    """A version is what it is; what it is called may change."""
    client = workspace("mlw-dev", "builder")
    model = client.models.create_or_update(_model(unique, "1", sklearn_folder, old="tag"))
    model.tags = {"new": "tag"}
    client.models.create_or_update(model)
    other = python_model(tmp_path / "other", "return [1]")
    with pytest.raises(HttpResponseError, match="Asset paths cannot be updated"):
        client.models.create_or_update(_model(unique, "1", other))
    assert client.models.get(unique, "1").tags == {"new": "tag"}


def test_an_unknown_version_is_not_found(stand_in: StandIn, unique: str) -> None:
    """The client turns it into its own exception."""
    with pytest.raises(ResourceNotFoundError, match="Could not find asset with ID"):
        workspace("mlw-dev").models.get(unique, "1")


def test_a_model_without_files_is_refused(stand_in: StandIn, unique: str) -> None:
    """A path at which nothing lies makes no model."""
    asked = Model(name=unique, version="1", path="azureml://datastores/workspaceblobstore/paths/nothing/here")
    with pytest.raises(HttpResponseError, match="no files"):
        workspace("mlw-dev", "builder").models.create_or_update(asked)
