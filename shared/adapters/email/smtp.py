"""Adapter: delivers letters over SMTP and tells what passes by itself from what does not."""

import smtplib
import ssl
from dataclasses import dataclass, field
from email.message import EmailMessage

from shared.adapters.email.message import mime_message
from shared.application.ports import Estate, Letter
from shared.config import Settings
from shared.domain.errors import ConfigurationError, PermanentError, TransientError

TIMEOUT_SECONDS = 20
ACCOUNT_CODES = frozenset({530, 534, 535, 538})


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpServer:
    """Where mail is handed in, and as whom."""

    host: str
    port: int
    sender: str
    starttls: bool = True
    user: str = ""
    password: str = field(default="", repr=False)

    @classmethod
    def of(cls, settings: Settings) -> "SmtpServer":
        """From the SMTP settings."""
        return cls(
            host=settings.smtp_host,
            port=settings.smtp_port,
            sender=settings.mail_from,
            starttls=settings.smtp_starttls,
            user=settings.smtp_user,
            password=settings.smtp_password.get_secret_value(),
        )


class SmtpNotifier:
    """The mail channel; one connection per letter, for there are few."""

    def __init__(self, *, server: SmtpServer, estate: Estate) -> None:
        self._server = server
        self._estate = estate

    def deliver(self, letter: Letter) -> None:
        message = mime_message(letter, sender=self._server.sender, estate=self._estate)
        try:
            self._send(message)
        except smtplib.SMTPNotSupportedError as error:
            raise ConfigurationError(f"the mail server can't do what the SMTP settings ask for: {error}") from error
        except smtplib.SMTPRecipientsRefused as error:
            raise _refusal(*next(iter(error.recipients.values()))) from error
        except smtplib.SMTPResponseException as error:
            raise _refusal(error.smtp_code, error.smtp_error) from error
        except ssl.SSLCertVerificationError as error:
            raise ConfigurationError(f"the mail server's certificate is not trusted: {error.verify_message}") from error
        except (smtplib.SMTPException, OSError) as error:
            raise TransientError(
                f"the mail server {self._server.host} does not answer: {type(error).__name__}"
            ) from error

    def _send(self, message: EmailMessage) -> None:
        server = self._server
        with smtplib.SMTP(server.host, server.port, timeout=TIMEOUT_SECONDS) as connection:
            if server.starttls:
                connection.starttls(context=ssl.create_default_context())
            if server.user:
                connection.login(server.user, server.password)
            connection.send_message(message)


def _refusal(code: int, said: bytes | str) -> TransientError | PermanentError:
    """RFC 5321 section 4.2.1: 4yz may pass, 5yz will not. RFC 4954: 530, 534, 535 and 538 are about the account."""
    if code in ACCOUNT_CODES:
        return ConfigurationError(f"the mail server refuses SMTP_USER and SMTP_PASSWORD ({code})")
    text = said.decode(errors="replace") if isinstance(said, bytes) else said
    message = f"the mail server said {code} {' '.join(text.split())[:200]}"
    return TransientError(message) if 400 <= code < 500 else PermanentError(message)
