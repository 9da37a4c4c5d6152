"""Adapter: a letter as a MIME message, the same bytes' worth of headers however often it is sent."""

import hashlib
import re
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from shared.application.ports import Estate, Letter
from shared.domain.errors import PermanentError
from shared.domain.model import Notice
from shared.domain.rows import notice_key
from shared.pages.mails import render_mail


def mime_message(letter: Letter, *, sender: str, estate: Estate) -> EmailMessage:
    """Multipart, text first, then HTML.

    Raises:
        PermanentError: the recipient or the sender is no mail address.
    """
    mail = render_mail(letter, estate)
    from_ = address(sender)
    message = EmailMessage(policy=SMTP)
    message["From"] = from_
    message["To"] = address(letter.notice.recipient)
    message["Subject"] = mail.subject
    # The notice's own time and names: a repeated delivery is recognisable as the same message.
    message["Date"] = format_datetime(letter.notice.created_at)
    message["Message-ID"] = message_id(letter.notice, from_.domain)
    thread = thread_id(letter.release.release_id, from_.domain)
    message["References"] = thread
    message["In-Reply-To"] = thread
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(mail.text)
    message.add_alternative(mail.html, subtype="html")
    return message


def address(text: str) -> Address:
    """A plain `name@host`; anything else, line breaks above all, is refused."""
    try:
        parsed = Address(addr_spec=text) if text.isascii() and text.isprintable() else None
    except (HeaderParseError, ValueError, IndexError):
        parsed = None
    if parsed is None or not parsed.username or not parsed.domain:
        raise PermanentError(f"{text[:100]!r} is no mail address")
    return parsed


def message_id(notice: Notice, domain: str) -> str:
    """The same for every attempt to deliver the same notice."""
    name = hashlib.sha256(f"{notice.release_id}|{notice_key(notice)}".encode()).hexdigest()[:32]
    return f"<{name}@{domain}>"


def thread_id(release_id: str, domain: str) -> str:
    """What all mails of one release refer to, so that mail programs show them together."""
    return f"<release-{re.sub('[^A-Za-z0-9.-]', '-', release_id)}@{domain}>"
