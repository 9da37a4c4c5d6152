"""Command line: `python -m local.service_bus --config FILE --data DIR --port N --health-port M`."""

import argparse
import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from local.service_bus.broker import Place, run_broker
from local.service_bus.config import Config, ConfigError, load_config

_LOG = logging.getLogger("local.service_bus")


def main() -> int:
    """Run in the foreground until a signal, or the end of standard input if asked to."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    options = _parser().parse_args()
    try:
        config = load_config(options.config)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    place = Place(data=options.data, host=options.host, port=options.port, health_port=options.health_port)
    try:
        asyncio.run(_run(config, place, stop_with_stdin=options.stop_with_stdin))
    except OSError as error:
        print(f"cannot serve on {place.host}:{place.port} and :{place.health_port}: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="local.service_bus", description="Azure Service Bus, on this machine")
    parser.add_argument("--config", type=Path, required=True, help="Config.json of the official emulator")
    parser.add_argument("--data", type=Path, required=True, help="directory for the messages")
    parser.add_argument("--port", type=int, required=True, help="AMQP, plain TCP")
    parser.add_argument("--health-port", type=int, required=True, help="HTTP: /health, /queues, /journal")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--stop-with-stdin", action="store_true", help="stop when standard input ends")
    return parser


async def _run(config: Config, place: Place, *, stop_with_stdin: bool) -> None:
    loop = asyncio.get_running_loop()
    stop: asyncio.Future[None] = loop.create_future()

    def finish() -> None:
        if not stop.done():
            stop.set_result(None)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, finish)
    if stop_with_stdin:
        threading.Thread(target=_wait_for_end_of_stdin, args=(loop, finish), daemon=True).start()
    _LOG.info("serving %s on %s:%s", [q.name for q in config.queues], place.host, place.port)
    await run_broker(config, place, stop)


def _wait_for_end_of_stdin(loop: asyncio.AbstractEventLoop, finish: Callable[[], None]) -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    loop.call_soon_threadsafe(finish)


if __name__ == "__main__":
    sys.exit(main())
