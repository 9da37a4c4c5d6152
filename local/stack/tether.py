"""Runs a program that is not ours and ends it when our standard input ends.

Azurite and maildev know no `--stop-with-stdin`; this gives it to them: `python -m local.stack.tether PROGRAM …`.
They are asked to end once: Azurite saves what it holds on the first SIGTERM, and a second one would kill it meanwhile.
"""

import os
import signal
import subprocess
import sys
import threading

GRACE_SECONDS = 8


class _Tethered:
    """The program, asked to end by a signal or by the end of our standard input, whichever comes first."""

    def __init__(self, command: list[str]) -> None:
        self.program = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        self._unasked = threading.Lock()

    def ask_to_end(self, *_: object) -> None:
        """Repeatable, also from a signal handler that interrupts another call of it."""
        if self._unasked.acquire(blocking=False):
            self.program.terminate()

    def end_with_stdin(self) -> None:
        """Wait for the end of standard input; kill what then does not end by itself."""
        while os.read(0, 1024):
            pass
        self.ask_to_end()
        try:
            self.program.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self.program.kill()


def main() -> int:
    """Run the program of the command line; its exit code is ours."""
    tethered = _Tethered(sys.argv[1:])
    signal.signal(signal.SIGTERM, tethered.ask_to_end)
    signal.signal(signal.SIGINT, tethered.ask_to_end)
    threading.Thread(target=tethered.end_with_stdin, daemon=True).start()
    return tethered.program.wait()


if __name__ == "__main__":
    sys.exit(main())
