"""Whatever somebody puts into a queue ends visible, on the real engine and through the real SDK (issue 5.8)."""

import json
from collections.abc import Iterator

import pytest
from azure.servicebus import ServiceBusClient, ServiceBusMessage

from tests.support.pipeline import Pipeline
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.stack, pytest.mark.timeout(180)]

QUEUES = ("promotion", "deployment", "smoke-test", "control")
STEP = {
    "v": 1,
    "kind": "deploy",
    "release_id": "20200101.1",
    "gen": 7,
    "stage": "test",
    "plant_id": "PLANT001",
    "circuit_id": "CIRCUIT01",
    "phase": "deploying_test",
    "n": 0,
    "redrive": 0,
}
UNREADABLE = (
    b"x" * 200_000,
    b"\xff\xfe\x00",
    json.dumps({**STEP, "v": 2}).encode(),
    json.dumps({**STEP, "gen": "seven"}).encode(),
    json.dumps({name: value for name, value in STEP.items() if name != "phase"}).encode(),
)
ELSEWHERE = json.dumps(STEP).encode()
"""Well formed, of a release and a generation that nobody knows; on the control queue it is in the wrong place, too."""


def test_poison_is_dead_lettered_and_told_and_nothing_is_left_of_it(pipeline: Pipeline) -> None:
    """I10: one line per message that can't be read; ten deliveries each, and its dead letter completes."""
    before = len(list(said(pipeline, "dead_letter_unreadable")))
    with ServiceBusClient.from_connection_string(pipeline.stack.service_bus_connection_string) as client:
        for queue in QUEUES:
            with client.get_queue_sender(queue) as sender:
                for body in (*UNREADABLE, ELSEWHERE):
                    sender.send_messages(ServiceBusMessage(body))
    expected = before + len(QUEUES) * len(UNREADABLE)

    wait_until(lambda: len(list(said(pipeline, "dead_letter_unreadable"))) >= expected, "each one was told", 120)
    wait_until(lambda: len(dropped(pipeline)) >= len(QUEUES), "the last was read, at the latest as a dead letter", 120)
    wait_until(lambda: not dead_letters(pipeline), "no dead-letter queue holds anything")

    lines = list(said(pipeline, "dead_letter_unreadable"))
    assert len(lines) == expected
    assert max(len(line) for line in lines) < 2_000


def said(pipeline: Pipeline, action: str) -> Iterator[str]:
    """The app's log lines with this action."""
    log = pipeline.places.log("app").read_text(encoding="utf-8", errors="replace")
    return (line for line in log.splitlines() if f"action={action} " in f"{line} ")


def dropped(pipeline: Pipeline) -> list[str]:
    return [line for line in said(pipeline, "message_dropped") if "release_id=20200101.1" in line]


def dead_letters(pipeline: Pipeline) -> int:
    return sum(counts["dead_letter"] for counts in pipeline.queues().values())
