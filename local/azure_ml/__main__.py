"""`python -m local.azure_ml`: starts the stand-in and stays in the foreground until it is told to stop."""

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
import threading
from datetime import timedelta
from pathlib import Path

from aiohttp import web

from local.azure_ml.admin import Admin
from local.azure_ml.app import App
from local.azure_ml.blob_relay import BlobRelay
from local.azure_ml.calls import World
from local.azure_ml.certificates import Certificates
from local.azure_ml.faults import Faults
from local.azure_ml.identity import TokenOffice
from local.azure_ml.jobs import JobRunner
from local.azure_ml.journal import Journal
from local.azure_ml.proxy import Proxy
from local.azure_ml.settings import SettingsBook, UnusableSettings
from local.azure_ml.storage import Blobs
from local.azure_ml.store import Store

log = logging.getLogger("local.azure_ml")

AZURITE_PATIENCE = timedelta(seconds=60)


def main() -> int:
    """Parse the flags and run."""
    options = _options()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("azure").setLevel(logging.WARNING)
    try:
        asyncio.run(_serve(options))
    except UnusableSettings as error:
        log.error("cannot start, for these settings make no sense: %s", error)  # noqa: TRY400 - the line says it all
        return 1
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local.azure_ml", description=__doc__)
    parser.add_argument("--proxy-port", type=int, required=True, help="where clients find the CONNECT proxy")
    parser.add_argument("--admin-port", type=int, required=True, help="plain HTTP: health, journal, faults, settings")
    parser.add_argument("--data", type=Path, required=True, help="directory for the state and ca-bundle.pem")
    parser.add_argument("--blob-port", type=int, required=True, help="Azurite's blob port")
    parser.add_argument("--settings", type=Path, help="JSON with what differs from defaults.json")
    parser.add_argument("--stop-with-stdin", action="store_true", help="stop when standard input ends")
    return parser.parse_args()


async def _serve(options: argparse.Namespace) -> None:
    stop = _stop_event(options)
    options.data.mkdir(parents=True, exist_ok=True)
    changes = json.loads(options.settings.read_text(encoding="utf-8")) if options.settings else {}
    store = Store(options.data / "state.sqlite")
    book = SettingsBook(changes, store)
    blobs = Blobs(options.blob_port, book)
    jobs = JobRunner(store, blobs, book, options.data / "jobs")
    world = World(book=book, store=store, blobs=blobs, tokens=TokenOffice(options.data, book), jobs=jobs)
    faults, journal, relay = Faults(), Journal(store), BlobRelay(options.blob_port)
    http = web.Server(App(world, relay, faults, journal).handle, access_log=None)
    proxy = Proxy(Certificates(options.data), http)
    admin = web.AppRunner(Admin(book, blobs, faults, journal).app(), access_log=None)
    try:
        await asyncio.to_thread(_open_storage, blobs, book)
        await relay.start()
        jobs.resume()
        await proxy.start(options.proxy_port)
        await admin.setup()
        await web.TCPSite(admin, "127.0.0.1", options.admin_port).start()
        log.info("ready: proxy on port %s, admin on port %s", options.proxy_port, options.admin_port)
        await stop.wait()
    finally:
        await proxy.stop()
        await admin.cleanup()
        await http.shutdown(1)
        await jobs.stop()
        await relay.stop()
        store.close()


def _open_storage(blobs: Blobs, book: SettingsBook) -> None:
    """Make the containers; a workspace that was added over the admin route does not hinder the start.

    Raises:
        UnusableSettings: an account of the file or of `defaults.json` cannot be used.
    """
    try:
        blobs.create_datastores(AZURITE_PATIENCE)
    except UnusableSettings as error:
        if not book.leave_out_asked(str(error)):
            raise
        blobs.create_datastores(AZURITE_PATIENCE)


def _stop_event(options: argparse.Namespace) -> asyncio.Event:
    """Set by SIGTERM, SIGINT and, if wanted, the end of standard input."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if options.stop_with_stdin:

        def wait_for_the_end() -> None:
            while os.read(sys.stdin.fileno(), 1024):
                pass
            loop.call_soon_threadsafe(stop.set)

        threading.Thread(target=wait_for_the_end, daemon=True).start()
    return stop


if __name__ == "__main__":
    sys.exit(main())
