"""Local stack, Functions host: `python -m local.functions_host --app DIR --settings FILE`."""

import argparse
import asyncio
import sys
from pathlib import Path

from local.functions_host.errors import HostError
from local.functions_host.host import FunctionsHost
from local.functions_host.keys import load_keys
from local.functions_host.logs import HostLog, quiet_libraries
from local.functions_host.settings import load_settings
from local.stack.stopping import stop_event

DEFAULT_PORT = 7071  # what `func start` takes


def arguments(argv: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m local.functions_host", description=__doc__)
    parser.add_argument("--app", type=Path, required=True, help="directory with function_app.py and host.json")
    parser.add_argument("--settings", type=Path, required=True, help="a local.settings.json")
    parser.add_argument("--data", type=Path, default=Path(".functions_host"), help="keys, schedules, events")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, help="default: Host.LocalHttpPort of the settings, or 7071")
    parser.add_argument("--master-key", help="default: kept in the data directory, made once")
    parser.add_argument("--function-key", help="likewise")
    parser.add_argument("--blobs-extension-key", help="likewise; opens the blob webhook")
    parser.add_argument("--grace", type=float, default=5.0, help="seconds running invocations get on stop")
    parser.add_argument("--stop-with-stdin", action="store_true", help="stop when standard input ends")
    return parser.parse_args(argv)


async def serve(options: argparse.Namespace) -> int:
    """Run until told to stop; 1 if the app cannot run."""
    log = HostLog({})
    stopping = stop_event(stop_with_stdin=options.stop_with_stdin)
    try:
        settings = load_settings(options.app.resolve(), options.settings)
        log = HostLog(settings.log_levels)
        options.data.mkdir(parents=True, exist_ok=True)
        keys = load_keys(
            options.data,
            {
                "master": options.master_key,
                "function": options.function_key,
                "blobs_extension": options.blobs_extension_key,
            },
        )
        host = FunctionsHost(settings=settings, keys=keys, data_dir=options.data, log=log)
        async with host:
            await _start(host, options, settings.default_port or DEFAULT_PORT, stopping)
            await stopping.wait()
            await host.stop(options.grace)
    except (HostError, OSError) as error:
        log.problem("Host.Startup", f"The app cannot run.\n{error}")
        return 1
    return 0


async def _start(host: FunctionsHost, options: argparse.Namespace, default_port: int, stopping: asyncio.Event) -> None:
    starting = asyncio.create_task(host.start(options.host, options.port or default_port))
    told = asyncio.create_task(stopping.wait())
    await asyncio.wait((starting, told), return_when=asyncio.FIRST_COMPLETED)
    told.cancel()
    if starting.done():
        starting.result()
    else:
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)


if __name__ == "__main__":
    quiet_libraries()
    sys.exit(asyncio.run(serve(arguments(sys.argv[1:]))))
