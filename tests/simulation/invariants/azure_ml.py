"""I1, I2: nothing is written that was not approved, and nothing twice."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from shared.application.ports import DeploymentSpec
from shared.domain.model import (
    CircuitRun,
    Environment,
    GateName,
    ProcessKind,
)
from shared.domain.naming import registry_version
from shared.domain.rows import RELEASE_KEY
from tests.simulation.invariants.drift import DriftTold
from tests.simulation.invariants.seen import MEDDLED, Check, Seen

LOOKED_AT_FOR = timedelta(hours=2)
"""How long a message about the past comes again."""
DEFAULTS = frozenset({"create_endpoint", "set_default", "clear_default"})


class AzureMlWrites(Check):
    """I1, I2: nothing is written that was not approved, and nothing twice."""

    def __init__(self, seen: Seen, drift_told: DriftTold) -> None:
        super().__init__(seen)
        self.drift_told = drift_told
        self.promoted: dict[tuple[str, str], Mapping[str, str]] = {}
        self.jobs_started: dict[tuple[str, str], set[str]] = defaultdict(set)
        self.overlong: dict[Environment, set[str]] = defaultdict(set)
        """Endpoints whose last change was one that did not end for a day."""

    def wrote(self, name: str, args: Any, named: Any) -> None:
        if name in DEFAULTS:
            self._may_take_long(args[0], args[1])
        match name:
            case "promote":
                self._promoted(named)
            case "create_deployment":
                self._deployed(args[0], args[1])
            case "create_endpoint" if args[0] is Environment.PRODUCTION:
                self._some_approved(args[1])
                self.drift_told.wrote(args[0], args[1], "")
            case "clear_default":
                self.drift_told.wrote(args[0], args[1], "")
            case "set_default":
                self._switched(args[0], args[1], args[2])
            case "start_smoke_job":
                self.seen.engine.note(f"smoke job {named['job_name']} on {named['deployment']}")
                self.jobs_started[named["endpoint"], named["deployment"]].add(named["job_name"])

    def _may_take_long(self, environment: Environment, name: str) -> None:
        over_at = self.seen.models._endpoints[environment, name].settling.ready_at
        if over_at - self.seen.engine.now() > LOOKED_AT_FOR:
            self.overlong[environment].add(name)
        else:
            self.overlong[environment].discard(name)

    def _promoted(self, named: Any) -> None:
        release_id = named["tags"]["release_id"]
        key = (named["name"], named["version"])
        self.seen.engine.note(f"promote {key[0]} {key[1]}")
        if not self.seen.was_approved(release_id, GateName.REGISTRY):
            self.fail("I1", f"{key} was promoted without an approval")
        held = self.seen.models._registry[key].version
        ours = {name: value for name, value in held.tags.items() if name != MEDDLED}
        if ours != self.promoted.setdefault(key, ours):
            self.fail("I2", f"{key} got other tags on a second try")
        self._source_is_as_approved(release_id, named)
        if (len(held.tags) != 7 and "note" not in held.tags) or key[1] != registry_version(release_id):
            self.fail("R15", f"{key} has tags {held.tags}")

    def _source_is_as_approved(self, release_id: str, named: Any) -> None:
        """What the approver saw is what is copied; a change in the very moment is not looked at here."""
        frozen = self.seen.engine.current is None or self.seen.engine.current.has_thread
        runs = [stored.row for stored in self.seen.releases._of(CircuitRun, release_id)]
        run = next(run for run in runs if run.model_name == named["name"])
        source = self.seen.models._dev_model(named["name"], named["source_version"]).version
        if not frozen and dict(source.tags) != dict(run.source_tags):
            self.fail("R10", f"{named['name']} was promoted although its tags changed after the approval")

    def registry_is_as_approved(self, run: CircuitRun) -> None:
        """The first step after gate 2 reads the model again; a change in the very moment is not looked at here."""
        frozen = self.seen.engine.current is None or self.seen.engine.current.has_thread
        tags = self.seen.models._registry[run.model_name, run.model_version].version.tags
        if not frozen and dict(tags) != dict(run.registry_tags):
            self.fail("R10", f"{run.circuit} is staged although its Registry tags changed after the approval")

    def _deployed(self, environment: Environment, spec: DeploymentSpec) -> None:
        release_id = spec.tags["release_id"]
        self.seen.engine.note(f"deploy {environment} {spec.name}")
        gate = GateName.PRODUCTION if environment is Environment.PRODUCTION else GateName.REGISTRY
        if not self.seen.was_approved(release_id, gate):
            self.fail("I1", f"{spec.name} was deployed to {environment} without an approval")
        if len(spec.tags) != 4:
            self.fail("R37", f"{spec.name} has tags {spec.tags}")

    def _some_approved(self, endpoint: str) -> None:
        for release_id in list(self.seen.releases.rows):
            for stored in self.seen.releases._of(CircuitRun, release_id):
                if stored.row.endpoint == endpoint and self.seen.was_approved(release_id, GateName.PRODUCTION):
                    return
        self.fail("I1", f"{endpoint} was made in production without an approval")

    def _switched(self, environment: Environment, endpoint: str, deployment: str) -> None:
        self.seen.engine.note(f"default {environment} {endpoint} := {deployment}")
        places = [
            place for place in self.seen.wanted if f"be-{place[1].plant_id}-{place[1].circuit_id}".lower() == endpoint
        ]
        if not any(deployment in self.seen.wanted[place] for place in places if place[0] is environment):
            self.fail("I4", f"{endpoint} in {environment} was switched to {deployment}, which nobody wanted")
        self.drift_told.wrote(environment, endpoint, deployment)
        release_id = self.seen.release_of.get(deployment)
        if environment is Environment.PRODUCTION and release_id:
            if not self.seen.was_approved(release_id, GateName.PRODUCTION):
                self.fail("I1", f"{deployment} went live without an approval")
            held = self.seen.models._endpoints[environment, endpoint].deployments[deployment]
            if not held.settling.is_over(self.seen.engine.now()):
                self.fail("known failure 5", f"{deployment} went live before it stood")

    def kept_jobs(self) -> None:
        """Known failure 11, D14: one job per try; and one per check of what a rollback has restored."""
        for (endpoint, deployment), names in self.jobs_started.items():
            release_id = self.seen.release_of[deployment]
            gen = self.seen.releases.rows[release_id][RELEASE_KEY].row.gen
            checks = sum(stored.row.gen for stored in self.seen.processes() if stored.row.kind is ProcessKind.CHECK)
            if len(names) > gen + checks:
                self.fail("D14", f"{endpoint} {deployment} was tested by {len(names)} jobs in {gen} tries")
