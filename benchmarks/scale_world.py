"""What a release lives in while it is measured: real tables, blobs and broker, Azure ML at once, and hands that do the work."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self, cast

from azure.data.tables import TableServiceClient
from azure.servicebus import ServiceBusClient
from azure.storage.blob import BlobServiceClient

from benchmarks.scale_counters import CountingBus, CountingReleases, CountingTransport, Inbox, Tally
from shared.adapters.evidence_blobs import BlobEvidenceStore
from shared.adapters.gate_tokens import SignedGateTokens
from shared.adapters.table_store import CLIENT_OPTIONS, TableEndpointStore, TableReleaseStore, TableSlotStore
from shared.application.control import Control
from shared.application.messages import parse_message
from shared.application.ports import Audience, ModelGateway, Naming, Ports, Sendable
from shared.application.sweeper import Sweeper
from shared.application.worker import Worker
from shared.domain.commands import FanOut, RunStep
from shared.domain.model import Channel, Circuit
from shared.domain.policy import Policy
from tests.support.azurite import Account
from tests.support.broker import Broker
from tests.support.circuit_world import ESTATE
from tests.support.fake_models import FakeModels

RECEIVERS = {"promotion": 3, "deployment": 3, "smoke-test": 2, "control": 1}
AT_ONCE = 8
"""Messages that one receiver takes at a time."""
WAIT_SECONDS, SWEEP_SECONDS = 1.0, 60.0
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


class SystemClock:
    """The Clock port."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def pause(self, duration: timedelta) -> None:
        time.sleep(duration.total_seconds())


@dataclass(frozen=True, kw_only=True)
class World:
    """Everything one release needs."""

    ports: Ports
    tally: Tally
    inbox: Inbox
    looks: TableReleaseStore
    """For looking without being counted."""


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
