"""The mail channel against a real SMTP server that keeps the raw MIME."""

import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope

from shared.adapters.email import SmtpNotifier, SmtpServer
from shared.config import Settings
from shared.domain.errors import ConfigurationError, PermanentError, TransientError
from tests.support.release_samples import APPROVER, ESTATE, a_letter

LOCALHOST = "127.0.0.1"


@dataclass
class Inbox:
    """What arrived, and what the server is to answer."""

    answer: str = "250 OK"
    rcpt_answer: str = ""
    raw: list[bytes] = field(default_factory=list)

    async def handle_RCPT(self, server: object, session: object, envelope: Envelope, address: str, options: Any) -> str:  # noqa: N802 - aiosmtpd's name
        if self.rcpt_answer:
            return self.rcpt_answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: object, session: object, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        assert isinstance(envelope.content, bytes)
        self.raw.append(envelope.content)
        return self.answer


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


def a_port() -> int:
    with socket.create_server((LOCALHOST, 0)) as held:
        return int(held.getsockname()[1])


@pytest.fixture
def port(inbox: Inbox) -> Iterator[int]:
    controller = Controller(inbox, hostname=LOCALHOST, port=a_port())
    controller.start()
    yield controller.port
    controller.stop()


def notifier(port: int, **changes: Any) -> SmtpNotifier:
    values: dict[str, Any] = {"host": LOCALHOST, "port": port, "sender": "releases@example.com", "starttls": False}
    server = SmtpServer(**values | changes)
    return SmtpNotifier(server=server, estate=ESTATE)


def test_a_letter_arrives_as_one_multipart_message(port: int, inbox: Inbox) -> None:
    """Raw MIME: headers of ours, text part first, the code on a line of its own."""
    notifier(port).deliver(a_letter())
    (raw,) = inbox.raw
    head = raw.split(b"\r\n\r\n", 1)[0].decode()
    assert f"To: {APPROVER}" in head.split("\r\n")
    assert "Auto-Submitted: auto-generated" in head.split("\r\n")
    assert "Content-Type: multipart/alternative" in head
    assert raw.index(b"text/plain") < raw.index(b"text/html")
    assert b"\r\nCode: 042137\r\n" in raw


def test_the_same_letter_twice_carries_the_same_message_id(port: int, inbox: Inbox) -> None:
    """A repeat after a lost answer is recognisable."""
    notifier(port).deliver(a_letter())
    notifier(port).deliver(a_letter())
    ids = [line for raw in inbox.raw for line in raw.split(b"\r\n") if line.lower().startswith(b"message-id:")]
    assert len(ids) == 2
    assert ids[0] == ids[1]


@pytest.mark.parametrize(("answer", "error"), [("451 busy", TransientError), ("554 spam", PermanentError)])
def test_what_the_server_says_of_the_message_is_told_apart(
    port: int, inbox: Inbox, answer: str, error: type[Exception]
) -> None:
    """4xx may pass, 5xx will not (RFC 5321)."""
    inbox.answer = answer
    with pytest.raises(error, match=answer[:3]):
        notifier(port).deliver(a_letter())


@pytest.mark.parametrize(("answer", "error"), [("450 grey", TransientError), ("550 unknown", PermanentError)])
def test_what_the_server_says_of_the_recipient_is_told_apart(
    port: int, inbox: Inbox, answer: str, error: type[Exception]
) -> None:
    """Grey-listing passes, an unknown mailbox does not."""
    inbox.rcpt_answer = answer
    with pytest.raises(error, match=answer[:3]):
        notifier(port).deliver(a_letter())
    assert inbox.raw == []


def test_a_server_that_is_down_is_tried_again_later() -> None:
    """Nobody listens: transient, and the message names the host only."""
    with pytest.raises(TransientError, match="does not answer"):
        notifier(a_port()).deliver(a_letter())


def test_a_server_without_the_encryption_asked_for_is_a_wrong_setting(port: int, inbox: Inbox) -> None:
    """Codes never travel in the clear because a server could not do better."""
    with pytest.raises(ConfigurationError, match="SMTP settings"):
        notifier(port, starttls=True).deliver(a_letter())
    assert inbox.raw == []


@pytest.fixture
def encrypted(inbox: Inbox) -> Iterator[tuple[int, trustme.CA]]:
    """A server that insists on STARTTLS and on a password."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(LOCALHOST).configure_cert(context)

    def check(server: object, session: object, envelope: object, mechanism: str, data: Any) -> AuthResult:
        return AuthResult(success=data.password == b"right", handled=False)

    controller = Controller(
        inbox,
        hostname=LOCALHOST,
        port=a_port(),
        tls_context=context,
        require_starttls=True,
        authenticator=check,
        auth_required=True,
    )
    controller.start()
    yield controller.port, authority
    controller.stop()


def trust(authority: trustme.CA, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """OpenSSL's own way to name trusted authorities."""
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))


def test_an_encrypted_server_with_a_password_takes_the_letter(
    encrypted: tuple[int, trustme.CA], inbox: Inbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """STARTTLS, then the account."""
    port, authority = encrypted
    trust(authority, monkeypatch, tmp_path)
    notifier(port, starttls=True, user="releases", password="right").deliver(a_letter())
    assert len(inbox.raw) == 1


def test_a_wrong_password_is_a_wrong_setting_and_is_not_repeated_in_the_error(
    encrypted: tuple[int, trustme.CA], monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """The error names the settings, not their values."""
    port, authority = encrypted
    trust(authority, monkeypatch, tmp_path)
    with pytest.raises(ConfigurationError, match="SMTP_PASSWORD") as caught:
        notifier(port, starttls=True, user="releases", password="wrong-one").deliver(a_letter())
    assert "wrong-one" not in str(caught.value)


def test_an_untrusted_certificate_is_a_wrong_setting(encrypted: tuple[int, trustme.CA], inbox: Inbox) -> None:
    """Encryption to whoever answers is none."""
    with pytest.raises(ConfigurationError, match="not trusted"):
        notifier(encrypted[0], starttls=True).deliver(a_letter())
    assert inbox.raw == []


def test_the_server_comes_from_the_settings_and_hides_its_password() -> None:
    """Nothing prints it by accident."""
    settings = Settings(
        smtp_host="mail.example.com", smtp_port=2525, smtp_user="u", smtp_password="geheim", mail_from="a@b.example"
    )
    server = SmtpServer.of(settings)
    assert (server.host, server.port, server.sender, server.password) == (
        "mail.example.com",
        2525,
        "a@b.example",
        "geheim",
    )
    assert "geheim" not in repr(server)
