"""One Azurite and one stand-in for all tests that do not harm them; the process's environment points at them."""

from collections.abc import Iterator
from concurrent.futures import Future
from itertools import count
from pathlib import Path
from threading import Thread

import pytest
from azure.ai.ml.constants import AssetTypes
from azure.ai.ml.entities import Model
from azure_ml_estate import StandIn, registry, running_azurite, workspace
from sample_folders import sklearn_model

NUMBERS = count(1)


@pytest.fixture(scope="session")
def blob_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Real blob storage, in memory."""
    with running_azurite(tmp_path_factory.mktemp("azurite")) as port:
        yield port


@pytest.fixture(scope="session")
def stand_in(tmp_path_factory: pytest.TempPathFactory, blob_port: int) -> Iterator[StandIn]:
    """The stand-in that most tests talk to; clients of this process find it while it runs."""
    process = StandIn(data=tmp_path_factory.mktemp("azure_ml") / "data", blob_port=blob_port)
    process.start()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in process.environment.items():
            patch.setenv(name, value)
        yield process
    assert process.stop() == 0


@pytest.fixture
def unique(stand_in: StandIn) -> str:
    """A name nobody else uses, good for endpoints, models and folders."""
    return f"t{next(NUMBERS):03d}"


@pytest.fixture(scope="session")
def sklearn_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sklearn_model(tmp_path_factory.mktemp("models") / "model")


@pytest.fixture(scope="session")
def registered(stand_in: StandIn, sklearn_folder: Path) -> str:
    """The id of a model in the registry."""
    asked = Model(
        name="registered", version="1", path=sklearn_folder, type=AssetTypes.MLFLOW_MODEL, tags={"from": "tests"}
    )
    return str(registry().models.create_or_update(asked).id)


@pytest.fixture(scope="session", autouse=True)
def sharing(stand_in: StandIn, sklearn_folder: Path) -> "Future[Model]":
    """A `share` that has been under way since the session began: the SDK waits 30 seconds inside."""
    asked = Model(name="to-share", version="1", path=sklearn_folder, type=AssetTypes.MLFLOW_MODEL, tags={"kept": "yes"})
    workspace("mlw-dev", "builder").models.create_or_update(asked)
    client = workspace.__wrapped__("mlw-dev")  # a client of its own: share swaps the client's scope meanwhile
    future: Future[Model] = Future()

    def share() -> None:
        try:
            names = {"share_with_name": "shared", "share_with_version": "20251210-1", "registry_name": "mlr-shared"}
            future.set_result(client.models.share("to-share", "1", **names))
        except Exception as error:  # noqa: BLE001 - whoever asks for the result gets it
            future.set_exception(error)

    Thread(target=share, daemon=True).start()
    return future
