"""The mail channel through the real azure-communication-email client, against a small server that speaks its REST."""

import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from azure.communication.email import EmailClient
from azure.core.credentials import AzureKeyCredential

from shared.adapters.email import CLIENT_OPTIONS, CommunicationServicesNotifier
from shared.application.mail_budget import MailBudget
from shared.domain.errors import ConfigurationError, PermanentError, TransientError
from tests.support.clock import ManualClock
from tests.support.fakes_state import FakeMailLog
from tests.support.net import free_ports
from tests.support.release_samples import APPROVER, ESTATE, a_letter

KEY = "YSBrZXkgdGhhdCBwcm90ZWN0cyBub3RoaW5n"


@dataclass
class MailService:
    """`POST /emails:send` is answered 202, `GET /emails/operations/{id}` with the operation's status."""

    answer: int = 202
    headers: Mapping[str, str] = field(default_factory=dict)
    outcome: Mapping[str, object] = field(default_factory=lambda: {"status": "Succeeded"})
    taken: dict[str, dict[str, Any]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)

    def send(self, operation_id: str, message: dict[str, Any]) -> tuple[int, Mapping[str, str], object]:
        self.requests.append(operation_id)
        if self.answer != 202:
            return self.answer, self.headers, {"error": {"code": "X", "message": "the service's own words"}}
        if operation_id in self.taken:
            return 409, {}, {"error": {"code": "OperationExists", "message": "used already"}}
        self.taken[operation_id] = message
        return 202, {"Operation-Location": f"/emails/operations/{operation_id}?api-version=x"}, {"status": "Running"}


@pytest.fixture
def service() -> MailService:
    return MailService()


@pytest.fixture
def endpoint(service: MailService) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            assert self.path.startswith("/emails:send?api-version=")
            assert self.headers["Authorization"]
            status, headers, said = service.send(self.headers["Operation-Id"], body)
            location = {n: f"{base}{v}" if n == "Operation-Location" else v for n, v in headers.items()}
            self._reply(status, location, said)

        def do_GET(self) -> None:
            self._reply(200, {}, {"id": self.path, **service.outcome})

        def _reply(self, status: int, headers: Mapping[str, str], said: object) -> None:
            body = json.dumps(said).encode()
            self.send_response(status)
            for name, value in {
                **headers,
                "Content-Type": "application/json",
                "Content-Length": str(len(body)),
            }.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    base = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield base
    server.shutdown()
    server.server_close()
    thread.join()


def notifier(endpoint: str, *, budget: MailBudget | None = None) -> CommunicationServicesNotifier:
    client = EmailClient(endpoint, AzureKeyCredential(KEY), **CLIENT_OPTIONS)
    return CommunicationServicesNotifier(
        client=client, sender="releases@example.com", estate=ESTATE, budget=budget or a_budget(100, ManualClock())
    )


def a_budget(per_minute: int, clock: ManualClock, log: FakeMailLog | None = None) -> MailBudget:
    return MailBudget(log=log or FakeMailLog(), clock=clock, limits={timedelta(minutes=1): per_minute})


def test_a_letter_arrives_with_text_html_and_the_headers_of_its_thread(endpoint: str, service: MailService) -> None:
    """One recipient, the code in the text, a thread per release, no tracking of links."""
    notifier(endpoint).deliver(a_letter())
    (message,) = service.taken.values()
    assert message["recipients"] == {"to": [{"address": APPROVER}]}
    assert message["senderAddress"] == "releases@example.com"
    assert "\nCode: 042137\n" in message["content"]["plainText"]
    assert "042137" in message["content"]["html"]
    assert message["content"]["subject"].startswith("Please decide")
    assert message["headers"]["References"] == "<release-20251210.1@example.com>"
    assert message["headers"]["Message-ID"].endswith("@example.com>")
    assert message["headers"]["Auto-Submitted"] == "auto-generated"
    assert message["userEngagementTrackingDisabled"] is True


def test_a_repeat_after_a_lost_answer_is_the_same_operation(endpoint: str, service: MailService) -> None:
    """The operation id follows from the message id; that the service has it already is success."""
    notifier(endpoint).deliver(a_letter())
    notifier(endpoint).deliver(a_letter())
    assert len(service.requests) == 2
    assert len(set(service.requests)) == len(service.taken) == 1


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, PermanentError),
        (401, ConfigurationError),
        (403, ConfigurationError),
        (429, TransientError),
        (500, TransientError),
        (503, TransientError),
    ],
)
def test_what_the_service_says_is_told_apart(
    endpoint: str, service: MailService, status: int, error: type[Exception]
) -> None:
    """Asked once: the repeating is done by the notice, not by the client inside a function."""
    service.answer = status
    with pytest.raises(error):
        notifier(endpoint).deliver(a_letter())
    assert len(service.requests) == 1


@pytest.mark.parametrize("as_date", [False, True])
def test_the_wait_the_service_asks_for_is_passed_on(endpoint: str, service: MailService, *, as_date: bool) -> None:
    """429 with Retry-After, in seconds or as a date: the next attempt comes no sooner."""
    until = format_datetime(datetime.now(UTC) + timedelta(seconds=73), usegmt=True)
    service.answer, service.headers = 429, {"Retry-After": until if as_date else "73"}
    with pytest.raises(TransientError) as caught:
        notifier(endpoint).deliver(a_letter())
    assert caught.value.retry_after is not None
    assert timedelta(seconds=71) <= caught.value.retry_after <= timedelta(seconds=73)


def test_a_message_the_service_could_not_send_is_refused_with_its_reason(endpoint: str, service: MailService) -> None:
    """Accepted is not sent: the operation's end is what counts."""
    service.outcome = {"status": "Failed", "error": {"code": "EmailDropped", "message": "recipient is suppressed"}}
    with pytest.raises(PermanentError):
        notifier(endpoint).deliver(a_letter())


def test_a_service_that_is_down_is_tried_again_later() -> None:
    """Nobody listens."""
    (port,) = free_ports(1)
    with pytest.raises(TransientError, match="does not answer"):
        notifier(f"http://127.0.0.1:{port}").deliver(a_letter())


def test_all_instances_together_keep_the_senders_budget(endpoint: str, service: MailService) -> None:
    """The third mail of a minute waits until the first is a minute old, whoever sent it; the service never sees it."""
    clock, log = ManualClock(), FakeMailLog()
    one, other = (notifier(endpoint, budget=a_budget(2, clock, log)) for _ in range(2))
    one.deliver(a_letter())
    clock.forward(timedelta(seconds=20))
    other.deliver(a_letter())
    for instance in (one, other):
        with pytest.raises(TransientError) as caught:
            instance.deliver(a_letter())
        assert caught.value.retry_after == timedelta(seconds=40)
    assert len(service.requests) == 2
    clock.forward(timedelta(seconds=40))
    other.deliver(a_letter())
    assert len(service.requests) == 3
