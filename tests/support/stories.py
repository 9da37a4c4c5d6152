"""Whole releases that run in the background while other tests use the same stack; each is told once and asked often."""

import json
import os
import subprocess
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from local.demo.manifest import EXAMPLE, Artifact
from local.samples.dev_build import Trait
from local.stack.places import ROOT
from tests.support.pipeline import (
    ARTIFACT_NAME,
    AT_PRODUCTION_GATE,
    AT_REGISTRY_GATE,
    BUILD_ID,
    ENDED,
    PRODUCTION_GATE,
    REGISTRY_GATE,
    Json,
    Pipeline,
    entry,
    writes,
)
from tests.support.table_rows import ROWS, Row
from tests.support.wire import exchange

RAISING, BESIDE_IT = "PLANT101/CIRCUIT01", "PLANT101/CIRCUIT02"
ORDINARY = "PLANT102/CIRCUIT01"
NEVER_VALIDATED, VALIDATED = "PLANT103/CIRCUIT01", "PLANT103/CIRCUIT02"
WORDY, UNSURE, STUBBORN = "PLANT404/CIRCUIT01", "PLANT404/CIRCUIT02", "PLANT404/CIRCUIT03"
ONE, OTHER, NEW = "PLANT301/CIRCUIT01", "PLANT301/CIRCUIT02", "PLANT302/CIRCUIT01"
TRAITS = dict.fromkeys((ONE, OTHER, NEW), Trait.ORDINARY) | {
    BESIDE_IT: Trait.ORDINARY,
    ORDINARY: Trait.ORDINARY,
    NEVER_VALIDATED: Trait.NEVER_VALIDATED,
    VALIDATED: Trait.ORDINARY,
    WORDY: Trait.WRITES_WORDS,
    UNSURE: Trait.ANSWERS_NAN,
    STUBBORN: Trait.ANSWERS_THE_SAME,
    **{circuit: row.trait for circuit, row in ROWS.items()},
}
FIRST_CIRCUIT = "PLANT001/CIRCUIT01"
FIRST_MODELS = ("plant001-circuit01", "plant001-circuit02", "plant002-circuit01")

WITHIN_SECONDS = 480
"""Long, since a story waits for others and other suites share the machine: a guard against hanging, no claim."""
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


def make_quick(pipeline: Pipeline, **but: float) -> None:
    """Shorten the stand-in's operations, `but` those named to so many seconds."""
    url = f"{pipeline.stack.azure_ml.admin_url}/settings"
    body = json.dumps({"durations": QUICK | but}).encode()
    reply = exchange("POST", url, body, {"Content-Type": "application/json"})
    assert reply.status == 200, reply.text


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A release that has ended, and the Azure ML journal's position at its turns."""

    release: Json
    began: int
    approved: Mapping[str, int]
    ended: int


def production_writes(pipeline: Pipeline, told: Told, *circuits: str) -> list[str]:
    """What was written to mlw-prod about these `PLANT/CIRCUIT`s while their release ran."""
    entries = [entry for entry in pipeline.azure_ml(told.began) if entry["n"] <= told.ended]
    return writes(entries, "mlw-prod", *(f"be-{circuit.replace('/', '-').lower()}" for circuit in circuits))


def _only(content: Json) -> str:
    (circuit,) = content["circuits"]
    return f"{circuit['plant_id']}/{circuit['circuit_id']}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command that has ended."""

    code: int
    output: str


class Stories:
    """Starts everything at once, in the order in which one thing needs another."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._pool = ThreadPoolExecutor(max_workers=24, thread_name_prefix="story")
        make_quick(pipeline)
        run = self._pool.submit
        self.first = run(self._first)
        self.built = run(lambda: self._pipeline.build(TRAITS))
        self.after_first = run(lambda: self._estate(self.first))
        self.smoke_failure = run(lambda: self._tell((RAISING, BESIDE_IT)))
        self.rejected = run(lambda: self._tell((ORDINARY,), {PRODUCTION_GATE: "reject"}))
        others = {circuit: row for circuit, row in ROWS.items() if circuit != RAISING}
        self.rows = {RAISING: self.smoke_failure} | {c: run(self._row, c, row) for c, row in others.items()}
        self.warned = run(lambda: self._later((WORDY, UNSURE, STUBBORN), {PRODUCTION_GATE: "reject"}))
        self.second = run(lambda: self._demo(self.first, self.after_first, self.smoke_failure, self.rejected))
        self.after_second = run(lambda: self._estate(self.second))
        self.no_validated_model = run(lambda: self._demo(self.after_second, scenario="no-validated-model"))
        self.twice = run(self._twice)
        self.there_and_back = run(self._there_and_back)

    def all_told(self) -> None:
        """Wait until no story runs any more."""
        rows = (self.warned, *self.rows.values())
        for future in (self.no_validated_model, self.after_second, self.rejected, *rows, self.there_and_back):
            future.result(WITHIN_SECONDS)

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    # ------------------------------------------------------------------------------------- what happens

    def _first(self) -> Told:
        content = json.loads(EXAMPLE.read_text(encoding="utf-8"))
        artifact = Artifact(release_id=content["release_id"], build_id=content["build_id"], content=content)
        self._pipeline.client.build(artifact, {})
        return self._follow(artifact.release_id, artifact.path, content, {})

    def _tell(
        self, circuits: tuple[str, ...], decisions: Mapping[str, str] | None = None, row: Row | None = None
    ) -> Told:
        self.built.result(WITHIN_SECONDS)
        release_id = self._pipeline.fresh_id()
        path = f"releases/{release_id}/{BUILD_ID}/{ARTIFACT_NAME}"
        return self._follow(release_id, path, {"circuits": [entry(c) for c in circuits]}, decisions or {}, row)

    def _row(self, circuit: str, row: Row) -> Told:
        return self._later((circuit,), row=row)

    def _later(
        self, circuits: tuple[str, ...], decisions: Mapping[str, str] | None = None, row: Row | None = None
    ) -> Told:
        """When the first stories no longer fill the machine."""
        for future in (self.smoke_failure, self.rejected):
            future.result(WITHIN_SECONDS)
        return self._tell(circuits, decisions, row)

    def _twice(self) -> list[Told]:
        """Not while a demo runs: it takes every write to mlw-prod before its own gate for a trespass."""
        self.no_validated_model.result(WITHIN_SECONDS)
        return [self._tell((ONE, OTHER)), self._tell((ONE, OTHER, NEW))]

    def _there_and_back(self) -> Command:
        """Last, and while nobody else writes. The hold it leaves is lifted: other tests read summaries."""
        done = self._demo(self.twice, self.warned, *self.rows.values(), scenario="rollback")
        body = {"action": "lift", "reason": "the demo is over", "requested_by": "stories"}
        self._pipeline.call("POST", f"/api/circuits/{FIRST_CIRCUIT}/hold", body)
        return done

    def _follow(
        self, release_id: str, path: str, content: Json, decisions: Mapping[str, str], row: Row | None = None
    ) -> Told:
        """From the upload to the end, deciding at the gates; around gate 1 a row's acts happen."""
        pipeline, approved = self._pipeline, dict[str, int]()
        began = pipeline.azure_ml_position()
        pipeline.upload(path, content)
        for gate, phase in ((REGISTRY_GATE, AT_REGISTRY_GATE), (PRODUCTION_GATE, AT_PRODUCTION_GATE)):
            if self._reached(release_id, phase):
                pipeline.invitations(release_id, gate)
                approved[gate] = pipeline.azure_ml_position()
                if row and gate == REGISTRY_GATE:
                    row.before(pipeline, release_id, _only(content))
                pipeline.answer(release_id, gate, decisions.get(gate, "approve"), f"{gate} was looked at.")
                if row and gate == REGISTRY_GATE:
                    row.after(pipeline, release_id, _only(content))
        release = pipeline.wait_phase(release_id, *ENDED, within_seconds=WITHIN_SECONDS)
        return Told(release=release, began=began, approved=approved, ended=pipeline.azure_ml_position())

    def _reached(self, release_id: str, phase: str) -> bool:
        """Whether the release comes to this phase; False once it has ended before."""
        release = self._pipeline.wait_phase(release_id, phase, *ENDED, within_seconds=WITHIN_SECONDS)
        return bool(release["phase"] == phase)

    def _estate(self, before: Future[Any]) -> Json:
        before.result(WITHIN_SECONDS)
        return self._pipeline.client.report(FIRST_MODELS)

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
