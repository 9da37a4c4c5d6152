"""The broker as a child process of a test, and what it says about itself."""

import json
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from azure.servicebus import ServiceBusClient, ServiceBusReceiver, ServiceBusSender

ROOT = Path(__file__).parents[3]


def eventually[Result](look: Callable[[], Result | None], *, seconds: float = 10) -> Result:
    """The first truthy answer of `look`; fails when there is none in time."""
    deadline = time.monotonic() + seconds
    while True:
        if result := look():
            return result
        assert time.monotonic() < deadline, f"still {result!r} after {seconds} s"
        threading.Event().wait(0.02)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def broker_command(config: Path, data: Path, port: int, health_port: int) -> list[str]:
    files = ["--config", str(config), "--data", str(data)]
    return [sys.executable, "-m", "local.service_bus", *files, "--port", str(port), "--health-port", str(health_port)]


def emulator_config(**queues: dict[str, object]) -> dict[str, object]:
    entities = [{"Name": name.replace("_", "-"), "Properties": given} for name, given in queues.items()]
    namespace = {"Name": "sbemulatorns", "Queues": entities, "Topics": []}
    return {"UserConfig": {"Namespaces": [namespace], "Logging": {"Type": "Console"}}}


@dataclass(kw_only=True)
class BrokerProcess:
    """The broker as a child process, which keeps its ports and its data over a restart."""

    directory: Path
    config: dict[str, object] | str
    port: int = field(default_factory=free_port)
    health_port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        config = self.directory / "Config.json"
        config.write_text(self.config if isinstance(self.config, str) else json.dumps(self.config), encoding="utf-8")
        with (self.directory / "log").open("ab") as log:
            command = broker_command(config, self.directory / "data", self.port, self.health_port)
            self.process = subprocess.Popen(
                [*command, "--stop-with-stdin"], cwd=ROOT, stdin=subprocess.PIPE, stderr=log
            )
        eventually(self.is_healthy)

    def is_healthy(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.directory / "log").read_text()
        try:
            return bool(self.get("/health")["status"] == "healthy")
        except urllib.error.URLError:
            return False

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self._wait()

    def stop(self) -> int:
        """Close its standard input, as a parent that dies would."""
        assert self.process is not None
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self._wait()

    def terminate(self) -> int:
        assert self.process is not None
        self.process.terminate()
        return self._wait()

    def _wait(self) -> int:
        assert self.process is not None
        assert self.process.stdin is not None
        code = self.process.wait(timeout=10)
        self.process.stdin.close()
        return code

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.health_port}{path}", timeout=5) as answer:
            return json.load(answer)

    def ops(self, queue: str) -> list[str]:
        return [line["op"] for line in self.get("/journal") if line["queue"] == queue]

    @property
    def connection_string(self) -> str:
        return (
            f"Endpoint=sb://localhost:{self.port};SharedAccessKeyName=RootManageSharedAccessKey;"
            "SharedAccessKey=SAS_KEY_VALUE;UseDevelopmentEmulator=true;"
        )

    def client(self) -> ServiceBusClient:
        """An SDK client that fails at once instead of trying again."""
        return ServiceBusClient.from_connection_string(self.connection_string, retry_total=0)


class Handlers:
    """Senders and receivers, closed all at once in the end: each waits up to a second for its own thread."""

    def __init__(self, client: ServiceBusClient) -> None:
        self._client = client
        self._senders: dict[str, ServiceBusSender] = {}
        self._receivers: list[ServiceBusReceiver] = []

    def open_senders(self, queues: Iterable[str]) -> None:
        """Open all at once: a connection takes the SDK half a second, nearly all of it asleep."""
        opened = [self.sender(queue) for queue in queues]
        with ThreadPoolExecutor(max_workers=len(opened)) as pool:
            list(pool.map(ServiceBusSender.__enter__, opened))

    def sender(self, queue: str) -> ServiceBusSender:
        return self._senders.setdefault(queue, self._client.get_queue_sender(queue))

    def receiver(self, queue: str, **options: Any) -> ServiceBusReceiver:
        receiver = self._client.get_queue_receiver(queue, **options)
        self._receivers.append(receiver)
        return receiver

    def close(self) -> None:
        handlers = [*self._senders.values(), *self._receivers]
        with ThreadPoolExecutor(max_workers=len(handlers) or 1) as pool:
            list(pool.map(lambda handler: handler.close(), handlers))
        self._client.close()
