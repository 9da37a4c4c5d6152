"""Somebody changes what has been approved, or what it was tested with: contents, properties, jobs, data - besides tags."""

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from shared.application.steps.deploy import CONTENT_HASH
from shared.application.steps.smoke_test import EXPECTED_OUTPUT
from shared.domain.model import CircuitRun, GateName
from shared.domain.naming import TEST_INPUT, expected_data_path, test_data_path

if TYPE_CHECKING:
    from tests.simulation.universe import Universe

OTHER = b"somebody was here"
OTHER_OUTPUT = b"row,prediction\n0,7.5\n1,2.5\n"
AT_GATE = {
    GateName.REGISTRY: ("content", "content", "squat", "expected", "input"),
    GateName.PRODUCTION: ("held", "held", "job", "expected", "input"),
}


class Meddlers:
    """While a gate asks, or in the moments after its answer."""

    def __init__(self, universe: "Universe") -> None:
        self.universe, self.engine = universe, universe.engine

    def meddle_sometimes(self, gate: GateName, runs: list[CircuitRun]) -> None:
        if runs and self.engine.chance(self.universe.weather.faults.meddled):
            run, what = self.engine.random.choice(runs), self.engine.random.choice(AT_GATE[gate])
            longest = self.engine.random.choice([60, 300, 3_000])
            self.engine.after(self.engine.seconds(1, longest), lambda: self._meddle(what, run))

    def _meddle(self, what: str, run: CircuitRun) -> None:
        self.engine.note(f"somebody changes the {what} of {run.circuit} ({run.release_id})")
        models = self.universe.models
        match what:
            case "content":
                source = models._dev_model(run.model_name, run.source_version)
                source.files = {**source.files, "model.bin": OTHER}
            case "squat":
                self._squat(run)
            case "held":
                if held := models._registry.get((run.model_name, run.model_version)):
                    properties = {**held.version.properties, CONTENT_HASH: "another"}
                    held.files = {**held.files, "model.bin": OTHER}
                    held.version = replace(held.version, properties=properties)
            case "job":
                self._lose_job(run)
            case "expected":
                models.add_test_file(f"{expected_data_path(run.circuit)}{EXPECTED_OUTPUT}", OTHER_OUTPUT)
            case _:
                models.add_test_file(f"{test_data_path(run.circuit)}{TEST_INPUT}", b"x\n5\n6\n")

    def _squat(self, run: CircuitRun) -> None:
        """The version's name is taken, by a model of other content; the content of a version can't be changed."""
        models, place = self.universe.models, (run.model_name, run.model_version)
        if place not in models._registry:
            source = models._dev_model(run.model_name, run.source_version)
            version = replace(source.version, version=run.model_version, tags={}, properties={})
            models._registry[place] = replace(source, version=version, files={"model.bin": OTHER})

    def _lose_job(self, run: CircuitRun) -> None:
        """Of the try that was approved; one that runs is none of theirs."""
        job = self.universe.models._jobs.get(run.job_name)
        if job is not None and job.ended_at is not None and job.ended_at + timedelta(minutes=1) < self.engine.now():
            del self.universe.models._jobs[run.job_name]
