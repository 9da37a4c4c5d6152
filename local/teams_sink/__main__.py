"""Runs the Teams sink: `python -m local.teams_sink --port N --data DIR`."""

import argparse
import asyncio
from pathlib import Path

from aiohttp import web

from local.stack.stopping import stop_event
from local.teams_sink.server import make_app


async def serve(port: int, data: Path, *, stop_with_stdin: bool) -> None:
    """Serve on the loopback address until a signal, or the end of standard input."""
    stop = stop_event(stop_with_stdin=stop_with_stdin)
    runner = web.AppRunner(make_app(data))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await stop.wait()
    await runner.cleanup()


def main() -> None:
    """Parse the flags and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--stop-with-stdin", action="store_true")
    args = parser.parse_args()
    asyncio.run(serve(args.port, args.data, stop_with_stdin=args.stop_with_stdin))


if __name__ == "__main__":
    main()
