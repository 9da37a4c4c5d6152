"""What the Functions host talks to in its tests: Azurite and the broker; and the host made to fit them."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from azure.servicebus import ServiceBusClient, ServiceBusMessage
from azure.storage.blob import ContainerClient
from host_process import APPS, Child, HostProcess, eventually, free_ports

AZURITE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@dataclass(frozen=True, kw_only=True)
class Azurite:
    blob_port: int
    queue_port: int

    @property
    def connection_string(self) -> str:
        return (
            f"DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey={AZURITE_KEY};"
            f"BlobEndpoint=http://127.0.0.1:{self.blob_port}/devstoreaccount1;"
            f"QueueEndpoint=http://127.0.0.1:{self.queue_port}/devstoreaccount1;"
        )

    def container(self, name: str) -> ContainerClient:
        client = ContainerClient.from_connection_string(self.connection_string, name)
        if not client.exists():
            client.create_container()
        return client


@dataclass(frozen=True, kw_only=True)
class Broker:
    child: Child
    port: int
    health_port: int

    @property
    def connection_string(self) -> str:
        return (
            f"Endpoint=sb://localhost:{self.port};SharedAccessKeyName=RootManageSharedAccessKey;"
            "SharedAccessKey=SAS_KEY_VALUE;UseDevelopmentEmulator=true;"
        )

    def start(self) -> None:
        self.child.start()
        eventually(lambda: self.child.is_up(f"http://127.0.0.1:{self.health_port}/health"))

    def send(self, queue: str, *messages: ServiceBusMessage) -> None:
        with (
            ServiceBusClient.from_connection_string(self.connection_string) as client,
            client.get_queue_sender(queue) as sender,
        ):
            sender.send_messages(list(messages))

    def left_in(self, queue: str) -> int:
        """Messages that are still there, locked or not."""
        with (
            ServiceBusClient.from_connection_string(self.connection_string) as client,
            client.get_queue_receiver(queue) as receiver,
        ):
            return len(receiver.peek_messages(100, sequence_number=1))


def make_broker(directory: Path) -> Broker:
    """A broker with the queues of the test app."""
    lasting = {"LockDuration": "PT1M", "MaxDeliveryCount": 3}
    queues = [
        {"Name": "work", "Properties": lasting},
        {"Name": "short-lock", "Properties": {**lasting, "LockDuration": "PT5S"}},
    ]
    config = directory / "Config.json"
    namespace = {"Name": "sbemulatorns", "Queues": queues, "Topics": []}
    config.write_text(json.dumps({"UserConfig": {"Namespaces": [namespace], "Logging": {"Type": "Console"}}}))
    port, health_port = free_ports(2)
    places = ["--config", config, "--data", directory / "data"]
    ports = ["--port", str(port), "--health-port", str(health_port)]
    command = [sys.executable, "-m", "local.service_bus", *places, *ports, "--stop-with-stdin"]
    child = Child(command=command, log=directory / "broker.log")
    return Broker(child=child, port=port, health_port=health_port)


def make_host(directory: Path, azurite: Azurite, broker: Broker, **values: str) -> HostProcess:
    """A host with the app that has every kind of trigger."""
    settings = {
        "Bus": broker.connection_string,
        "AzureWebJobsArtifacts": azurite.connection_string,
        "WORK_QUEUE": "work",
        **values,
    }
    return HostProcess(directory=directory, app=APPS / "everything", values=settings)
