"""Faults on demand: what an admin asks to go wrong, for which requests, and how often."""

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Action(StrEnum):
    STATUS = "status"  # refuse with `status`, nothing happens
    DROP = "drop"  # close the connection, nothing happens
    DELAY = "delay"  # wait `seconds`, then go on
    AFTER_EFFECT = "after_effect"  # do it, then answer `status` (or drop the connection without one)
    FAIL_LRO = "fail_lro"  # start it; the long operation ends as Failed
    STICK = "stick"  # start it; the long operation never ends


@dataclass(slots=True, kw_only=True)
class Fault:
    """One fault: which requests it hits (all given conditions must hold) and what it does to them."""

    action: Action
    method: str | None = None
    path_regex: re.Pattern[str] | None = None  # searched in host + path
    operation: str | None = None
    status: int | None = None
    retry_after: float | None = None
    seconds: float = 0.0
    count: int | None = 1  # None: until deleted
    probability: float = 1.0

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Fault":
        """Read `{"match": {method, path_regex, operation}, "action": ..., ...}`.

        Raises:
            KeyError, TypeError, ValueError, re.error: a fault that says nothing sensible.
        """
        rest = {key: value for key, value in data.items() if key not in ("match", "action")}
        match = dict(data.get("match", {}))
        if "path_regex" in match:
            match["path_regex"] = re.compile(match["path_regex"])
        return cls(action=Action(data["action"]), **match, **rest)

    def hits(self, method: str, place: str, operation: str) -> bool:
        if self.method and self.method.upper() != method:
            return False
        if self.path_regex and not self.path_regex.search(place):
            return False
        return self.operation in (None, operation)

    def headers(self) -> dict[str, str]:
        return {} if self.retry_after is None else {"Retry-After": f"{self.retry_after:g}"}

    def lro_error(self) -> dict[str, str] | None:
        """The error with which a long operation started under this fault ends."""
        if self.action is not Action.FAIL_LRO:
            return None
        return {"code": "InternalServerError", "message": "The operation failed: asked for by a fault of the stand-in."}


class Faults:
    """The faults in force. Chance comes from a generator of its own, so that a seed repeats a run."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._random = random.Random(0)  # noqa: S311 - it decides about simulated accidents only

    def add(self, fault: Fault, seed: int | None = None) -> None:
        if seed is not None:
            self._random.seed(seed)
        self._faults.append(fault)

    def clear(self) -> None:
        self._faults.clear()

    def take(self, method: str, place: str, operation: str) -> Fault | None:
        """The first fault that hits this request; one with a count is used up by it."""
        for fault in self._faults:
            if not fault.hits(method, place, operation) or self._random.random() >= fault.probability:
                continue
            if fault.count is not None:
                fault.count -= 1
                if fault.count <= 0:
                    self._faults.remove(fault)
            return fault
        return None
