"""The mail inbox as a person uses it: which mails are about this, which link and which code do they hold."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from local.demo.http import Http
from local.stack.approvals import Approvals
from local.stack.description import Stack

LINK = re.compile(r"https?://\S+/approvals/[\w.~-]+")
CODE = re.compile(r"^Code: (\d{6})\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """One mail as the inbox lists it."""

    id: str
    to: tuple[str, ...]
    subject: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """A mail that asks its recipient for a decision."""

    mail: Mail
    link: str
    code: str
    """Empty: one signs in instead."""


class Mailbox:
    """Reads the inbox through its API."""

    def __init__(self, stack: Stack) -> None:
        self._url = stack.mail_api_url
        self.has_codes = stack.approvals == Approvals.LINK
        self._http = Http()

    def mails(self) -> list[Mail]:
        """All mails, newest last."""
        entries = sorted(self._http.get(self._url).json(), key=lambda entry: entry["time"])
        return [
            Mail(
                id=entry["id"],
                to=tuple(recipient["address"] for recipient in entry["to"]),
                subject=entry.get("subject", ""),
                text=entry.get("text", ""),
            )
            for entry in entries
        ]


def invitation(mails: Iterable[Mail], release_id: str, gate: str, *, with_code: bool = True) -> Invitation | None:
    """The newest mail whose subject names this gate of this release and whose text has a link and, if any do, a code."""
    about = re.compile(rf"{re.escape(gate)}.*(?<![\d.]){re.escape(release_id)}(?!\d)", re.IGNORECASE)
    for mail in reversed(list(mails)):
        link, code = LINK.search(mail.text), CODE.search(mail.text)
        if link and bool(code) == with_code and about.search(mail.subject):
            return Invitation(mail=mail, link=link.group(), code=code.group(1) if code else "")
    return None
