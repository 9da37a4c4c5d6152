"""Thousands of circuits in one release: what they cost the tables and the bus, and how large pages and mails become.

Real tables and blobs (Azurite), the real broker, the app's own use cases, adapters and messages; Azure ML answers at once
at the port, so that what is measured is the pipeline and not the models.

Per number of circuits it prints what was asked of the tables, how many messages were sent, how often the release's row
was written at the same time, how many pages the fan-outs took, and how large pages and mails become. Goals: requests and
messages per circuit are the same for every number (within 5 %), at most ten conflicts on the release's row.

    python -m benchmarks.scale_at_the_port [--circuits 10 100 1000 5000] [--json FILE]
"""

import argparse
import itertools
import json
import re
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self, cast

from azure.core.pipeline.transport import RequestsTransport
from azure.data.tables import TableServiceClient
from azure.servicebus import ServiceBusClient
from azure.storage.blob import BlobServiceClient

from shared.adapters.email.message import mime_message
from shared.adapters.evidence_blobs import BlobEvidenceStore
from shared.adapters.gate_tokens import SignedGateTokens
from shared.adapters.service_bus import ServiceBusMessageBus
from shared.adapters.table_store import CLIENT_OPTIONS, TableEndpointStore, TableReleaseStore, TableSlotStore
from shared.application.control import Control
from shared.application.gates import Answer, Gates
from shared.application.intake import Intake
from shared.application.messages import kind_of, parse_message
from shared.application.ports import Audience, Change, Letter, ModelGateway, Naming, Ports, Sendable
from shared.application.queries import Queries
from shared.application.sweeper import Sweeper
from shared.application.views import ApprovalState, ApprovalView
from shared.application.worker import Worker
from shared.domain.commands import FanOut, RunStep
from shared.domain.errors import ConflictError
from shared.domain.model import (
    TERMINAL_RELEASE_PHASES,
    Channel,
    Circuit,
    GateName,
    GateState,
    Moment,
    Release,
    ReleasePhase,
)
from shared.domain.naming import model_name
from shared.domain.policy import Policy
from shared.pages import render_approval, render_release
from shared.pages.mails import render_mail
from tests.support.azurite import Account, running_azurite
from tests.support.broker import Broker, running_broker
from tests.support.circuit_world import ESTATE
from tests.support.fake_models import FakeModels
from tests.support.pipeline_world import artifact, artifact_path, dev_tags

RELEASE_ID, BUILD = "20251210.1", "12345"
RECEIVERS = {"promotion": 3, "deployment": 3, "smoke-test": 2, "control": 1}
AT_ONCE = 8
"""Messages that one receiver takes at a time."""
WAIT_SECONDS, LOOK_SECONDS, SWEEP_SECONDS = 1.0, 1.0, 60.0
ENDS_WITHIN_SECONDS = 4 * 3600
MOST_CONFLICTS, LARGEST_DIFFERENCE = 10, 0.05
PATIENCE = timedelta(hours=4)
POLICY = Policy(
    poll=timedelta(seconds=1),
    smoke_slots=50,
    overdue_after=PATIENCE,
    inspect_limit=PATIENCE,
    promote_limit=PATIENCE,
    deploy_limit=PATIENCE,
    smoke_limit=PATIENCE,
    activate_limit=PATIENCE,
    endpoint_quota=100_000,
    deployment_quota=100_000,
)
"""One process on two cores looks at the last circuit long after the first one: that is neither overdue nor too late."""
GATES = {
    ReleasePhase.AWAITING_REGISTRY_APPROVAL: GateName.REGISTRY,
    ReleasePhase.AWAITING_PRODUCTION_APPROVAL: GateName.PRODUCTION,
}
TABLE = re.compile(r"://[^/]+/[^/]+/(\$batch|\w+)")


class SystemClock:
    """The Clock port."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def pause(self, duration: timedelta) -> None:
        time.sleep(duration.total_seconds())


@dataclass
class Tally:
    """What was asked for, by whom: each thread says what it is doing."""

    requests: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(what for, method and table)."""
    messages: Counter[str] = field(default_factory=Counter)
    conflicts: Counter[str] = field(default_factory=Counter)
    _doing: threading.local = field(default_factory=threading.local)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def doing(self, what: str) -> Iterator[None]:
        self._doing.what = what
        try:
            yield
        finally:
            self._doing.what = "else"

    def request(self, method: str, url: str) -> None:
        found = TABLE.search(url)
        with self._lock:
            self.requests[getattr(self._doing, "what", "else"), f"{method} {found[1] if found else '?'}"] += 1

    def sent(self, command: Sendable) -> None:
        with self._lock:
            self.messages["circuit" if isinstance(command, RunStep) else kind_of(command)] += 1

    def conflict(self, row: str) -> None:
        with self._lock:
            self.conflicts[row] += 1

    def requests_for(self, *what: str) -> int:
        return sum(count for (doing, _), count in self.requests.items() if doing in what)


class CountingTransport(RequestsTransport):
    """Counts what goes over the wire, repetitions of the SDK included."""

    def __init__(self, tally: Tally) -> None:
        super().__init__(
            use_env_settings=False
        )  # no proxy stands before Azurite: a tenth of the time is looking for one
        self._tally = tally

    def send(self, request: Any, **kwargs: Any) -> Any:
        self._tally.request(request.method, request.url)
        return super().send(request, **kwargs)


class CountingReleases(TableReleaseStore):
    """Tells of writes that lost, by the kind of row."""

    def __init__(self, service: TableServiceClient, tally: Tally) -> None:
        super().__init__(service)
        self._tally = tally

    def commit(self, *changes: Change) -> Sequence[str]:
        try:
            return super().commit(*changes)
        except ConflictError:
            self._tally.conflict("release" if any(isinstance(c.row, Release) for c in changes) else "circuit")
            raise


class CountingBus(ServiceBusMessageBus):
    def __init__(self, client: ServiceBusClient, tally: Tally) -> None:
        super().__init__(client)
        self._tally = tally

    def send(self, commands: Sequence[Sendable]) -> None:
        for command in commands:
            self._tally.sent(command)
        super().send(commands)


@dataclass
class Inbox:
    """The mail channel: writes each letter as it would be sent, and keeps how large it is."""

    sizes: dict[Moment, int] = field(default_factory=dict)
    lines: dict[Moment, int] = field(default_factory=dict)

    def deliver(self, letter: Letter) -> None:
        mail = mime_message(letter, sender="releases@example.com", estate=ESTATE)
        text = render_mail(letter, ESTATE).text
        self.sizes[letter.notice.moment] = len(mail.as_bytes())
        self.lines[letter.notice.moment] = len(text.splitlines())


@dataclass(frozen=True, kw_only=True)
class World:
    """Everything one release needs."""

    ports: Ports
    tally: Tally
    inbox: Inbox
    looks: TableReleaseStore
    """For looking without being counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One release of so many circuits."""

    circuits: int
    phase: str
    seconds: float
    rounds: dict[str, float]
    """Seconds from entering each phase to leaving it."""
    circuit_requests: float
    """Table requests per circuit while messages about it were handled: load, write, scan."""
    all_requests: float
    """Every table request of the release, divided by the circuits."""
    circuit_messages: float
    all_messages: float
    fan_outs: int
    release_conflicts: int
    circuit_conflicts: int
    pages: dict[str, tuple[int, int]]
    """Bytes of each gate's page and of the release's: of all of it, and of what stands before the first fold."""
    gate_mail: int
    summary_mail: int
    summary_mail_lines: int
    errors: Sequence[str]
    """Of messages that had to come again."""


def circuit(n: int) -> Circuit:
    """Twenty circuits a plant."""
    return Circuit(plant_id=f"PLANT{n // 20:03}", circuit_id=f"CIRCUIT{n % 20:02}")


@contextmanager
def a_world(account: Account, broker: Broker) -> Iterator[World]:
    """Real adapters on an account and a broker of this release's own."""
    tally, inbox, clock = Tally(), Inbox(), SystemClock()
    string = account.connection_string
    with (
        TableServiceClient.from_connection_string(
            string, transport=CountingTransport(tally), **CLIENT_OPTIONS
        ) as counted,
        TableServiceClient.from_connection_string(string, **CLIENT_OPTIONS) as uncounted,
        BlobServiceClient.from_connection_string(string) as blobs,
        ServiceBusClient.from_connection_string(broker.connection_string) as bus,
    ):
        containers = [blobs.create_container(name) for name in ("evidence", "build-artifacts")]
        ports = Ports(
            releases=CountingReleases(counted, tally),
            endpoints=TableEndpointStore(counted),
            slots=TableSlotStore(counted),
            evidence=BlobEvidenceStore(evidence=containers[0], artifacts=containers[1]),
            bus=CountingBus(bus, tally),
            models=cast("ModelGateway", FakeModels(clock=clock)),
            notifiers={Channel.EMAIL: inbox},
            tokens=SignedGateTokens(
                keys=["the key of a benchmark, which protects nothing"],
                public_url="https://releases.example.com",
                max_age=timedelta(days=400),
            ),
            clock=clock,
            audience=Audience(approvers=("ann@example.com",), operators=("ops@example.com",), teams=False),
            naming=Naming(),
            policy=POLICY,
            estate=ESTATE,
        )
        yield World(ports=ports, tally=tally, inbox=inbox, looks=TableReleaseStore(uncounted))


class Hands:
    """What the Functions host does: receives, calls, completes; and sweeps every minute."""

    def __init__(self, world: World, broker: Broker) -> None:
        self._world = world
        self._broker = broker
        self._over = threading.Event()
        self.errors: list[str] = []
        receiving = [(self._receive, queue) for queue, count in RECEIVERS.items() for _ in range(count)]
        self._threads = [threading.Thread(target=call, args=(queue,), daemon=True) for call, queue in receiving]
        self._threads.append(threading.Thread(target=self._sweep, daemon=True))

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _receive(self, queue: str) -> None:
        with (
            ServiceBusClient.from_connection_string(self._broker.connection_string) as client,
            client.get_queue_receiver(queue) as receiver,
        ):
            while not self._over.is_set():
                for message in receiver.receive_messages(AT_ONCE, max_wait_time=WAIT_SECONDS):
                    command = parse_message(b"".join(cast("Any", message.body)))
                    if self._handled(command, redelivered=(message.delivery_count or 0) > 0):
                        receiver.complete_message(message)
                    else:
                        receiver.abandon_message(message)

    def _handled(self, command: Sendable, *, redelivered: bool) -> bool:
        ports, tally = self._world.ports, self._world.tally
        try:
            if isinstance(command, RunStep):
                with tally.doing("circuit"):
                    Worker(ports).handle(command, redelivered=redelivered)
            else:
                with tally.doing("fan-out" if isinstance(command, FanOut) else "control"):
                    Control(ports).handle(command, redelivered=redelivered)
        except Exception as error:  # noqa: BLE001 - it comes again, as it would from the host; told at the end
            self.errors.append(f"{command}: {error!r}")
            return False
        return True

    def _sweep(self) -> None:
        while not self._over.wait(SWEEP_SECONDS):
            with self._world.tally.doing("sweep"):
                Sweeper(self._world.ports).sweep()


def measure(circuits: int, account: Account, broker: Broker) -> Measured:
    """One release, from the upload to its last mail."""
    everybody = [circuit(n) for n in range(circuits)]
    with a_world(account, broker) as world:
        models = cast("FakeModels", world.ports.models)
        for one in everybody:
            models.add_smoke_input(one)
            models.add_dev_model(model_name(one), "1", dev_tags(one, build=BUILD))
        began = time.monotonic()
        world.ports.slots.slots(POLICY.smoke_slots)  # made once for all releases, by whoever comes first
        world.tally.requests.clear()
        with Hands(world, broker) as hands:
            with world.tally.doing("intake"):
                Intake(world.ports).from_artifact(artifact_path(RELEASE_ID, BUILD), artifact(everybody))
            pages = _follow(world, circuits, began)
            seconds = time.monotonic() - began
            _until_told(world)
        return _measured(circuits, world, seconds, pages, hands.errors)


def _follow(world: World, circuits: int, began: float) -> dict[str, str]:
    """Approve both gates, and tell what each phase has cost when it is over; returns the pages by name."""
    pages: dict[str, str] = {}
    phase = ReleasePhase.INSPECTING
    deadline = time.monotonic() + ENDS_WITHIN_SECONDS
    while time.monotonic() < deadline:
        release = _release(world)
        if release.phase is not phase:
            print(f"  {time.monotonic() - began:6.0f} s  {phase} is over; {_so_far(world.tally, circuits)}", flush=True)
            phase = release.phase
        if phase in TERMINAL_RELEASE_PHASES:
            return pages | {"release": render_release(Queries(world.ports).release_view(RELEASE_ID))}
        if phase in GATES and GATES[phase] not in pages:
            pages[GATES[phase]] = _approve(world, release, GATES[phase])
        time.sleep(LOOK_SECONDS)
    raise SystemExit(f"not ended: {_release(world).phase}")


def _so_far(tally: Tally, circuits: int) -> str:
    """Since the upload; at a gate nothing else is under way, elsewhere a few of the next phase's are counted too."""
    requests, messages = tally.requests_for("circuit") / circuits, tally.messages["circuit"] / circuits
    return f"so far {requests:.1f} table requests and {messages:.1f} messages per circuit"


def _release(world: World) -> Release:
    stored = world.looks.release(RELEASE_ID)
    assert stored is not None
    return stored.row


def _approve(world: World, release: Release, gate: GateName) -> str:
    """Answers, and returns the page that the approver saw."""
    found = world.looks.release_and_gate(release.release_id, gate)
    assert found is not None
    assert found[1] is not None
    row, tokens = found[1].row, world.ports.tokens
    assert row.state is GateState.OPEN
    claim = tokens.read(tokens.link(row, "ann@example.com").url.rpartition("/")[2])
    assert claim is not None
    with world.tally.doing("gate"):
        document = Gates(world.ports).view(claim).document
        answer = Answer(decision="approve", comment="Looked at.", digest=row.digest, code=tokens.code(claim))
        Gates(world.ports).decide(claim, answer, by=claim.recipient, how="by a link", needs_code=True)
    view = ApprovalView(
        state=ApprovalState.OPEN,
        release=release,
        gate=row,
        evidence=json.loads(document or b"{}"),
        now=world.ports.clock.now(),
        recipient=claim.recipient,
        code_needed=True,
        csrf="0" * 64,
        view_url="https://releases.example.com/releases/20251210.1?t=0",
    )
    return render_approval(view)


def _sizes(page: str) -> tuple[int, int]:
    return len(page.encode()), len(page.partition("<details")[0].encode())


def _until_told(world: World) -> None:
    """The mails about the end are part of the release."""
    deadline = time.monotonic() + 600
    while Moment.RELEASE_SUCCEEDED not in world.inbox.sizes and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)


def _measured(circuits: int, world: World, seconds: float, pages: dict[str, str], errors: Sequence[str]) -> Measured:
    release, tally, inbox = _release(world), world.tally, world.inbox
    moments = [(entry.at, entry.target) for entry in release.hist]
    rounds = {
        target: round((after - at).total_seconds(), 1) for (at, target), (after, _) in itertools.pairwise(moments)
    }
    return Measured(
        circuits=circuits,
        phase=str(release.phase),
        seconds=round(seconds, 1),
        rounds=rounds,
        circuit_requests=round(tally.requests_for("circuit") / circuits, 2),
        all_requests=round(sum(tally.requests.values()) / circuits, 2),
        circuit_messages=round(tally.messages["circuit"] / circuits, 2),
        all_messages=round(tally.messages.total() / circuits, 2),
        fan_outs=tally.messages["fan-out"],
        release_conflicts=tally.conflicts["release"],
        circuit_conflicts=tally.conflicts["circuit"],
        pages={str(name): _sizes(page) for name, page in pages.items()},
        gate_mail=inbox.sizes.get(Moment.GATE_OPENED, 0),
        summary_mail=inbox.sizes.get(Moment.RELEASE_SUCCEEDED, 0),
        summary_mail_lines=inbox.lines.get(Moment.RELEASE_SUCCEEDED, 0),
        errors=errors,
    )


def told(one: Measured) -> str:
    """For people, one release."""
    return "\n".join(
        [
            f"{one.circuits} circuits: {one.phase} after {one.seconds:.0f} s; by phase {one.rounds}",
            f"  table requests per circuit {one.circuit_requests} for its messages, {one.all_requests} with all else",
            f"  messages per circuit       {one.circuit_messages} about it, {one.all_messages} with all else",
            (
                f"  fan-out pages {one.fan_outs}; conflicts on the release's row {one.release_conflicts}, on circuits' rows "
                f"{one.circuit_conflicts}"
            ),
            f"  messages that had to come again {len(one.errors)} {list(one.errors[:3])}",
            (
                f"  pages (all, before the first fold) {one.pages} bytes, gate mail {one.gate_mail} bytes, "
                f"summary mail {one.summary_mail} bytes, {one.summary_mail_lines} lines"
            ),
        ]
    )


def missed(found: Sequence[Measured]) -> list[str]:
    """Goals that were not met."""
    problems = [f"{one.circuits} circuits ended {one.phase}" for one in found if one.phase != "succeeded"]
    problems += [
        f"{one.release_conflicts} conflicts on the release's row with {one.circuits} circuits"
        for one in found
        if one.release_conflicts > MOST_CONFLICTS
    ]
    for name in ("circuit_requests", "circuit_messages"):
        values = [getattr(one, name) for one in found]
        if max(values) > min(values) * (1 + LARGEST_DIFFERENCE):
            problems.append(f"{name} differ by more than 5 %: {values}")
    return problems


def main() -> int:
    """1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--circuits", type=int, nargs="+", default=[10, 100, 1000, 5000])
    parser.add_argument("--json", type=Path, help="where to write the numbers as well")
    asked = parser.parse_args()
    found: list[Measured] = []
    with tempfile.TemporaryDirectory(prefix="scale-") as scratch:
        for number in asked.circuits:
            place = Path(scratch) / str(number)
            place.mkdir()
            with running_azurite(place / "azurite.log") as azurite, running_broker(place) as broker:
                found.append(measure(number, azurite.account(), broker))
            print(told(found[-1]), flush=True)
    if asked.json:
        asked.json.write_text(json.dumps([asdict(one) for one in found], indent=1), encoding="utf-8")
    problems = missed(found)
    print("\n".join(["goals missed:", *problems]) if problems else "all goals met")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
