"""Reads the official emulator's Config.json and says clearly what is wrong with one."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from local.service_bus.engine.model import QueueSettings

_MAX_ENTITIES = 50
_MINUTES_5 = timedelta(minutes=5)
_NAME = re.compile(r"[A-Za-z0-9]|[A-Za-z0-9][\w\-./]*[A-Za-z0-9]")
_DURATION = re.compile(r"P(?!$)(?:(\d+)D)?(?:T(?!$)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?")
# A string or a comment, whichever begins first, so that "//" inside a string stays.
_STRING_OR_COMMENT = re.compile(r'("(?:\\.|[^"\\])*")|//[^\n]*|/\*.*?\*/', re.DOTALL)

# property -> (default, least, most), from the emulator's published schema
_DURATIONS = {
    "DefaultMessageTimeToLive": ("PT1H", _MINUTES_5, timedelta(hours=1)),
    "DuplicateDetectionHistoryTimeWindow": ("PT20S", timedelta(seconds=5), _MINUTES_5),
    "LockDuration": ("PT1M", timedelta(seconds=5), _MINUTES_5),
}
_FLAGS = ("DeadLetteringOnMessageExpiration", "RequiresDuplicateDetection", "RequiresSession")
_FORWARDS = ("ForwardTo", "ForwardDeadLetteredMessagesTo")


class ConfigError(ValueError):
    """A Config.json the official emulator would not take either."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The queues to serve, and the entities that are configured but not served, with the reason."""

    queues: tuple[QueueSettings, ...]
    not_served: Mapping[str, str]


def load_config(path: Path) -> Config:
    """Read a file, which may hold comments and a byte order mark.

    Raises:
        ConfigError: the file is missing, is no JSON or breaks the emulator's schema.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        content = json.loads(_STRING_OR_COMMENT.sub(lambda match: match[1] or "", text))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: {error}") from error
    return parse_config(content)


def parse_config(content: object) -> Config:
    """Check a parsed Config.json.

    Raises:
        ConfigError: it breaks the emulator's schema.
    """
    user = _member(content, "UserConfig", dict, "the file")
    namespaces = _member(user, "Namespaces", list, "UserConfig")
    if len(namespaces) != 1:
        raise ConfigError(f"UserConfig.Namespaces holds exactly one namespace, not {len(namespaces)}")
    namespace = namespaces[0]
    if _member(namespace, "Name", str, "the namespace") != "sbemulatorns":
        raise ConfigError("the namespace is named sbemulatorns")
    queues = _member(namespace, "Queues", list, "the namespace")
    topics = _member(namespace, "Topics", list, "the namespace")
    _check_names([*queues, *topics])
    settings = [_queue(queue) for queue in queues]
    not_served = {topic["Name"]: "topics are not served by this stand-in" for topic in topics}
    not_served |= {name: why for queue in queues for name, why in _refusals(queue)}
    return Config(queues=tuple(one for one in settings if one.name not in not_served), not_served=not_served)


def _check_names(entities: list[Any]) -> None:
    if len(entities) > _MAX_ENTITIES:
        raise ConfigError(f"at most {_MAX_ENTITIES} queues and topics, not {len(entities)}")
    names = [_member(entity, "Name", str, "a queue or topic") for entity in entities]
    for name in names:
        if not _NAME.fullmatch(name):
            raise ConfigError(f"{name!r} is not a name for a queue or topic")
        if [other.lower() for other in names].count(name.lower()) > 1:
            raise ConfigError(f"{name!r} is the name of two entities; case does not tell them apart")


def _queue(entity: Mapping[str, Any]) -> QueueSettings:
    where = f"queue {entity['Name']}"
    given = _properties(entity, where)
    known = {*_DURATIONS, *_FLAGS, *_FORWARDS, "MaxDeliveryCount"}
    if unknown := sorted(given.keys() - known):
        raise ConfigError(f"{where}: unknown property {unknown[0]}")
    window = _duration(given, "DuplicateDetectionHistoryTimeWindow", where)
    return QueueSettings(
        name=entity["Name"],
        lock_duration=_duration(given, "LockDuration", where),
        max_delivery_count=_max_delivery_count(given, where),
        default_time_to_live=_duration(given, "DefaultMessageTimeToLive", where),
        dead_letter_on_expiration=_flag(given, "DeadLetteringOnMessageExpiration", where),
        duplicate_window=window if _flag(given, "RequiresDuplicateDetection", where) else None,
    )


def _refusals(entity: Mapping[str, Any]) -> list[tuple[str, str]]:
    where = f"queue {entity['Name']}"
    given = _properties(entity, where)
    refused = []
    if _flag(given, "RequiresSession", where):
        refused.append("sessions are not served by this stand-in")
    if any(given.get(name) for name in _FORWARDS):
        refused.append("forwarding is not served by this stand-in")
    return [(entity["Name"], why) for why in refused]


def _properties(entity: Mapping[str, Any], where: str) -> dict[str, Any]:
    return _member({"Properties": {}, **entity}, "Properties", dict, where)


def _member[Kind](content: object, name: str, kind: type[Kind], where: str) -> Kind:
    if not isinstance(content, dict):
        raise ConfigError(f"{where} is not an object")
    value = content.get(name)
    if not isinstance(value, kind):
        raise ConfigError(f"{where}: {name} is missing or not of type {kind.__name__}")
    return value


def _flag(given: Mapping[str, Any], name: str, where: str) -> bool:
    value = given.get(name, False)
    if not isinstance(value, bool):
        raise ConfigError(f"{where}: {name} is true or false, not {value!r}")
    return value


def _max_delivery_count(given: Mapping[str, Any], where: str) -> int:
    value = given.get("MaxDeliveryCount", 3)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 10:
        raise ConfigError(f"{where}: MaxDeliveryCount is a number from 1 to 10, not {value!r}")
    return value


def _duration(given: Mapping[str, Any], name: str, where: str) -> timedelta:
    default, least, most = _DURATIONS[name]
    text = given.get(name, default)
    match = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ConfigError(f"{where}: {name} is an ISO 8601 duration such as PT1M, not {text!r}")
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    value = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    if not least <= value <= most:
        raise ConfigError(f"{where}: {name} {text} is not between {least} and {most} (hours:minutes:seconds)")
    return value
