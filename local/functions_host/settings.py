"""Local stack, Functions host: the settings file and host.json, as the real host reads them."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from local.functions_host.easy_auth import Person, parse_people
from local.functions_host.errors import ConfigurationError

INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT")
DEFAULT_THREADS = "16"  # the real host would set 1000; the app's concurrency is bounded elsewhere
OVERRIDE = "AzureFunctionsJobHost__"  # documented prefix for app settings that override host.json
TIME_SPAN = re.compile(r"(?:(?P<d>\d+)\.)?(?P<h>\d+):(?P<m>\d+):(?P<s>\d+(?:\.\d+)?)")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceBusOptions:
    max_concurrent_calls: int
    prefetch_count: int
    auto_complete: bool
    max_lock_renewal: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSettings:
    """One app's settings; `values` are its application settings."""

    app_dir: Path
    values: Mapping[str, str]
    route_prefix: str
    service_bus: ServiceBusOptions
    blob_parallelism: int
    function_timeout: timedelta | None
    log_levels: Mapping[str, str]
    default_port: int | None
    people: tuple[Person, ...] = ()
    """Who can sign in by Easy Auth; nobody: it is off."""

    def resolve(self, text: str) -> str:
        """Replace every `%SETTING%` by the setting's value."""
        return re.sub(r"%([^%]+)%", lambda match: self._setting(match[1]), text)

    def connection_string(self, name: str) -> str:
        """The connection string that a binding's `connection` names."""
        for key in (f"AzureWebJobs{name}", name):
            if value := self.values.get(key):
                return value
        raise ConfigurationError(
            f"the connection '{name}' is not in the settings: add '{name}' with a connection string"
        )

    def child_environment(self, inherited: Mapping[str, str]) -> dict[str, str]:
        """What the worker process sees: a little of ours, and every application setting."""
        base = {key: inherited[key] for key in INHERITED if key in inherited}
        defaults = {
            "AzureWebJobsScriptRoot": str(self.app_dir),
            "FUNCTIONS_WORKER_RUNTIME": "python",
            "PYTHON_THREADPOOL_THREAD_COUNT": DEFAULT_THREADS,
        }
        # With Easy Auth the platform says so in an app setting, which is all the app may go by.
        signed_in = {"WEBSITE_AUTH_ENABLED": "True"} if self.people else {}
        return base | defaults | dict(self.values) | signed_in

    def _setting(self, name: str) -> str:
        if name not in self.values:
            raise ConfigurationError(f"'%{name}%' does not resolve to a value: add {name} to the settings")
        return self.values[name]


def load_settings(app_dir: Path, settings_file: Path) -> HostSettings:
    """Read both files. Raises: ConfigurationError."""
    local = _read_json(settings_file)
    if local.get("IsEncrypted"):
        raise ConfigurationError(f"{settings_file}: encrypted settings cannot be read")
    values = {key: str(value) for key, value in local.get("Values", {}).items()}
    host_file = app_dir / "host.json"
    host = _overridden(_read_json(host_file) if host_file.exists() else {}, values)
    extensions = host.get("extensions", {})
    local_host = local.get("Host", {})
    port = local_host.get("LocalHttpPort")
    return HostSettings(
        app_dir=app_dir,
        values=values,
        route_prefix=extensions.get("http", {}).get("routePrefix", "api").strip("/"),
        service_bus=_service_bus(extensions.get("serviceBus", {})),
        blob_parallelism=int(extensions.get("blobs", {}).get("maxDegreeOfParallelism", 8)),
        function_timeout=_timeout(host.get("functionTimeout", "00:30:00")),
        log_levels=host.get("logging", {}).get("logLevel", {}),
        default_port=None if port is None else int(port),
        people=parse_people(local_host["EasyAuth"]) if "EasyAuth" in local_host else (),
    )


def parse_time_span(text: str) -> timedelta:
    """A .NET TimeSpan such as `00:05:00` or `1.00:00:00`. Raises: ConfigurationError."""
    match = TIME_SPAN.fullmatch(text)
    if match is None:
        raise ConfigurationError(f"'{text}' is no time span of the form [d.]hh:mm:ss")
    return timedelta(
        days=int(match["d"] or 0), hours=int(match["h"]), minutes=int(match["m"]), seconds=float(match["s"])
    )


def _service_bus(options: Mapping[str, Any]) -> ServiceBusOptions:
    return ServiceBusOptions(
        max_concurrent_calls=int(options.get("maxConcurrentCalls", 16)),
        prefetch_count=int(options.get("prefetchCount", 0)),
        auto_complete=str(options.get("autoCompleteMessages", True)).lower() == "true",
        max_lock_renewal=parse_time_span(options.get("maxAutoLockRenewalDuration", "00:05:00")),
    )


def _timeout(text: str) -> timedelta | None:
    return None if text == "-1" else parse_time_span(text)


def _overridden(host: dict[str, Any], values: Mapping[str, str]) -> dict[str, Any]:
    for key, value in values.items():
        if key.lower().startswith(OVERRIDE.lower()):
            *path, last = key[len(OVERRIDE) :].split("__")
            section = host
            for name in path:
                section = section.setdefault(name, {})
            section[last] = value
    return host


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ConfigurationError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise ConfigurationError(f"{path} must hold a JSON object")
    return content
