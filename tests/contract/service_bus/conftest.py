"""A broker of the test run's own, in a child process, and queues nobody else uses."""

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
from service_bus_process import BrokerProcess, Handlers, emulator_config


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    """One broker for all tests that do not harm it."""
    queues: dict[str, dict[str, object]] = {f"plain_{number}": {} for number in range(24)}
    queues["short_lock"] = {"LockDuration": "PT5S"}
    queues["once"] = {"MaxDeliveryCount": 1}
    queues["no_duplicates"] = {"RequiresDuplicateDetection": True}
    queues["buries_expired"] = {"DeadLetteringOnMessageExpiration": True}
    queues["with_sessions"] = {"RequiresSession": True}
    process = BrokerProcess(directory=tmp_path_factory.mktemp("broker"), config=emulator_config(**queues))
    process.start()
    yield process
    process.stop()


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[BrokerProcess]:
    """A broker to kill."""
    process = BrokerProcess(directory=tmp_path, config=emulator_config(work={}, other={}))
    process.start()
    yield process
    process.stop()
    gc.collect()  # sockets the SDK has lost are complained of here and not in some later test


@pytest.fixture(scope="session")
def unused_queues() -> Iterator[str]:
    return iter([f"plain-{number}" for number in range(24)])


@pytest.fixture
def queue(unused_queues: Iterator[str]) -> str:
    return next(unused_queues)


@pytest.fixture(scope="session")
def handlers(broker: BrokerProcess) -> Iterator[Handlers]:
    handlers = Handlers(broker.client())
    handlers.open_senders(broker.get("/queues"))
    yield handlers
    handlers.close()
