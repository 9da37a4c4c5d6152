"""Runs a program that is not ours and ends it when our standard input ends.

Azurite and maildev know no `--stop-with-stdin`; this gives it to them: `python -m local.stack.tether PROGRAM …`.
"""

import os
import signal
import subprocess
import sys
import threading

GRACE_SECONDS = 8


def main() -> int:
    """Run the program of the command line; its exit code is ours."""
    program = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
    signal.signal(signal.SIGTERM, lambda *_: program.terminate())
    signal.signal(signal.SIGINT, lambda *_: program.terminate())
    threading.Thread(target=_end_with_stdin, args=(program,), daemon=True).start()
    return program.wait()


def _end_with_stdin(program: subprocess.Popen[bytes]) -> None:
    while os.read(0, 1024):
        pass
    program.terminate()
    try:
        program.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        program.kill()


if __name__ == "__main__":
    sys.exit(main())
