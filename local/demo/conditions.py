"""What a story changes about the stack's Azure ML while its release runs, and puts right afterwards."""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from local.demo.http import Http
from local.stack.description import Stack

JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """Settings of the stand-in, faults of its service, and what the app has to be told."""

    app_settings: Mapping[str, str] = field(default_factory=dict)
    fresh_app: bool = False
    """The app remembers what `azure_ml` changes (a workspace's region), so it has to start anew."""
    azure_ml: Mapping[str, Any] = field(default_factory=dict)
    faults: Sequence[Mapping[str, Any]] = ()


@contextlib.contextmanager
def under(conditions: Conditions, stack: Stack) -> Iterator[None]:
    """Within this, the stack's Azure ML is as the story wants it.

    Raises:
        RuntimeError: the stand-in refused a setting or a fault.
    """
    admin = _Admin(stack)
    before = admin.read("/settings")
    try:
        if conditions.azure_ml:
            admin.write("/settings", conditions.azure_ml)
        for fault in conditions.faults:
            admin.write("/faults", fault)
        yield
    finally:
        if conditions.faults:
            admin.clear_faults()
        if conditions.azure_ml:
            admin.write("/settings", {key: before[key] for key in conditions.azure_ml})


class _Admin:
    """The stand-in's admin address."""

    def __init__(self, stack: Stack) -> None:
        self._url = stack.azure_ml.admin_url
        self._http = Http()

    def read(self, path: str) -> Any:
        return self._http.get(f"{self._url}{path}").json()

    def write(self, path: str, body: Mapping[str, Any]) -> None:
        reply = self._http.post(f"{self._url}{path}", json.dumps(body).encode(), JSON)
        if reply.status not in {200, 201}:
            raise RuntimeError(f"the Azure ML stand-in answered {reply.status} to {path}: {reply.text[:300]}")

    def clear_faults(self) -> None:
        self._http.delete(f"{self._url}/faults")
