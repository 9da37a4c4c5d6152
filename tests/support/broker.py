"""The Service Bus stand-in for tests, with the queues of the local stack."""

import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

from tests.support.net import free_ports

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "local" / "service_bus" / "Config.json"
READY_WITHIN_SECONDS = 30


@dataclass(kw_only=True)
class Broker:
    """A broker process; a restart keeps its ports and messages."""

    directory: Path
    port: int
    health_port: int
    config: Path = CONFIG
    _process: subprocess.Popen[bytes] | None = None

    @property
    def connection_string(self) -> str:
        return (
            f"Endpoint=sb://localhost:{self.port};SharedAccessKeyName=RootManageSharedAccessKey;"
            "SharedAccessKey=SAS_KEY_VALUE;UseDevelopmentEmulator=true;"
        )

    def start(self) -> None:
        """Start it and wait until it is healthy."""
        command = [
            sys.executable, "-m", "local.service_bus", "--config", str(self.config), "--data", str(self.directory),
            "--port", str(self.port), "--health-port", str(self.health_port), "--stop-with-stdin",
        ]  # fmt: skip
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stderr=log)
        deadline = monotonic() + READY_WITHIN_SECONDS
        while not self._is_healthy():
            if self._process.poll() is not None or monotonic() > deadline:
                raise RuntimeError((self.directory / "log").read_text()[-2000:])
            sleep(0.05)

    def _is_healthy(self) -> bool:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{self.health_port}/health", timeout=5).close()
        except OSError:
            return False
        return True

    def stop(self) -> None:
        """End its standard input and wait for it."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=15)


@contextmanager
def running_broker(directory: Path, config: Path = CONFIG) -> Iterator[Broker]:
    """A broker for the time of a test or a run."""
    port, health_port = free_ports(2)
    broker = Broker(directory=directory, port=port, health_port=health_port, config=config)
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()
