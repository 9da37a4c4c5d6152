"""The background process that holds the parts of the stack: `python -m local.stack.supervisor`.

It starts them in order, says in `status.json` how far it is, writes `stack.json` when all are ready, restarts
what dies, and ends everything on SIGTERM (or, with `--stop-with-stdin`, when its standard input ends).
"""

import argparse
import asyncio
import contextlib
import fcntl
import logging
import os
import sys
import time
from collections.abc import Sequence
from typing import IO

from local.stack.child import Child, Part, PartFailed
from local.stack.containers import create_containers
from local.stack.description import Stack, write_description
from local.stack.files import write_json
from local.stack.parts import STORAGE, describe, parts_of
from local.stack.places import Places, places_from_environment
from local.stack.stopping import stop_event

log = logging.getLogger(__name__)

LOCK_ATTEMPTS = 20
LOCK_PAUSE_SECONDS = 0.05


class Supervisor:
    """All children of one stack, and what is known about them."""

    def __init__(self, places: Places, stack: Stack, parts: Sequence[Part]) -> None:
        self._places = places
        self._stack = stack
        self._state = "starting"
        self._why = ""
        self._children = [Child(part, places.log(part.name), self._report) for part in parts]

    async def run(self, stop: asyncio.Event) -> int:
        """Bring everything up, stay until asked to stop, bring everything down."""
        starting = asyncio.create_task(self._start_all())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
        if starting.done() and (failure := starting.exception()):
            stopping.cancel()
            await self._give_up(failure)
            return 1
        await stopping
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        await self._stop_all()
        self._enter("stopped")
        return 0

    async def _start_all(self) -> None:
        ready: set[str] = set()
        waiting = list(self._children)
        while waiting:
            wave = [child for child in waiting if ready.issuperset(child.part.after)]
            await asyncio.gather(*(child.start() for child in wave))
            ready.update(child.part.name for child in wave)
            waiting = [child for child in waiting if child not in wave]
            if any(child.part.name == STORAGE for child in wave):
                await asyncio.to_thread(create_containers, self._stack)
        write_description(self._places, self._stack)
        self._enter("up")
        log.info("the stack is up")

    async def _give_up(self, failure: BaseException) -> None:
        log.error("%s", failure, exc_info=None if isinstance(failure, PartFailed) else failure)
        await self._stop_all()
        self._enter("failed", str(failure))

    async def _stop_all(self) -> None:
        """Those that were started last stop first: nobody loses a server it is still talking to."""
        self._places.stack_json.unlink(missing_ok=True)
        remaining = list(self._children)
        while remaining:
            needed = {name for child in remaining for name in child.part.after}
            wave = [child for child in remaining if child.part.name not in needed]
            await asyncio.gather(*(child.stop() for child in wave))
            remaining = [child for child in remaining if child not in wave]
        log.info("the stack is down")

    def _enter(self, state: str, why: str = "") -> None:
        self._state, self._why = state, why
        self._report()

    def _report(self) -> None:
        parts = {
            child.part.name: {"state": child.state, "pid": child.pid, "restarts": child.restarts}
            for child in self._children
        }
        status = {
            "state": self._state,
            "why": self._why,
            "base": self._places.ports.base,
            "supervisor": os.getpid(),
            "parts": parts,
        }
        write_json(self._places.status, status)


def _take_lock(places: Places) -> IO[bytes]:
    """Held as long as this process lives: the one sign, valid after any crash, that the stack is up.

    Whoever asks whether the stack is up holds the lock for a blink, so one refusal proves nothing.
    """
    places.dir.mkdir(parents=True, exist_ok=True)
    file = places.lock.open("ab")
    for _ in range(LOCK_ATTEMPTS):
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return file
        time.sleep(LOCK_PAUSE_SECONDS)
    raise SystemExit(f"The stack in {places.dir} is up already.")


async def _main(places: Places, *, stop_with_stdin: bool) -> int:
    stop = stop_event(stop_with_stdin=stop_with_stdin)
    return await Supervisor(places, describe(places), parts_of(places)).run(stop)


def main(argv: list[str] | None = None) -> int:
    """Run until asked to stop; 1 if the stack did not come up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stop-with-stdin", action="store_true")
    args = parser.parse_args(argv)
    places = places_from_environment()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("azure").setLevel(logging.WARNING)
    with _take_lock(places):
        return asyncio.run(_main(places, stop_with_stdin=args.stop_with_stdin))


if __name__ == "__main__":
    sys.exit(main())
