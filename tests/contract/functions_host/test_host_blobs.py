"""Contract of the Functions host: blob triggers over Event Grid, from Azurite to the function."""

import base64
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from azure.storage.blob import ContentSettings
from host_neighbours import Azurite, Broker, make_host
from host_process import BLOBS, Child, HostProcess, eventually, free_ports, request

from local.functions_host.poison_queue import POISON_QUEUE


def a_forwarder(directory: Path, azurite: Azurite, webhook: str, **flags: str) -> Child:
    """Event Grid's part: watches the container, tells the webhook."""
    (port,) = free_ports(1)
    options = {
        "--connection": azurite.connection_string,
        "--container": "build-artifacts",
        "--webhook": webhook,
        "--state": str(directory / "told.json"),
        "--health-port": str(port),
        "--interval": "0.1",
        **{f"--{name}": value for name, value in flags.items()},
    }
    words = [word for pair in options.items() for word in pair]
    command = [sys.executable, "-m", "local.functions_host.blob_events", *words, "--stop-with-stdin"]
    child = Child(command=command, log=directory / "forwarder.log")
    child.start()
    eventually(lambda: child.is_up(f"http://127.0.0.1:{port}/health"))
    return child


def names(host: HostProcess) -> list[str]:
    return [line["name"].removeprefix("build-artifacts/") for line in host.seen("artifact") if "name" in line]


@pytest.fixture
def forwarder(tmp_path: Path, azurite: Azurite, host: HostProcess) -> Iterator[Child]:
    child = a_forwarder(tmp_path, azurite, host.blob_webhook)
    yield child
    assert child.stop() == 0


def an_event(name: str) -> dict[str, object]:
    subject = f"/blobServices/default/containers/build-artifacts/blobs/{name}"
    return {"id": "1", "subject": subject, "eventType": "Microsoft.Storage.BlobCreated", "data": {"eTag": "0x1"}}


def post(url: str, content: object, kind: str = "Notification") -> bytes | int:
    answer = request(url, method="POST", body=json.dumps(content).encode(), headers={"aeg-event-type": kind})
    return answer.body or answer.status


def test_an_uploaded_blob_reaches_the_function_with_its_metadata(
    azurite: Azurite, host: HostProcess, forwarder: Child
) -> None:
    """Bytes, name with slashes, URI, length, content type and the blob's own metadata."""
    azurite.container("build-artifacts").upload_blob(
        "releases/20251210.1/b 7/changed.json",
        b'{"a": 1}',
        metadata={"build": "7"},
        content_settings=ContentSettings(content_type="application/json"),
    )
    (seen,) = host.eventually_seen("artifact", name="build-artifacts/releases/20251210.1/b 7/changed.json")
    assert seen["content"] == '{"a": 1}'
    assert seen["length"] == 8
    assert seen["metadata"] == {"build": "7"}
    assert seen["content_type"] == "application/json"
    assert seen["uri"].endswith("/build-artifacts/releases/20251210.1/b%207/changed.json")


def test_a_blob_that_fails_five_times_goes_to_the_poison_queue(
    azurite: Azurite, host: HostProcess, forwarder: Child
) -> None:
    """And stays readable there: which function, which blob."""
    azurite.container("build-artifacts").upload_blob("bad.json", b"x")
    eventually(lambda: "bad.json failed 5 times" in host.log_text())
    assert names(host).count("bad.json") == 5
    message = json.loads(base64.b64decode(_poison_message(azurite)))
    assert message["FunctionId"] == "Host.Functions.artifact"
    assert (message["ContainerName"], message["BlobName"]) == ("build-artifacts", "bad.json")


def test_the_forwarder_neither_loses_nor_repeats_over_a_restart(
    tmp_path: Path, azurite: Azurite, host: HostProcess
) -> None:
    """What came while it was away is told, what it had told before is not; an overwritten blob is news."""
    container = azurite.container("build-artifacts")
    first = a_forwarder(tmp_path, azurite, host.blob_webhook)
    container.upload_blob("restart/before", b"1")
    eventually(lambda: "restart/before" in names(host))
    assert first.stop() == 0
    container.upload_blob("restart/meanwhile", b"2")
    second = a_forwarder(tmp_path, azurite, host.blob_webhook)
    eventually(lambda: "restart/meanwhile" in names(host))
    container.upload_blob("restart/meanwhile", b"3", overwrite=True)
    eventually(lambda: names(host).count("restart/meanwhile") == 2)
    assert second.stop() == 0
    assert names(host).count("restart/before") == 1


def test_events_can_be_delivered_twice(tmp_path: Path, azurite: Azurite, host: HostProcess) -> None:
    """Event Grid promises at least once; the app must be able to see more."""
    forwarder = a_forwarder(tmp_path, azurite, host.blob_webhook, deliveries="2")
    azurite.container("build-artifacts").upload_blob("twice.json", b"x")
    eventually(lambda: names(host).count("twice.json") == 2)
    forwarder.stop()


def test_the_webhook_speaks_both_schemas_and_wants_its_key(azurite: Azurite, host: HostProcess) -> None:
    """Handshakes of Event Grid and of CloudEvents; 401 without the system key, 404 for no such function."""
    azurite.container("build-artifacts").upload_blob("cloud.json", b"cloud")
    validation = [{"eventType": "x", "data": {"validationCode": "code-1"}}]
    assert post(host.blob_webhook, validation, "SubscriptionValidation") == b'{"validationResponse": "code-1"}'
    options = request(host.blob_webhook, method="OPTIONS", headers={"WebHook-Request-Origin": "eventgrid.azure.net"})
    assert options.headers["WebHook-Allowed-Origin"] == "eventgrid.azure.net"
    event = an_event("cloud.json")
    assert post(host.blob_webhook, {**event, "type": event.pop("eventType"), "specversion": "1.0"}) == 202
    eventually(lambda: "cloud.json" in names(host))
    assert post(host.blob_webhook.replace(BLOBS, "wrong"), [an_event("x")]) == 401
    assert post(host.blob_webhook.replace("artifact", "nobody"), [an_event("x")]) == 404
    assert post(host.blob_webhook, "no event") == 400


def test_an_event_for_a_blob_that_is_gone_is_dropped(host: HostProcess) -> None:
    """As the real host does: there is nothing to hand to the function."""
    post(host.blob_webhook, [an_event("never-existed.json")])
    eventually(lambda: "never-existed.json is gone" in host.log_text())
    assert "never-existed.json" not in names(host)


def test_an_accepted_event_survives_a_killed_host(tmp_path: Path, azurite: Azurite, broker: Broker) -> None:
    """Acknowledged means kept: the next host runs the function again."""
    azurite.container("build-artifacts").upload_blob("slow.json", b"slow")
    host = make_host(tmp_path, azurite, broker)
    host.start()
    assert post(host.blob_webhook, [an_event("slow.json")]) == 202
    host.eventually_seen("artifact", name="build-artifacts/slow.json")
    host.child.kill()
    host.start()
    host.eventually_seen("artifact", ended="build-artifacts/slow.json")
    assert names(host).count("slow.json") == 2
    host.child.kill()


def _poison_message(azurite: Azurite) -> str:
    from local.functions_host import poison_queue

    account, key, endpoint = poison_queue._parse(azurite.connection_string)
    url = f"{endpoint}/{POISON_QUEUE}/messages"
    headers = poison_queue._signed_headers(account, key, "GET", url, b"")
    answer = request(url, headers=headers).body.decode()
    return answer.partition("<MessageText>")[2].partition("</MessageText>")[0]
