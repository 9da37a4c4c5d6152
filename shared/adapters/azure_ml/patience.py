"""Adapter: an end to calls of the SDK that wait for an operation of the service, however long that takes."""

from collections.abc import Callable
from concurrent.futures import Future, wait
from contextvars import copy_context
from datetime import timedelta
from threading import Thread

from shared.domain.errors import TransientError

PATIENCE = timedelta(minutes=20)
"""Below host.json's functionTimeout, at which the host would end the process and everything else that it does."""


def within(patience: timedelta, call: Callable[[], object], doing: str) -> None:
    """Return when the call has; what it raises is raised here.

    Raises:
        TransientError: it still waits; nobody hears of how it ends, so whoever comes next looks what there is.
    """
    outcome: Future[None] = Future()
    context = copy_context()

    def run() -> None:
        try:
            context.run(call)
        except BaseException as error:  # noqa: BLE001 - raised again by whoever waits
            outcome.set_exception(error)
        else:
            outcome.set_result(None)

    Thread(target=run, name=doing, daemon=True).start()
    if wait([outcome], patience.total_seconds()).not_done:
        raise TransientError(f"{doing} has not ended within {patience}; the service still works on it")
    outcome.result()
