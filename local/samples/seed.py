"""Registers a build's models in Dev and uploads test data, with the real azure-ai-ml client.

Runs in a process of its own, because the client takes its proxy and its identity from the environment:
`python -m local.samples.seed < PLAN`; the plan is JSON as `local.demo.seeding` writes it.
"""

import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from azure.ai.ml import MLClient
from azure.ai.ml.constants import AssetTypes
from azure.ai.ml.entities import Model
from azure.identity import DefaultAzureCredential
from azure.storage.blob import ContainerClient

from local.samples import oddities
from local.samples.dev_build import BuiltCircuit, DevModel, Trait, dev_models
from local.samples.mlflow_format import write_model
from local.samples.test_data import upload_test_data
from local.samples.training import train
from local.samples.training_job import artifacts_of, leave, submit
from local.stack.azure_names import DEV, TEST, Workspace

ODDITIES: Mapping[Trait, Callable[[Any], Any]] = {
    Trait.NEVER_ENDS: oddities.NeverEnds,
    Trait.LOGS_ERRORS: oddities.LogsErrors,
    Trait.WRITES_NOTHING: oddities.WritesNothing,
    Trait.WRITES_WORDS: oddities.WritesWords,
    Trait.TAKES_ITS_TIME: oddities.TakesItsTime,
    Trait.ANSWERS_NAN: oddities.AnswersNan,
    Trait.ANSWERS_THE_SAME: oddities.AnswersTheSame,
    Trait.MARKS_ROWS_FAILED: oddities.MarksRowsFailed,
}


def main() -> int:
    """Carry out the plan on standard input and say in one line what was done."""
    print(carry_out(json.load(sys.stdin)))
    return 0


def carry_out(plan: Mapping[str, Any]) -> str:
    """Register the plan's models and upload its test data, as far as they are not there; what was done, in one line."""
    circuits = [_circuit(entry) for entry in plan["circuits"]]
    begun = time.monotonic()
    credential = DefaultAzureCredential()
    registered = register(_client(DEV, plan["subscription_id"], credential), dev_models(circuits, plan["build_id"]))
    uploaded = upload_test_data(
        _client(TEST, plan["subscription_id"], credential),
        [(circuit.plant_id, circuit.circuit_id) for circuit in circuits],
        until=min(circuit.cutoff_date for circuit in circuits),
    )
    seconds = time.monotonic() - begun
    return f"{registered} model versions in {DEV.name}, {uploaded} test inputs in {TEST.name}, {seconds:.1f} s"


def register(client: Any, models: Iterable[DevModel]) -> int:
    """Register the versions that are not there yet, oldest first; how many were new."""
    count = 0
    known: dict[str, list[Mapping[str, str]]] = {}
    with tempfile.TemporaryDirectory() as scratch, artifacts_of(client) as artifacts:
        for number, model in enumerate(models):
            name = model.circuit.model_name
            if name not in known:
                known[name] = [version.tags for version in client.models.list(name=name)]
            if model.tags in known[name]:
                continue
            _register(client, artifacts, model, Path(scratch) / str(number) / "model")
            count += 1
    return count


def _register(client: Any, artifacts: ContainerClient, model: DevModel, directory: Path) -> None:
    circuit = model.circuit
    trained = train(
        f"{circuit.plant_id}/{circuit.circuit_id}",
        cutoff=model.cutoff_date,
        alpha=model.alpha,
        knows_flushing=model.knows_flushing,
    )
    write_model(
        ODDITIES.get(model.trait, _as_trained)(trained.pipeline),
        directory,
        seed=f"{model.build_id} {sorted(model.tags.items())}",
    )
    job = submit(client, title=f"{circuit.plant_id}/{circuit.circuit_id}, data until {model.cutoff_date}")
    entity = Model(
        name=circuit.model_name,
        path=leave(artifacts, job, directory, trained.log),
        type=AssetTypes.MLFLOW_MODEL,
        description=f"Return temperature of {circuit.plant_id}/{circuit.circuit_id}, data until {model.cutoff_date}",
        tags=model.tags,
        properties={f"metric.{name}": f"{value:.4f}" for name, value in trained.metrics.items()},
    )
    client.models.create_or_update(entity)


def _as_trained(pipeline: Any) -> Any:
    return pipeline


def _client(workspace: Workspace, subscription_id: str, credential: DefaultAzureCredential) -> MLClient:
    # The client prints its beta notices and progress bars on both streams; ours carry one line of result.
    with contextlib.redirect_stdout(sys.stderr):
        return MLClient(credential, subscription_id, workspace.resource_group, workspace.name)


def _circuit(entry: Mapping[str, str]) -> BuiltCircuit:
    return BuiltCircuit(
        plant_id=entry["plant_id"],
        circuit_id=entry["circuit_id"],
        cutoff_date=date.fromisoformat(entry["cutoff_date"]),
        trait=Trait(entry.get("trait", Trait.ORDINARY)),
    )


if __name__ == "__main__":
    sys.exit(main())
