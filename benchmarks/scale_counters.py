"""What the benchmarks of many circuits count: table requests, messages, lost writes, sizes of mails."""

import re
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from azure.core.pipeline.transport import RequestsTransport
from azure.data.tables import TableServiceClient
from azure.servicebus import ServiceBusClient

from shared.adapters.email.message import mime_message
from shared.adapters.service_bus import ServiceBusMessageBus
from shared.adapters.table_store import TableReleaseStore
from shared.application.messages import kind_of
from shared.application.ports import Change, Letter, Sendable
from shared.domain.commands import RunStep
from shared.domain.errors import ConflictError
from shared.domain.model import Moment, Release
from shared.pages.mails import render_mail
from tests.support.circuit_world import ESTATE

TABLE = re.compile(r"://[^/]+/[^/]+/(\$batch|\w+)")


@dataclass
class Tally:
    """What was asked for, by whom: each thread says what it is doing."""

    requests: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(what for, method and table)."""
    messages: Counter[str] = field(default_factory=Counter)
    conflicts: Counter[str] = field(default_factory=Counter)
    _doing: threading.local = field(default_factory=threading.local)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def doing(self, what: str) -> Iterator[None]:
        self._doing.what = what
        try:
            yield
        finally:
            self._doing.what = "else"

    def request(self, method: str, url: str) -> None:
        found = TABLE.search(url)
        with self._lock:
            self.requests[getattr(self._doing, "what", "else"), f"{method} {found[1] if found else '?'}"] += 1

    def sent(self, command: Sendable) -> None:
        with self._lock:
            self.messages["circuit" if isinstance(command, RunStep) else kind_of(command)] += 1

    def conflict(self, row: str) -> None:
        with self._lock:
            self.conflicts[row] += 1

    def requests_for(self, *what: str) -> int:
        return sum(count for (doing, _), count in self.requests.items() if doing in what)


class CountingTransport(RequestsTransport):
    """Counts what goes over the wire, repetitions of the SDK included."""

    def __init__(self, tally: Tally) -> None:
        # No proxy stands before Azurite: a tenth of the time is looking for one.
        super().__init__(use_env_settings=False)
        self._tally = tally

    def send(self, request: Any, **kwargs: Any) -> Any:
        self._tally.request(request.method, request.url)
        return super().send(request, **kwargs)


class CountingReleases(TableReleaseStore):
    """Tells of writes that lost, by the kind of row."""

    def __init__(self, service: TableServiceClient, tally: Tally) -> None:
        super().__init__(service)
        self._tally = tally

    def commit(self, *changes: Change) -> Sequence[str]:
        try:
            return super().commit(*changes)
        except ConflictError:
            self._tally.conflict("release" if any(isinstance(c.row, Release) for c in changes) else "circuit")
            raise


class CountingBus(ServiceBusMessageBus):
    def __init__(self, client: ServiceBusClient, tally: Tally) -> None:
        super().__init__(client)
        self._tally = tally

    def send(self, commands: Sequence[Sendable]) -> None:
        for command in commands:
            self._tally.sent(command)
        super().send(commands)


@dataclass
class Inbox:
    """The mail channel: writes each letter as it would be sent, and keeps how large it is."""

    sizes: dict[Moment, int] = field(default_factory=dict)
    lines: dict[Moment, int] = field(default_factory=dict)

    def deliver(self, letter: Letter) -> None:
        mail = mime_message(letter, sender="releases@example.com", estate=ESTATE)
        text = render_mail(letter, ESTATE).text
        self.sizes[letter.notice.moment] = len(mail.as_bytes())
        self.lines[letter.notice.moment] = len(text.splitlines())
