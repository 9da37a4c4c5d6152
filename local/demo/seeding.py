"""Has the sample build leave its models and test data, in a process with the training build's identity."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from local.demo.manifest import Artifact
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
    plan = {
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
    done = subprocess.run(
        [sys.executable, "-m", "local.samples.seed"],
        input=json.dumps(plan),
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=clean_environment() | {**stack.azure_ml.env, **stack.azure_ml.builder_env, "PYTHONWARNINGS": "ignore"},
        timeout=WITHIN_SECONDS,
    )
    log = Path(stack.logs) / "seeding.log"
    with log.open("a", encoding="utf-8") as file:
        file.write(done.stdout + done.stderr)
    if done.returncode != 0:
        tail = "\n".join(done.stderr.strip().splitlines()[-12:])
        raise SeedingError(f"The sample models could not be registered in Dev:\n{tail}\nSee {log}")
    return done.stdout.strip().splitlines()[-1]
