"""Config.json of the official emulator: what is taken and how the rest is refused."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from local.service_bus.config import ConfigError, load_config, parse_config


def a_config(*queues: object, topics: tuple[object, ...] = (), name: str = "sbemulatorns") -> dict[str, Any]:
    return {"UserConfig": {"Namespaces": [{"Name": name, "Queues": [*queues], "Topics": [*topics]}]}}


def a_queue(name: str = "work", **properties: object) -> dict[str, Any]:
    return {"Name": name, "Properties": properties}


def test_a_queue_without_properties_has_the_emulators_defaults() -> None:
    """The defaults of the published schema."""
    (queue,) = parse_config(a_config({"Name": "work"})).queues
    assert (queue.lock_duration, queue.max_delivery_count) == (timedelta(minutes=1), 3)
    assert (queue.default_time_to_live, queue.duplicate_window) == (timedelta(hours=1), None)


def test_every_property_is_taken_over() -> None:
    """What the file says is what the queue does."""
    given = a_queue(
        LockDuration="PT1M30S",
        MaxDeliveryCount=10,
        DefaultMessageTimeToLive="PT10M",
        DeadLetteringOnMessageExpiration=True,
        RequiresDuplicateDetection=True,
        DuplicateDetectionHistoryTimeWindow="PT5M",
    )
    (queue,) = parse_config(a_config(given)).queues
    assert queue.lock_duration == timedelta(seconds=90)
    assert queue.max_delivery_count == 10
    assert queue.default_time_to_live == timedelta(minutes=10)
    assert queue.dead_letter_on_expiration
    assert queue.duplicate_window == timedelta(minutes=5)


def test_comments_and_a_byte_order_mark_are_no_obstacle(tmp_path: Path) -> None:
    """Slashes inside a text are no comment."""
    path = tmp_path / "Config.json"
    text = """\ufeff{ // first
      "UserConfig": { /* the
      only */ "Namespaces": [{"Name": "sbemulatorns", "Queues": [{"Name": "a/b"}], "Topics": [], "x": "//y"}]}}"""
    path.write_text(text, encoding="utf-8")
    assert [queue.name for queue in load_config(path).queues] == ["a/b"]


@pytest.mark.parametrize(
    ("properties", "why"),
    [({"RequiresSession": True}, "sessions"), ({"ForwardTo": "x"}, "forwarding"), ({"ForwardTo": ""}, None)],
)
def test_what_is_not_served_is_known_by_name(properties: dict[str, object], why: str | None) -> None:
    """The configuration stays valid; only that queue is refused, with the reason."""
    config = parse_config(a_config(a_queue("special", **properties), a_queue("plain")))
    assert "plain" in [queue.name for queue in config.queues]
    assert (why is None) == ("special" in [queue.name for queue in config.queues])
    assert why is None or why in config.not_served["special"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ([], "the file is not an object"),
        ({}, "UserConfig is missing"),
        ({"UserConfig": {"Namespaces": []}}, "exactly one namespace"),
        (a_config(name="other"), "named sbemulatorns"),
        (a_config({"Properties": {}}), "Name is missing"),
        (a_config(a_queue("-bad")), "not a name"),
        (a_config(a_queue("a"), a_queue("A")), "two entities"),
        (a_config(a_queue("a"), topics=({"Name": "a"},)), "two entities"),
        (a_config(*[a_queue(f"q{number}") for number in range(51)]), "at most 50"),
        (a_config(a_queue(LockDuration="PT4S")), "queue work: LockDuration PT4S is not between"),
        (a_config(a_queue(LockDuration="PT5M1S")), "LockDuration PT5M1S is not between"),
        (a_config(a_queue(LockDuration="1 minute")), "ISO 8601"),
        (a_config(a_queue(LockDuration=60)), "ISO 8601"),
        (a_config(a_queue(LockDuration="PT")), "ISO 8601"),
        (a_config(a_queue(DefaultMessageTimeToLive="PT4M59S")), "DefaultMessageTimeToLive"),
        (a_config(a_queue(DefaultMessageTimeToLive="P1D")), "DefaultMessageTimeToLive"),
        (a_config(a_queue(DuplicateDetectionHistoryTimeWindow="PT6M")), "DuplicateDetectionHistoryTimeWindow"),
        (a_config(a_queue(MaxDeliveryCount=0)), "from 1 to 10"),
        (a_config(a_queue(MaxDeliveryCount=11)), "from 1 to 10"),
        (a_config(a_queue(MaxDeliveryCount=True)), "from 1 to 10"),
        (a_config(a_queue(RequiresSession="yes")), "true or false"),
        (a_config(a_queue(LockDurration="PT1M")), "unknown property LockDurration"),
    ],
)
def test_a_mistake_is_named(content: object, says: str) -> None:
    """The message says which queue, which property and which bound."""
    with pytest.raises(ConfigError, match=says):
        parse_config(content)


@pytest.mark.parametrize("text", [None, "{", '{"a": }'])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, text: str | None) -> None:
    """Missing or no JSON: the message begins with the path."""
    path = tmp_path / "Config.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=str(path)):
        load_config(path)
