"""Contract of the Functions host: how it starts, stops, and outlives its worker."""

import concurrent.futures
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from host_neighbours import Azurite, Broker, make_host
from host_process import APPS, MASTER, HostProcess, eventually


@pytest.fixture
def own_host(tmp_path: Path, azurite: Azurite, broker: Broker) -> Iterator[HostProcess]:
    """A host to harm; its queue is one nobody else listens to."""
    host = make_host(
        tmp_path, azurite, broker, WORK_QUEUE="short-lock", AzureFunctionsJobHost__functionTimeout="00:00:02"
    )
    host.start()
    yield host
    host.child.kill()


def worker_of(host: HostProcess) -> psutil.Process:
    assert host.child.process is not None
    (worker,) = psutil.Process(host.child.process.pid).children()
    return worker


def test_a_function_that_outlasts_its_time_takes_the_worker_with_it(own_host: HostProcess) -> None:
    """Both calls fail, the slow one and its neighbour; the next one finds a fresh worker."""
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        slow = pool.submit(own_host.get, "/wait/30")
        own_host.eventually_seen("waiting")
        neighbour = pool.submit(own_host.get, "/pause/30")
        assert slow.result().status == 500
        assert neighbour.result().status == 500
    assert "Timeout value of 0:00:02 exceeded by function 'Functions.waiting'" in own_host.log_text()
    # On a busy machine a fresh worker's first call may outlast the two seconds, too.
    eventually(lambda: own_host.get("/").body == b"the root", seconds=60)


def test_a_crash_is_a_500_and_the_next_call_works(own_host: HostProcess) -> None:
    """The host stays up and waits for the new worker."""
    before = worker_of(own_host).pid
    assert own_host.get("/exit").status == 500
    assert own_host.get("/").body == b"the root"
    assert worker_of(own_host).pid != before


def test_a_killed_host_leaves_no_worker_behind(own_host: HostProcess) -> None:
    """Not even one that is busy."""
    worker = worker_of(own_host)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        call = pool.submit(own_host.get, "/wait/30")
        own_host.eventually_seen("waiting")
        own_host.child.kill()
        eventually(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE, seconds=3)
        assert isinstance(call.exception(), OSError)


def test_the_host_stops_on_a_signal_and_lets_running_calls_end(own_host: HostProcess) -> None:
    """SIGTERM: the call that runs gets its answer, then the host exits with 0 and without its worker."""
    worker = worker_of(own_host)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        call = pool.submit(own_host.get, "/wait/1")
        own_host.eventually_seen("waiting")
        assert own_host.child.terminate() == 0
        assert call.result().body == b"waited"
    assert not worker.is_running()


def test_draining_ends_listening_and_waits_for_what_runs(own_host: HostProcess) -> None:
    """As before a deployment: no new events, and a status that says when all is done."""
    key = {"x-functions-key": MASTER}
    assert own_host.get("/admin/host/drain/status", headers=key).json()["state"] == "Disabled"
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        call = pool.submit(own_host.get, "/wait/1")
        own_host.eventually_seen("waiting")
        assert own_host.get("/admin/host/drain", method="POST", body=b"", headers=key).status == 202
        assert own_host.get("/admin/host/drain/status", headers=key).json()["state"] == "InProgress"
        assert call.result().status == 200
    eventually(lambda: own_host.get("/admin/host/drain/status", headers=key).json()["state"] == "Completed")
    assert own_host.get("/runtime/webhooks/blobs?functionName=artifact", method="POST", headers=key).status == 503


def test_an_app_the_engine_refuses_ends_the_host_with_the_engines_words(tmp_path: Path) -> None:
    """Exit code 1 and the reason in one block."""
    host = HostProcess(directory=tmp_path, app=APPS / "broken", values={})
    host.child.start()
    assert host.child.process is not None
    assert host.child.process.wait(timeout=20) == 1
    host.child.stop()
    assert "cannot load the unbound function" in host.log_text()
    assert "nobody_binds_this" in host.log_text()


def test_every_setting_that_is_missing_is_named_at_once(tmp_path: Path) -> None:
    """One line per function, so that one look is enough."""
    host = HostProcess(directory=tmp_path, app=APPS / "everything", values={"WORK_QUEUE": "work"})
    host.child.start()
    assert host.child.process is not None
    assert host.child.process.wait(timeout=20) == 1
    host.child.stop()
    assert "function 'work': the connection 'Bus' is not in the settings" in host.log_text()
    assert "function 'artifact': the connection 'Artifacts' is not in the settings" in host.log_text()
