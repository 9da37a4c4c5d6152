"""What happens to the stack while a release runs: processes are ended, calls to Azure ML fail; all of it by one seed."""

import json
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from local.stack.files import read_json
from local.stack.places import Places
from tests.support.waiting import wait_until
from tests.support.wire import exchange

HOST, STORAGE, BROKER = "app", "storage", "service-bus"
BACK_WITHIN_SECONDS = 120
FAULT_RATE = 0.10
FAULTS: Sequence[Mapping[str, object]] = (
    {"action": "status", "status": 429, "retry_after": 1},
    {"action": "status", "status": 503},
    {"action": "drop"},
    {"action": "after_effect"},
)
"""Refused for a while, broken, lost on the way there, lost on the way back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blow:
    """A signal to one part, again and again."""

    part: str
    signal: signal.Signals
    pause_seconds: tuple[float, float]
    """Between two, counted from when the part answered again."""
    most: int | None = None
    """None: for as long as the release runs."""


@dataclass(slots=True)
class Disturbances:
    """Started and stopped around a release; what was done stands in `done`."""

    places: Places
    admin_url: str
    seed: int
    blows: Sequence[Blow]
    faulty: str = ""
    """Which hosts and paths fail, as a regular expression; empty: all."""
    done: list[tuple[float, str]] = field(default_factory=list)
    """Seconds since the start, and the part."""
    _over: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)
    _began: float = field(default_factory=time.monotonic)

    def start(self) -> None:
        self._began = time.monotonic()
        probability = 1 - (1 - FAULT_RATE) ** (1 / len(FAULTS))  # each is asked after the ones before it
        for fault in FAULTS:
            match = {"match": {"path_regex": self.faulty}}
            self._admin("POST", {"count": None, "probability": probability, "seed": self.seed, **match, **fault})
        self._threads = [
            threading.Thread(target=self._deal, args=(blow,), name=f"blows to {blow.part}", daemon=True)
            for blow in self.blows
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """No further blow, no further fault; returns when every part answers."""
        self._over.set()
        for thread in self._threads:
            thread.join()
        self._admin("DELETE")
        for part in (HOST, STORAGE, BROKER):
            self.until_ready(part)

    @property
    def all_dealt(self) -> bool:
        """Whether nothing more is to come."""
        return not any(thread.is_alive() for thread in self._threads)

    def counts(self) -> Counter[str]:
        return Counter(part for _, part in self.done)

    def strike(self, part: str, number: signal.Signals) -> None:
        """End a part's process and wait until its successor answers."""
        victim = self._part(part)["pid"]
        os.kill(victim, number)
        self.done.append((time.monotonic() - self._began, part))
        self.until_ready(part, not_pid=victim)

    def until_ready(self, part: str, *, not_pid: int = 0) -> None:
        """The supervisor starts again what has died; this waits for it."""
        wait_until(lambda: self._is_ready(part, not_pid), f"{part} is back", BACK_WITHIN_SECONDS)

    def _deal(self, blow: Blow) -> None:
        chance = random.Random(f"{self.seed} {blow.part}")  # noqa: S311 - it decides about accidents only
        dealt = 0
        while blow.most is None or dealt < blow.most:
            if self._over.wait(chance.uniform(*blow.pause_seconds)):
                return
            self.strike(blow.part, blow.signal)
            dealt += 1

    def _is_ready(self, part: str, not_pid: int) -> bool:
        found = self._part(part)
        return found["state"] == "ready" and found["pid"] != not_pid

    def _part(self, name: str) -> Mapping[str, Any]:
        status = read_json(self.places.status)
        assert status
        part: Mapping[str, Any] = status["parts"][name]
        return part

    def _admin(self, method: str, fault: Mapping[str, object] | None = None) -> None:
        body = None if fault is None else json.dumps(fault).encode()
        reply = exchange(method, f"{self.admin_url}/faults", body, {"Content-Type": "application/json"})
        assert reply.status < 300, reply.text
