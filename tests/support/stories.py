"""Whole releases that run in the background while other tests use the same stack; each is told once and asked often."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from local.demo.manifest import EXAMPLE, Artifact
from local.demo.seeding import seed
from local.samples.dev_build import Trait
from local.stack.parts import clean_environment
from local.stack.places import ROOT
from tests.support.pipeline import (
    ARTIFACT_NAME,
    AT_PRODUCTION_GATE,
    AT_REGISTRY_GATE,
    ENDED,
    PRODUCTION_GATE,
    REGISTRY_GATE,
    Json,
    Pipeline,
    entry,
)
from tests.support.wire import exchange

BUILD = "777"
RAISING, BESIDE_IT = "PLANT101/CIRCUIT01", "PLANT101/CIRCUIT02"
ORDINARY = "PLANT102/CIRCUIT01"
NEVER_VALIDATED, VALIDATED = "PLANT103/CIRCUIT01", "PLANT103/CIRCUIT02"
TRAITS = {RAISING: Trait.RAISES_ON_ITS_DATA, NEVER_VALIDATED: Trait.NEVER_VALIDATED}
FIRST_MODELS = ("plant001-circuit01", "plant001-circuit02", "plant002-circuit01")

WITHIN_SECONDS = 240
KEEP_PACKAGES = ("-o", ".venv/.ready", "-o", "node_modules/.ready")
"""A test must never install anything, however old the marks of the last installation are."""
QUICK = {
    "endpoint_create": 0.5,
    "endpoint_update": 0.3,
    "deployment_create": 0.7,
    "registry_create": 0.3,
    "job_prepare": 0.1,
    "job_finalize": 0.1,
    "cluster_scale_up": 0.5,
}
"""Seconds that the Azure ML stand-in's operations take: what they are does not matter, that they take time does."""


def make_quick(pipeline: Pipeline) -> None:
    """Shorten the stand-in's operations."""
    url = f"{pipeline.stack.azure_ml.admin_url}/settings"
    reply = exchange("POST", url, json.dumps({"durations": QUICK}).encode(), {"Content-Type": "application/json"})
    assert reply.status == 200, reply.text


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A release that has ended, and the Azure ML journal's position at its turns."""

    release: Json
    began: int
    approved: Mapping[str, int]
    ended: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command that has ended."""

    code: int
    output: str


class Stories:
    """Starts everything at once, in the order in which one thing needs another."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._pool = ThreadPoolExecutor(max_workers=6, thread_name_prefix="story")
        make_quick(pipeline)
        run = self._pool.submit
        self.built = run(self._build, [RAISING, BESIDE_IT, ORDINARY, NEVER_VALIDATED, VALIDATED])
        self.first = run(self._first)
        self.after_first = run(lambda: self._estate(self.first))
        self.smoke_failure = run(lambda: self._tell((RAISING, BESIDE_IT)))
        self.rejected = run(lambda: self._tell((ORDINARY,), {PRODUCTION_GATE: "reject"}))
        self.second = run(lambda: self._demo(self.first, self.after_first, self.smoke_failure, self.rejected))
        self.after_second = run(lambda: self._estate(self.second))
        self.no_validated_model = run(lambda: self._demo(self.after_second, scenario="no-validated-model"))

    def all_told(self) -> None:
        """Wait until no story runs any more."""
        for future in (self.no_validated_model, self.after_second, self.rejected, self.smoke_failure):
            future.result(WITHIN_SECONDS)

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    # ------------------------------------------------------------------------------------- what happens

    def _build(self, circuits: list[str]) -> None:
        content = {"circuits": [entry(circuit) for circuit in circuits]}
        traits = {tuple(circuit.split("/")): trait for circuit, trait in TRAITS.items()}
        seed(self._pipeline.stack, Artifact(release_id="", build_id=BUILD, content=content), traits)  # type: ignore[arg-type]

    def _first(self) -> Told:
        content = json.loads(EXAMPLE.read_text(encoding="utf-8"))
        artifact = Artifact(release_id=content["release_id"], build_id=content["build_id"], content=content)
        seed(self._pipeline.stack, artifact, {})
        return self._follow(artifact.release_id, artifact.path, content, {})

    def _tell(self, circuits: tuple[str, ...], decisions: Mapping[str, str] | None = None) -> Told:
        self.built.result(WITHIN_SECONDS)
        release_id = self._pipeline.fresh_id()
        path = f"releases/{release_id}/{BUILD}/{ARTIFACT_NAME}"
        return self._follow(release_id, path, {"circuits": [entry(c) for c in circuits]}, decisions or {})

    def _follow(self, release_id: str, path: str, content: Json, decisions: Mapping[str, str]) -> Told:
        """From the upload to the end, deciding at the gates."""
        pipeline, approved = self._pipeline, dict[str, int]()
        began = pipeline.azure_ml_position()
        pipeline.upload(path, content)
        for gate, phase in ((REGISTRY_GATE, AT_REGISTRY_GATE), (PRODUCTION_GATE, AT_PRODUCTION_GATE)):
            if self._reached(release_id, phase):
                pipeline.invitations(release_id, gate)
                approved[gate] = pipeline.azure_ml_position()
                pipeline.answer(release_id, gate, decisions.get(gate, "approve"), f"{gate} was looked at.")
        release = pipeline.wait_phase(release_id, *ENDED, within_seconds=WITHIN_SECONDS)
        return Told(release=release, began=began, approved=approved, ended=pipeline.azure_ml_position())

    def _reached(self, release_id: str, phase: str) -> bool:
        """Whether the release comes to this phase; False once it has ended before."""
        release = self._pipeline.wait_phase(release_id, phase, *ENDED, within_seconds=WITHIN_SECONDS)
        return bool(release["phase"] == phase)

    def _estate(self, before: Future[Any]) -> Json:
        before.result(WITHIN_SECONDS)
        azure_ml = self._pipeline.stack.azure_ml
        done = subprocess.run(
            [sys.executable, "-m", "tests.support.estate_report", azure_ml.subscription_id, *FIRST_MODELS],
            env=clean_environment() | {**azure_ml.env, "PYTHONWARNINGS": "ignore"},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=WITHIN_SECONDS,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        seen: Json = json.loads(done.stdout)
        return seen

    def _demo(self, *before: Future[Any], scenario: str = "") -> Command:
        """`make demo` as a person types it, against the running stack."""
        for future in before:
            future.result(WITHIN_SECONDS)
        places = self._pipeline.places
        variables = {"AUTO": "1", "STATS": "1", "SCENARIO": scenario}
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS", "PYTEST_"))}
        done = subprocess.run(
            ["make", *KEEP_PACKAGES, "demo", *(f"{name}={value}" for name, value in variables.items())],
            env=environment | {"STACK_DIR": str(places.dir), "STACK_PORT_BASE": str(places.ports.base)},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=WITHIN_SECONDS,
        )
        return Command(code=done.returncode, output=done.stdout + done.stderr)
