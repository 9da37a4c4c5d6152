"""The process that has loaded what scoring needs, and forks a process of its own for each mini batch.

`python -m local.azure_ml.scorer_host` reads orders from standard input, a JSON object a line: `{"run": N, "spec": PATH}`
and `{"kill": N}`. To standard output it writes `{"ready": true}` when it has begun, and `{"ended": N, "code": EXIT_CODE}`
when a mini batch has ended; what that printed lies beside its spec. Importing pandas and scikit-learn takes some thirty times as long as a small
model takes to score: here it is done once. One thread only, as a fork demands; the end of standard input ends it all.
"""

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import sys
import threading
import traceback
from pathlib import Path

import numpy as np

from local.azure_ml.scorer import score

LOADED = ("cloudpickle", "sklearn.compose", "sklearn.linear_model", "sklearn.pipeline", "sklearn.preprocessing")
"""What models of MLflow's scikit-learn flavor are usually made of; a model's other imports are its own matter."""
STDIN, STDOUT, STDERR = 0, 1, 2


def main() -> None:
    """Take orders until standard input ends, then end whatever still runs."""
    for name in LOADED:
        importlib.import_module(name)
    gc.freeze()
    host = _Host()
    _tell({"ready": True})
    try:
        host.serve()
    finally:
        host.kill_all()


class _Host:
    """The mini batches under way, by number and by process."""

    def __init__(self) -> None:
        self._pids: dict[int, int] = {}
        # No mini batch keeps the write end of its lifeline: it breaks when this process ends, however it ends.
        self._lifeline, self._held = os.pipe()
        self._woken, wakes = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(wakes, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)

    def serve(self) -> None:
        rest = b""
        while True:
            ready, _, _ = select.select([STDIN, self._woken], [], [])
            if self._woken in ready:
                self._tell_ended()
            if STDIN in ready:
                read = os.read(STDIN, 65536)
                if not read:
                    return
                *lines, rest = (rest + read).split(b"\n")
                for line in lines:
                    self._obey(json.loads(line))

    def kill_all(self) -> None:
        for pid in self._pids.values():
            os.kill(pid, signal.SIGKILL)

    def _obey(self, order: dict[str, object]) -> None:
        if "kill" in order:
            # Unknown: it has ended meanwhile. Known: it is not reaped yet, so its pid is still its own.
            if (pid := self._pids.get(int(str(order["kill"])))) is not None:
                os.kill(pid, signal.SIGKILL)
            return
        pid = os.fork()
        if pid == 0:
            self._become_mini_batch(Path(str(order["spec"])))
        self._pids[int(str(order["run"]))] = pid

    def _tell_ended(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._woken, 65536)
        for number, pid in list(self._pids.items()):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                del self._pids[number]
                _tell({"ended": number, "code": os.waitstatus_to_exitcode(status)})

    def _become_mini_batch(self, spec: Path) -> None:
        """In the child: score, with outputs of its own, and never return."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.close(self._held)
            _redirect(spec)
            threading.Thread(target=_end_with, args=(self._lifeline,), daemon=True).start()
            np.random.seed()  # noqa: NPY002 - a fork has its parent's state, and models use the global one
            score(json.loads(spec.read_text(encoding="utf-8")))
            code = 0
        except BaseException:  # noqa: BLE001 - whatever a model raises ends its process, and is told
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)


def _tell(what: dict[str, object]) -> None:
    """Past `sys.stdout`: what it buffers would be written once more by each fork."""
    os.write(STDOUT, json.dumps(what).encode() + b"\n")


def _redirect(spec: Path) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, STDIN)
    for number, suffix in ((STDOUT, ".stdout"), (STDERR, ".stderr")):
        file = os.open(spec.with_suffix(suffix), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, number)


def _end_with(lifeline: int) -> None:
    """When the host is gone, nobody wants the result."""
    os.read(lifeline, 1)
    os._exit(1)


if __name__ == "__main__":
    main()
