"""Local stack, Functions host: an indexed function's raw bindings as typed triggers."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from local.functions_host.errors import ConfigurationError
from local.functions_host.settings import HostSettings

DEAD_LETTER_SUFFIX = "/$deadletterqueue"


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpTrigger:
    route: str
    methods: frozenset[str]  # empty: every method
    auth_level: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TimerTrigger:
    schedule: str
    use_monitor: bool
    run_on_startup: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceBusTrigger:
    queue: str
    dead_letter: bool
    connection_string: str
    auto_complete: bool
    binary: bool

    @property
    def entity(self) -> str:
        return f"{self.queue}/$DeadLetterQueue" if self.dead_letter else self.queue


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobTrigger:
    path: str
    connection_string: str


type Trigger = HttpTrigger | TimerTrigger | ServiceBusTrigger | BlobTrigger


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """`@app.retry`; the host applies it to timers."""

    max_retries: int  # -1: for ever
    exponential: bool
    delay: timedelta
    longest_delay: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """One indexed function, its settings resolved."""

    name: str
    id: str
    script_file: str
    argument: str
    trigger: Trigger
    raw_bindings: tuple[Mapping[str, Any], ...]
    retry: RetryPolicy | None


def parse_functions(indexed: list[dict[str, Any]], settings: HostSettings) -> tuple[Function, ...]:
    """Raises: ConfigurationError, with one line for every function that cannot run."""
    functions: list[Function] = []
    problems: list[str] = []
    for each in indexed:
        try:
            functions.append(_function(each, settings))
        except ConfigurationError as error:
            problems.append(f"function '{each['name']}': {error}")
    if problems:
        raise ConfigurationError("\n".join(problems))
    return tuple(functions)


def _function(indexed: Mapping[str, Any], settings: HostSettings) -> Function:
    raw = tuple(json.loads(binding) for binding in indexed["raw_bindings"])
    triggers = [binding for binding in raw if binding["type"].lower().endswith("trigger")]
    if len(triggers) != 1:
        raise ConfigurationError(f"needs exactly one trigger, has {len(triggers)}")
    for binding in raw:
        if binding not in triggers and binding["type"].lower() != "http":
            raise ConfigurationError(f"the binding type '{binding['type']}' is not supported by this host")
    return Function(
        name=indexed["name"],
        id=indexed["id"],
        script_file=indexed["script_file"],
        argument=triggers[0]["name"],
        trigger=_trigger(_resolved(triggers[0], settings), indexed["name"], settings),
        raw_bindings=raw,
        retry=_retry(indexed["retry"]),
    )


def _trigger(binding: Mapping[str, Any], name: str, settings: HostSettings) -> Trigger:
    match binding["type"].lower():
        case "httptrigger":
            return HttpTrigger(
                route=(binding.get("route") or name).lstrip("/"),
                methods=frozenset(method.upper() for method in binding.get("methods") or ()),
                auth_level=(binding.get("authLevel") or "function").lower(),
            )
        case "timertrigger":
            return TimerTrigger(
                schedule=binding["schedule"],
                use_monitor=binding.get("useMonitor") is not False,
                run_on_startup=binding.get("runOnStartup") is True,
            )
        case "servicebustrigger":
            return _service_bus(binding, settings)
        case "blobtrigger":
            return _blob(binding, settings)
        case other:
            raise ConfigurationError(f"the trigger type '{other}' is not supported by this host")


def _service_bus(binding: Mapping[str, Any], settings: HostSettings) -> ServiceBusTrigger:
    if "queueName" not in binding:
        raise ConfigurationError("Service Bus topics are not supported by this host")
    if str(binding.get("cardinality", "ONE")).upper() != "ONE" or binding.get("isSessionsEnabled"):
        raise ConfigurationError("Service Bus batches and sessions are not supported by this host")
    queue: str = binding["queueName"]
    dead_letter = queue.lower().endswith(DEAD_LETTER_SUFFIX)
    return ServiceBusTrigger(
        queue=queue[: -len(DEAD_LETTER_SUFFIX)] if dead_letter else queue,
        dead_letter=dead_letter,
        connection_string=settings.connection_string(binding["connection"]),
        auto_complete=binding.get("autoCompleteMessages", settings.service_bus.auto_complete),
        binary=str(binding.get("dataType", "")).upper() == "BINARY",
    )


def _blob(binding: Mapping[str, Any], settings: HostSettings) -> BlobTrigger:
    if str(binding.get("source", "")).lower() != "eventgrid":
        # Flex Consumption knows no polling either.
        raise ConfigurationError('a blob trigger needs source="EventGrid" on Flex Consumption')
    return BlobTrigger(path=binding["path"], connection_string=settings.connection_string(binding["connection"]))


def _resolved(binding: Mapping[str, Any], settings: HostSettings) -> dict[str, Any]:
    return {key: settings.resolve(value) if isinstance(value, str) else value for key, value in binding.items()}


def _retry(options: Mapping[str, Any] | None) -> RetryPolicy | None:
    if options is None:
        return None
    exponential = options["strategy"] != "fixed_delay"
    delay = timedelta(seconds=options["minimum_interval" if exponential else "delay_interval"])
    return RetryPolicy(
        max_retries=int(options["max_retry_count"]),
        exponential=exponential,
        delay=delay,
        longest_delay=timedelta(seconds=options["maximum_interval"]) if exponential else delay,
    )
