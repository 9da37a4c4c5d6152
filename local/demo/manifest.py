"""The artifact that the demo uploads: the example, with the next free release number and its own build."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

from azure.storage.blob import BlobServiceClient

from local.stack.description import Stack
from local.stack.places import ROOT

EXAMPLE = ROOT / "examples" / "changed_circuits.json"
LATE = timedelta(days=14)


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """`changed_circuits.json` and the release and build it belongs to."""

    release_id: str
    build_id: str
    content: dict[str, Any]

    @property
    def path(self) -> str:
        return f"releases/{self.release_id}/{self.build_id}/changed_circuits.json"


def next_artifact(is_known: Callable[[str], bool]) -> Artifact:
    """The example under the first release number of its day that the app does not know yet."""
    example = json.loads(EXAMPLE.read_text(encoding="utf-8"))
    day, _, first = example["release_id"].partition(".")
    number = int(first)
    while is_known(f"{day}.{number}"):
        number += 1
    release_id, build_id = f"{day}.{number}", str(int(example["build_id"]) + number - int(first))
    content = example | {"release_id": release_id, "build_id": build_id}
    return Artifact(release_id=release_id, build_id=build_id, content=content)


def with_unseen_cutoff(artifact: Artifact) -> Artifact:
    """The same circuits with a cutoff date for which no earlier build can have left a model."""
    number = int(artifact.release_id.partition(".")[2])
    circuits = [
        entry | {"cutoff_date": (date.fromisoformat(entry["cutoff_date"]) + LATE + timedelta(days=number)).isoformat()}
        for entry in artifact.content["circuits"]
    ]
    return replace(artifact, content=artifact.content | {"circuits": circuits})


def of_plants(artifact: Artifact, prefix: str) -> Artifact:
    """The same circuits in other plants: with the prefix `7`, `PLANT001` becomes `PLANT701`."""
    circuits = [
        entry | {"plant_id": plant, "model_name": f"{plant}-{entry['circuit_id']}".lower()}
        for entry in artifact.content["circuits"]
        for plant in [entry["plant_id"].replace("PLANT0", f"PLANT{prefix}")]
    ]
    return replace(artifact, content=artifact.content | {"circuits": circuits})


def upload(stack: Stack, artifact: Artifact) -> None:
    """Do what the build pipeline does last: put the artifact into its container."""
    body = json.dumps(artifact.content, indent=2).encode()
    with BlobServiceClient.from_connection_string(stack.blob_connection_string) as storage:
        storage.get_blob_client(stack.artifact_container, artifact.path).upload_blob(body)
