"""One circuit of one release with every port faked: what the tests of the steps look at."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import cast

from shared.application.ports import (
    Audience,
    Estate,
    GateTokens,
    Insert,
    ModelGateway,
    Naming,
    Ports,
    ProvisioningState,
    Update,
)
from shared.application.work import Step, Work
from shared.domain.events import CircuitEvent, StepFailed, StillRunning
from shared.domain.model import CircuitPhase, CircuitRun, EndpointLock, Environment, LedgerEntry, Release
from shared.domain.naming import (
    deployment_name,
    deployment_tags,
    endpoint_tags,
    registry_tags,
    registry_version,
    release_seq,
)
from shared.domain.policy import Policy
from shared.domain.process import decide_poll
from tests.support.builders import CIRCUIT, NOW, RELEASE_ID, a_ledger_entry, a_lock, a_release, a_run
from tests.support.clock import ManualClock
from tests.support.fake_models import FakeModels
from tests.support.fakes_state import (
    FakeEndpointStore,
    FakeEvidenceStore,
    FakeMessageBus,
    FakeReleaseStore,
    FakeSlotStore,
)

MODEL, ENDPOINT = "plant001-circuit01", "be-plant001-circuit01"
DEPLOYMENT, VERSION = deployment_name(RELEASE_ID), registry_version(RELEASE_ID)
SEQ = release_seq(RELEASE_ID)
CUTOFF, BUILD = "2025-11-01", "12345"
OLD_RELEASE, OLD = "20251203.5", deployment_name("20251203.5")
OLD_CUTOFF = "2025-10-01"
DEV_TAGS: Mapping[str, str] = {
    "validated": "true",
    "cutoff_date": CUTOFF,
    "build_id": BUILD,
    "data_asset_name": "PLANT001_CIRCUIT01",
    "data_asset_version": CUTOFF,
    "plant_id": "PLANT001",
    "circuit_id": "CIRCUIT01",
}
PLACE = (Environment.PRODUCTION, CIRCUIT)
MOST_LOOKS = 300
ESTATE = Estate(
    dev_workspace="mlw-dev",
    dev_resource_group="rg-mlops-dev",
    test_workspace="mlw-test",
    prod_workspace="mlw-prod",
    registry_name="mlr-shared",
)


def found(event: StepFailed) -> str:
    """What the diagnosis found, as people read it."""
    lines = event.evidence.get("diagnosis", [])
    assert isinstance(lines, list)
    return "; ".join(lines)


class WatchedModels(FakeModels):
    """Lets a test act in the very moment before a call."""

    before: Callable[[str], None] = staticmethod(lambda _method: None)
    keeps_defaults = False
    """True: a PUT without defaults is accepted and changes nothing (D11)."""

    def clear_default(self, environment: Environment, endpoint: str) -> None:
        held = self._endpoints[environment, endpoint].default
        super().clear_default(environment, endpoint)
        if self.keeps_defaults:
            self._endpoints[environment, endpoint].next_default = held

    def fail_endpoint(self, environment: Environment, endpoint: str) -> None:
        """Its last operation ended as Failed."""
        self._endpoints[environment, endpoint].settling.ends = ProvisioningState.FAILED

    def _enter(self, method: str, **args: object) -> None:
        self.before(method)
        super()._enter(method, **args)


@dataclass
class World:
    """Rows, services and a clock; `look` is what a worker does with one message."""

    clock: ManualClock = field(default_factory=lambda: ManualClock(NOW))
    releases: FakeReleaseStore = field(default_factory=FakeReleaseStore)
    endpoints: FakeEndpointStore = field(default_factory=FakeEndpointStore)

    def __post_init__(self) -> None:
        self.models = WatchedModels(clock=self.clock)
        self.ports = Ports(
            releases=self.releases,
            endpoints=self.endpoints,
            slots=FakeSlotStore(),
            evidence=FakeEvidenceStore(),
            bus=FakeMessageBus(),
            models=cast("ModelGateway", self.models),
            notifiers={},
            tokens=cast("GateTokens", None),  # no step knows links
            clock=self.clock,
            audience=Audience(approvers=(), operators=(), teams=False),
            naming=Naming(),
            policy=Policy(),
            estate=ESTATE,
        )
        self.releases.commit(Insert(row=a_release(total=1)))

    # ----------------------------------------------------------------------------------------------- rows

    def put(self, run: CircuitRun) -> CircuitRun:
        """Write a circuit run as it shall be."""
        stored = self.releases.release_and_run(run.release_id, run.circuit)
        self.releases.commit(Update(row=run, etag=stored[1].etag) if stored else Insert(row=run))
        return self.run(run)

    def put_release(self, release: Release) -> None:
        stored = self.releases.release(release.release_id)
        self.releases.commit(Update(row=release, etag=stored.etag) if stored else Insert(row=release))

    def run(self, like: CircuitRun | None = None) -> CircuitRun:
        wanted = like or a_run()
        found = self.releases.release_and_run(wanted.release_id, wanted.circuit)
        assert found is not None
        return found[1].row

    def change(self, **columns: object) -> CircuitRun:
        """Change columns of the circuit's row."""
        return self.put(replace(self.run(), **columns))  # type: ignore[arg-type]  # columns of the dataclass

    def work(self) -> Work:
        found = self.releases.release_and_run(RELEASE_ID, CIRCUIT)
        assert found is not None
        return Work(release=found[0].row, run=found[1].row)

    def lock(self, environment: Environment = Environment.PRODUCTION) -> EndpointLock | None:
        stored = self.endpoints.lock(environment, CIRCUIT)
        return stored.row if stored else None

    def put_lock(self, *entries: LedgerEntry, **columns: object) -> EndpointLock:
        """Write the lock row and ledger rows, whatever was there."""
        lock = a_lock(**columns)  # type: ignore[arg-type]  # columns of the dataclass
        place = (lock.environment, lock.circuit)
        stored = self.endpoints.locks.get(place)
        self.endpoints.ledgers[place] += entries
        self.endpoints.write_lock(lock, etag=stored.etag if stored else None)
        return lock

    def ledger(self, environment: Environment = Environment.PRODUCTION) -> list[LedgerEntry]:
        return list(self.endpoints.ledger(environment, CIRCUIT))

    # ---------------------------------------------------------------------------------------------- steps

    def look(self, step: Step) -> CircuitEvent | StillRunning:
        """One message: the step, and what the row remembers of it. Time passes until the next look."""
        work = self.work()
        outcome = step(work, self.ports)
        if isinstance(outcome, StillRunning):
            decision = decide_poll(work.run, outcome, work.release.policy, self.clock.now())
            self.put(decision.row)
            for command in decision.commands:
                self.clock.forward(getattr(command, "delay", timedelta()))
        return outcome

    def until_decided(self, step: Step) -> CircuitEvent:
        """Look again and again until the step gives a fact."""
        for _ in range(MOST_LOOKS):
            outcome = self.look(step)
            if not isinstance(outcome, StillRunning):
                return outcome
        raise AssertionError(f"still running after {MOST_LOOKS} looks: {outcome}")

    # --------------------------------------------------------------------------------------------- scenes

    def inspectable(self) -> None:
        """A circuit whose inspection finds nothing, with an older release's deployment live."""
        self.models.add_dev_model(MODEL, "1", DEV_TAGS, properties={"metric.rmse": "0.41"})
        self.models.add_smoke_input(CIRCUIT)
        self.with_live()
        self.put(a_run())

    def with_live(self, deployment: str = OLD) -> None:
        """An endpoint of ours in Production with an older release's deployment as its default."""
        tags = deployment_tags(
            cutoff_date=OLD_CUTOFF, release_id=OLD_RELEASE, deployed_at=NOW - timedelta(days=7), previous_deployment=""
        )
        self.models.add_endpoint(
            Environment.PRODUCTION, ENDPOINT, default=deployment, tags=endpoint_tags(CIRCUIT), deployment_tags=tags
        )

    def with_test_endpoint(self, *, default: str = "") -> None:
        self.models.add_endpoint(Environment.TEST, ENDPOINT, default=default, tags=endpoint_tags(CIRCUIT))

    def promoted(self, phase: CircuitPhase, **columns: object) -> CircuitRun:
        """The model is in the Registry and the run is where a test wants it."""
        self.models.add_dev_model(MODEL, "1", DEV_TAGS)
        tags = registry_tags(CIRCUIT, cutoff_date=CUTOFF, promoted_at=NOW, release_id=RELEASE_ID, build_id=BUILD)
        copied = self.models.promote(name=MODEL, source_version="1", version=VERSION, tags=tags, mode="copy")
        self.models.journal.clear()
        run = a_run(
            phase=phase,
            source_version="1",
            source_hash=copied.content_hash,
            source_tags=DEV_TAGS,
            registry_tags=tags,
        )
        return self.put(replace(run, **columns))  # type: ignore[arg-type]  # columns of the dataclass

    def smoke_testing(self) -> CircuitRun:
        """A slot is taken, the deployment stands in Test beside an older default, and the test input is there."""
        run = self.promoted(CircuitPhase.SMOKE_TESTING)
        self.models.add_endpoint(
            Environment.TEST, ENDPOINT, default="deployment-old", deployments=[DEPLOYMENT], tags=endpoint_tags(CIRCUIT)
        )
        self.models.add_smoke_input(CIRCUIT)
        return run

    def activating(self, *, previous: str = OLD, **columns: object) -> CircuitRun:
        """Staged in Production, the lock ours, the older release's activation in the ledger."""
        run = self.promoted(CircuitPhase.ACTIVATING, previous_deployment=previous, live_deployment=previous, **columns)
        older = a_ledger_entry(fence=1, deployment=OLD, release_id=OLD_RELEASE)
        self.put_lock(*([older] if previous else []), fence=2, want=previous)
        deployments = [DEPLOYMENT, previous] if previous else [DEPLOYMENT]
        self.models.add_endpoint(
            Environment.PRODUCTION,
            ENDPOINT,
            default=previous,
            deployments=deployments,
            tags=endpoint_tags(CIRCUIT),
            deployment_tags={"release_id": RELEASE_ID},
        )
        return run

    def default(self, environment: Environment = Environment.PRODUCTION) -> str:
        endpoint = self.models.endpoint(environment, ENDPOINT)
        return endpoint.default if endpoint else ""
