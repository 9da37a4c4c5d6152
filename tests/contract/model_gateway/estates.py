"""What the contract is checked on: the fake, and the real SDK against the stand-in, behind one set of hands."""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Protocol
from uuid import uuid4

from azure.ai.ml import MLClient
from azure.ai.ml.entities import ManagedOnlineEndpoint, Model
from azure.identity import ClientSecretCredential
from azure_ml_process import AzureMl

from shared.adapters.azure_ml.gateway import AzureMlGateway
from shared.application.ports import DeploymentSpec, Endpoint, Job, ModelGateway, ProvisioningState
from shared.config import Settings
from shared.domain.model import Circuit, Environment
from shared.domain.naming import test_data_path as data_path
from tests.support.fake_models import FakeModels

PATIENCE_SECONDS = 60
DEV = "mlw-dev"

MLMODEL = """\
artifact_path: model
flavors:
  python_function:
    code: code
    data: data.txt
    loader_module: doubling
    python_version: 3.13.0
model_uuid: 4c4f4b5c0d2e4a7f8f6b1f1a2b3c4d5e
signature:
  inputs: '[{"type": "double", "name": "x", "required": true}]'
  outputs: '[{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1]}}]'
"""
CODE = """\
from pathlib import Path


class Doubling:
    def __init__(self, factor):
        self._factor = factor

    def predict(self, data):
        {body}
        return data["x"] * self._factor


def _load_pyfunc(path):
    return Doubling(float(Path(path).read_text()))
"""


def model_files(factor: float = 2.0, body: str = "") -> dict[str, bytes]:
    """A model in MLflow's format that multiplies column x."""
    return {
        "MLmodel": MLMODEL.encode(),
        "data.txt": str(factor).encode(),
        "code/doubling.py": CODE.format(body=body or "pass").encode(),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class SomeCircuit:
    """A circuit of a test's own, so that tests can share one estate."""

    circuit: Circuit
    model: str
    endpoint: str


def some_circuit() -> SomeCircuit:
    plant, circuit = f"P{uuid4().hex[:6].upper()}", f"C{uuid4().hex[:6].upper()}"
    name = f"{plant}-{circuit}".lower()
    return SomeCircuit(circuit=Circuit(plant_id=plant, circuit_id=circuit), model=name, endpoint=f"be-{name}")


class Estate(Protocol):
    """A gateway, and what a training build does."""

    @property
    def gateway(self) -> ModelGateway: ...

    def add_dev_model(
        self, name: str, version: str, tags: Mapping[str, str], files: Mapping[str, bytes] | None = None
    ) -> None: ...

    def add_test_data(self, circuit: Circuit, files: Mapping[str, bytes]) -> None: ...

    def add_online_endpoint(self, environment: Environment, name: str) -> None: ...


class FakeEstate:
    """The fake needs one look to be ready."""

    def __init__(self) -> None:
        self.gateway = FakeModels(looks=1)

    def add_dev_model(
        self, name: str, version: str, tags: Mapping[str, str], files: Mapping[str, bytes] | None = None
    ) -> None:
        self.gateway.add_dev_model(name, version, tags, files=files)

    def add_test_data(self, circuit: Circuit, files: Mapping[str, bytes]) -> None:
        for name, content in files.items():
            self.gateway.add_test_file(f"{data_path(circuit)}{name}", content)

    def add_online_endpoint(self, environment: Environment, name: str) -> None:
        told = f"the online endpoint {name} in mlw-{environment.value[:4]}"
        self.gateway.others[self.gateway.regions[environment]][name] = told


class RealEstate:
    """The real SDK and a training build with its own identity."""

    def __init__(self, azure_ml: AzureMl) -> None:
        self.azure_ml = azure_ml
        self.gateway = AzureMlGateway(settings_for(azure_ml))
        builder = azure_ml.identity("builder")
        credential = ClientSecretCredential(azure_ml.settings.tenant_id, builder.client_id, builder.client_secret)
        dev = next(one for one in azure_ml.settings.workspaces if one.name == DEV)
        self._builder = MLClient(credential, dev.subscription_id, dev.resource_group, dev.name)

    def add_dev_model(
        self, name: str, version: str, tags: Mapping[str, str], files: Mapping[str, bytes] | None = None
    ) -> None:
        with tempfile.TemporaryDirectory() as directory:
            folder = Path(directory) / "model"
            for path, content in (files if files is not None else model_files()).items():
                target = folder / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
            self._builder.models.create_or_update(
                Model(name=name, version=version, path=folder, type="mlflow_model", tags=dict(tags))
            )

    def add_test_data(self, circuit: Circuit, files: Mapping[str, bytes]) -> None:
        with self.azure_ml.container("mlw-test", "workspaceblobstore") as container:
            for name, content in files.items():
                path = f"test-data/{circuit.plant_id}/{circuit.circuit_id}/{name}"
                container.upload_blob(path, content, overwrite=True)

    def add_online_endpoint(self, environment: Environment, name: str) -> None:
        client = self.gateway._clients.environment(environment)
        client.online_endpoints.begin_create_or_update(ManagedOnlineEndpoint(name=name))


def settings_for(azure_ml: AzureMl, **changes: object) -> Settings:
    """The app's settings for this stand-in: Dev lies in the subscription for all, Test and Production in their own."""
    dev, test, production = (workspace.subscription_id for workspace in azure_ml.settings.workspaces)
    places = {"azure_subscription_id": dev, "test_subscription_id": test, "prod_subscription_id": production}
    return Settings.model_validate({**places, "ml_poll_seconds": 0.2, **changes})


def eventually[Seen](look: Callable[[], Seen | None], what: str) -> Seen:
    """Look again and again until there is something to see."""
    deadline = monotonic() + PATIENCE_SECONDS
    while True:
        seen = look()
        if seen is not None:
            return seen
        assert monotonic() < deadline, f"waited {PATIENCE_SECONDS} s in vain: {what}"
        sleep(0.1)


def settled_endpoint(estate: Estate, environment: Environment, name: str) -> Endpoint:
    """The endpoint once it is no longer changing."""

    def look() -> Endpoint | None:
        found = estate.gateway.endpoint(environment, name)
        return found if found and found.state is not ProvisioningState.RUNNING else None

    return eventually(look, f"endpoint {name} settles")


def settled_deployment(estate: Estate, environment: Environment, spec: DeploymentSpec) -> ProvisioningState:
    """The deployment's state once it is no longer changing."""

    def look() -> ProvisioningState | None:
        found = estate.gateway.deployment(environment, spec.endpoint, spec.name)
        return found.state if found and found.state is not ProvisioningState.RUNNING else None

    return eventually(look, f"deployment {spec.name} settles")


def ended_job(estate: Estate, name: str) -> Job:
    """The job once it has ended."""

    def look() -> Job | None:
        job = estate.gateway.job(name)
        return job if job and job.status in {"Completed", "Failed", "Canceled"} else None

    return eventually(look, f"job {name} ends")
