"""When a process of the stack is to stop: on a signal, or when its parent is gone."""

import asyncio
import os
import signal
import sys


def stop_event(*, stop_with_stdin: bool) -> asyncio.Event:
    """An event that is set by SIGTERM, SIGINT and, if asked for, the end of standard input."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if stop_with_stdin:
        stdin = sys.stdin.fileno()

        def read() -> None:
            if not os.read(stdin, 1024):
                loop.remove_reader(stdin)
                stop.set()

        loop.add_reader(stdin, read)
    return stop
