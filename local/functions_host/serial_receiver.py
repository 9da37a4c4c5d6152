"""Local stack, Functions host: a Service Bus receiver whose calls never run side by side."""

import asyncio

from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusReceiver

# A call that waits for the broker looks this often whether its answer has come; the SDK's 0.2 s would be
# felt in every settlement.
SOCKET_TIMEOUT_SECONDS = 0.05


class SerialReceiver:
    """The SDK declares its receivers unsafe for concurrent use: whoever listens may swallow another's answer.

    Callers queue up in order of arrival; `receive` must therefore be short while others may want to settle.
    """

    def __init__(self, receiver: ServiceBusReceiver) -> None:
        self._receiver = receiver
        self._turn = asyncio.Lock()

    async def receive(self, wait_seconds: float) -> list[ServiceBusReceivedMessage]:
        """One message, or none in this time: asked for more, the SDK would hold the first one back a while."""
        async with self._turn:
            return await self._receiver.receive_messages(1, max_wait_time=wait_seconds)

    async def complete(self, message: ServiceBusReceivedMessage) -> None:
        async with self._turn:
            await self._receiver.complete_message(message)

    async def abandon(self, message: ServiceBusReceivedMessage) -> None:
        async with self._turn:
            await self._receiver.abandon_message(message)

    async def renew_lock(self, message: ServiceBusReceivedMessage) -> None:
        async with self._turn:
            await self._receiver.renew_message_lock(message)
