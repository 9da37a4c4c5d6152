"""Faults on demand: what an admin asks to go wrong, for which requests, and how often."""

import random
import re
from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Action(StrEnum):
    STATUS = "status"  # refuse with `status`, nothing happens
    DROP = "drop"  # close the connection, nothing happens
    DELAY = "delay"  # wait `seconds`, then go on
    AFTER_EFFECT = "after_effect"  # do it, then answer `status` (or drop the connection without one)
    FAIL_LRO = "fail_lro"  # start it; the long operation ends as Failed
    STICK = "stick"  # start it; the long operation never ends


class Match(BaseModel):
    """Which requests a fault hits: all given conditions must hold."""

    model_config = ConfigDict(extra="forbid", strict=True)

    method: str | None = Field(None, pattern="(?i)^(GET|HEAD|OPTIONS|PUT|POST|PATCH|DELETE)$")
    path_regex: re.Pattern[str] | None = None  # searched in host + path
    operation: str | None = None


class Fault(BaseModel):
    """One fault, as it is asked for over the admin route: which requests it hits and what it does to them."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    match: Match = Match()
    action: Action
    status: int | None = Field(None, ge=400, le=599)
    retry_after: float | None = Field(None, ge=0)
    seconds: float = Field(0.0, ge=0)
    count: int | None = Field(1, ge=1)  # None: until deleted
    probability: float = Field(1.0, ge=0, le=1)
    seed: int | None = None

    @model_validator(mode="after")
    def _says_what_to_answer(self) -> Self:
        if self.action is Action.STATUS and self.status is None:
            raise ValueError("action 'status' needs a status from 400 to 599")
        return self

    def hits(self, method: str, place: str, operation: str) -> bool:
        match = self.match
        if match.method and match.method.upper() != method:
            return False
        if match.path_regex and not match.path_regex.search(place):
            return False
        return match.operation in (None, operation)

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

    def add(self, fault: Fault) -> None:
        if fault.seed is not None:
            self._random.seed(fault.seed)
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
