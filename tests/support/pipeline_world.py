"""Whole releases over ports in memory: uploads, a queue by due time, mails, gates and a clock that tests move."""

import heapq
import itertools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import cast

from shared.adapters.gate_tokens import SignedGateTokens
from shared.application.control import Control
from shared.application.gates import Answer, Gates, Outcome
from shared.application.holds import Holds
from shared.application.intake import Intake, Intaken
from shared.application.operations import Operations
from shared.application.ports import Audience, GateClaim, Insert, Letter, ModelGateway, Naming, Ports, Sendable, Update
from shared.application.rollbacks import RollbackRequest, Rollbacks, RollbackStarted
from shared.application.sweeper import Sweeper
from shared.application.worker import Worker
from shared.domain.commands import RunStep
from shared.domain.errors import PipelineError, TransientError
from shared.domain.model import (
    Channel,
    Circuit,
    CircuitPhase,
    CircuitRun,
    EndpointLock,
    Environment,
    Gate,
    GateName,
    Notice,
    Release,
    ReleasePhase,
)
from shared.domain.naming import data_asset_name, model_name
from shared.domain.policy import Policy
from shared.domain.rows import notice_key, row_key
from tests.support.builders import CIRCUIT, NOW, OTHER_CIRCUIT, RELEASE_ID, THIRD_CIRCUIT
from tests.support.circuit_world import ESTATE
from tests.support.clock import ManualClock
from tests.support.fake_models import FakeModels
from tests.support.fakes_state import (
    FakeEndpointStore,
    FakeEvidenceStore,
    FakeMessageBus,
    FakeReleaseStore,
    FakeSlotStore,
    nothing,
)

APPROVERS = ("ann@example.com", "bob@example.com")
OPERATORS = ("ops@example.com",)
ALL_CIRCUITS = (CIRCUIT, OTHER_CIRCUIT, THIRD_CIRCUIT)
BUILD = "12345"
CUTOFF = "2025-11-01"
MOST_MESSAGES = 20_000
SWEEP = timedelta(minutes=1)


@dataclass
class FakeNotifier:
    """One channel that keeps what it was given; `failures` are raised first, one per delivery."""

    letters: list[Letter] = field(default_factory=list)
    failures: list[PipelineError] = field(default_factory=list)

    def deliver(self, letter: Letter) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.letters.append(letter)

    def keys(self) -> list[str]:
        """What identifies each delivered message."""
        return [f"{letter.notice.release_id} {notice_key(letter.notice)}" for letter in self.letters]


def signed_tokens() -> SignedGateTokens:
    return SignedGateTokens(keys=["one-key"], public_url="https://releases.example.com", max_age=timedelta(days=400))


def dev_tags(circuit: Circuit, *, cutoff: str = CUTOFF, build: str = BUILD) -> Mapping[str, str]:
    """What a training build leaves on a validated model."""
    return {
        "validated": "true",
        "cutoff_date": cutoff,
        "build_id": build,
        "data_asset_name": data_asset_name(circuit),
        "data_asset_version": cutoff,
        "plant_id": circuit.plant_id,
        "circuit_id": circuit.circuit_id,
    }


def artifact_path(release_id: str, build: str = BUILD) -> str:
    return f"releases/{release_id}/{build}/changed_circuits.json"


def artifact(circuits: Iterable[Circuit], *, cutoff: str = CUTOFF) -> bytes:
    """The file as a build writes it; the ids stand in its path."""
    entries = [{"plant_id": c.plant_id, "circuit_id": c.circuit_id, "cutoff_date": cutoff} for c in circuits]
    return json.dumps({"circuits": entries}).encode()


class PipelineWorld:
    """Messages wait in a heap until they are due; `run` moves the clock to them, in order, and sweeps if asked."""

    def __init__(self, *, policy: Policy | None = None, approvers: Sequence[str] = APPROVERS) -> None:
        self.clock = ManualClock(NOW)
        self.releases = FakeReleaseStore()
        self.endpoints = FakeEndpointStore()
        self.slots = FakeSlotStore()
        self.evidence = FakeEvidenceStore()
        self.bus = FakeMessageBus()
        self.models = FakeModels(clock=self.clock)
        self.mail = FakeNotifier()
        self.teams = FakeNotifier()
        self.ports = Ports(
            releases=self.releases,
            endpoints=self.endpoints,
            slots=self.slots,
            evidence=self.evidence,
            bus=self.bus,
            models=cast("ModelGateway", self.models),
            notifiers={Channel.EMAIL: self.mail, Channel.TEAMS: self.teams},
            tokens=signed_tokens(),
            clock=self.clock,
            audience=Audience(approvers=approvers, operators=OPERATORS, teams=True),
            naming=Naming(),
            policy=policy or Policy(),
            estate=ESTATE,
        )
        self._heap: list[tuple[datetime, int, Sendable]] = []
        self._tie = itertools.count()

    # ------------------------------------------------------------------------------------------- builds

    def build(self, *circuits: Circuit, cutoff: str = CUTOFF, build: str = BUILD) -> None:
        """Validated Dev models and test data, as a training build leaves them."""
        for circuit in circuits or ALL_CIRCUITS:
            self.models.add_smoke_input(circuit)
            self.models.add_dev_model(
                model_name(circuit), f"{build}-{cutoff}", dev_tags(circuit, cutoff=cutoff, build=build)
            )

    def start(
        self, release_id: str = RELEASE_ID, *circuits: Circuit, build: str = BUILD, cutoff: str = CUTOFF
    ) -> Intaken:
        """Build the circuits and upload the artifact that names them."""
        self.build(*circuits, cutoff=cutoff, build=build)
        content = artifact(circuits or ALL_CIRCUITS, cutoff=cutoff)
        path = artifact_path(release_id, build)
        self.evidence.upload(path, content, at=self.clock.now())
        return Intake(self.ports).from_artifact(path, content)

    # ------------------------------------------------------------------------------------------ messages

    def collect(self) -> None:
        """Move what was sent into the heap, due when its delay has passed."""
        for command in self.bus.take():
            heapq.heappush(self._heap, (self.clock.now() + command.delay, next(self._tie), command))

    def run(self, until: Callable[[], bool] = lambda: False, *, sweeps: bool = False) -> None:
        """Handle messages in the order they are due until a condition holds or none is left."""
        next_sweep = self.clock.now() + SWEEP
        for _ in range(MOST_MESSAGES):
            self.collect()
            if until() or not self._heap:
                return
            due, _, command = heapq.heappop(self._heap)
            while sweeps and next_sweep <= due:
                self.clock.set(max(self.clock.now(), next_sweep))
                self.sweep()
                next_sweep += SWEEP
            self.clock.set(max(self.clock.now(), due))
            self.handle(command)
        raise AssertionError(f"no end after {MOST_MESSAGES} messages")

    def handle(self, command: Sendable, *, redelivered: bool = False) -> None:
        """What the host does with one message."""
        if isinstance(command, RunStep):
            Worker(self.ports).handle(command, redelivered=redelivered)
        else:
            Control(self.ports).handle(command, redelivered=redelivered)

    def waiting(self) -> list[Sendable]:
        """Messages nobody has handled yet."""
        self.collect()
        return [command for _, _, command in sorted(self._heap)]

    def lose_messages(self) -> None:
        self.collect()
        self._heap.clear()

    def break_store(self, error: PipelineError | None = None) -> None:
        """Every request for rows of releases and endpoints fails until `mend_store`."""

        def refuse(_request: str) -> None:
            raise error or TransientError("storage is down")

        self.releases.on_request = self.endpoints.on_request = refuse

    def mend_store(self) -> None:
        self.releases.on_request = self.endpoints.on_request = nothing

    def sweep(self) -> None:
        Sweeper(self.ports).sweep()

    def sweep_for(self, time: timedelta) -> None:
        """Let time pass with a sweep every minute and messages handled as they fall due."""
        end = self.clock.now() + time
        while self.clock.now() < end:
            self.clock.set(min(end, self.clock.now() + SWEEP))
            self.sweep()
            self.collect()
            while self._heap and self._heap[0][0] <= self.clock.now():
                self.handle(heapq.heappop(self._heap)[2])
                self.collect()

    # ---------------------------------------------------------------------------------------------- rows

    def release(self, release_id: str = RELEASE_ID) -> Release:
        stored = self.releases.release(release_id)
        assert stored is not None, f"there is no release {release_id}"
        return stored.row

    def phase(self, release_id: str = RELEASE_ID) -> ReleasePhase:
        return self.release(release_id).phase

    def runs(self, release_id: str = RELEASE_ID) -> list[CircuitRun]:
        return [stored.row for stored in self.releases.runs(release_id)]

    def circuit(self, circuit: Circuit = CIRCUIT, release_id: str = RELEASE_ID) -> CircuitRun:
        found = self.releases.release_and_run(release_id, circuit)
        assert found is not None, f"{circuit} is not in {release_id}"
        return found[1].row

    def phases(self, release_id: str = RELEASE_ID) -> list[CircuitPhase]:
        return [run.phase for run in self.runs(release_id)]

    def notices(self, release_id: str = RELEASE_ID) -> list[Notice]:
        return [stored.row for stored in self.releases.notices(release_id)]

    def lock(self, circuit: Circuit = CIRCUIT, environment: Environment = Environment.PRODUCTION) -> EndpointLock:
        stored = self.endpoints.lock(environment, circuit)
        assert stored is not None
        return stored.row

    def put(self, *rows: Release | CircuitRun | Gate | Notice) -> None:
        """Write rows as they shall be, whatever was there."""
        for row in rows:
            stored = self.releases.rows[row.release_id].get(row_key(row))
            self.releases.commit(Update(row=row, etag=stored.etag) if stored else Insert(row=row))
            if isinstance(row, Release) and not row.is_terminal:
                self.releases.reactivate(row, row.created_at)

    def change(self, row: Release | CircuitRun | Gate, **columns: object) -> None:
        self.put(replace(row, **columns))  # type: ignore[arg-type]  # columns are the dataclass's own

    def live_default(self, circuit: Circuit = CIRCUIT, environment: Environment = Environment.PRODUCTION) -> str:
        endpoint = self.models.endpoint(environment, f"be-{model_name(circuit)}")
        return endpoint.default if endpoint else ""

    # --------------------------------------------------------------------------------------------- gates

    def gate(self, gate: GateName, release_id: str = RELEASE_ID) -> Gate:
        found = self.releases.release_and_gate(release_id, gate)
        assert found is not None
        assert found[1] is not None
        return found[1].row

    def claim(self, gate: GateName, recipient: str = APPROVERS[0], release_id: str = RELEASE_ID) -> GateClaim:
        """What the link in this person's mail says."""
        row = self.gate(gate, release_id)
        url = self.ports.tokens.link(row, recipient).url
        claim = self.ports.tokens.read(url.rpartition("/")[2])
        assert claim is not None
        return claim

    def answer(
        self,
        gate: GateName,
        decision: str = "approve",
        *,
        recipient: str = APPROVERS[0],
        release_id: str = RELEASE_ID,
        claim: GateClaim | None = None,
        **columns: object,
    ) -> Outcome:
        """Decide as a person does who looked at the page a moment ago."""
        claim = claim or self.claim(gate, recipient, release_id)
        answer = Answer(
            decision=decision,
            comment="Looked at.",
            digest=self.gate(gate, release_id).digest,
            code=self.ports.tokens.code(claim),
        )
        answer = replace(answer, **columns)  # type: ignore[arg-type]  # columns are the dataclass's own
        return Gates(self.ports).decide(
            claim, answer, by=claim.recipient, how=f"by the link sent to {claim.recipient}", needs_code=True
        )

    # ------------------------------------------------------------------------------------------ journeys

    def to_phase(self, phase: ReleasePhase, release_id: str = RELEASE_ID) -> None:
        """Run until the release is there, approving gates on the way."""
        gates = {
            ReleasePhase.AWAITING_REGISTRY_APPROVAL: GateName.REGISTRY,
            ReleasePhase.AWAITING_PRODUCTION_APPROVAL: GateName.PRODUCTION,
        }
        for _ in range(4):
            self.run(lambda: self.phase(release_id) is phase)
            if self.phase(release_id) is phase:
                return
            gate = gates.get(self.phase(release_id))
            assert gate is not None, f"{release_id} is {self.phase(release_id)}: {self.release(release_id).reason}"
            self.answer(gate, release_id=release_id)
        raise AssertionError(f"{release_id} never came to {phase}")

    def release_all(self, release_id: str = RELEASE_ID, *circuits: Circuit, build: str = BUILD) -> None:
        """One whole successful release."""
        self.start(release_id, *circuits, build=build)
        self.to_phase(ReleasePhase.SUCCEEDED, release_id)
        self.run()

    def operations(self) -> Operations:
        return Operations(self.ports)

    def holds(self) -> Holds:
        return Holds(self.ports)

    def roll_back(self, *circuits: Circuit, **columns: object) -> RollbackStarted:
        """Ask for a rollback of these circuits, or of what `columns` name."""
        request = RollbackRequest(requested_by="ops", reason="bad predictions", circuits=circuits)
        return Rollbacks(self.ports).request(replace(request, **columns))  # type: ignore[arg-type]  # as above
