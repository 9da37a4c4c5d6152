"""Adapter: commands as Service Bus messages (`MessageBus`), with derived ids, batched, scheduled where they have a delay."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import Lock
from typing import Any

from azure.core.exceptions import AzureError
from azure.servicebus import ServiceBusClient, ServiceBusMessage, ServiceBusSender
from azure.servicebus.exceptions import (
    MessageSizeExceededError,
    MessagingEntityDisabledError,
    MessagingEntityNotFoundError,
    ServiceBusAuthenticationError,
    ServiceBusAuthorizationError,
    ServiceBusError,
)

from shared.adapters.sign_in import is_refused
from shared.application.messages import kind_of, message_id, to_json
from shared.application.ports import Sendable
from shared.domain.commands import StepKind
from shared.domain.errors import ConfigurationError, PermanentError, PipelineError, TransientError

QUEUES: Mapping[str, str] = {
    StepKind.INSPECT: "promotion",
    StepKind.PROMOTE: "promotion",
    StepKind.DEPLOY: "deployment",
    StepKind.ACTIVATE: "deployment",
    StepKind.RESTORE: "deployment",
    StepKind.SMOKE_TEST: "smoke-test",
}
CONTROL = "control"
"""Everything that is no step."""
CLIENT_OPTIONS: dict[str, Any] = {"retry_total": 2, "retry_backoff_factor": 0.4, "retry_backoff_max": 5}
"""For the client: whoever can't send raises, and the host or the sweeper comes again."""
REFUSED = (
    ServiceBusAuthenticationError,
    ServiceBusAuthorizationError,
    MessagingEntityNotFoundError,
    MessagingEntityDisabledError,
)
TRIES = 2
SEND_WITHIN_SECONDS = 30
"""Others wait for the same sender meanwhile."""


def queue_of(command: Sendable) -> str:
    return QUEUES.get(kind_of(command), CONTROL)


class ServiceBusMessageBus:
    """One sender per queue for the whole process: opening one costs half a second and a connection."""

    def __init__(self, client: ServiceBusClient) -> None:
        self._client = client
        self._outlets: dict[str, _Outlet] = {}
        self._opening = Lock()

    def send(self, commands: Sequence[Sendable]) -> None:
        now = datetime.now(UTC)
        queues: dict[str, list[ServiceBusMessage]] = defaultdict(list)
        for command in commands:
            queues[queue_of(command)].append(_message(command, now))
        for queue, messages in queues.items():
            self._outlet(queue).send(messages)

    def _outlet(self, queue: str) -> "_Outlet":
        with self._opening:
            return self._outlets.setdefault(queue, _Outlet(self._client, queue))

    def close(self) -> None:
        """Close the connections."""
        for outlet in self._outlets.values():
            outlet.close()


class _Outlet:
    """One queue's sender; the SDK's is not made for several threads."""

    def __init__(self, client: ServiceBusClient, queue: str) -> None:
        self._client = client
        self._queue = queue
        self._lock = Lock()
        self._sender: ServiceBusSender | None = None

    def send(self, messages: Sequence[ServiceBusMessage]) -> None:
        with self._lock, _translated(self._queue):
            for last in (False,) * (TRIES - 1) + (True,):
                try:
                    self._send(messages)
                except (*REFUSED, MessageSizeExceededError):
                    self._drop()
                    raise
                except (ServiceBusError, AzureError, OSError, ValueError):
                    # A link the service closed while idle is only noticed here; ids make the repetition harmless.
                    self._drop()
                    if last:
                        raise
                else:
                    return

    def _send(self, messages: Sequence[ServiceBusMessage]) -> None:
        if self._sender is None:
            self._sender = self._client.get_queue_sender(self._queue)
        batch = self._sender.create_message_batch()
        for message in messages:
            try:
                batch.add_message(message)
            except MessageSizeExceededError:
                if not len(batch):
                    raise
                self._sender.send_messages(batch, timeout=SEND_WITHIN_SECONDS)
                batch = self._sender.create_message_batch()
                batch.add_message(message)
        self._sender.send_messages(batch, timeout=SEND_WITHIN_SECONDS)

    def _drop(self) -> None:
        sender, self._sender = self._sender, None
        if sender is not None:
            sender.close()

    def close(self) -> None:
        with self._lock:
            self._drop()


def _message(command: Sendable, now: datetime) -> ServiceBusMessage:
    return ServiceBusMessage(
        to_json(command),
        message_id=message_id(command),
        content_type="application/json",
        subject=kind_of(command),
        scheduled_enqueue_time_utc=now + command.delay if command.delay else None,
    )


@contextmanager
def _translated(queue: str) -> Iterator[None]:
    try:
        yield
    except (ServiceBusError, AzureError, OSError, ValueError) as error:
        raise _translate(error, queue) from error


def _within(error: Exception) -> BaseException | None:
    """What the SDK wraps: it reports a sign-in that failed as one of its own errors."""
    inner: BaseException | None = getattr(error, "inner_exception", None)
    return inner or error.__cause__


def _translate(error: Exception, queue: str) -> PipelineError:
    match error:
        case MessageSizeExceededError():
            return PermanentError(f"Service Bus, queue {queue}: a message is too large: {error}")
        case _ if isinstance(error, REFUSED) or is_refused(error) or is_refused(_within(error)):
            return ConfigurationError(
                f"Service Bus, queue {queue}: {error}. Check the ServiceBus settings and the app's role on the namespace"
            )
        case _:
            return TransientError(f"Service Bus, queue {queue}: {error}")
