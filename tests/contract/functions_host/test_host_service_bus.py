"""Contract of the Functions host: Service Bus triggers, with the real SDK against the broker."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from azure.servicebus import ServiceBusMessage
from host_neighbours import Azurite, Broker, make_broker, make_host
from host_process import HostProcess, eventually


def an_order(do: str, **facts: Any) -> ServiceBusMessage:
    return ServiceBusMessage(json.dumps({"do": do, **facts}), message_id=facts.get("name"))


def deliveries(host: HostProcess, function: str, name: str) -> list[dict[str, Any]]:
    return [line for line in host.seen(function) if line.get("metadata", {}).get("MessageId") == name]


def eventually_delivered(host: HostProcess, function: str, name: str, count: int = 1) -> list[dict[str, Any]]:
    def look() -> list[dict[str, Any]] | None:
        found = deliveries(host, function, name)
        return found if len(found) >= count else None

    return eventually(look)


def test_trigger_metadata_is_that_of_the_real_host(host: HostProcess, broker: Broker) -> None:
    """Exactly the keys of extension 5.x: none for what is not set, the delivery count from 1."""
    message = ServiceBusMessage(
        json.dumps({"do": "nothing"}),
        message_id="full",
        subject="a subject",
        correlation_id="c-1",
        content_type="application/json",
        application_properties={"text": "t", "number": 5, "flag": True},
    )
    broker.send("work", message)
    (seen,) = eventually_delivered(host, "work", "full")
    metadata = seen["metadata"]
    properties = {"text": "t", "number": 5, "flag": True}
    assert {key: metadata[key] for key in ("ContentType", "CorrelationId", "Subject", "Label")} == {
        "ContentType": "application/json",
        "CorrelationId": "c-1",
        "Subject": "a subject",
        "Label": "a subject",
    }
    assert metadata["ApplicationProperties"] == metadata["UserProperties"] == properties
    assert set(metadata) == {
        *("MessageId", "ContentType", "CorrelationId", "Subject", "Label", "LockToken", "SequenceNumber"),
        *("DeliveryCount", "EnqueuedTimeUtc", "EnqueuedTime", "ExpiresAtUtc", "ExpiresAt"),
        *("ApplicationProperties", "UserProperties"),
    }
    assert seen["delivery_count"] == 1
    assert seen["properties"] == properties
    assert seen["locked_until"] is None
    assert abs(datetime.fromisoformat(seen["enqueued"]) - datetime.now(UTC)).total_seconds() < 60
    assert metadata["ExpiresAt"].endswith("+00:00")
    assert metadata["ExpiresAtUtc"].endswith("Z")


def test_a_failed_message_comes_again_and_a_finished_one_does_not(host: HostProcess, broker: Broker) -> None:
    """Abandon on an exception, complete on success."""
    broker.send("work", an_order("raise once", name="twice"))
    first, second = eventually_delivered(host, "work", "twice", 2)
    assert (first["delivery_count"], second["delivery_count"]) == (1, 2)
    eventually(lambda: broker.left_in("work") == 0)
    assert len(deliveries(host, "work", "twice")) == 2


def test_a_message_nobody_can_work_on_reaches_the_dead_letter_function(host: HostProcess, broker: Broker) -> None:
    """With the reason among its application properties and the source queue in its metadata."""
    broker.send("work", an_order("raise", name="hopeless"))
    (dead,) = eventually_delivered(host, "dead", "hopeless")
    assert len(deliveries(host, "work", "hopeless")) == 3
    assert dead["properties"]["DeadLetterReason"] == "MaxDeliveryCountExceeded"
    assert dead["dead_letter_reason"] is None
    assert dead["metadata"]["DeadLetterSource"] == "work"


def test_a_lock_is_renewed_for_as_long_as_the_function_runs(host: HostProcess, broker: Broker) -> None:
    """Six seconds of work under a lock of five: delivered once, and completed."""
    broker.send("short-lock", ServiceBusMessage("x"))
    host.eventually_seen("slow", ended=True)
    eventually(lambda: broker.left_in("short-lock") == 0)
    assert [line["delivery_count"] for line in host.seen("slow") if "delivery_count" in line] == [1]


def test_no_more_messages_run_at_a_time_than_host_json_allows(host: HostProcess, broker: Broker) -> None:
    """The limit is 4: of eight messages four wait until a place is free."""
    broker.send("work", *(an_order("wait", seconds=0.5, name=f"parallel-{n}") for n in range(8)))
    eventually(lambda: sum("parallel" in line.get("ended", "") for line in host.seen("work")) == 8)
    running = most = 0
    for line in host.seen("work"):
        if "parallel" in line.get("ended", ""):
            running -= 1
        elif "parallel" in line.get("metadata", {}).get("MessageId", ""):
            running += 1
        most = max(most, running)
    assert most == 4


def test_listeners_come_back_after_the_broker_was_away(tmp_path: Path, azurite: Azurite) -> None:
    """A broker that is killed and started again is only a pause; one that starts late is, too."""
    broker = make_broker(tmp_path)
    host = make_host(tmp_path, azurite, broker)
    host.child.start()
    eventually(lambda: b"Initialized" in _status(host))
    broker.start()
    eventually(lambda: b"Running" in _status(host), seconds=20)
    broker.child.kill()
    broker.start()
    broker.send("work", an_order("nothing", name="after the restart"))
    eventually_delivered(host, "work", "after the restart")
    host.child.kill()
    broker.child.kill()


def test_a_crashed_worker_gives_its_messages_back(host: HostProcess, broker: Broker) -> None:
    """The invocation fails at once, a new worker starts, and the message is delivered to it."""
    broker.send("work", an_order("exit once", name="crash"))
    first, second = eventually_delivered(host, "work", "crash", 2)
    assert (first["delivery_count"], second["delivery_count"]) == (1, 2)
    assert "the worker process ended" in host.log_text()


def _status(host: HostProcess) -> bytes:
    try:
        return host.get("/admin/host/status").body
    except OSError:
        return b""
