"""The Teams channel against a small webhook, and against addresses it must not call."""

import json
import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from shared.adapters.teams import TeamsNotifier
from shared.domain.errors import ConfigurationError, PermanentError, TransientError
from tests.support.release_samples import a_letter

SECRET = "sig-of-the-webhook"


@dataclass
class Webhook:
    """What was posted, and what to answer."""

    status: int = 202
    headers: dict[str, str] = field(default_factory=dict)
    posts: list[tuple[str, dict[str, Any]]] = field(default_factory=list)


@pytest.fixture
def webhook() -> Webhook:
    return Webhook()


@pytest.fixture
def url(webhook: Webhook) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            webhook.posts.append((self.path, json.loads(body)))
            self.send_response(webhook.status)
            for name, value in webhook.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/workflows/1?sig={SECRET}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("status", [200, 202])
def test_a_card_is_posted_whole_to_the_webhook(url: str, webhook: Webhook, status: int) -> None:
    """Path and query as they are in the setting, the envelope as JSON."""
    webhook.status = status
    TeamsNotifier(webhook_url=url).deliver(a_letter())
    ((path, message),) = webhook.posts
    assert path == f"/workflows/1?sig={SECRET}"
    assert message["attachments"][0]["content"]["type"] == "AdaptiveCard"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (429, TransientError),
        (500, TransientError),
        (503, TransientError),
        (400, PermanentError),
        (302, PermanentError),
        (401, ConfigurationError),
        (404, ConfigurationError),
        (410, ConfigurationError),
    ],
)
def test_what_the_webhook_answers_is_told_apart_without_its_address(
    url: str, webhook: Webhook, status: int, error: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    """Later, never, or a wrong setting; no redirect is followed; the secret stands in no error and no log."""
    webhook.status, webhook.headers = status, {"Location": url}
    caplog.set_level(logging.DEBUG)
    with pytest.raises(error, match=str(status)) as caught:
        TeamsNotifier(webhook_url=url).deliver(a_letter())
    assert len(webhook.posts) == 1
    assert SECRET not in f"{caught.value!r} {caught.value.__cause__!r} {caplog.text}"


def test_the_webhooks_own_wish_when_to_come_back_is_kept(url: str, webhook: Webhook) -> None:
    """Retry-After in seconds."""
    webhook.status, webhook.headers = 429, {"Retry-After": "17"}
    with pytest.raises(TransientError) as caught:
        TeamsNotifier(webhook_url=url).deliver(a_letter())
    assert caught.value.retry_after == timedelta(seconds=17)


def test_a_webhook_that_does_not_answer_is_tried_again_later(url: str, webhook: Webhook) -> None:
    """A connection that is refused says nothing about the address."""
    with pytest.raises(TransientError, match="does not answer") as caught:
        TeamsNotifier(webhook_url=f"https://127.0.0.1:1/?sig={SECRET}").deliver(a_letter())
    assert SECRET not in f"{caught.value!r} {caught.value.__cause__!r}"


@pytest.mark.parametrize(
    "address",
    [
        "",
        "not an address",
        "http://prod-1.westeurope.logic.azure.com/workflows/1",
        "https://logic.azure.com.evil.example/",
        "https://evil.example/?x=.logic.azure.com",
        "https://evil.example#.logic.azure.com",
        "https://evillogic.azure.com/",
        "https://api.powerautomate.com.evil.example/",
        "https://169.254.169.254/metadata",
        "https://10.0.0.1/",
        "ftp://127.0.0.1/",
        "https://[::1",
        "https://x.logic.azure.com:99999/",
    ],
)
def test_an_address_that_is_no_workflows_webhook_is_never_called(address: str) -> None:
    """Refused as a wrong setting, before anything is sent, without being repeated."""
    with pytest.raises(ConfigurationError, match="TEAMS_WEBHOOK_URL") as caught:
        TeamsNotifier(webhook_url=address).deliver(a_letter())
    assert "evil" not in str(caught.value)


@pytest.mark.parametrize(
    "host",
    ["prod-1.westeurope.logic.azure.com", "abc.environment.api.powerplatform.com", "api.powerautomate.com"],
)
def test_the_three_kinds_of_workflows_hosts_are_taken(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """They get past the check and as far as the network, which this test has none of."""

    def unreachable(*args: object, **kwargs: object) -> None:
        raise OSError("no network in this test")

    monkeypatch.setattr("socket.create_connection", unreachable)
    with pytest.raises(TransientError, match="does not answer"):
        TeamsNotifier(webhook_url=f"https://{host}/workflows/1").deliver(a_letter())
