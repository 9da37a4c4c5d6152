"""The pipelines in examples/: their upload commands are run, with an `az` that uploads to Azurite."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from azure.storage.blob import BlobServiceClient, ContainerClient

from shared.application.manifest import parse_manifest
from shared.domain.plan import Manifest
from tests.support.azurite import Account

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "examples"
AZ = ROOT / "tests" / "support" / "az_upload.py"


def azure_pipelines_step() -> tuple[str, Mapping[str, str]]:
    """The script and its environment, as the agent sees them in build 20251210.7."""
    pipeline = yaml.safe_load((EXAMPLES / "azure-pipelines.yml").read_text())
    assert pipeline["name"] == "$(Date:yyyyMMdd).$(Rev:r)"
    (task,) = [step for step in pipeline["steps"] if step.get("task") == "AzureCLI@2"]
    known = {"$(artifactStorageAccount)": "builds", "$(Build.BuildNumber)": "20251210.7", "$(Build.BuildId)": "12345"}
    return task["inputs"]["inlineScript"], {name: known[value] for name, value in task["env"].items()}


def github_actions_step() -> tuple[str, Mapping[str, str]]:
    """The script and its environment, as the runner sees them in run number 7."""
    (job,) = yaml.safe_load((EXAMPLES / "github-actions.yml").read_text())["jobs"].values()
    (step,) = [step for step in job["steps"] if "az storage" in step.get("run", "")]
    known = {"vars.ARTIFACT_STORAGE_ACCOUNT": "builds", "github.run_number": "7", "github.run_id": "12345"}
    expressions: dict[str, Any] = step["env"]
    return step["run"], {name: known[value.strip("${} ")] for name, value in expressions.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """A directory with an artifact, and an `az` on the PATH."""

    directory: Path
    container: ContainerClient
    connection: str

    def run(self, script: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        variables = {
            "PATH": f"{self.directory / 'bin'}:{os.environ['PATH']}",
            "AZ_UPLOADS_TO": self.connection,
            **environment,
        }
        return subprocess.run(
            ["bash", "-c", script], cwd=self.directory, env=variables, capture_output=True, text=True, check=False
        )

    def manifests(self) -> list[Manifest]:
        """What the pipeline makes of everything that was uploaded."""
        return [
            parse_manifest(self.container.download_blob(name).readall(), path=name)
            for name in self.container.list_blob_names()
        ]


@pytest.fixture
def build(account: Account, tmp_path: Path) -> Any:
    """A build whose artifact carries no ids of its own."""
    entry = {"plant_id": "PLANT001", "circuit_id": "CIRCUIT01", "cutoff_date": "2025-11-01"}
    (tmp_path / "changed_circuits.json").write_text(json.dumps({"circuits": [entry]}))
    stub = tmp_path / "bin" / "az"
    stub.parent.mkdir()
    stub.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{AZ}" "$@"\n')
    stub.chmod(0o755)
    with BlobServiceClient.from_connection_string(account.connection_string) as service:
        container = service.create_container("build-artifacts")
        yield Build(directory=tmp_path, container=container, connection=account.connection_string)


def test_the_azure_pipelines_example_hands_over_a_release(build: Build) -> None:
    """The build's number is the release id, its id the build id."""
    done = build.run(*azure_pipelines_step())
    assert done.returncode == 0, done.stderr
    (manifest,) = build.manifests()
    assert (manifest.release_id, manifest.build_id, len(manifest.circuits)) == ("20251210.7", "12345", 1)


def test_the_github_actions_example_hands_over_a_release(build: Build) -> None:
    """Today's date and the run's number."""
    done = build.run(*github_actions_step())
    assert done.returncode == 0, done.stderr
    (manifest,) = build.manifests()
    assert re.fullmatch(r"\d{8}\.7", manifest.release_id)
    assert manifest.build_id == "12345"


@pytest.mark.parametrize("step", [azure_pipelines_step, github_actions_step])
def test_an_upload_that_fails_fails_the_build(build: Build, step: Any) -> None:
    """No artifact, no green build."""
    (build.directory / "changed_circuits.json").unlink()
    assert build.run(*step()).returncode != 0
    assert build.manifests() == []


@pytest.mark.parametrize("step", [azure_pipelines_step, github_actions_step])
def test_a_build_that_runs_again_may_upload_again(build: Build, step: Any) -> None:
    """The same content at the same path is the same release."""
    assert build.run(*step()).returncode == 0
    assert build.run(*step()).returncode == 0
    assert len(build.manifests()) == 1
