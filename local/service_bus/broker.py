"""Puts engine, wire and HTTP together and runs them until told to stop."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from local.service_bus.amqp.composites import Error
from local.service_bus.config import Config
from local.service_bus.engine.namespace import Namespace
from local.service_bus.engine.queue import Queue
from local.service_bus.engine.store import Store
from local.service_bus.http_side import HttpSide
from local.service_bus.wire.connection import Connection
from local.service_bus.wire.hub import Hub
from local.service_bus.wire.nodes import AddressBook


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the broker listens and where it keeps its file."""

    data: Path
    host: str
    port: int
    health_port: int


def _now() -> datetime:
    return datetime.now(UTC)


async def run_broker(config: Config, place: Place, stop: asyncio.Future[None]) -> None:
    """Serve until `stop` is done; raises what broke the store, if something did."""
    place.data.mkdir(parents=True, exist_ok=True)
    store = Store(place.data / "service-bus.sqlite3")

    def on_failure(error: Exception) -> None:
        if not stop.done():
            stop.set_exception(error)

    hub = Hub(store=store, clock=_now, on_failure=on_failure)

    def on_available(queue: Queue) -> None:
        hub.wake(queue)

    namespace = Namespace(config.queues, store=store, clock=_now, on_available=on_available)
    addresses = AddressBook(namespace, config.not_served)
    hub.serve(namespace)
    try:
        await _serve(hub, addresses, HttpSide(namespace, store), place, stop)
    finally:
        store.close()


async def _serve(hub: Hub, addresses: AddressBook, side: HttpSide, place: Place, stop: asyncio.Future[None]) -> None:
    connections: set[Connection] = set()

    def connect() -> Connection:
        connection = Connection(hub, addresses, on_lost=connections.discard)
        connections.add(connection)
        return connection

    loop = asyncio.get_running_loop()
    amqp = await loop.create_server(connect, place.host, place.port)
    http = await asyncio.start_server(side.serve, place.host, place.health_port)
    try:
        await stop
        for connection in tuple(connections):
            connection.close(Error(condition="amqp:connection:forced", description="the broker stops"))
        hub.close()
    finally:
        amqp.close()
        http.close()
