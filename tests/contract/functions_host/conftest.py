"""One Azurite, one broker and one host for all tests that do not harm them."""

from collections.abc import Iterator

import pytest
from host_neighbours import Azurite, Broker, make_broker, make_host
from host_process import ROOT, Child, HostProcess, eventually, free_ports, listens


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """Real storage, in memory."""
    blob, queue, table = free_ports(3)
    flags = ["--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", "--silent"]
    ports = ["--blobPort", str(blob), "--queuePort", str(queue), "--tablePort", str(table)]
    log = tmp_path_factory.mktemp("azurite") / "log"
    child = Child(command=[ROOT / "node_modules/.bin/azurite", *flags, *ports], log=log)
    child.start()
    eventually(lambda: listens(f"http://127.0.0.1:{blob}/devstoreaccount1"))
    yield Azurite(blob_port=blob, queue_port=queue)
    child.terminate()


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    process = make_broker(tmp_path_factory.mktemp("broker"))
    process.start()
    yield process
    process.child.stop()


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory, azurite: Azurite, broker: Broker) -> Iterator[HostProcess]:
    """The host that most tests talk to."""
    process = make_host(tmp_path_factory.mktemp("host"), azurite, broker)
    process.start()
    yield process
    assert process.child.stop() == 0
