"""Unit: a setting that can't be used is the app's fault and nobody else's: the variable is named, its value is not."""

from collections.abc import Iterator

import azure.functions as func
import pytest

from shared.bootstrap import ports
from shared.config import settings
from shared.domain.errors import ConfigurationError
from shared.triggers import documents
from shared.triggers.http import json_reply, replies


@pytest.fixture(autouse=True)
def _read_anew() -> Iterator[None]:
    """Settings are read once per process."""
    for cached in (settings, ports):
        cached.cache_clear()
    yield
    for cached in (settings, ports):
        cached.cache_clear()


@pytest.mark.parametrize(
    ("variable", "value"),
    [("DEPLOYMENTS_KEPT", "1"), ("ALLOWED_LOG_LINES", "{not json"), ("LINK_SIGNING_KEYS", "a-short-key")],
)
def test_a_variable_that_cannot_be_used_is_named_without_its_value(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    """Nothing secret in errors."""
    monkeypatch.setenv(variable, value)

    with pytest.raises(ConfigurationError) as caught:
        settings()

    assert variable in str(caught.value).upper()
    assert value not in str(caught.value)


def test_a_caller_is_not_blamed_for_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was 422, "Invalid request", with a field that no request has."""
    monkeypatch.setenv("DEPLOYMENTS_KEPT", "1")

    @replies()
    def handler(_: func.HttpRequest) -> func.HttpResponse:
        return json_reply({"url": settings().public_url})

    reply = handler(func.HttpRequest(method="GET", url="/api/releases/1", body=b""))

    assert reply.status_code == 500
    assert "DEPLOYMENTS_KEPT: Input should be greater than or equal to 2" in reply.get_body().decode()


def test_the_health_check_says_which_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was a bare 500."""
    monkeypatch.setenv("DEPLOYMENTS_KEPT", "1")

    status, trouble, code = documents._health()

    assert (status, code) == ("degraded", 503)
    assert "DEPLOYMENTS_KEPT" in str(trouble["settings"])
