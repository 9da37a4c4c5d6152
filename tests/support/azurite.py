"""Azurite for tests: in memory, on free ports, one fresh storage account per test."""

import os
import subprocess
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep

from tests.support.net import free_ports

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "node_modules" / ".bin" / "azurite"
ACCOUNTS = 400
KEY = b64encode(b"a key for tests that protects nothing").decode()
READY_WITHIN_SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A storage account and how to reach it."""

    name: str
    blob_port: int
    table_port: int
    host: str = "127.0.0.1"

    @property
    def connection_string(self) -> str:
        return (
            f"DefaultEndpointsProtocol=http;AccountName={self.name};AccountKey={KEY};"
            f"BlobEndpoint=http://{self.host}:{self.blob_port}/{self.name};"
            f"TableEndpoint=http://{self.host}:{self.table_port}/{self.name};"
        )


@dataclass(slots=True)
class Azurite:
    """A running Azurite."""

    blob_port: int
    table_port: int
    _numbers: Iterator[int] = field(default_factory=lambda: iter(range(ACCOUNTS)))

    def account(self) -> Account:
        """An account nobody has used yet."""
        return Account(name=_account_name(next(self._numbers)), blob_port=self.blob_port, table_port=self.table_port)


def _account_name(number: int) -> str:
    return f"account{number:04d}"


@contextmanager
def running_azurite(log: Path) -> Iterator[Azurite]:
    """Start it, wait until it answers, and stop it at the end."""
    blob, queue, table = free_ports(3)
    command = [
        str(PROGRAM), "--inMemoryPersistence", "--silent", "--disableTelemetry", "--skipApiVersionCheck",
        "--blobPort", str(blob), "--queuePort", str(queue), "--tablePort", str(table),
    ]  # fmt: skip
    accounts = ";".join(f"{_account_name(n)}:{KEY}" for n in range(ACCOUNTS))
    environment = {"PATH": os.environ["PATH"], "AZURITE_ACCOUNTS": accounts}
    with (
        log.open("wb") as out,
        subprocess.Popen(command, env=environment, stdout=out, stderr=out, cwd=log.parent) as child,
    ):
        try:
            _wait_until_up(child, (blob, table), log)
            yield Azurite(blob_port=blob, table_port=table)
        finally:
            child.terminate()


def _wait_until_up(child: subprocess.Popen[bytes], ports: tuple[int, ...], log: Path) -> None:
    deadline = monotonic() + READY_WITHIN_SECONDS
    while not all(_answers(port) for port in ports):
        if child.poll() is not None or monotonic() > deadline:
            raise RuntimeError(f"Azurite did not start: {log.read_text()[-2000:]}")
        sleep(0.1)


def _answers(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True
