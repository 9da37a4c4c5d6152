"""Adapter table_store: what the service's errors mean, in the pipeline's words."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from azure.core.exceptions import AzureError, HttpResponseError

from shared.adapters.retry_after import retry_after
from shared.adapters.sign_in import is_refused
from shared.domain.errors import PermanentError, PipelineError, StateRefused, TransientError

LOST_ROW = frozenset({404, 409, 412})
"""The row is not as the write supposed: gone, there already, or another."""


def status_of(error: AzureError) -> int:
    """0: there was no answer at all."""
    return (error.status_code or 0) if isinstance(error, HttpResponseError) else 0


def is_transient(status: int) -> bool:
    return status in {0, 408, 429} or status >= 500


def translate(error: AzureError, what: str) -> PipelineError:
    status = status_of(error)
    said = error.message.splitlines()[0] if error.message else type(error).__name__
    refused = is_refused(error)
    if is_transient(status) and not refused:
        return TransientError(f"table storage, {what}: {said}", retry_after=_retry_after(error))
    if refused or status in {401, 403, 404}:
        return StateRefused(
            f"table storage, {what}: {said}. Check the StateStorage settings and the app's role on that account"
        )
    return PermanentError(f"table storage, {what}: {said}")


def _retry_after(error: AzureError) -> timedelta | None:
    return retry_after(getattr(getattr(error, "response", None), "headers", None) or {})


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Let nothing of the SDK's out."""
    try:
        yield
    except AzureError as error:
        raise translate(error, what) from error
