"""docs/configuration.md from the app's Settings, so that no setting is forgotten and no default is a rumour."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import AliasChoices, SecretStr
from pydantic.fields import FieldInfo

from shared.config import Settings
from tools.markdown import code, table

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ROOT / "local.settings.sample.json"

# The field that begins a section -> its title and what to know before reading it.
SECTIONS: Mapping[str, tuple[str, str]] = {
    "state_storage": (
        "Connections",
        "Either the connection string, or the addresses below it with the app's managed identity.",
    ),
    "azure_subscription_id": ("Azure ML", "Which workspaces and which Registry. The Dev workspace is only ever read."),
    "approval_mode": (
        "People",
        "Who is asked, how they are reached, and what counts as an answer.",
    ),
    "website_auth_enabled": ("Sign-in", "Set by the platform, not by you."),
    "poll_seconds": (
        "Times, limits and schedules",
        "All but schedules and `ARTIFACT_SCAN_DAYS` are copied into a release when it starts: a change concerns new ones.",
    ),
}

# Values of local.settings.sample.json that the Functions host or an SDK reads, not the app.
HOST_SETTINGS: Mapping[str, str] = {
    "FUNCTIONS_WORKER_RUNTIME": "Always `python`",
    "AzureWebJobsStorage": "Storage of the Functions host itself: timers and keys",
    "AZURE_TENANT_ID": "With a service principal: its tenant. Leave empty with a managed identity",
    "AZURE_CLIENT_ID": "With a service principal: its id. With a user-assigned managed identity: the identity's client id",
    "AZURE_CLIENT_SECRET": "With a service principal: its secret. Leave empty with a managed identity",
    "PYTHON_THREADPOOL_THREAD_COUNT": "Threads for function calls; at least as many as `maxConcurrentCalls` in host.json",
}

MINUTE, HOUR, DAY = 60, 3600, 86400


def configuration() -> str:
    """The whole document."""
    return "\n".join(
        [
            "# Configuration",
            "",
            "Every setting of the app is an environment variable (in Azure: an application setting). The defaults are the",
            "values of the source document, so a new installation sets the connections, the people and `PUBLIC_URL`, and",
            "leaves the rest. An empty value counts as not set. A value that cannot be used stops the app at its first call",
            "with a message that names it. [`local.settings.sample.json`](../local.settings.sample.json) is a file to start",
            "from. Numbers such as R25 and D8 are explained in [requirements.md](requirements.md).",
            "",
            *_sections(),
            "## Read by the Functions host and the SDKs",
            "",
            table(("variable", "meaning"), [(code(name), HOST_SETTINGS[name]) for name in host_settings()]),
            "",
        ]
    )


def host_settings() -> list[str]:
    """The names in the sample that are none of the app's.

    Raises:
        KeyError: later, where one of them has no explanation here.
    """
    ours = {environment_name(name, field) for name, field in Settings.model_fields.items()}
    return [name for name in json.loads(SAMPLE.read_text(encoding="utf-8"))["Values"] if name not in ours]


def _sections() -> Iterator[str]:
    rows: list[tuple[str, str, str]] = []
    for name, field in Settings.model_fields.items():
        if name in SECTIONS:
            yield from _table(rows)
            title, text = SECTIONS[name]
            yield from (f"## {title}", "", text, "")
            rows = []
        rows.append((code(environment_name(name, field)), default(name, field), field.description or ""))
    yield from _table(rows)


def _table(rows: list[tuple[str, str, str]]) -> Iterator[str]:
    if rows:
        yield table(("variable", "default", "meaning"), rows)
        yield ""


def environment_name(name: str, field: FieldInfo) -> str:
    """The variable that a field is read from."""
    match field.validation_alias:
        case str(alias):
            return alias
        case AliasChoices(choices=[str(alias), *_]):
            return alias
        case _:
            return name.upper()


def default(name: str, field: FieldInfo) -> str:
    """A default as one writes it into a settings file."""
    value = field.default.get_secret_value() if isinstance(field.default, SecretStr) else field.default
    match value:
        case None | "" | ():
            return "empty"
        case bool():
            return code(str(value).lower())
        case int() | float() if name.endswith("_seconds"):
            told = duration(value)
            return code(f"{value:.0f}") + (f" ({told})" if not told.endswith(" s") else "")
        case _:
            return code(str(value))


def duration(seconds: float) -> str:
    """In the largest unit that is not a fraction: `90 s`, `15 min`, `24 h`, `14 d`."""
    for unit, size, fewest in (("d", DAY, 2), ("h", HOUR, 1), ("min", MINUTE, 1)):
        if seconds % size == 0 and seconds / size >= fewest:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"
