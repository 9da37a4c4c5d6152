"""Contract of the Functions host's small parts: frames, routes, schedules, settings, redaction."""

import json
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from local.functions_host.bindings import Function, HttpTrigger, RetryPolicy
from local.functions_host.blob_paths import BlobPath
from local.functions_host.channel import encode_frame, read_frame
from local.functions_host.errors import ConfigurationError
from local.functions_host.logs import redact
from local.functions_host.ncrontab import Schedule
from local.functions_host.routes import Router
from local.functions_host.service_bus_listener import renewal_delay
from local.functions_host.settings import load_settings
from local.functions_host.timers import retry_delay
from local.functions_host.worker_process import restart_delay_seconds


def a_function(route: str, *methods: str) -> Function:
    trigger = HttpTrigger(route=route, methods=frozenset(methods), auth_level="anonymous")
    return Function(
        name=route, id=route, script_file="f.py", argument="req", trigger=trigger, raw_bindings=(), retry=None
    )


def route_params(template: str, path: str) -> dict[str, str] | None:
    found = Router((a_function(template),), "").match("GET", path)
    return None if found is None else dict(found.route_params)


def test_a_frame_brings_text_and_bytes_back_as_they_were() -> None:
    """Bytes travel beside the JSON, nested ones and empty ones too."""
    message = {"id": "é", "inputs": {"a": {"bytes": b"\x00\xff"}, "b": {"bytes": b""}}, "list": [b"x", 1, None]}
    assert read_frame(BytesIO(encode_frame(message))) == message


def test_a_torn_frame_is_the_end_of_the_stream() -> None:
    """A worker that dies while it writes leaves no half message behind."""
    assert read_frame(BytesIO(encode_frame({"id": "1"})[:-1])) is None


@pytest.mark.parametrize(
    ("template", "path", "expected"),
    [
        ("api/releases/{id}", "/api/releases/20251210.1", {"id": "20251210.1"}),
        ("api/releases/{id}", "/API/Releases/x", {"id": "x"}),
        ("api/releases/{id}", "/api/releases", None),
        ("api/releases/{id}", "/api/releases/x/y", None),
        ("api/releases/{id?}", "/api/releases", {}),
        ("items/{n:int}", "/items/12", {"n": "12"}),
        ("items/{n:int}", "/items/a", None),
        ("items/{n:int:min(3)}", "/items/2", None),
        ("items/{n:range(1,3)?}", "/items/3", {"n": "3"}),
        ("items/{n:length(2,3)}", "/items/abcd", None),
        (
            "items/{g:guid}",
            "/items/1b9a5575-d61c-42a7-834d-4b917504c4b2",
            {"g": "1b9a5575-d61c-42a7-834d-4b917504c4b2"},
        ),
        (r"days/{d:regex(^\d{{4}}-\d{{2}}$)}", "/days/2025-12", {"d": "2025-12"}),
        (r"days/{d:regex(^\d{{4}}-\d{{2}}$)}", "/days/2025-123", None),
        ("files/{*path}", "/files/a/b/c.txt", {"path": "a/b/c.txt"}),
        ("files/{*path}", "/files", {}),
        ("files/{name}.{kind}", "/files/a.b.json", {"name": "a", "kind": "b.json"}),
        ("pages/{n=1}", "/pages", {"n": "1"}),
        ("texts/{text}", "/texts/a%20b%2Fc", {"text": "a b/c"}),
        ("{ignored:maxlength(0)?}", "/", {}),
        ("{ignored:maxlength(0)?}", "/x", None),
    ],
)
def test_routes_match_as_in_asp_net(template: str, path: str, expected: dict[str, str] | None) -> None:
    """Templates with constraints, optional and catch-all parameters, defaults and mixed segments."""
    assert route_params(template, path) == expected


def test_the_most_specific_route_answers_whatever_the_order_of_definition() -> None:
    """Literals go before constrained parameters, those before free ones, catch-alls come last."""
    templates = ("{*rest}", "api/{name}", "api/{n:int}", "api/health")
    router = Router(tuple(a_function(template) for template in templates), "")
    paths = ("/api/health", "/api/7", "/api/x", "/y")
    found = [router.match("GET", path) for path in paths]
    assert [match and match.function.name for match in found] == ["api/health", "api/{n:int}", "api/{name}", "{*rest}"]


def test_two_functions_share_a_route_by_method_and_no_other_method_matches() -> None:
    """A wrong method is no match at all, which the client sees as 404."""
    router = Router((a_function("a/{t}", "GET"), a_function("a/{u}", "POST")), "prefix")
    post = router.match("POST", "/prefix/a/1")
    assert post is not None
    assert post.route_params == {"u": "1"}
    assert router.match("DELETE", "/prefix/a/1") is None


def test_an_unknown_route_constraint_is_refused() -> None:
    """A typing error in a route is told at start, not by a puzzling 404."""
    with pytest.raises(ConfigurationError, match="'integer' is unknown"):
        Router((a_function("items/{n:integer}"),), "")


@pytest.mark.parametrize(
    ("expression", "after", "expected"),
    [
        ("0 */5 * * * *", "2025-12-10T09:01:00", "2025-12-10T09:05:00"),
        ("*/2 * * * * *", "2025-12-10T09:01:00", "2025-12-10T09:01:02"),
        ("30 0 3 * * *", "2025-12-10T09:01:00", "2025-12-11T03:00:30"),
        ("*/15 * * * *", "2025-12-10T09:01:00", "2025-12-10T09:15:00"),
        ("0 30 9 * * 1-5", "2025-12-12T10:00:00", "2025-12-15T09:30:00"),
        ("0 0 0 13 * FRI", "2025-12-10T00:00:00", "2026-02-13T00:00:00"),
    ],
)
def test_ncrontab_has_seconds_first_and_wants_both_days_to_fit(expression: str, after: str, expected: str) -> None:
    """The field order and the day rule in which NCRONTAB differs from cron."""
    moment = datetime.fromisoformat(after).replace(tzinfo=UTC)
    assert Schedule(expression).next_after(moment) == datetime.fromisoformat(expected).replace(tzinfo=UTC)


@pytest.mark.parametrize("expression", ["", "* * *", "@hourly", "61 * * * * *", "0 0 L * * *"])
def test_a_schedule_that_is_not_ncrontab_is_refused(expression: str) -> None:
    """What Azure would refuse must not start locally."""
    with pytest.raises(ConfigurationError, match="NCRONTAB"):
        Schedule(expression)


@pytest.mark.parametrize(
    ("pattern", "blob", "expected"),
    [
        ("build-artifacts/{name}", "releases/1/b/changed.json", {"name": "releases/1/b/changed.json"}),
        ("build-artifacts/{folder}/{file}.json", "a/b/c.json", {"folder": "a/b", "file": "c"}),
        ("build-artifacts/{file}.json", "c.txt", None),
        ("build-artifacts", "anything", {}),
        ("other/{name}", "x", None),
    ],
)
def test_placeholders_of_blob_paths_span_slashes(pattern: str, blob: str, expected: dict[str, str] | None) -> None:
    """`{name}` takes the whole rest of the blob's name."""
    assert BlobPath(pattern).match("build-artifacts", blob) == expected


def write_settings(directory: Path, values: dict[str, str], host: dict[str, Any]) -> Path:
    (directory / "host.json").write_text(json.dumps(host))
    settings = directory / "local.settings.json"
    settings.write_text(json.dumps({"IsEncrypted": False, "Values": values}))
    return settings


def test_app_settings_override_host_json(tmp_path: Path) -> None:
    """`AzureFunctionsJobHost__` settings win, as documented."""
    values = {"AzureFunctionsJobHost__extensions__serviceBus__maxConcurrentCalls": "3", "PAUSE": "0 * * * * *"}
    host = {"functionTimeout": "-1", "extensions": {"serviceBus": {"maxAutoLockRenewalDuration": "01:00:00"}}}
    settings = load_settings(tmp_path, write_settings(tmp_path, values, host))
    assert settings.service_bus.max_concurrent_calls == 3
    assert settings.service_bus.max_lock_renewal == timedelta(hours=1)
    assert settings.function_timeout is None
    assert settings.route_prefix == "api"
    assert settings.resolve("%PAUSE%") == "0 * * * * *"


def test_a_missing_setting_or_connection_is_named(tmp_path: Path) -> None:
    """The message says which setting to add."""
    settings = load_settings(tmp_path, write_settings(tmp_path, {}, {}))
    with pytest.raises(ConfigurationError, match="add QUEUE to the settings"):
        settings.resolve("%QUEUE%")
    with pytest.raises(ConfigurationError, match="add 'Bus' with a connection string"):
        settings.connection_string("Bus")


def test_the_child_sees_the_settings_and_little_else(tmp_path: Path) -> None:
    """The environment of whoever starts the stack must not leak into the app."""
    settings = load_settings(tmp_path, write_settings(tmp_path, {"A": "1"}, {}))
    environment = settings.child_environment({"PATH": "/bin", "SECRET": "x"})
    assert environment["A"] == "1"
    assert environment["PATH"] == "/bin"
    assert environment["PYTHON_THREADPOOL_THREAD_COUNT"] == "16"
    assert "SECRET" not in environment


def test_logs_hold_no_approval_link_and_no_key() -> None:
    """Both would let whoever reads the log act."""
    text = redact("GET /approvals/abc.def-123?code=key1 referer http://x/?a=b&code=key2")
    assert text == "GET /approvals/[redacted]?code=[redacted] referer http://x/?a=b&code=[redacted]"


def test_locks_are_renewed_ten_seconds_before_they_end_or_halfway() -> None:
    """The rule of Azure's own message processor."""
    assert renewal_delay(timedelta(seconds=60)) == timedelta(seconds=50)
    assert renewal_delay(timedelta(seconds=8)) == timedelta(seconds=4)
    assert renewal_delay(timedelta(seconds=-1)) == timedelta()


def test_exponential_retries_double_up_to_their_limit() -> None:
    """`@app.retry` with minimum and maximum interval."""
    seconds = timedelta(seconds=1)
    policy = RetryPolicy(max_retries=5, exponential=True, delay=2 * seconds, longest_delay=10 * seconds)
    assert [retry_delay(policy, attempt).seconds for attempt in range(4)] == [2, 4, 8, 10]


def test_only_a_worker_that_keeps_dying_young_is_restarted_slowly() -> None:
    """A crash after a long good life costs next to nothing, the tenth in a row ten seconds."""
    assert [restart_delay_seconds(deaths) for deaths in (0, 1, 5, 50)] == [0.1, 0.5, 10, 10]
