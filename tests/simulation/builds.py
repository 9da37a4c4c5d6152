"""Training builds: models in Dev, an artifact, an event that may be lost; and whoever changes models afterwards."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from shared.application.intake import Intake
from shared.domain.model import (
    Circuit,
    Environment,
)
from shared.domain.naming import deployment_tags, endpoint_name, endpoint_tags, model_name
from tests.simulation.engine import START
from tests.simulation.invariants.seen import MEDDLED
from tests.support.pipeline_world import artifact, artifact_path, dev_tags

if TYPE_CHECKING:
    from tests.simulation.universe import Universe


class Builds:
    """Training builds: models in Dev, an artifact, an event that may be lost; and whoever changes models afterwards."""

    def __init__(self, universe: "Universe") -> None:
        self.universe, self.engine = universe, universe.engine

    def upload(
        self, release_id: str, circuits: tuple[Circuit, ...], *, number: int, broken: tuple[Circuit, ...] = ()
    ) -> None:
        """A training build ends: models in Dev, the artifact in the container, an event that may be lost."""
        cutoff = f"2025-11-{number + 1:02d}"
        for circuit in circuits:
            tags = dict(dev_tags(circuit, cutoff=cutoff, build=str(number)))
            if circuit in broken:
                tags["validated"] = "True"
            self.universe.models.add_smoke_input(circuit)
            self.universe.models.add_dev_model(model_name(circuit), f"{number}-{cutoff}", tags)
        if self.universe.starts_by_hand():
            self._start_by_hand(release_id, circuits, number=number, cutoff=cutoff)
            return
        content = artifact(circuits, cutoff=cutoff)
        path = artifact_path(release_id, str(number))
        self.universe.evidence.upload(path, content, at=self.engine.now())
        self.engine.note(f"upload {release_id}: {', '.join(map(str, circuits))}")
        if not (self.universe.weather.is_bad() and self.engine.chance(self.universe.weather.faults.lost_event)):
            self.universe.host.do(
                f"event {release_id}",
                lambda: self._took(Intake(self.universe.ports).from_artifact(path, content)),
                tries=3,
            )
        for minutes in (10, 20, 30, 60 * 100):
            self.engine.after(timedelta(minutes=minutes), lambda: self.universe.host.do("scan", self._scan))

    def upload_later(
        self, wait: timedelta, release_id: str, mine: tuple[Circuit, ...], number: int, broken: tuple[Circuit, ...]
    ) -> None:
        self.engine.after(wait, lambda: self.upload(release_id, mine, number=number, broken=broken))

    def retag(self, circuit: Circuit) -> None:
        """Somebody changes a Dev model's tags, as nobody should after an approval."""
        held = self.universe.models._dev[model_name(circuit)]
        if held:
            version = held[-1].version
            self.engine.note(f"Dev: {version.name} {version.version} gets other tags")
            self.universe.models.change_dev_model(
                version.name, version.version, tags={**version.tags, MEDDLED: "touched"}
            )

    def retag_promoted(self, circuit: Circuit) -> None:
        """Somebody rewrites the tags of what was promoted, while gate 2 is being asked."""
        mine = [key for key in self.universe.models._registry if key[0] == model_name(circuit)]
        if mine:
            held = self.universe.models._registry[mine[-1]]
            self.engine.note(f"Registry: {mine[-1]} gets other tags")
            held.version = replace(held.version, tags={**held.version.tags, MEDDLED: "touched"})

    def _start_by_hand(self, release_id: str, circuits: tuple[Circuit, ...], *, number: int, cutoff: str) -> None:
        """`POST /api/releases`: nobody asks twice, and no scan finds it."""
        said = json.loads(artifact(circuits, cutoff=cutoff))
        content = json.dumps({"release_id": release_id, "build_id": str(number), **said}).encode()
        self.universe.host.do(
            f"start {release_id} by hand", lambda: self._took(Intake(self.universe.ports).from_request(content))
        )

    def _took(self, _taken: object) -> None:
        return

    def _scan(self) -> None:
        Intake(self.universe.ports).scan(timedelta(days=7))

    def adopt(self, circuit: Circuit) -> None:
        """R59: somebody made this endpoint before us."""
        self.universe.models.add_endpoint(
            Environment.PRODUCTION,
            endpoint_name("be-{plant}-{circuit}", circuit),
            default="deployment-by-hand",
            tags=endpoint_tags(circuit),
            deployment_tags=deployment_tags(
                cutoff_date="2025-10-01", release_id="by hand", deployed_at=START, previous_deployment=""
            ),
        )
