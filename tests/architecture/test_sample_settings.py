"""local.settings.sample.json holds every setting that people set, and none that nobody reads."""

import json
from pathlib import Path

import pytest

from shared.config import Settings

ROOT = Path(__file__).resolve().parents[2]
VALUES: dict[str, str] = json.loads((ROOT / "local.settings.sample.json").read_text(encoding="utf-8"))["Values"]
READ_BY_THE_HOST = {"FUNCTIONS_WORKER_RUNTIME", "AzureWebJobsStorage", "PYTHON_THREADPOOL_THREAD_COUNT"}
READ_BY_THE_IDENTITY_LIBRARY = {"AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"}


def names_of(field: str) -> set[str]:
    """The environment variables that fill a field."""
    alias = Settings.model_fields[field].validation_alias
    if alias is None:
        return {field.upper()}
    return {alias} if isinstance(alias, str) else {str(choice) for choice in getattr(alias, "choices", ())}


def test_every_sample_value_is_read_by_somebody() -> None:
    """A renamed setting must not be left behind there."""
    known = {name for field in Settings.model_fields for name in names_of(field)}
    assert set(VALUES) - known - READ_BY_THE_HOST - READ_BY_THE_IDENTITY_LIBRARY == set()


def test_the_sample_values_are_a_working_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    """Copied as it stands, the file starts the app: link approvals are allowed in it, keys are long enough."""
    for name, value in VALUES.items():
        monkeypatch.setenv(name, value)
    read = Settings()
    assert read.approval_mode == "link"
    assert read.allow_link_approvals
    assert read.approvers


def test_the_samples_limits_are_the_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    """30 s, 15 min, 24 h and the rest: the sample shows the defaults and changes none."""
    for name in VALUES:
        monkeypatch.delenv(name, raising=False)
    defaults = Settings()
    for name, value in VALUES.items():
        monkeypatch.setenv(name, value)
    assert Settings().policy() == defaults.policy()
    assert defaults.policy().poll.total_seconds() == 30
    assert defaults.policy().smoke_limit.total_seconds() == 15 * 60
    assert defaults.policy().gate_limit.total_seconds() == 24 * 3600


def test_nothing_that_is_delivered_has_the_host_record_queries() -> None:
    """SECURITY.md: links to pages carry their token in the query, which the host's telemetry leaves out unless told to."""
    host = json.loads((ROOT / "host.json").read_text(encoding="utf-8"))
    assert host["telemetryMode"] == "OpenTelemetry"
    assert "applicationInsights" not in host["logging"]
    delivered = [ROOT / "host.json", ROOT / "local.settings.sample.json", *(ROOT / "infra").rglob("*.*")]
    texts = {path.name: path.read_text(encoding="utf-8").lower() for path in delivered if path.is_file()}
    for switch in ("DISABLE_URL_QUERY_REDACTION", "enableQueryStringTracing"):
        assert [name for name, text in texts.items() if switch.lower() in text] == []
