"""What a step is given and what it may give back."""

from collections.abc import Callable
from dataclasses import dataclass

from shared.application.ports import Ports
from shared.domain.events import CircuitEvent, StillRunning
from shared.domain.model import CircuitRun, Release


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One circuit's rows as they were just read; a step never writes them."""

    release: Release
    run: CircuitRun


type Step = Callable[[Work, Ports], CircuitEvent | StillRunning]
"""May raise TransientError (tried again with back-off), PermanentError (the circuit fails with its message)."""
