"""Local stack, Functions host: Service Bus triggers on queues and their dead-letter queues."""

import asyncio
from datetime import UTC, datetime, timedelta

from azure.servicebus import ServiceBusReceivedMessage, ServiceBusSubQueue
from azure.servicebus.aio import ServiceBusClient
from azure.servicebus.exceptions import MessageLockLostError, ServiceBusError

from local.functions_host.bindings import Function, ServiceBusTrigger
from local.functions_host.errors import InvocationLostError
from local.functions_host.invoker import Invoker
from local.functions_host.logs import HostLog
from local.functions_host.serial_receiver import SOCKET_TIMEOUT_SECONDS, SerialReceiver
from local.functions_host.service_bus_metadata import message_body, trace_parent, trigger_metadata
from local.functions_host.settings import ServiceBusOptions

RENEWAL_BUFFER = timedelta(seconds=10)  # Azure.Messaging.ServiceBus renews this long before the lock ends
RECONNECT_DELAYS_SECONDS = (0.2, 0.5, 1, 2, 5)
IDLE_WAIT_SECONDS = 1.0  # how soon a stop is noticed
BUSY_WAIT_SECONDS = 0.05  # how long a message that is done waits for its settlement

# Besides its own errors the SDK raises ValueError and AttributeError on links that just went away.
BROKER_ERRORS = (ServiceBusError, OSError, ValueError, AttributeError)


class ServiceBusListener:
    """Receives for one function; completes what succeeded, abandons what did not."""

    def __init__(self, *, function: Function, options: ServiceBusOptions, invoker: Invoker, log: HostLog) -> None:
        assert isinstance(function.trigger, ServiceBusTrigger)
        self._function = function
        self._trigger = function.trigger
        self._options = options
        self._invoker = invoker
        self._log = log
        self._in_flight: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._failures = 0
        self.connected = asyncio.Event()

    async def run(self) -> None:
        """Receive until stopped, across restarts of the broker; returns when all in flight has ended."""
        while not self._stopping:
            try:
                await self._connect_and_pump()
            except Exception as error:  # noqa: BLE001  # whatever the SDK trips over, a listener comes back
                delay = RECONNECT_DELAYS_SECONDS[min(self._failures, len(RECONNECT_DELAYS_SECONDS) - 1)]
                self._failures += 1
                self._log.write(
                    "Warning",
                    "Host.ServiceBus",
                    f"{self._function.name}: no connection, next try in {delay} s: {_first_line(error)}",
                )
                await asyncio.sleep(delay)
        await self._end_in_flight()

    def stop(self) -> None:
        """Take no further message; those in flight go on."""
        self._stopping = True

    async def _connect_and_pump(self) -> None:
        client = ServiceBusClient.from_connection_string(
            self._trigger.connection_string, retry_total=1, socket_timeout=SOCKET_TIMEOUT_SECONDS
        )
        async with client:
            receiver = client.get_queue_receiver(
                self._trigger.queue,
                sub_queue=ServiceBusSubQueue.DEAD_LETTER if self._trigger.dead_letter else None,
                prefetch_count=self._options.prefetch_count,
            )
            async with receiver:
                self._failures = 0
                self.connected.set()
                await self._pump(SerialReceiver(receiver))
                await self._end_in_flight()

    async def _pump(self, receiver: SerialReceiver) -> None:
        while not self._stopping:
            if len(self._in_flight) >= self._options.max_concurrent_calls:
                await asyncio.wait(self._in_flight, return_when=asyncio.FIRST_COMPLETED)
                continue
            wait_seconds = BUSY_WAIT_SECONDS if self._in_flight else IDLE_WAIT_SECONDS
            for message in await receiver.receive(wait_seconds):
                task = asyncio.create_task(self._handle(receiver, message))
                self._in_flight.add(task)
                task.add_done_callback(self._in_flight.discard)

    async def _end_in_flight(self) -> None:
        await asyncio.gather(*self._in_flight, return_exceptions=True)

    async def _handle(self, receiver: SerialReceiver, message: ServiceBusReceivedMessage) -> None:
        renewal = asyncio.create_task(self._renew_lock(receiver, message))
        try:
            succeeded = await self._run_function(message)
        finally:
            renewal.cancel()
        try:
            if not succeeded:
                await receiver.abandon(message)
            elif self._trigger.auto_complete:
                await receiver.complete(message)
        except BROKER_ERRORS as error:
            # It comes again when its lock ends; the function must bear that, as in Azure.
            self._log.problem(
                "Host.ServiceBus",
                f"{self._function.name}: message {message.message_id} could not be settled: {_first_line(error)}",
            )

    async def _run_function(self, message: ServiceBusReceivedMessage) -> bool:
        try:
            result = await self._invoker.invoke(
                self._function,
                message_body(message, binary=self._trigger.binary),
                metadata=trigger_metadata(message),
                reason=f"(new ServiceBus message detected on '{self._trigger.entity}'.)",
                parent=trace_parent(message),
            )
        except InvocationLostError:
            return False
        return result.ok

    async def _renew_lock(self, receiver: SerialReceiver, message: ServiceBusReceivedMessage) -> None:
        until = datetime.now(UTC) + self._options.max_lock_renewal
        while message.locked_until_utc is not None:
            remaining = message.locked_until_utc - datetime.now(UTC)
            pause = renewal_delay(remaining)
            if datetime.now(UTC) + pause >= until:
                return
            await asyncio.sleep(pause.total_seconds())
            try:
                await receiver.renew_lock(message)
            except MessageLockLostError:
                return
            except BROKER_ERRORS:
                await asyncio.sleep(RECONNECT_DELAYS_SECONDS[0])


def renewal_delay(remaining: timedelta) -> timedelta:
    """How long to wait before a lock with this much time left is renewed."""
    return max(remaining - min(remaining / 2, RENEWAL_BUFFER), timedelta())


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
