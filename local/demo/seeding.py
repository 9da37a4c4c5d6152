"""Runs the sample programs, each in a process with an identity of its own: the training build's, or the app's."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from local.demo.manifest import Artifact
from local.demo.releases import Release
from local.samples.dev_build import Trait
from local.stack.description import Stack
from local.stack.parts import clean_environment
from local.stack.places import ROOT

WITHIN_SECONDS = 180


class SeedingError(Exception):
    """The sample models could not be registered; the message holds the client's last lines."""


def seed(stack: Stack, artifact: Artifact, traits: Mapping[tuple[str, str], Trait]) -> str:
    """Register the artifact's models and test data; returns one line about it.

    Raises:
        SeedingError: the real client failed against the stack.
    """
    plan = build_plan(stack, artifact, traits)
    return _sample(stack, "seed", plan, builder_env(stack), "The sample models could not be registered in Dev")


def build_plan(stack: Stack, artifact: Artifact, traits: Mapping[tuple[str, str], Trait]) -> Mapping[str, object]:
    """What `local.samples.seed` takes: the artifact's circuits, each with what is special about its models."""
    return {
        "subscription_id": stack.azure_ml.subscription_id,
        "build_id": artifact.build_id,
        "circuits": [
            {
                "plant_id": entry["plant_id"],
                "circuit_id": entry["circuit_id"],
                "cutoff_date": entry["cutoff_date"],
                "trait": traits.get((entry["plant_id"], entry["circuit_id"]), Trait.ORDINARY),
            }
            for entry in artifact.content["circuits"]
        ],
    }


def builder_env(stack: Stack) -> Mapping[str, str]:
    """How a process signs in to the stack's Azure ML as the training build."""
    return {**stack.azure_ml.env, **stack.azure_ml.builder_env}


def make_by_hand(stack: Stack, circuits: Sequence[Mapping[str, str]]) -> str:
    """Endpoints from before the pipeline, for these circuits of an artifact; returns one line about them.

    Raises:
        SeedingError: the real client failed against the stack.
    """
    plan = {"subscription_id": stack.azure_ml.subscription_id, "circuits": [dict(one) for one in circuits]}
    return _sample(stack, "brownfield", plan, stack.azure_ml.env, "The endpoints could not be made by hand")


def leftovers(stack: Stack, release: Release) -> Mapping[str, Mapping[str, int]]:
    """Per circuit of a release: how many model versions, deployments and kept jobs it has left.

    Raises:
        SeedingError: the real client failed against the stack.
    """
    plan = {
        "subscription_id": stack.azure_ml.subscription_id,
        "release_id": release["release_id"],
        "circuits": [
            {name: circuit[name] for name in ("plant_id", "circuit_id", "endpoint", "test_endpoint")}
            for circuit in release["circuits"]
        ],
    }
    told = _sample(stack, "leftovers", plan, stack.azure_ml.env, "What the release left could not be counted")
    counts: Mapping[str, Mapping[str, int]] = json.loads(told)
    return counts


def _sample(stack: Stack, module: str, plan: Mapping[str, object], azure: Mapping[str, str], trouble: str) -> str:
    """Run one of the sample programs with an identity of its own; its last line."""
    done = subprocess.run(
        [sys.executable, "-m", f"local.samples.{module}"],
        input=json.dumps(plan),
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=clean_environment() | {**azure, "PYTHONWARNINGS": "ignore"},
        timeout=WITHIN_SECONDS,
    )
    log = Path(stack.logs) / "seeding.log"
    with log.open("a", encoding="utf-8") as file:
        file.write(done.stdout + done.stderr)
    if done.returncode != 0:
        tail = "\n".join(done.stderr.strip().splitlines()[-12:])
        raise SeedingError(f"{trouble}:\n{tail}\nSee {log}")
    return done.stdout.strip().splitlines()[-1]
